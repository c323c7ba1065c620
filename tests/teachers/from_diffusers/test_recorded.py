"""x0 at every step: the scheduler's own where it gives one, the definition where it does not; nothing else changes."""

import math

import diffusers
import numpy as np
import pytest
import torch

from workbench.teachers.from_diffusers.recorded import record, recording
from workbench.teachers.from_diffusers.small import CALLS, SMALL, build, stable_diffusion

PROMPTS, GUIDANCE, STEPS = ["a red circle", "two blue squares"], 3.0, 6
BETAS = np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2  # scaled linear, as published
BARS = np.cumprod(1 - BETAS)
OTHERS = ("FlowM", "EDM", "CM", "SCM", "LTX", "UnCLIP", "IPNDM", "Karras", "Score")  # of other levels
RATIO = np.sqrt((1 - BARS) / BARS)
FLOAT32 = 5e-5  # of RATIO where diffusers has its cumulative products in float32: 1 - BARS begins at 8e-4


@pytest.fixture(scope="module")
def sd():
    return stable_diffusion()


@pytest.fixture(scope="module")
def sd3():
    return build("sd3")


def scheduled(pipeline, name, **config):
    """The pipeline with another scheduler, on the same betas."""
    cls = getattr(diffusers, name)
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    pipeline.scheduler = cls(**{**({} if name.startswith(OTHERS) else betas), **config})
    return pipeline


def call(pipeline, kind="sd", seed=0, **asked):
    given = {} if kind == "ddpm" else {"prompt": PROMPTS, "guidance_scale": GUIDANCE}
    given |= {"num_inference_steps": STEPS, **CALLS.get(kind, {}), **asked}
    return {**given, "generator": torch.Generator().manual_seed(seed)}


def heard(pipeline):
    """Each evaluation as the network had it: (input, timestep, guided output), by a hook, not through the scheduler."""
    found = []

    def hook(_, args, kwargs, out):
        x, timestep = args[:2] if args else (kwargs["hidden_states"], kwargs["timestep"][0])
        empty, asked = out[0].chunk(2)
        found.append((x[: len(asked)].clone(), timestep, empty + GUIDANCE * (asked - empty)))

    net = getattr(pipeline, "unet", None) or pipeline.transformer
    return found, net.register_forward_hook(hook, with_kwargs=True)


def listened(pipeline, kind="sd", **asked):
    """(recorded, what the network had at each evaluation)."""
    found, hook = heard(pipeline)
    try:
        kept = record(pipeline, **call(pipeline, kind, output_type="latent", **asked))
    finally:
        hook.remove()
    assert len(found) == len(kept.evaluations)
    return kept, found


def close(a, b, tolerance=1e-5):
    a, b = a.double(), torch.as_tensor(b).double()
    return float((a - b).norm() / b.norm()) < tolerance


# --- where the scheduler says it itself -------------------------------------------------------------------------------

GIVES = ["DDIMScheduler", "DDPMScheduler", "DDIMParallelScheduler", "EulerDiscreteScheduler", "LMSDiscreteScheduler",
         "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "CogVideoXDDIMScheduler",
         "KDPM2AncestralDiscreteScheduler"]  # fmt: skip
NO_SAMPLE = ("EulerAncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler")


def own_words(scheduler, field):
    """The scheduler, saying what it says under ``field`` into the list that is returned."""
    said, step = [], scheduler.step

    def spoken(*args, **kwargs):
        out = step(*args, **{**kwargs, "return_dict": True})
        said.append(getattr(out, field))
        return (out.prev_sample,)

    spoken.__wrapped__ = step  # its signature
    scheduler.step = spoken
    return said


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("name", GIVES)
def test_it_equals_what_the_scheduler_says(sd, name, predicts):
    if predicts == "sample" and name in NO_SAMPLE:
        with pytest.raises(NotImplementedError):
            scheduled(sd, name, prediction_type=predicts)(**call(sd))
        return
    scheduled(sd, name, prediction_type=predicts, **unclipped(name))
    said = own_words(sd.scheduler, "pred_original_sample")
    kept = record(sd, **call(sd, output_type="latent"))
    assert len(said) == len(kept.evaluations) >= STEPS
    assert all(close(one.x0, own) for one, own in zip(kept.evaluations, said, strict=True))
    assert not close(kept.evaluations[1].x0, said[0], 1e-2)  # the step before is another matter


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_edm_equals_what_the_scheduler_says(sd, predicts):
    scheduled(sd, "EDMEulerScheduler", prediction_type=predicts)
    said = own_words(sd.scheduler, "pred_original_sample")
    kept = record(sd, **call(sd, output_type="latent"))
    assert all(close(one.x0, own) for one, own in zip(kept.evaluations, said, strict=True))
    assert kept.sigma.tolist() == pytest.approx(sd.scheduler.sigmas[:-1].tolist()) and kept.sigma[0] == 80


