"""Our walk is the pipeline's own sampling: the same latents after every step, to 1e-4, from the same noise."""

import pytest
import torch

from workbench.noise import Edm
from workbench.solvers import Euler, walk
from workbench.teachers.from_diffusers import Teacher
from workbench.teachers.from_diffusers.small import build
from workbench.teachers.guidance import Guided

PROMPTS = ["a red circle", "a big blue square on the left"]
STEPS = 5


def scheduled(pipe, kind, settings):
    """The pipeline with the scheduler that Euler's step matches, its settings kept."""
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

    chosen = {"ddpm": DDIMScheduler, "sd": DDIMScheduler, "sdxl": EulerDiscreteScheduler}
    kinds = chosen.get(kind, FlowMatchEulerDiscreteScheduler)
    shift = {"shift": pipe.scheduler.config.get("flow_shift") or 3.0} if kind == "wan" else {}
    pipe.register_modules(scheduler=kinds.from_config(pipe.scheduler.config, clip_sample=False, **shift, **settings))
    return pipe


def sampled(pipe, noise, guidance_scale, **call):
    """(latents after each step, x0 of each step where the scheduler gives one) of the pipeline's own call."""
    states, said, step = [], [], pipe.scheduler.step

    def seen(*args, **named):
        out = step(*args, **{**named, "return_dict": True})
        states.append(out.prev_sample)
        said.append(getattr(out, "pred_original_sample", None))
        return out if named.get("return_dict", True) else (out.prev_sample,)

    pipe.scheduler.step = seen
    try:
        if "text_encoder" in pipe.components:
            pipe(PROMPTS, num_inference_steps=STEPS, guidance_scale=guidance_scale, latents=noise, output_type="latent",
                 **call)
        else:
            with pytest.MonkeyPatch.context() as patch:  # an unconditional pipeline takes no noise of ours
                patch.setattr(f"{type(pipe).__module__}.randn_tensor", lambda *_, **__: noise)
                pipe(batch_size=2, num_inference_steps=STEPS, output_type="np")
    finally:
        del pipe.scheduler.step
    return states, said


def packed(x):
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, 4 * c)


def walked(teacher, noise, guidance_scale):
    """(states after each step, x0 of each step) of our walk, in the scheduler's own units."""
    times, pipe = teacher.grid(STEPS), teacher.pipe
    process, start = teacher.process, noise
    if type(pipe.scheduler).__name__ == "EulerDiscreteScheduler":  # its states are x0 + sigma eps
        process = Edm(1e-4, teacher.process.sigma_max, 1.0)
        alpha, sigma = teacher.process.signal_noise(times)
        times, start = sigma / alpha, noise * pipe.scheduler.init_noise_sigma
    net, scale, cond = teacher.net, None, torch.arange(2) if teacher.net.num_classes else None
    if teacher.net.guided:
        scale = guidance_scale
    elif guidance_scale != 1 and cond is not None:
        net = Guided(net, guidance_scale)
    frames = list(walk(net, process, Euler(), times, start, cond=cond, guidance=scale))
    return [frame.x_t for frame in frames[1:]], [frame.x0 for frame in frames[:-1]]


CASES = [("ddpm", {}), ("sd", {}), ("sd", {"prediction_type": "v_prediction"}), ("sd", {"prediction_type": "sample"}),
         ("sd", {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}),
         ("sd", {"set_alpha_to_one": True, "beta_schedule": "squaredcos_cap_v2"}), ("sdxl", {}), ("sd3", {}),
         ("flux", {}), ("flux", {"use_dynamic_shifting": False, "shift": 3.0}), ("wan", {})]


NAMES = [f"{kind}-{'-'.join(map(str, settings.values()))}" for kind, settings in CASES]


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize(("kind", "settings"), CASES, ids=NAMES)
def test_every_step_is_the_pipelines_own(kind, settings, guidance_scale):
    pipe = scheduled(build(kind), kind, settings)
    call, size = {}, (32, 32) if kind in ("flux", "wan") else None
    teacher = Teacher.of(pipe, PROMPTS if kind != "ddpm" else (), size=size, frames=5)
    noise = torch.randn(2, *teacher.shape, generator=torch.Generator().manual_seed(0))
    if kind != "ddpm":
        call |= {"height": teacher.size[0], "width": teacher.size[1]}
    if kind == "wan":
        call["num_frames"] = 5
    theirs, x0 = sampled(pipe, packed(noise) if kind == "flux" else noise.clone(), guidance_scale, **call)
    states, said = walked(teacher, noise, guidance_scale)
    assert len(theirs) == len(states) == STEPS
    for mine, other in zip(states, theirs, strict=True):
        mine = packed(mine) if kind == "flux" else mine
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
    for mine, other in zip(said, x0, strict=True):
        if other is not None:
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_prompts_and_guidance_are_seen():
    teacher = Teacher.of(build("sd"), PROMPTS)
    noise = torch.randn(1, *teacher.shape, generator=torch.Generator().manual_seed(0)).repeat(3, 1, 1, 1)
    t = torch.full((3,), 500.0)
    one, other, none = teacher.net(noise, t, cond=torch.tensor([0, 1, 2]))
    assert (one - other).abs().max() > 1e-3 and torch.equal(teacher.net(noise, t)[0], none)
    guided = Guided(teacher.net, 3.0)(noise, t, cond=torch.zeros(3, dtype=int))[0]
    assert torch.allclose(guided, none + 3 * (one - none), atol=1e-5)
