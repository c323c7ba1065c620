"""Data for views of samples: a ring of eight Gaussians flowing from noise, bars as images; and what reads a page."""

import os
from pathlib import Path

import numpy as np

SHOTS = os.environ.get("WORKBENCH_SHOTS")
HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
ANGLES = np.arange(8) * np.pi / 4


def ring(samples: int, steps: int, seed: int = 0, sharp: float = 1.0) -> dict:
    """Noise flowing into eight Gaussians on a ring; the same noise for every number of steps."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(samples, 2))
    angle = ANGLES[np.argmin(np.abs(np.angle(np.exp(1j * (np.arctan2(*noise.T[::-1])[:, None] - ANGLES)))), axis=1)]
    end = np.stack([np.cos(angle), np.sin(angle)], -1) * sharp + 0.12 * random.normal(size=(samples, 2))
    t = np.linspace(1, 0, steps + 1)
    part = (t**1.5)[:, None, None]
    states = (part * noise + (1 - part) * end).astype(np.float32)
    x0 = (end + part * 0.8 * (noise * 0.3 - end)).astype(np.float32)
    return {"sigma": 80 * t**7, "t": t, "evaluations": np.arange(steps + 1), "states": states, "x0": x0}


def points(samples: int = 400, **more) -> dict:
    axis = np.linspace(-2, 2, 80)
    centres = np.stack([np.cos(ANGLES), np.sin(ANGLES)], -1)
    away = (axis[None, :, None] - centres[:, 0]) ** 2 + (axis[:, None, None] - centres[:, 1]) ** 2
    grid = np.stack(np.meshgrid(np.linspace(-1.8, 1.8, 13), np.linspace(-1.8, 1.8, 13)), -1).reshape(-1, 2)
    teacher = ring(samples, 40)
    swirl = np.stack([grid[:, 1], -grid[:, 0]], -1)
    velocity = teacher["t"][:, None, None] * swirl + (1 - teacher["t"][:, None, None]) * -grid
    models = [{"name": "teacher, Heun", "role": "teacher", "velocity": velocity, **teacher},
              {"name": "student, 4 steps", "role": "student", **ring(samples, 4, sharp=0.95)},
              {"name": "student, 1 step", "role": "average", **ring(samples, 1, sharp=0.9)}]
    return {"title": "Ring of eight Gaussians", "kind": "points", "limits": (-2.5, 2.5), "grid": grid,
            "moments": [{"step": None, "models": models}], "labels": [f"mode {k % 8}" for k in range(samples)],
            "density": {"x": axis, "y": axis, "value": np.exp(-away / 0.03).sum(-1)}, **more}


def digits(samples: int = 100, steps: tuple[int, ...] = (12, 2), size: int = 16, channels: int = 1) -> dict:
    random = np.random.default_rng(3)
    y, x = np.mgrid[0:size, 0:size] / size
    turn = random.uniform(0, np.pi, samples)[:, None, None]
    bar = np.cos(turn) * (x - 0.5) + np.sin(turn) * (y - 0.5)
    clean = np.repeat(np.exp(-(bar**2) / 0.01)[..., None], channels, -1)
    noise, models = random.normal(size=clean.shape) * 0.3 + 0.4, []
    for count, role in zip(steps, ("teacher", "student"), strict=False):
        t = np.linspace(1, 0, count + 1)
        part = t[:, None, None, None, None]
        states = part * noise + (1 - part) * clean
        x0 = part * 0.6 * clean.mean(0) + (1 - part * 0.6) * clean
        models.append({"name": f"{role}, {count} steps", "role": role, "sigma": 80 * t**7, "t": t, "states": states,
                       "evaluations": np.arange(count + 1), "x0": x0})
    return {"title": "Bars", "kind": "images", "limits": (0, 1), "moments": [{"step": None, "models": models}]}


def painted(page) -> int:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return int(page.evaluate("document.querySelector('.wb').dataset.painted"))


def marks(page, canvas: str = ".wb-canvas") -> list[int]:
    """How many differently coloured pixels than its corner each canvas has."""
    return page.evaluate("""(which) => [...document.querySelectorAll(which)].map((canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const all = new Uint32Array(data.buffer);
        return all.filter((one) => one !== all[0]).length; })""", canvas)


def pace(page, move: str) -> float:
    """Milliseconds a frame while ``move`` (with k from 0 to 50) runs once a frame; best of three."""
    return page.evaluate("""async (move) => {
        const act = new Function("k", move), root = document.querySelector(".wb"), rounds = [];
        const frame = () => new Promise(requestAnimationFrame);
        for (let round = 0; round < 3; round++) {
            const from = Number(root.dataset.painted), start = performance.now();
            for (let k = 0; k <= 50; k++) { act(k); await frame(); }
            await frame();
            rounds.push((performance.now() - start) / (Number(root.dataset.painted) - from)); }
        return Math.min(...rounds); }""", move)


def shot(page, name: str) -> None:
    if SHOTS:
        Path("/tmp/shots").mkdir(exist_ok=True)
        page.locator(".wb").screenshot(path=f"/tmp/shots/{name}.png")


def walk(x0: np.ndarray, sigma: np.ndarray) -> dict:
    """A row of the inspector from what a walk predicted."""
    flat = x0.reshape(*x0.shape[:2], -1)
    apart = np.linalg.norm(np.diff(flat, axis=0), axis=-1).mean(1)
    spread = np.linalg.norm(flat - flat.mean(1, keepdims=True), axis=-1).mean(1)
    return {"sigma": sigma, "t": np.linspace(1, 0, len(sigma)), "x0": x0, "final": x0[-1], "diversity": spread,
            "to_end": np.linalg.norm(flat - flat[-1], axis=-1).mean(1), "change": np.concatenate([[np.nan], apart])}


def targets(kind: str = "points", samples: int = 200, **more) -> dict:
    """A teacher of 20 steps, a student of 4 and one of as many as the teacher, as rows."""
    data = points(samples) if kind == "points" else digits(samples, (40, 4))
    rows = []
    for model in data["moments"][0]["models"][:2]:
        row = walk(model["x0"][:-1], model["sigma"][:-1])
        rows.append({"name": model["name"], "role": model["role"], **row})
    twin = walk(rows[0]["x0"] * 0.93 + 0.02, rows[0]["sigma"])
    return {"title": data["title"], "kind": kind, "limits": data["limits"], "samples": samples,
            "rows": [*rows, {"name": "average of the student", "role": "average", **twin}], **more}
