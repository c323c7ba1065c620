"""Every other notebook runs as a job with tiny parameters, keeps its pictures, and its report moves in a browser."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from tests.chromium import running
from workbench.jobs.start import start

MOST = 3_000_000  # bytes of an executed notebook
TINY = {
    "explore": {"steps": 30, "batch_size": 64, "teacher_steps": 4, "milestones": 2, "samples": 128},
    "trajectories": {"steps": 30, "batch_size": 64, "many": 12, "samples": 128},
    "targets": {"bench": "gmm2d", "guidance_scale": 1.0, "steps": 40, "batch_size": 64, "samples": 128, "seeds": 1,
                "teacher_steps": 6},
}
PICTURES = {"explore": 7, "trajectories": 9, "targets": 7}
VIEWS = {"explore": 3, "trajectories": 3, "targets": 3}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """name -> the folder of its job, run once."""
    folders = {}

    def folder(name):
        if name not in folders:
            where = tmp_path_factory.mktemp(name) / "run"
            status, folders[name] = start(name, given=TINY[name], seed=1, out=where)
            assert status == "succeeded", json.loads((where / "run.json").read_text())["error"]
        return folders[name]

    return folder


def blank(content: bytes) -> bool:
    low, high = Image.open(io.BytesIO(content)).convert("L").getextrema()
    return high - low < 50


@pytest.mark.parametrize("name", TINY)
def test_the_executed_notebook_holds_every_picture_and_no_widget(ran, name):
    path = ran(name) / f"{name}.ipynb"
    assert path.stat().st_size < MOST
    outputs = [out for cell in nbformat.read(path, as_version=4).cells for out in cell.get("outputs", [])]
    stills = [base64.b64decode(out["data"]["image/png"]) for out in outputs if "image/png" in out.get("data", {})]
    assert len(stills) == PICTURES[name] and not any(map(blank, stills))
    assert not any("widget" in kind for out in outputs for kind in out.get("data", {}))
    assert "widgets" not in nbformat.read(path, as_version=4).metadata


@pytest.fixture(scope="module")
def chromium():
    with running() as browser:
        yield browser


INK = """canvas => { const pen = canvas.getContext("2d"), { width, height } = canvas, seen = new Set();
    const data = pen.getImageData(0, 0, width, height).data;
    for (let i = 0; i < data.length; i += 4) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    return seen.size; }"""


@pytest.mark.parametrize("name", TINY)
def test_the_report_shows_everything_offline_and_its_views_move(ran, chromium, name):
    context = chromium.new_context(viewport={"width": 1000, "height": 900}, offline=True)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    page.goto((ran(name) / f"{name}.html").as_uri())
    images = page.locator("img")
    assert images.count() == PICTURES[name]
    assert all(images.nth(i).evaluate("image => image.naturalWidth > 100") for i in range(images.count()))
    details = page.locator("details")
    assert details.count() == VIEWS[name]
    for index in range(details.count()):
        details.nth(index).evaluate("one => { one.open = true; one.scrollIntoView(); }")  # frames off the page sleep
        frame = details.nth(index).frame_locator("iframe")
        root = frame.locator(".wb")
        root.wait_for(timeout=20_000)
        canvases = frame.locator("canvas")
        canvases.first.wait_for(timeout=20_000)
        for _ in range(50):
            page.wait_for_timeout(100)
            ink = max(canvases.nth(i).evaluate(INK) for i in range(canvases.count()))
            if ink > 5:
                break
        assert ink > 5  # colours drawn
        if frame.locator(".wb-slider").count():
            painted = int(root.get_attribute("data-painted"))
            frame.locator(".wb-slider").press("End")
            page.wait_for_timeout(300)
            assert int(root.get_attribute("data-painted")) > painted
    assert wrong == []
    context.close()


def test_nbval_runs_an_executed_notebook_again(ran, tmp_path):
    """Cell by cell, under another runner than ours; the injected parameters come with the notebook."""
    path = shutil.copyfile(ran("trajectories") / "trajectories.ipynb", tmp_path / "again.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=120", "-q", "-p", "no:cacheprovider",
         "--rootdir", str(tmp_path), str(path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "WORKBENCH_HEADLESS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-2000:]
