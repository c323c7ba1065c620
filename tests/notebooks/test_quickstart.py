"""The quickstart runs as a job and shows what it promises; its first picture is there within a minute."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat

from workbench.jobs.start import start

FIRST_PICTURE = 60  # seconds, on two cores
TINY = {"bench": "gmm2d", "steps": 12, "batch_size": 64, "teacher_steps": 4, "samples": 128}
PANELS = ("data", "teacher-samples", "consistency-distillation-losses", "dmd2-losses", "walk", "x0-predictions",
          "consistency-distillation-lesson", "dmd2-lesson", "quality-and-diversity")  # fmt: skip


def test_it_runs_whole_and_shows_everything(tmp_path):
    status, folder = start("quickstart", given=TINY, seed=3, out=tmp_path / "run")
    assert status == "succeeded", json.loads((folder / "run.json").read_text())["error"]
    shown = sorted(path.name for path in (folder / "figures").glob("*.png"))
    assert len(shown) == len(PANELS) and all(one[3:-4].endswith(two) for one, two in zip(shown, PANELS, strict=True))
    outputs = [out for cell in nbformat.read(folder / "quickstart.ipynb", as_version=4).cells for out in
               cell.get("outputs", [])]
    assert sum("image/png" in out.get("data", {}) for out in outputs) == len(PANELS)
    assert sum("<table>" in out.get("data", {}).get("text/html", "") for out in outputs) == 3
    assert not any("widget" in kind for out in outputs for kind in out.get("data", {}))
    points = json.loads((folder / "figures" / f"{len(PANELS):02d}-quality-and-diversity.json").read_text())
    assert {point["model"] for point in points} == {"teacher", "consistency-distillation", "dmd2"}
    for student in ("consistency-distillation", "dmd2"):
        assert json.loads((folder / student / "run.json").read_text())["status"] == "finished"


def test_it_runs_on_its_own_bench(tmp_path):
    """With the digits' teacher, from the cache or trained now: students there admit other numbers of steps."""
    few = {"steps": 4, "batch_size": 16, "teacher_steps": 3, "samples": 32}
    status, folder = start("quickstart", given=few, seed=3, out=tmp_path / "run")
    assert status == "succeeded", json.loads((folder / "run.json").read_text())["error"]


def test_the_first_picture_comes_within_a_minute(tmp_path):
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "workbench", "run", "quickstart", "--out", str(tmp_path / "run")],
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               env={**os.environ, "WORKBENCH_CACHE": str(tmp_path / "cache")})  # fmt: skip
    try:
        while not list((tmp_path / "run" / "figures").glob("01-*.png")):
            assert process.poll() is None and time.monotonic() - started < FIRST_PICTURE
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
    finally:
        process.kill()
