"""The figures that watching live promises, measured in a real JupyterLab and printed (run with -rP to see them).

Clicks are held to the promised bound in the 95th percentile; rates and the first paint are held to it; the time of a
frame to the eye in its median, and in the 95th percentile of the quietest third to twice the bound: on a machine that
does other work, as while the tests run side by side, it holds the scheduler's pauses. What an update costs in the
kernel is its thread's processor time; most of it is Jupyter's own sending, found cold after a rest beside a training,
so it is held to twice what a bare message of the same content costs between the same two updates, and to twice the
promised 0.5 ms. WORKBENCH_LONG=1 makes the appends go on for a minute.
"""

import json
import os
import random
import time

import numpy as np
import pytest

from tests.browser.lab import until
from tests.browser.steered import trained

pytestmark = pytest.mark.quiet
SECONDS = 60 if os.environ.get("WORKBENCH_LONG") else 15

PLAYERS = """from tests.widgets.samples import ring, digits
from widgets.player import Player
walk = ring(2000, 50)
points = {"title": "2,000 points", "kind": "points", "limits": (-2.5, 2.5),
          "moments": [{"step": None, "models": [{"name": "teacher", "role": "teacher", **walk}]}]}
images = digits(64, (50,), 32)
images["moments"][0]["models"][0]["name"] = "teacher"
import ipykernel"""

FED = """import json, threading, time, torch
from widgets.dashboard import Dashboard
ended, enough = threading.Event(), threading.Event()
def train():
    net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.SiLU(), torch.nn.Linear(128, 64))
    adam = torch.optim.Adam(net.parameters())
    while not enough.is_set():
        x = torch.randn(64, 64)
        (net(x) - x).square().mean().backward()
        adam.step(), adam.zero_grad()
board = Dashboard(runs=[{"name": "fed", "steps": 1000}])
costs, delays, bare, sent = [], [], [], []
def heard(until):
    while time.monotonic() < until:
        while sent and sent[0][0] <= board.seen:
            delays.append(time.perf_counter() - sent.pop(0)[1])
        time.sleep(0.001)
def feed(count):
    due = time.monotonic()
    for step in range(1, count + 1):
        row = {"run": 0, "step": step, "time": time.time(), "lr": {"student": 1e-3},
               "series": {"student: loss": 1 / step, "student: gradient norm": 1.0, "critic: loss": 2 / step}}
        begun, busy = time.perf_counter(), time.thread_time()
        board.append(row)
        costs.append(time.thread_time() - busy)
        sent.append((board.number + bool(board.waiting), begun))  # one that has to wait goes with the next message
        due += 0.1
        heard(due - 0.05)
        busy = time.thread_time()
        board.send({"kind": "none", "number": 0, "data": {"rows": [row]}})
        bare.append(time.thread_time() - busy)
        heard(due)
    heard(due + 2)
    ended.set()
    enough.set()
threading.Thread(target=train, daemon=True).start()
display(board)"""

POINTED = """delays.clear()
import numpy as np
from widgets.player import Player
def frame():
    states = np.random.default_rng(len(delays)).normal(size=(2, 2000, 2))
    return {"title": "", "kind": "points", "limits": (-3, 3), "moments": [{"step": None, "models": [{"name": "now",
            "sigma": np.array([1.0, 0.0]), "t": np.array([1.0, 0]), "evaluations": np.arange(2), "states": states}]}]}
player = Player(**frame())
def show(count):
    ended.clear()
    while player.seen < 1:
        time.sleep(0.01)
    for _ in range(count):
        made, begun = frame(), time.perf_counter()
        player.show(**made)
        while player.seen < player.number and time.perf_counter() - begun < 2:
            time.sleep(0.001)
        delays.append(time.perf_counter() - begun)
        time.sleep(0.05)
    ended.set()
threading.Thread(target=show, args=(60,)).start()
display(player)"""

PACE = """async (root) => {
    const slider = root.querySelector(".wb-slider"), rounds = [], frame = () => new Promise(requestAnimationFrame);
    const painted = () => Number(root.dataset.painted);
    for (let round = 0; round < 3; round++) {
        const from = painted(), start = performance.now();
        for (let k = 0; k <= 50; k++) {
            slider.value = k; slider.dispatchEvent(new Event("input", { bubbles: true })); await frame(); }
        await frame();
        rounds.push(1000 * (painted() - from) / (performance.now() - start)); }
    return rounds.sort((a, b) => a - b)[1]; }"""


