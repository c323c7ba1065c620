"""Latents and pictures as the pipelines' own code makes them, whatever the batch, tiled or not."""

import pytest
import torch

from workbench.teachers.from_diffusers import Teacher
from workbench.teachers.from_diffusers.codec import Codec
from workbench.teachers.from_diffusers.small import CALLS, build, save

KINDS = ["sd", "sdxl", "sd3", "flux", "wan"]
PROMPT = ["a red circle"]


def teacher_of(kind):
    return Teacher.of(build(kind), PROMPT, size=(32, 32), frames=5 if kind == "wan" else None)


def latents_of(teacher, count=2, seed=0):
    return torch.randn(count, *teacher.shape, generator=torch.Generator().manual_seed(seed))


def pictures_of(teacher, count=2, seed=1):
    frames = (teacher.frames,) if teacher.kind.video else ()
    noise = torch.rand(count, 3, *frames, *teacher.size, generator=torch.Generator().manual_seed(seed))
    return 2 * noise - 1


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_is_the_pipelines_own(kind):
    """The latents that a pipeline's own call ends with, decoded by it and by us."""
    teacher, call = teacher_of(kind), {**CALLS.get(kind, {}), "num_inference_steps": 1}
    own = {}
    for output in ("latent", "pt"):
        out = teacher.pipe(PROMPT, output_type=output, generator=torch.Generator().manual_seed(0), **call)
        own[output] = out.frames if kind == "wan" else out.images
    latents, pictures = own["latent"], 2 * own["pt"] - 1
    if kind == "flux":
        latents = teacher.pipe._unpack_latents(latents, 32, 32, teacher.pipe.vae_scale_factor)
    if kind == "wan":
        pictures = pictures.transpose(1, 2)
    mine = teacher.decode(latents)
    assert mine.shape == pictures.shape and float(mine.abs().max()) <= 1
    torch.testing.assert_close(mine, pictures, rtol=0, atol=1e-5)
    assert (teacher.decode(latents + 1) - pictures).abs().max() > 1e-2


@pytest.mark.parametrize(("kind", "module", "name"), [
    ("sd", "stable_diffusion.pipeline_stable_diffusion_inpaint", "StableDiffusionInpaintPipeline"),
    ("sdxl", "stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint", "StableDiffusionXLInpaintPipeline"),
    ("sd3", "stable_diffusion_3.pipeline_stable_diffusion_3_inpaint", "StableDiffusion3InpaintPipeline"),
    ("flux", "flux.pipeline_flux_inpaint", "FluxInpaintPipeline"),
])
def test_encoding_is_the_pipelines_own(kind, module, name, monkeypatch):
    """As the inpainting pipeline of the same family encodes its picture, the mean in place of a draw."""
    import importlib

    home = importlib.import_module(f"diffusers.pipelines.{module}")
    draw = home.retrieve_latents
    monkeypatch.setattr(home, "retrieve_latents", lambda out, generator=None: draw(out, sample_mode="argmax"))
    teacher = teacher_of(kind)
    pictures = pictures_of(teacher)
    theirs = getattr(home, name)._encode_vae_image(teacher.pipe, pictures, None)
    mine = teacher.encode(pictures)
    assert mine.shape == (2, *teacher.shape)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    assert (mine - draw(teacher.pipe.vae.encode(pictures), sample_mode="argmax")).abs().max() > 1e-2  # scaled


def test_encoding_video_is_the_pipelines_own(monkeypatch):
    """As video-to-video begins, with no noise added to it."""
    from diffusers import WanVideoToVideoPipeline

    teacher = teacher_of("wan")
    video = pictures_of(teacher)
    monkeypatch.setattr(type(teacher.pipe.scheduler), "add_noise", lambda self, latents, noise, timestep: latents)
    theirs = WanVideoToVideoPipeline.prepare_latents(
        teacher.pipe, video, 2, 4, 32, 32, torch.float32, "cpu", torch.Generator(), timestep=torch.zeros(1))
    mine = teacher.encode(video)
    assert mine.shape == (2, *teacher.shape)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_any_size_give_the_same(kind):
    teacher = teacher_of(kind)
    latents, pictures = latents_of(teacher, 3), pictures_of(teacher, 3)
    for batch in (1, 2, 3, 100):
        codec = Codec(teacher.pipe.vae, batch)
        torch.testing.assert_close(codec.decode(latents), teacher.decode(latents), rtol=0, atol=1e-5)
        torch.testing.assert_close(codec.encode(pictures), teacher.encode(pictures), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["sd", "wan"])
