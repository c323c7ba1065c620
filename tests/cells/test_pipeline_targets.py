"""``targets_of``: its numbers against direct sums, its rows, what it decodes, and what it leaves behind."""

import json

import diffusers
import pytest
import torch
import transformers

from tests.cells.test_targets import by_hand
from workbench.cells.pipeline import pipeline
from workbench.cells.pipeline_target_stills import looks, stills
from workbench.cells.pipeline_targets import targets_of
from workbench.teachers.from_diffusers.recorded import record
from workbench.teachers.from_diffusers.small import CALLS, build, save, stable_diffusion

PROMPTS = ["a red circle", "a blue square"]


@pytest.fixture(scope="module")
def sd():
    return build("sd")


def test_rows_are_recorded_calls_and_the_measures_direct_sums(sd):
    own = sd.scheduler
    found = targets_of(sd, PROMPTS, schedulers=("DDIMScheduler", "HeunDiscreteScheduler"), num_inference_steps=5,
                       guidance_scale=3.0, samples=3, seed=4)  # fmt: skip
    assert [*found] == ["DDIM", "HeunDiscrete"] and sd.scheduler is own and "step" not in vars(own)
    cond = torch.tensor([0, 0, 0, 1, 1, 1])
    again = record(sd, [prompt for prompt in PROMPTS for _ in range(3)], num_inference_steps=5, guidance_scale=3.0,
                   generator=torch.Generator().manual_seed(4), output_type="latent")  # fmt: skip
    assert torch.equal(found["DDIM"].recorded.x0, again.x0) and torch.equal(found["DDIM"].recorded.end, again.end)
    for one in found.values():
        far, change, spread = by_hand(one.recorded.x0, one.recorded.end, cond)
        assert one.to_end.tolist() == pytest.approx(far, rel=1e-6) and len(far) == 5
        assert one.change[1:].tolist() == pytest.approx(change, rel=1e-6) and one.change[0] != one.change[0]
        assert one.diversity.tolist() == pytest.approx(spread, rel=1e-5)
        assert one.sigma.tolist() == sorted(one.sigma, reverse=True)
    assert len(found["HeunDiscrete"].recorded.evaluations) == 9  # two a step, but for the last


def test_all_rows_start_from_the_same_noise(sd):
    found = targets_of(sd, PROMPTS, schedulers=("EulerDiscreteScheduler", "DPMSolverMultistepScheduler"), samples=2)
    euler, dpm = (one.recorded.steps[0] for one in found.values())
    scale = (1 + euler.sigma**2) ** 0.5
    assert torch.allclose(euler.x_t / euler.x_t.std(), dpm.x_t / dpm.x_t.std(), atol=1e-5) and scale > 10


def test_teacher_and_student_each_in_their_own_steps(sd, tmp_path):
    student = stable_diffusion(seed=1)
    student.scheduler = diffusers.LCMScheduler.from_config(student.scheduler.config)
    student.save_pretrained(tmp_path / "student")
    found = targets_of({"teacher": sd, "student": tmp_path / "student"}, "a red circle", samples=2,
                       num_inference_steps={"teacher": 6, "student": 2},
                       guidance_scale={"teacher": 3.0, "student": 1.0})  # fmt: skip
    assert [*found] == ["teacher", "student"] and [len(one.sigma) for one in found.values()] == [6, 2]
    assert type(found["student"].recorded.pipeline.scheduler).__name__ == "LCMScheduler"
    assert found["student"].recorded.asked["guidance_scale"] == 1.0
    with pytest.raises(ValueError, match="says nothing about pipeline 'student'"):
        targets_of({"teacher": sd, "student": student}, num_inference_steps={"teacher": 6})


@pytest.mark.parametrize("kind", ["ddpm", "sdxl", "sd3", "flux", "wan"])
def test_every_kind_of_pipeline_from_its_folder(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path / "run"))
    found = targets_of(save(kind, tmp_path / kind), num_inference_steps=3, samples=2, size=16, **CALLS.get(kind, {}))
    (name, one), = found.items()
    assert name + "Scheduler" == type(one.recorded.pipeline.scheduler).__name__ and len(one.sigma) == 3
    assert (one.diversity > 0).all() and one.recorded.x0.shape[1] == (2 if kind == "ddpm" else 4)
    assert (tmp_path / "run/figures/01-x0-predictions.html").stat().st_size < 1_000_000


