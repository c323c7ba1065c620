"""The small pipelines are whole: their own call runs, a folder gives them back, and prompt, guidance and time show."""

import time

import pytest
import torch
from diffusers import DiffusionPipeline

from workbench.teachers.from_diffusers.small import CALLS, SMALL, awake, build, save, stable_diffusion
from workbench.teachers.from_diffusers.vocabulary import WORDS, clip_tokenizer, t5_tokenizer

CLASSES = {"ddpm": "DDPMPipeline", "sd": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline",
           "sd3": "StableDiffusion3Pipeline", "flux": "FluxPipeline", "wan": "WanPipeline"}  # fmt: skip
PROMPTS = ["a red circle", "two blue squares, left"]
TEXTUAL = [kind for kind in SMALL if kind != "ddpm"]


@pytest.fixture(scope="module")
def pipelines():
    return {kind: build(kind) for kind in SMALL}


def sampled(pipeline, kind, prompts=PROMPTS, steps=3, seed=0, **call):
    """Pictures or frames as numbers, from the pipeline's own call."""
    asked = {"prompt": prompts} if kind != "ddpm" else {"batch_size": 2}
    generator = torch.Generator().manual_seed(seed)
    out = pipeline(num_inference_steps=steps, generator=generator, output_type="np", **asked, **CALLS.get(kind, {}),
                   **call)  # fmt: skip
    return torch.as_tensor(out[0])


@pytest.mark.parametrize("kind", SMALL)
def test_a_folder_gives_the_same_pipeline_back(pipelines, kind, tmp_path):
    folder = save(kind, tmp_path / kind)
    again = DiffusionPipeline.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    again.set_progress_bar_config(disable=True)
    assert type(again).__name__ == CLASSES[kind] == type(pipelines[kind]).__name__
    assert torch.equal(sampled(again, kind), sampled(pipelines[kind], kind))
    assert not [path for path in folder.rglob("*") if path.suffix in (".bin", ".pt", ".ckpt", ".pkl", ".msgpack")]


@pytest.mark.parametrize("kind", SMALL)
def test_the_seed_alone_makes_the_weights(pipelines, kind):
    before = torch.random.get_rng_state()
    torch.rand(3)
    moved = torch.random.get_rng_state()
    again, other = build(kind), build(kind, seed=1)
    assert torch.equal(torch.random.get_rng_state(), moved) and not torch.equal(before, moved)
    for name, net in pipelines[kind].components.items():
        if isinstance(net, torch.nn.Module):
            mine, same, new = (dict(one.components[name].named_parameters()) for one in (pipelines[kind], again, other))
            assert all(torch.equal(mine[key], same[key]) for key in mine)
            assert any(not torch.equal(mine[key], new[key]) for key in mine)
            assert all(bool(weight.any()) for weight in mine.values() if weight.ndim > 1)
            assert {weight.dtype for weight in mine.values()} == {torch.float32} and not net.training
    torch.random.set_rng_state(before)


@pytest.mark.parametrize("kind", SMALL)
def test_it_is_quick(pipelines, kind):
    started = time.perf_counter()
    pictures = sampled(pipelines[kind], kind)
    assert time.perf_counter() - started < 2
    assert bool(torch.isfinite(pictures).all()) and float(pictures.std()) > 0.01


def said(pipeline, kind):
    """The denoising net, and how it was asked and answered in the last of three steps."""
    heard = {}
    net = getattr(pipeline, "unet", None) or pipeline.transformer
    hook = net.register_forward_hook(lambda _, args, kwargs, out: heard.update(args=args, kwargs=kwargs, out=out[0]),
                                     with_kwargs=True)  # fmt: skip
    try:
        sampled(pipeline, kind)
    finally:
        hook.remove()
    return net, heard


def apart(a, b):
    return float((a - b).norm() / a.norm())


@pytest.mark.parametrize("kind", SMALL)
def test_the_net_hears_the_time(pipelines, kind):
    net, heard = said(pipelines[kind], kind)
    args, kwargs = list(heard["args"]), dict(heard["kwargs"], return_dict=False)
    late = net(*args, **kwargs)[0]
    if "timestep" in kwargs:
        kwargs["timestep"] = torch.as_tensor(kwargs["timestep"]) * 0 + (0.9 if kind == "flux" else 900)
    else:
        args[1] = torch.as_tensor(args[1]) * 0 + 900
    assert apart(late, net(*args, **kwargs)[0]) > 0.01


@pytest.mark.parametrize("kind", TEXTUAL)
def test_the_prompt_shows(pipelines, kind):
    red = sampled(pipelines[kind], kind, ["a red circle"])
    assert torch.equal(red, sampled(pipelines[kind], kind, ["a red circle"]))
    assert apart(red, sampled(pipelines[kind], kind, ["two blue squares"])) > 1e-3


@pytest.mark.parametrize("kind", TEXTUAL)
def test_guidance_shows(pipelines, kind):
    weak, strong = (sampled(pipelines[kind], kind, guidance_scale=scale) for scale in (1.0, 6.0))
    assert apart(weak, strong) > 1e-3


def test_the_words_are_one_token_each_and_others_fall_into_letters():
    clip, t5 = clip_tokenizer(), t5_tokenizer()
    for word in WORDS:
        assert len(clip(word).input_ids) == 3 and len(t5(word).input_ids) == 2
    assert clip("red zebra").input_ids != clip("red zebu").input_ids and len(clip("red zebra").input_ids) == 8
    assert t5.decode(t5("a red zebra").input_ids, skip_special_tokens=True) == "a red zebra"
    assert clip("").input_ids == [clip.bos_token_id, clip.eos_token_id] == [len(clip) - 2, len(clip) - 1]
    assert t5.unk_token_id == 2 and 2 not in t5(" ".join(WORDS)).input_ids + t5("zebra, 12").input_ids


def test_other_sizes_and_words():
    pipeline = stable_diffusion(sample_size=8, block_out_channels=(8, 8, 16), cross_attention_dim=16, latent_channels=3,
                                vae_channels=(4, 8, 8), words=("kreis", "gross"), max_tokens=10,
                                prediction_type="v_prediction")  # fmt: skip
    latents = torch.randn(1, 3, 8, 8)
    pictures = pipeline(["kreis gross"], num_inference_steps=2, latents=latents, output_type="np").images
    assert pictures.shape == (1, 32, 32, 3) and pipeline.vae_scale_factor == 4
    assert len(pipeline.tokenizer("kreis gross").input_ids) == 4 and pipeline.tokenizer.model_max_length == 10
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    with pytest.raises(ValueError, match="change 'größe'"):
        stable_diffusion(words=("kreis", "größe"))
    with pytest.raises(ValueError, match="multiple of 8"):
        stable_diffusion(sample_size=6)
    with pytest.raises(ValueError, match="did you mean 'sdxl'"):
        build("sdxxl")


def test_zero_layers_are_woken_and_no_others():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(40, 50), torch.nn.Linear(50, 60), torch.nn.LayerNorm(60))
    torch.nn.init.zeros_(net[1].weight)
    torch.nn.init.zeros_(net[1].bias)
    kept = net[0].weight.clone()
    awake(net)
    assert torch.equal(net[0].weight, kept) and not bool(net[1].bias.any())
    assert float(net[1].weight.detach().var()) * 50 == pytest.approx(1, abs=0.15)