def told(what: str, values, unit: str = "ms") -> tuple[float, float]:
    """Print and return median and 95th percentile."""
    median, high = float(np.median(values)), float(np.percentile(values, 95))
    print(f"{what}: median {median:.3g} {unit}, p95 {high:.3g} {unit}, most {max(values):.3g} {unit}, of {len(values)}")
    return median, high


def soon(what: str, seconds) -> None:
    """The bound on what goes to the eye: 100 ms."""
    median, _ = told(what, 1000 * np.array(seconds))
    _, high = told("  in the quietest third", min(np.array_split(1000 * np.array(seconds), 3), key=np.median))
    assert median < 100 and high < 200


def clicks(book) -> list[float]:
    """When the page was clicked, in seconds since 1970."""
    return [at / 1000 for at in book.page.evaluate("window.clicks")]


def listen(book) -> None:
    book.page.evaluate("""() => { window.clicks = []; window.addEventListener("click",
        () => window.clicks.push(performance.timeOrigin + performance.now()), true); }""")


def test_a_click_takes_effect_within_a_step_and_a_quarter_second(book):
    """20 clicks on Pause, which goes the same way as Stop, and 3 real Stops, each until its last step was taken."""
    book = book("clicked")
    run = trained(book)
    run.grows()
    listen(book)
    rest = random.Random(0)
    for turn in range(20):
        run.press("pause")
        until(lambda turn=turn: len(run.events("paused")) > turn, 10, "the pause", pause=0.01)
        time.sleep(0.35 + 0.1 * rest.random())  # until the panel knows and its button says Resume
        run.press("pause")
        until(lambda turn=turn: len(run.events("resumed")) > turn, 10, "going on", pause=0.01)
        time.sleep(0.35 + 0.1 * rest.random())
    events = run.events("step")
    step = 1000 * np.median(np.diff([one["time"] for one in events]) / np.diff([one["step"] for one in events]))
    pauses = [one["time"] for one in run.events("paused")]
    late = [1000 * (paused - at) for paused, at in zip(pauses, clicks(book)[::2], strict=True)]
    print(f"a step takes {step:.3g} ms")
    _, high = told("Pause, click to the last step", late)
    stops = []
    for place in range(3):
        if place:
            book.run(8)
            run.folder = max((book.folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
            book.go(8)
            until(lambda: run.newest > 0, 20, "steps")
            time.sleep(0.5)
        run.press("stop")
        until(lambda: run.state["status"] == "stopped", 10, "the stop")
        stops.append(1000 * (run.events("checkpoint")[-1]["time"] - clicks(book)[-1]))
    told("Stop, click to the last step", stops)
    assert high <= step + 250 and max(stops) <= step + 250


def test_scrubbing_and_first_paint(book):
    book = book("scrubbed", [PLAYERS, "Player(**points)", "Player(**images)"])
    book.run(0)
    for cell, what in ((1, "2,000 points x 50 steps"), (2, "64 images of 32 x 32 x 50 steps")):
        book.go(cell)
        begun = time.perf_counter()
        book.start(cell)
        view = book.page.locator(f".wb-player >> nth={cell - 1}")
        until(lambda view=view: view.count() and view.get_attribute("data-painted"), 20, "a first paint", pause=0.01)
        first = time.perf_counter() - begun
        book.go(cell)
        rate = view.evaluate(PACE)
        print(f"{what}: first paint {first:.2f} s after the cell was run, {rate:.0f} frames/s while scrubbing")
        assert first < 2 and rate >= 30


def test_rows_come_soon_cheaply_and_all(book):
    book = book("fed", [FED, POINTED])
    book.run(0)
    book.page.locator(".wb-dashboard").wait_for()
    count = 10 * SECONDS
    book.say(f"threading.Thread(target=feed, args=({count},)).start()")
    time.sleep(SECONDS)
    costs, bare, delays = json.loads(book.say("ended.wait(20)\nprint(json.dumps([costs, bare, delays]))"))
    until(lambda: book.page.locator(".wb-dashboard").get_attribute("data-rows") == str(count), 5, "every row")
    held = book.page.locator(".wb-dashboard").inner_text()
    assert f"step {count}" in held and len(costs) == len(delays) == count
    median, _ = told(f"{count} appends in {SECONDS} s beside a training, none lost; processor time of one",
                     1000 * np.array(costs))  # fmt: skip
    least, _ = told("the same of a bare message of that content", 1000 * np.array(bare))
    assert median <= 2 * least and median <= 1.0
    soon("an appended row, kernel to painted and back", delays)
    book.run(1)
    time.sleep(8)
    delays = json.loads(book.say("ended.wait(20)\nprint(json.dumps(delays))"))
    soon("a frame of 2,000 points, kernel to painted and back", delays)