def test_nothing_but_the_still_is_decoded_where_no_page_shows_more(sd, monkeypatch, tmp_path):
    decoded, own = [], sd.vae.decode
    monkeypatch.setattr(sd.vae, "decode", lambda z, **rest: (decoded.append(len(z)), own(z, **rest))[1])
    targets_of(sd, PROMPTS, num_inference_steps=20, samples=4)
    assert sum(decoded) == 8 + 8  # eight columns of one sample; the ends of all
    decoded.clear()
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    found = targets_of(sd, PROMPTS, num_inference_steps=20, samples=4)
    assert sum(decoded) == 16 + 12 * 8 + 8  # and the inspector's twelve columns of all samples
    told = json.loads((tmp_path / "figures/01-x0-predictions.json").read_text())
    assert told["DDIM"]["to_end"] == found["DDIM"].to_end.tolist() and len(told["DDIM"]["sigma"]) == 20
    assert (tmp_path / "figures/01-x0-predictions.png").stat().st_size > 20_000


def test_names_and_prompts_are_text_whatever_is_in_them(sd, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    evil = "$\\frac{<script>alert(1)</script>"
    targets_of({evil: sd}, [evil], num_inference_steps=2, samples=2)
    assert "<script>alert" not in (tmp_path / "figures/01-x0-predictions.html").read_text()


def test_a_row_whose_first_step_comes_late_keeps_its_name(sd):
    found = targets_of({"many": sd, "few": sd}, num_inference_steps={"many": 12, "few": 2}, samples=1)
    assert found["few"].sigma[0] < found["many"].sigma[0]
    figure = stills(found, looks({"many": 0, "few": 1}), "", 0, None)
    few = [axis for axis in figure.subfigs[0].axes if axis.get_ylabel() == "few"]
    assert len(few) == 1 and few[0].get_visible() and not few[0].has_data()


def test_colours_say_who_is_the_teacher():
    assert looks({"a": 0, "b": 0})["a"][0] == "#000000" != looks({"a": 0, "b": 0})["b"][0]
    both = looks({"teacher, DDIM": 0, "teacher, Euler": 0, "student, LCM": 1, "other, LCM": 2})
    assert both["teacher, DDIM"][0] == both["teacher, Euler"][0] == "#000000" != both["student, LCM"][0]
    assert both["teacher, DDIM"][1] != both["teacher, Euler"][1] and both["student, LCM"][0] != both["other, LCM"][0]


def test_what_cannot_be_is_said(sd, tmp_path):
    with pytest.raises(ValueError, match="no pipeline"):
        targets_of(tmp_path / "nothing")
    with pytest.raises(ValueError, match="takes no guidance_scale"):
        targets_of(build("ddpm"), guidance_scale=2.0)
    with pytest.raises(ValueError, match="two rows would have one name"):
        targets_of(sd, schedulers=("DDIM", "DDIMScheduler"))
    with pytest.raises(ValueError, match="sample 9 is none of the 8"):
        targets_of(sd, sample=9)
    with pytest.raises(ValueError, match="did you mean 'DDIMScheduler'"):
        targets_of(sd, schedulers=["DDIMSheduler"])


def test_pipeline_tells_what_it_is_made_of(tmp_path, capsys):
    folder, before = save("sd3", tmp_path / "sd3"), transformers.utils.logging.get_verbosity()
    capsys.readouterr()
    pipe = pipeline(folder, torch_dtype="bfloat16")
    told, aside = capsys.readouterr()
    count = sum(weight.numel() for weight in pipe.transformer.parameters())
    assert f"{count:,}" in told and "bfloat16" in told and "StableDiffusion3Pipeline" in told and "flow" in told
    assert type(pipeline()).__name__ == "StableDiffusionPipeline"
    assert aside == "" and transformers.utils.logging.get_verbosity() == before
    with pytest.raises(ValueError, match="torch_dtype"):
        pipeline(tmp_path / "sd3", torch_dtype="float23")
