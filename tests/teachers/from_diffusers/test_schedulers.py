"""Another scheduler by its name: same betas, same form, same shift; refused where the network knows other states."""

import pytest
import torch

from workbench.teachers.from_diffusers.recorded import record
from workbench.teachers.from_diffusers.schedulers import scheduler_of, under
from workbench.teachers.from_diffusers.small import CALLS, build, stable_diffusion


@pytest.fixture(scope="module")
def pipelines():
    return {kind: build(kind) for kind in ("ddpm", "sd", "sdxl", "sd3", "flux", "wan")}


BETAS = ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "HeunDiscreteScheduler",
         "DEISMultistepScheduler", "PNDMScheduler", "LCMScheduler", "TCDScheduler", "DDIMScheduler"]  # fmt: skip
FLOWS = ["FlowMatchEulerDiscreteScheduler", "UniPCMultistepScheduler", "DPMSolverMultistepScheduler",
         "DEISMultistepScheduler"]  # fmt: skip


def test_betas_form_and_clipping_are_taken_over():
    pipe = stable_diffusion(prediction_type="v_prediction")
    for name in BETAS:
        made = scheduler_of(pipe, name)
        assert type(made).__name__ == name and made.config.prediction_type == "v_prediction"
        assert torch.allclose(made.alphas_cumprod, pipe.scheduler.alphas_cumprod)
        assert not made.config.get("clip_sample", False)
    assert type(scheduler_of(pipe, "DDIM")).__name__ == "DDIMScheduler"
    assert scheduler_of(pipe) is pipe.scheduler and scheduler_of(pipe, made) is made


def test_clipping_is_not_switched_on_in_passing(pipelines):
    """SDXL's Euler has no clip_sample; DDIM's own default would cut its latents to [-1, 1]."""
    assert scheduler_of(pipelines["sdxl"], "DDIMScheduler").config.clip_sample is False


@pytest.mark.parametrize("kind", ["sd3", "flux", "wan"])
@pytest.mark.parametrize("name", FLOWS)
def test_flows_go_on_flowing_with_the_same_shift(pipelines, exact, kind, name):
    """In many steps all of them end at the same sample, the probability flow's."""
    pipe = pipelines[kind]
    made = scheduler_of(pipe, name)
    shift = pipe.scheduler.config.get("shift", pipe.scheduler.config.get("flow_shift"))
    assert made.config.get("flow_shift", made.config.get("shift")) == shift == 3.0
    asked = {"prompt": "a red circle", "output_type": "latent", **CALLS[kind]}
    with under(pipe, made):
        many = record(pipe, num_inference_steps=60, generator=torch.Generator().manual_seed(0), **asked)
    assert far(many.end, exact[kind]) < 0.03 and far(many.x0[-1], exact[kind]) < 0.03


def far(a, b):
    return float((a - b).norm() / b.norm())


@pytest.fixture(scope="module")
def exact(pipelines):
    """The end by each pipeline's own scheduler in many steps."""
    found = {}
    for kind in ("sd3", "flux", "wan"):
        asked = {"prompt": "a red circle", "output_type": "latent", **CALLS[kind]}
        generator = torch.Generator().manual_seed(0)
        found[kind] = record(pipelines[kind], num_inference_steps=120, generator=generator, **asked).end
    return found


def test_what_cannot_be_is_refused_with_what_to_do(pipelines):
    with pytest.raises(ValueError, match="did you mean 'UniPCMultistepScheduler'"):
        scheduler_of(pipelines["sd"], "UniPCMultiStep")
    with pytest.raises(ValueError, match="flow matching, and StableDiffusionPipeline was trained on betas"):
        scheduler_of(pipelines["sd"], "FlowMatchEulerDiscreteScheduler")
    with pytest.raises(ValueError, match="trained on betas, and FluxPipeline was trained on flow matching"):
        scheduler_of(pipelines["flux"], "DDIMScheduler")
    with pytest.raises(ValueError, match="trained on betas, and WanPipeline was trained on flow matching"):
        scheduler_of(pipelines["wan"], "DDIMScheduler")
    with pytest.raises(ValueError, match="the levels of EDMEulerScheduler"):
        scheduler_of(pipelines["sd"], "EDMEulerScheduler")
    own = pipelines["sd"].scheduler
    with pytest.raises(RuntimeError), under(pipelines["sd"], scheduler_of(pipelines["sd"], "LCMScheduler")) as pipe:
        assert type(pipe.scheduler).__name__ == "LCMScheduler"
        raise RuntimeError
    assert pipelines["sd"].scheduler is own
