"""An exported folder, loaded by plain diffusers in a process of its own, gives the pictures that we sample here."""

import json
import subprocess
import sys

import pytest
import torch
from diffusers import DDPMPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from workbench import cells as w
from workbench.benches.pipeline import PipelineBench
from workbench.export.to_diffusers import export
from workbench.noise import Edm
from workbench.solvers import Consistency, Euler, FlowMap, Sampler, walk
from workbench.teachers.from_diffusers.small import save

PROMPTS = ("a red circle", "a big blue square")
ALONE = """
import json, sys, torch
from safetensors.torch import load_file, save_file
import diffusers

def sampled(pipe, one):
    pipe.set_progress_bar_config(disable=True)
    call = json.load(open(one["folder"] + "/sampling.json"))
    torch.manual_seed(5)  # where the pipeline does not hand its generator on
    images = pipe(one["prompts"], latents=load_file(one["noise"])["latents"], output_type="pt",
                  generator=torch.Generator().manual_seed(5), **call, **one["extra"])
    return (images.frames if hasattr(images, "frames") else images.images).contiguous()

for one in json.load(open(sys.argv[1])):
    folder = one["folder"]
    kind = getattr(diffusers, json.load(open(folder + "/model_index.json"))["_class_name"])
    found = {"images": sampled(kind.from_pretrained(folder, use_safetensors=True), one)}
    if one["teacher"]:
        pipe = kind.from_pretrained(one["teacher"], use_safetensors=True)
        scheduler = json.load(open(folder + "/scheduler/scheduler_config.json"))["_class_name"]
        pipe.scheduler = getattr(diffusers, scheduler).from_pretrained(folder, subfolder="scheduler")
        pipe.load_lora_weights(folder + "/lora")
        found["lora"] = sampled(pipe, one)
    save_file(found, one["out"])
assert not any(name.split(".")[0] == "workbench" for name in sys.modules)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: save(kind, root / kind) for kind in ("ddpm", "sd", "sdxl", "sd3", "flux", "wan")}


def trained(bench):
    """A student whose every weight was moved."""
    student = bench.student(0)
    with torch.no_grad():
        for number, param in enumerate(student.parameters()):
            param.add_(0.05 * torch.randn(param.shape, generator=torch.Generator().manual_seed(number)))
    return student


def packed(x):
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, 4 * c)


def packed_noise(x, rng):
    b, c, h, w = x.shape
    noise = torch.randn(b, h * w // 4, 4 * c, generator=rng("noise"))
    return noise.reshape(b, h // 2, w // 2, c, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def ours(bench, student, plan, solver, noise):
    """Pictures (B, ...) in [0, 1] of our walk down the plan's times, its noise drawn as the scheduler draws it."""
    generator = torch.Generator().manual_seed(5)

    class Drawn:
        def generator(self, name, device=None):
            return generator

    frames = list(walk(student, student.process, solver, plan.times, noise, cond=torch.arange(2), key=Drawn()))
    return (bench.decode(frames[-1].x_t) / 2 + 0.5).clamp(0, 1)


CASES = {"sd lcm": ("sd", 4, Consistency(), 4), "sd whole": ("sd", 2, Consistency(), None),
         "sd euler": ("sd", 6, Euler(), 4), "sdxl": ("sdxl", 2, Consistency(), 4), "sd3": ("sd3", 3, Consistency(), 4),
         "flux": ("flux", 2, Consistency(), 4), "flux euler": ("flux", 3, Euler(), None),
         "wan": ("wan", 1, Consistency(), 4), "wan 2": ("wan", 2, Consistency(), 4)}


