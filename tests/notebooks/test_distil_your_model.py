"""The notebook that distils a pipeline of one's own, as a job on a small one: student, figures, numbers, export."""

import json

import pytest
from PIL import Image

from workbench.jobs.start import start
from workbench.teachers.from_diffusers.small import save

WORDS = ("red", "green", "blue")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, word in enumerate(WORDS):
        Image.new("RGB", (40, 36), tuple(200 * (number == place) for place in range(3))).save(folder / f"{word}.png")
        (folder / f"{word}.txt").write_text(f"a {word} square\n")
    return folder


def test_it_distils_and_exports_a_pipeline(tmp_path, pictures):
    given = {"bench": "pipeline", "steps": 3, "batch_size": 2, "teacher_steps": 3, "measured_steps": [1, 2],
             "samples": 4}
    given["bench_settings"] = {"folder": str(save("sd", tmp_path / "sd")), "images": str(pictures), "rank": 4}
    status, folder = start("distil_your_model", given=given, seed=1, out=tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    assert status == "succeeded", record["error"]
    written = folder / "student" / "diffusers"
    for file in ("model_index.json", "lora/pytorch_lora_weights.safetensors", "README.md"):
        assert (written / file).is_file()
    assert json.loads((written / "sampling.json").read_text())["num_inference_steps"] == 2
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["student, 1 step: endpoint error"] > 0 and metrics["student, 2 steps: diversity"] > 0
    assert len(list((folder / "figures").glob("*.png"))) >= 4


def test_a_typo_in_the_benchs_fields_is_told(tmp_path):
    status, folder = start("distil_your_model", given={"bench": "pipeline", "bench_settings": {"foldr": "x"}},
                           out=tmp_path / "run")
    error = json.loads((folder / "run.json").read_text())["error"]
    assert status == "failed" and "foldr" in error and "folder" in error