def test_lcm_and_tcd_say_what_follows_from_it(sd):
    """LCM mixes in the state (its boundary scalings); TCD goes on to the level it noises again from."""
    scheduled(sd, "LCMScheduler", clip_sample=False)
    said = own_words(sd.scheduler, "denoised")
    for one, own in zip(record(sd, **call(sd, output_type="latent")).evaluations, said, strict=True):
        skip, out = sd.scheduler.get_scalings_for_boundary_condition_discrete(one.timestep)
        assert close(out * one.x0 + skip * one.x_t, own)
    scheduled(sd, "TCDScheduler")
    said = own_words(sd.scheduler, "pred_noised_sample")
    kept = record(sd, **call(sd, output_type="latent", eta=0.3))
    later = [*(one.timestep for one in kept.steps[1:]), 0.0]
    for one, next_t, own in zip(kept.evaluations, later, said, strict=True):
        bar, bar_s = BARS[int(one.timestep)], BARS[math.floor(0.7 * next_t)]
        eps = (one.x_t - bar**0.5 * one.x0) / (1 - bar) ** 0.5
        assert close(bar_s**0.5 * one.x0 + (1 - bar_s) ** 0.5 * eps, own)


# --- where it does not ------------------------------------------------------------------------------------------------

def preserving(predicts, x, output, bar):
    """x0 of a variance-preserving state, by the definitions of DDPM and of v (2202.00512)."""
    alpha, sigma = bar**0.5, (1 - bar) ** 0.5
    found = {"epsilon": (x - sigma * output) / alpha, "v_prediction": alpha * x - sigma * output, "sample": output}
    return found[predicts]


SILENT = [("DPMSolverMultistepScheduler", {}), ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
          ("DPMSolverMultistepScheduler", {"solver_order": 3}), ("UniPCMultistepScheduler", {}),
          ("UniPCMultistepScheduler", {"predict_x0": False}), ("DEISMultistepScheduler", {}), ("SASolverScheduler", {}),
          ("DPMSolverSinglestepScheduler", {}), ("LCMScheduler", {"clip_sample": False}), ("TCDScheduler", {}),
          ("PNDMScheduler", {"skip_prk_steps": True}), ("PNDMScheduler", {})]  # fmt: skip


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize(("name", "config"), SILENT, ids=lambda one: one if isinstance(one, str) else "-".join(one))
def test_variance_preserving_states_by_the_definition(sd, name, config, predicts):
    if name == "PNDMScheduler" and predicts == "sample":
        return  # it has none
    scheduled(sd, name, prediction_type=predicts, **config)
    steps = 20 if name == "PNDMScheduler" else STEPS
    kept, found = listened(sd, num_inference_steps=steps)
    for one, (x, timestep, output) in zip(kept.evaluations, found, strict=True):
        bar = BARS[int(timestep)]
        assert torch.equal(one.x_t, x) and close(one.output, output, 1e-6) and one.timestep == int(timestep)
        assert close(one.x0, preserving(predicts, x.double(), output.double(), bar))
        assert one.sigma == pytest.approx(RATIO[int(timestep)], rel=FLOAT32)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction", "sample", "flow_prediction"])
@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "SASolverScheduler",
                                  "DPMSolverSinglestepScheduler"])  # fmt: skip
def test_it_equals_what_the_solver_computes_inside(name, predicts, flow):
    """Data-predicting solvers convert the output themselves, whatever the prediction is of and however states fade."""
    if (predicts == "flow_prediction") > flow:
        return  # no such network
    scheduler = getattr(diffusers, name)(prediction_type=predicts, use_flow_sigmas=flow)
    scheduler.set_timesteps(7)
    said, own = [], scheduler.convert_model_output
    scheduler.convert_model_output = lambda *a, **k: (said.append(own(*a, **k)), said[-1])[1]
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, 4, 4, generator=rng)
    with recording(scheduler) as kept:
        for t in scheduler.timesteps:
            x = scheduler.step(torch.randn(2, 3, 4, 4, generator=rng), t, x).prev_sample
    finite = [(one.x0, own) for one, own in zip(kept.evaluations, said, strict=True) if bool(own.isfinite().all())]
    assert len(finite) >= 6 and all(close(mine, own) for mine, own in finite)