@pytest.fixture(scope="module")
def pictures(folders, tmp_path_factory):
    """name -> (ours, the teacher's, theirs, theirs by the adapters alone or None); theirs all in one process."""
    root = tmp_path_factory.mktemp("exported")
    mine, jobs = {}, []
    for name, (kind, steps, solver, rank) in CASES.items():
        place = root / name.replace(" ", "-")
        bench = PipelineBench(str(folders[kind]), PROMPTS, rank=rank, size=(32, 32), frames=5)
        student = trained(bench)
        folder, plan = export(bench.pipeline, student, Sampler(solver, "trig", steps), bench.process(Edm), place)
        assert len(plan.times) == steps + 1
        noise = torch.randn(2, *bench.shape, generator=torch.Generator().manual_seed(1))
        with pytest.MonkeyPatch.context() as patch:
            if kind == "flux":  # its scheduler noises what is packed
                patch.setattr("workbench.solvers.consistency.fresh", packed_noise)
            mine[name] = [ours(bench, net, plan, solver, noise) for net in (student, bench.teacher())]
        save_file({"latents": packed(noise) if kind == "flux" else noise}, f"{place}.noise")
        jobs.append({"folder": str(folder), "noise": f"{place}.noise", "out": f"{place}.out", "prompts": list(PROMPTS),
                     "teacher": str(folders[kind]) if rank else "",
                     "extra": {"height": 32, "width": 32, **({"num_frames": 5} if kind == "wan" else {})}})
    (root / "jobs.json").write_text(json.dumps(jobs))
    subprocess.run([sys.executable, "-c", ALONE, str(root / "jobs.json")], check=True, cwd=root, timeout=300,
                   env={"PATH": "/usr/bin:/bin", "HOME": str(root), "HF_HUB_OFFLINE": "1"})
    found = {name: load_file(job["out"]) for name, job in zip(CASES, jobs, strict=True)}
    return {name: (*mine[name], found[name]["images"], found[name].get("lora")) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_plain_diffusers_gives_the_same_pictures(pictures, name):
    mine, teachers, theirs, by_lora = pictures[name]
    if name.startswith("wan"):  # its frames come before its channels
        mine, teachers = mine.transpose(1, 2), teachers.transpose(1, 2)
    assert mine.std() > 0.01 and (teachers - theirs).abs().max() > 1e-2  # it is the student
    torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-4)
    if CASES[name][3]:
        torch.testing.assert_close(by_lora, theirs, rtol=0, atol=1e-4)


def test_what_plain_diffusers_cannot_run_is_refused(folders, tmp_path):
    bench = PipelineBench(str(folders["sd"]), PROMPTS, rank=4)
    sampler = Sampler(Consistency(), "trig", 2)
    with pytest.raises(ValueError, match="second time"):
        export(bench.pipeline, bench.student(0, second_time=True), sampler, bench.process(Edm), tmp_path / "out")
    several = PipelineBench(str(folders["sd"]), PROMPTS, rank=4, ranges=(1.0,))
    with pytest.raises(ValueError, match="noise range"):
        export(several.pipeline, several.student(0), sampler, bench.process(Edm), tmp_path / "out")
    with pytest.raises(ValueError, match="FlowMap"):
        export(bench.pipeline, bench.student(0), Sampler(FlowMap(), "trig", 2), bench.process(Edm), tmp_path / "out")
    video = PipelineBench(str(folders["wan"]), PROMPTS, rank=4, size=(32, 32), frames=5)
    with pytest.raises(ValueError, match="num_inference_steps=2"):
        export(video.pipeline, video.student(0), Sampler(Consistency(), "trig", 4), video.process(Edm),
               tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder"):
        export(bench.pipeline, bench.student(0), sampler, bench.process(Edm), tmp_path / "full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_the_card_tells_and_does_nothing_else(folders, tmp_path):
    bench = PipelineBench(str(folders["sd"]), PROMPTS, rank=4)
    told = {"provenance": {"method": "consistency", "name": "<script>alert(1)</script> | x"},
            "measured": {"error": 0.25}}
    folder, _ = export(bench.pipeline, bench.student(0), Sampler(Consistency(), "trig", 2), bench.process(Edm),
                       tmp_path / "out", told=told)
    text = (folder / "README.md").read_text()
    assert "| error | 0.25 |" in text and "<script>" not in text and "\\| x" in text
    assert "StableDiffusionPipeline.from_pretrained" in text


def test_a_distilled_student_is_exported_with_what_made_it(folders, tmp_path):
    """The verb, on an unconditional pipeline: one step, and more are refused."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        Image.new("RGB", (20, 16), (80 * number, 100, 50)).save(pictures / f"{number}.png")
    bench = PipelineBench(str(folders["ddpm"]), images=str(pictures), rank=None, samples=4)
    student = w.distil("consistency", bench, steps=3, batch_size=2, folder=tmp_path / "run")
    folder = w.export(student)
    text = (folder / "README.md").read_text()
    assert "| method | \"ConsistencyDistillation\" |" in text or "| method | ConsistencyDistillation |" in text
    assert "| steps | 3 of 3 |" in text and "endpoint_error" in text and folder == tmp_path / "run" / "diffusers"
    pipe = DDPMPipeline.from_pretrained(folder, use_safetensors=True)
    images = pipe(batch_size=1, output_type="np", **json.loads((folder / "sampling.json").read_text())).images
    assert images.shape == (1, 16, 16, 3)
    with pytest.raises(ValueError, match="num_inference_steps=1"):
        w.export(student, folder=tmp_path / "more", num_inference_steps=2)
    with pytest.raises(ValueError, match="no diffusers pipeline"):
        w.export(w.distil("consistency", w.bench("gmm2d"), steps=2, folder=tmp_path / "points"))
