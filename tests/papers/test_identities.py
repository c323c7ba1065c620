"""Every identity that is written holds under its bound, and every identity that a record names is one of these."""

import importlib
import inspect
import pkgutil

import pytest

from workbench.papers import catalogue, identities
from workbench.papers.record import Identity, read
from workbench.papers.verify import measure

BOUNDS = {
    "conversions:round_trip_fp64": 1e-12,
    "conversions:round_trip_fp32": 5e-5,
    "conversions:edm_preconditioning": 1e-12,
    "conversions:sana_sprint_wrapper": 1e-12,
    "conversions:rcm_wrapper": 1e-12,
    "conversions:ddim_step": 1e-12,
    "consistency:zero_residual": 2e-5,  # 144 Heun intervals
    "consistency:order_shortfall": 0.3,
    "trajectory:zero_residual": 2e-5,  # 144 Heun intervals
    "trajectory:jump": 1e-12,
    "trajectory:pointer": 1e-6,
    "continuous_consistency:zero_tangent": 5e-6,  # times are fp32
    "continuous_consistency:jvp_is_the_difference": 1e-6,
    "continuous_consistency:tangent_formula": 1e-4,  # against a difference
    "continuous_consistency:warm_up": 1e-6,
    "consistency_training:delta_limit": 1e-3,
    "consistency_training:first_order": 0.02,
    "consistency_training:lagging_target_diverges": 0.02,
    "halving:two_ddim_steps": 1e-12,
    "halving:progressive_zero_residual": 1e-10,
    "halving:guided_zero_residual": 1e-10,
    "reflow:line_through_start": 1e-5,
    "reflow:zero_residual": 5e-4,  # 128 Heun steps a pair
    "reflow:straight_lines": 1e-6,
    "dmd2:matching_gradient": 1e-12,
    "dmd2:adversarial_gradient": 1e-10,
    "dmd2:kl_gradient": 1e-12,
    "logits:definition": 1e-12,
    "logits:gradient": 1e-12,
    "logits:high_temperature": 1e-4,  # T = 10,000
}


@pytest.mark.parametrize("check", BOUNDS)
def test_it_holds(check):
    error = measure(Identity(says="", check=check, bound=BOUNDS[check]))
    assert 0 <= error <= BOUNDS[check]


def test_every_identity_has_its_bound_here():
    """An identity is a public function of a module of the folder, without arguments, that returns a float."""
    found = set()
    for module in pkgutil.iter_modules(identities.__path__):
        members = vars(importlib.import_module(f"{identities.__name__}.{module.name}")).items()
        found |= {f"{module.name}:{name}" for name, one in members if inspect.isfunction(one)
                  and one.__module__.endswith(f".{module.name}") and not inspect.signature(one).parameters
                  and one.__annotations__.get("return") == "float"}  # fmt: skip
    assert found == set(BOUNDS)


def test_records_name_known_identities_under_their_bounds():
    named = [(slug, identity) for slug in catalogue.slugs() for identity in read(catalogue.find(slug)).identities]
    assert {identity.check for _, identity in named} <= set(BOUNDS)
    assert [(slug, one.check) for slug, one in named if one.bound < BOUNDS[one.check]] == []  # none that could not hold