def karras(high, low, count, rho=7):
    ramp = np.linspace(0, 1, count)
    return (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho


@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler"])
def test_karras_levels_lie_between_the_timesteps(sd, name):
    scheduled(sd, name, use_karras_sigmas=True)
    kept, found = listened(sd)
    for one, sigma, (x, _, output) in zip(kept.evaluations, karras(RATIO[-1], RATIO[0], STEPS), found, strict=True):
        assert one.sigma == pytest.approx(sigma, rel=FLOAT32)
        assert close(one.x0, preserving("epsilon", x.double(), output.double(), 1 / (1 + sigma**2)))


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_edm_solvers_by_the_definition(sd, predicts):
    scheduled(sd, "EDMDPMSolverMultistepScheduler", prediction_type=predicts)
    kept, found = listened(sd)
    for one, sigma, (x, _, output) in zip(kept.evaluations, karras(80, 0.002, STEPS), found, strict=True):
        state = x.double() * math.hypot(sigma, 0.5)
        sign = 1 if predicts == "epsilon" else -1
        d = 0.25 / (sigma**2 + 0.25) * state + sign * sigma * 0.5 / math.hypot(sigma, 0.5) * output.double()
        assert close(one.x0, d) and one.sigma == pytest.approx(sigma, rel=1e-4)


def test_consistency_models_by_their_boundary(sd):
    scheduled(sd, "CMStochasticIterativeScheduler", clip_denoised=False)
    kept, found = listened(sd, num_inference_steps=3)
    for one, (x, _, output) in zip(kept.evaluations, found, strict=True):
        sigma = one.sigma
        state, above = x.double() * math.hypot(sigma, 0.5), sigma - 0.002
        skip, out = 0.25 / (above**2 + 0.25), above * 0.5 / math.hypot(sigma, 0.5)
        assert close(one.x0, skip * state + out * output.double())
    assert kept.sigma[0] == 80


FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
FLOWS = [("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}), ("FlowMatchHeunDiscreteScheduler", {"shift": 3.0}),
         ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0, "stochastic_sampling": True}),
         ("FlowMatchLCMScheduler", {"shift": 3.0}), ("UniPCMultistepScheduler", FLOW), ("DEISMultistepScheduler", FLOW),
         ("DPMSolverMultistepScheduler", FLOW), ("DPMSolverSinglestepScheduler", FLOW)]  # fmt: skip


@pytest.mark.parametrize(("name", "config"), FLOWS, ids=lambda one: one if isinstance(one, str) else "-".join(one))
def test_flow_matching_by_the_definition(sd3, name, config):
    """x = (1 - s) x0 + s eps and the output is eps - x0, so x0 = x - s output; s is the network's own timestep."""
    sd3.scheduler = getattr(diffusers, name)(**config)
    kept, found = listened(sd3, "sd3")
    whole = "FlowMatch" not in name  # those cut their timesteps to whole numbers
    for one, (x, timestep, output) in zip(kept.evaluations, found, strict=True):
        s = one.sigma / (1 + one.sigma) if math.isfinite(one.sigma) else 1.0
        assert s == pytest.approx(float(timestep) / 1000, abs=2e-3 if whole else 1e-6)
        assert torch.equal(one.x_t, x) and close(one.x0, x.double() - s * output.double())
    s = [one.sigma for one in kept.steps]
    assert s == sorted(s, reverse=True) and len(s) == STEPS


# --- on loops of one's own --------------------------------------------------------------------------------------------

def perfect(form, x, truth, alpha, sigma):
    """What a network says that knows the only picture there is."""
    eps = (x - alpha * truth) / sigma
    norm = math.hypot(alpha, sigma)
    return {"epsilon": eps, "v_prediction": (alpha * eps - sigma * truth) / norm, "sample": truth, "flow": eps - truth,
            "data flow": truth - eps}[form]  # fmt: skip