def test_tiling_changes_large_pictures_alone(kind, tmp_path, monkeypatch):
    folder = save(kind, tmp_path / kind)
    plain, tiled = (Teacher.from_pretrained(folder, PROMPT, size=(32, 32), tiling=tiling) for tiling in (False, True))
    latents, asked = latents_of(plain), []
    torch.testing.assert_close(tiled.decode(latents), plain.decode(latents), rtol=0, atol=0)
    torch.testing.assert_close(tiled.encode(pictures_of(plain)), plain.encode(pictures_of(plain)), rtol=0, atol=0)
    decode = tiled.pipe.vae.tiled_decode
    monkeypatch.setattr(tiled.pipe.vae, "tiled_decode", lambda *a, **n: asked.append(1) or decode(*a, **n))
    if kind == "wan":  # its tiles are of 256 pixels: smaller ones here
        tiled.pipe.vae.enable_tiling(64, 64, 48, 48)
    large = torch.randn(1, *plain.shape[:-2], 20, 20, generator=torch.Generator().manual_seed(3))
    assert not asked
    gap = (tiled.decode(large) - plain.decode(large)).abs()
    assert asked and 0 < gap.max() < 2


def test_without_an_autoencoder_pictures_are_the_latents():
    teacher = Teacher.of(build("ddpm"))
    x = 2 * torch.randn(2, *teacher.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(teacher.encode(x), x) and torch.equal(teacher.decode(x), x.clamp(-1, 1))


def test_half_precision(tmp_path):
    """An autoencoder that overflows in float16 says so in its config, and works in float32; others in their own."""
    from diffusers import AutoencoderKL

    pipe = build("sdxl")
    config = {**pipe.vae.config, "force_upcast": True}
    pipe.register_modules(vae=AutoencoderKL.from_config(config))
    pipe.vae.load_state_dict(build("sdxl").vae.state_dict())
    pipe.save_pretrained(tmp_path / "sdxl")
    whole, half, brain = (Teacher.from_pretrained(tmp_path / "sdxl", PROMPT, torch_dtype=dtype)
                          for dtype in ("float32", "float16", "bfloat16"))
    assert half.codec.vae.dtype == torch.float32 and half.net.model.dtype == torch.float16
    assert brain.codec.vae.dtype == torch.bfloat16
    latents = latents_of(whole)
    torch.testing.assert_close(half.decode(latents), whole.decode(latents), rtol=0, atol=5e-3)
    assert brain.decode(latents).dtype == torch.float32


def test_other_shapes_and_whole_numbers_are_refused():
    sd, wan = teacher_of("sd"), teacher_of("wan")
    for x, said in ((torch.zeros(3, 32, 32), r"pictures are to be \(B, 3, H, W\), got \(3, 32, 32\)"),
                    (torch.zeros(1, 1, 32, 32), "got"), (torch.zeros(1, 3, 5, 32, 32), "another pipeline's"),
                    (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), r"floating-point numbers in \[-1, 1\].*127.5"),
                    (torch.zeros(0, 3, 32, 32), "the batch is empty")):
        with pytest.raises(ValueError, match=said):
            sd.encode(x)
    with pytest.raises(ValueError, match=r"latents are to be \(B, 4, H, W\), got \(1, 16, 16, 16\)"):
        sd.decode(torch.zeros(1, 16, 16, 16))
    with pytest.raises(ValueError, match=r"latents are to be \(B, 4, F, H, W\)"):
        wan.decode(torch.zeros(1, 4, 8, 8))