def bars(scheduler, timestep):
    kept = float(scheduler.alphas_cumprod[int(timestep)])
    return kept**0.5, (1 - kept) ** 0.5


def sigmas(scheduler, step):
    return float(scheduler.sigmas[step])


LOOPS = {
    "DDIMScheduler": lambda s, i, t: bars(s, t), "UnCLIPScheduler": lambda s, i, t: bars(s, t),
    "EulerDiscreteScheduler": lambda s, i, t: (1.0, sigmas(s, i)),
    "DPMSolverMultistepScheduler": lambda s, i, t: bars(s, t),
    "FlowMatchEulerDiscreteScheduler": lambda s, i, t: (1 - sigmas(s, i), sigmas(s, i)),
    "LTXEulerAncestralRFScheduler": lambda s, i, t: (1 - sigmas(s, i), sigmas(s, i)),
    "SCMScheduler": lambda s, i, t: (math.cos(t), math.sin(t)),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_whoever_knows_the_picture_says_it_at_every_step(name):
    truth = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    forms = {"DDIMScheduler": ("epsilon", "v_prediction", "sample"), "UnCLIPScheduler": ("epsilon", "sample"),
             "EulerDiscreteScheduler": ("epsilon", "v_prediction", "sample"),
             "DPMSolverMultistepScheduler": ("epsilon", "v_prediction", "sample")}  # fmt: skip
    for form in forms.get(name, ("flow",)):
        scheduler = getattr(diffusers, name)(**({"prediction_type": form, **unclipped(name)} if name in forms else {}))
        scheduler.set_timesteps(5, **({"intermediate_timesteps": None} if name == "SCMScheduler" else {}))
        x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        times = scheduler.timesteps[:5]
        with recording(scheduler) as kept:
            for step, t in enumerate(times):
                alpha, sigma = LOOPS[name](scheduler, step, t)
                said = perfect("v_prediction" if name == "SCMScheduler" else form, x, truth, alpha, sigma)
                x = scheduler.step(said, t, x, return_dict=False)[0]
        assert len(kept.steps) == 5 and all(close(x0, truth) for x0 in kept.x0) and torch.equal(kept.end, x)


def unclipped(name):
    return {"clip_sample": False} if "clip_sample" in dict(getattr(diffusers, name)().config) else {}


def test_a_flow_that_counts_the_data_and_levels_for_each_token():
    truth, noise = torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    mochi = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    mochi.set_timesteps(sigmas=[1.0, 0.6, 0.3])
    x = noise
    with recording(mochi) as kept:
        for data, t in zip((0.0, 0.4, 0.7), mochi.timesteps, strict=True):
            x = mochi.step(perfect("data flow", x, truth, data, 1 - data), t, x, return_dict=False)[0]
    assert all(close(x0, truth) for x0 in kept.x0) and close(x, truth)
    assert kept.sigma.tolist() == pytest.approx([math.inf, 1.5, 3 / 7], rel=1e-5)

    tokens = torch.tensor([[900.0] * 3 + [450.0] * 3] * 2)
    share = (tokens / 1000)[..., None]
    x = (1 - share) * truth + share * noise
    ltx = diffusers.FlowMatchEulerDiscreteScheduler()
    ltx.set_timesteps(4)
    with recording(ltx) as kept:
        ltx.step(noise - truth, ltx.timesteps[0], x, per_token_timesteps=tokens)
    assert close(kept.x0[0], truth) and kept.sigma[0] == pytest.approx(9)


def test_a_variance_beside_the_mean_is_left_out():
    scheduler = diffusers.DDPMScheduler(variance_type="learned_range", clip_sample=False)
    scheduler.set_timesteps(3)
    with recording(scheduler) as kept:
        out = scheduler.step(torch.randn(2, 6, 4, 4), scheduler.timesteps[0], torch.randn(2, 3, 4, 4))
    assert close(kept.x0[0], out.pred_original_sample) and kept.steps[0].output.shape == (2, 3, 4, 4)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_small_floats_are_reckoned_with_in_float32(kind):
    scheduler = diffusers.UniPCMultistepScheduler(**FLOW)
    scheduler.set_timesteps(3)
    x, output = torch.randn(2, 3, 4, 4).to(kind), torch.randn(2, 3, 4, 4).to(kind)
    with recording(scheduler) as kept:
        scheduler.step(output, scheduler.timesteps[0], x)
    assert kept.x0.dtype == torch.float32 and kept.steps[0].x_t.dtype == kind
    assert close(kept.x0[0], x.double() - float(scheduler.sigmas[0]) * output.double(), 1e-6)


# --- nothing else changes ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", SMALL)
def test_the_result_is_the_same_to_the_bit_and_the_scheduler_too(kind):
    pipeline = build(kind)
    plain = pipeline(**call(pipeline, kind, output_type="np"))[0]
    before = {name: type(value) for name, value in vars(pipeline.scheduler).items()}
    kept = record(pipeline, **call(pipeline, kind, output_type="np"))
    assert np.array_equal(kept.result[0], plain)
    assert {name: type(value) for name, value in vars(pipeline.scheduler).items()} == before
    assert len(kept.steps) == STEPS and kept.x0.shape[1] == (1 if kind == "ddpm" else 2)
    assert np.array_equal(pipeline(**call(pipeline, kind, output_type="np"))[0], plain)


@pytest.mark.parametrize("name", ["EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "UniPCMultistepScheduler",
                                  "KDPM2AncestralDiscreteScheduler", "SASolverScheduler", "PNDMScheduler",
                                  "EDMEulerScheduler", "LCMScheduler"])  # fmt: skip
def test_the_result_is_the_same_to_the_bit_under_other_schedulers(sd, name):
    scheduled(sd, name, **({"skip_prk_steps": True} if name == "PNDMScheduler" else {}))
    plain = sd(**call(sd, output_type="np"))[0]
    assert np.array_equal(record(sd, **call(sd, output_type="np")).result[0], plain)


def test_an_error_leaves_the_scheduler_as_it_was(sd):
    scheduled(sd, "EulerDiscreteScheduler")

    def stop(*_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        record(sd, **call(sd, callback_on_step_end=stop))
    assert "step" not in vars(sd.scheduler)
    mine = sd.scheduler.step = sd.scheduler.step  # somebody's own, e.g. another recorder's
    record(sd, **call(sd))
    assert vars(sd.scheduler)["step"] is mine
    with recording(sd.scheduler) as outer:
        assert len(record(sd, **call(sd)).steps) == len(outer.steps) == STEPS


def test_every_evaluation_is_kept_and_second_ones_are_marked(sd):
    def marks(name, **config):
        scheduled(sd, name, **config)
        kept = record(sd, **call(sd, num_inference_steps=4))
        sigma = kept.sigma.tolist()
        assert sigma == sorted(sigma, reverse=True) and len(set(sigma)) == len(sigma)
        assert [one.step for one in kept.steps] == list(range(len(kept.steps)))
        return [(one.step, one.inner) for one in kept.evaluations]

    twice = [(0, False), (0, True), (1, False), (1, True), (2, False), (2, True), (3, False)]
    assert marks("HeunDiscreteScheduler") == marks("KDPM2DiscreteScheduler") == twice
    assert marks("PNDMScheduler", skip_prk_steps=True) == [(0, False), (0, True), (1, False), (2, False), (3, False)]
    assert marks("DDIMScheduler") == [(step, False) for step in range(4)]


def test_what_was_recorded_is_nobody_elses_memory(sd):
    scheduler = diffusers.DDIMScheduler()
    scheduler.set_timesteps(2)
    x, output = torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    with recording(scheduler, device="cpu") as kept:
        moved = scheduler.step(output, scheduler.timesteps[0], x).prev_sample
        end = moved.clone()
        for one in (x, output, moved):
            one.zero_()
    assert bool((kept.steps[0].x_t == 1).all() and (kept.steps[0].output == 1).all()) and torch.equal(kept.end, end)


def test_who_cannot_be_read_is_told_what_is_missing(sd):
    for name, missing in [("IPNDMScheduler", "neither sigmas nor alphas_cumprod"),
                          ("KarrasVeScheduler", "no step that takes timestep, sample"),
                          ("ScoreSdeVeScheduler", "no step that takes model_output, timestep, sample"),
                          ("DDIMInverseScheduler", "walks from data to noise"),
                          ("DPMSolverMultistepInverseScheduler", "walks from data to noise")]:
        scheduled(sd, name)
        with pytest.raises(ValueError, match=f"{name} .*{missing}"):
            record(sd, **call(sd))
    scheduled(sd, "DDIMScheduler", prediction_type="score")
    with pytest.raises(ValueError, match="predicts 'score', which is none of epsilon"):
        record(sd, **call(sd))
    with pytest.raises(ValueError, match="has no scheduler"):
        record(torch.nn.Linear(2, 2), torch.zeros(2))
    scheduled(sd, "DDIMScheduler")


# --- pictures ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", SMALL)
def test_the_sample_decodes_to_the_pipelines_own_picture(kind):
    pipeline = build(kind)
    own = pipeline(**call(pipeline, kind, output_type="np"))[0]
    kept = record(pipeline, **call(pipeline, kind, **({} if kind == "ddpm" else {"output_type": "latent"})))
    if kind == "wan":
        every = kept.sample(frames=None)
        assert every.shape == (2, 3, 5, 32, 32)
        assert close(((every + 1) / 2).permute(0, 2, 3, 4, 1), own)
        assert torch.equal(kept.sample(), every[:, :, 0]) and kept.pictures([1], 0, frames=2).shape[3:5] == (3, 32)
        assert kept.pictures([1, 2], 1, size=16, frames=None).shape == (2, 1, 3, 5, 16, 16)
    else:
        assert close(((kept.sample() + 1) / 2).permute(0, 2, 3, 1), own)
    shown = kept.pictures([0, 2, -1], 0)
    assert shown.shape[:3] == (3, 1, 3) and torch.equal(shown[2, 0], kept.pictures([STEPS - 1])[0, 0])
    assert float(shown.min()) >= -1 and float(shown.max()) <= 1 and not torch.equal(shown[0], shown[1])


def test_only_what_is_asked_for_is_decoded_and_small_ones_from_fewer_latents(sd, monkeypatch):
    scheduled(sd, "DDIMScheduler", clip_sample=False)
    kept, decoded, own = record(sd, **call(sd, output_type="latent")), [], sd.vae.decode
    monkeypatch.setattr(sd.vae, "decode", lambda z, **rest: (decoded.append(tuple(z.shape)), own(z, **rest))[1])
    assert decoded == []
    assert kept.pictures([1, 4], [1]).shape == (2, 1, 3, 32, 32) and decoded == [(2, 4, 16, 16)]
    decoded.clear()
    assert kept.pictures(batch=5).shape == (STEPS, 2, 3, 32, 32) and [one[0] for one in decoded] == [5, 5, 2]
    decoded.clear()
    assert kept.pictures([0], size=8).shape == (1, 2, 3, 8, 8) and decoded == [(2, 4, 4, 4)]
    assert kept.pictures([0], size=12).shape[-2:] == (12, 12) and kept.pictures([0], size=64).shape[-2:] == (32, 32)
    flat = kept.pictures([0, 1], decode=lambda z: z[:, :3])
    assert torch.equal(flat[1], kept.x0[1][:, :3])


def test_pictures_without_an_autoencoder_shrink_by_areas():
    pipeline = build("ddpm")
    kept = record(pipeline, **call(pipeline, "ddpm", output_type="np"))
    small, x0 = kept.pictures([2], size=4)[0], kept.x0[2].clamp(-1, 1)
    blocks = kept.x0[2].reshape(1, 3, 4, 4, 4, 4).mean((3, 5)).clamp(-1, 1)
    assert close(small, blocks) and torch.equal(kept.pictures([2])[0], x0)


def test_states_that_nobody_can_draw_ask_for_a_decoder(sd):
    class Bare:
        scheduler = diffusers.DDIMScheduler(clip_sample=False)

        def __call__(self, shape):
            self.scheduler.set_timesteps(2)
            x = torch.zeros(shape)
            for t in self.scheduler.timesteps:
                x = self.scheduler.step(x + 1, t, x).prev_sample
            return x

    kept = record(Bare(), (2, 16, 4, 4))
    with pytest.raises(ValueError, match="no vae .* 16 channels.*decode="):
        kept.pictures()
    with pytest.raises(ValueError, match=r"packs its latents \(4, 6, 8\) .*decode="):
        record(Bare(), (2, 6, 8)).pictures()
    assert kept.pictures(decode=lambda z: z[:, :3]).shape == (2, 2, 3, 4, 4)
    assert record(Bare(), (2, 3, 4, 4)).pictures().shape == (2, 2, 3, 4, 4)
