"""``python -m tests.benches.lcm_script``: latent consistency distillation as diffusers' script trains it, by hand.

After examples/consistency_distillation/train_lcm_distill_sd_wds.py and LCM, arXiv 2310.04378, alg. 1: 50 DDIM steps of
a guided teacher, boundary conditions with timestep_scaling 10, pseudo-Huber loss (c = 0.001), a target network (decay
0.95), AdamW (weight decay 0.01), constant rate. Departs: one guidance scale instead of a range with an embedding, as
the script for LoRA has none. Prints its student beside this package's ``consistency`` on the bench shapes: same
network (the teacher saved as a diffusers pipeline first), data, steps, batches, guidance and start noise.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from typing import Any

import torch
from torch import Tensor

from workbench.benches import load
from workbench.benches.assemble import born, generate
from workbench.benches.pipeline import PipelineBench
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.noise import VpTable
from workbench.randomness import Key
from workbench.solvers import Consistency, Euler, Sampler
from workbench.teachers.guidance import Guided
from workbench.train.loop import train

DDIM_STEPS, SCALING, HUBER = 50, 10.0, 0.001


class Saved:
    """The bench shapes, its teacher saved as a diffusers pipeline and loaded again; its students LoRA or copies."""

    def __init__(self, rank: int | None) -> None:
        self.shapes = load("shapes")
        self.nets = PipelineBench(str(self.shapes.pipeline_folder()), self.shapes.captions, rank=rank,
                                  sigma_data=self.shapes.sigma_data)
        self.teacher, self.student = self.nets.teacher, self.nets.student

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["shapes"], name)


def boundary(timestep: Tensor, sigma_data: float = 0.5) -> tuple[Tensor, Tensor]:
    """c_skip, c_out (B, 1, 1, 1) of LCMScheduler."""
    scaled = timestep * SCALING
    skip = sigma_data**2 / (scaled**2 + sigma_data**2)
    out = scaled / (scaled**2 + sigma_data**2) ** 0.5
    return skip[:, None, None, None], out[:, None, None, None]


def x0_of(net: Any, x: Tensor, timestep: Tensor, y: Tensor | None,
          levels: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """(x0, eps) of a network that predicts noise."""
    alpha, sigma = (level[timestep][:, None, None, None] for level in levels)
    eps = net(x, timestep.float() + 1, cond=y)
    return (x - sigma * eps) / alpha, eps


def trained(bench: Any, seed: int, steps: int, batch_size: int, lr: float, guidance_scale: float) -> Any:
    """The student of the script's loop."""
    teacher, student = bench.teacher(), bench.student(seed)
    target, data = copy.deepcopy(student).requires_grad_(False), bench.data(seed, batch_size)
    ends = VpTable(**{name: getattr(teacher.process, name) for name in ("beta_schedule", "beta_start", "beta_end")})
    levels = ends.signal_noise(torch.arange(1, 1001, dtype=torch.float64))
    levels = tuple(level.float() for level in levels)
    step_size = 1000 // DDIM_STEPS
    optimizer = torch.optim.AdamW(student.parameters(), lr=lr, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8)
    for step in range(steps):
        x, y = data.at(step)
        draw = Key(seed, step=step).generator
        index = torch.randint(0, DDIM_STEPS, (len(x),), generator=draw("index"))
        start = (index + 1) * step_size - 1
        end = (start - step_size).clamp(min=0)
        alpha, sigma = (level[start][:, None, None, None] for level in levels)
        noisy = alpha * x + sigma * torch.randn(x.shape, generator=draw("noise"))
        skip, out = boundary(start)
        guess = skip * noisy + out * x0_of(student, noisy, start, y, levels)[0]
        with torch.no_grad():
            (x0, eps), (x0_none, eps_none) = (x0_of(teacher, noisy, start, cond, levels) for cond in (y, None))
            weight = guidance_scale - 1  # the paper's w
            x0, eps = x0 + weight * (x0 - x0_none), eps + weight * (eps - eps_none)
            alpha_end, sigma_end = (level[end][:, None, None, None] for level in levels)
            x_end = alpha_end * x0 + sigma_end * eps
            skip, out = boundary(end)
            wanted = skip * x_end + out * x0_of(target, x_end, end, y, levels)[0]
        loss = (((guess - wanted) ** 2 + HUBER**2).sqrt() - HUBER).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(target.parameters()), list(student.parameters()), 0.05)
    return student.requires_grad_(False)


def ours(bench: Any, seed: int, steps: int, batch_size: int, lr: float, guidance_scale: float) -> Any:
    """The student of this package's engine, of the same guided teacher."""
    run = born(bench, ConsistencyDistillation(solver=Euler(), lr=lr), seed=seed, steps=steps, batch_size=batch_size)
    run.counter.net = Guided(run.counter.net, guidance_scale)
    for _ in train(run):
        pass
    return run.student()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, nargs=2, default=(1e-3, 1e-3), metavar=("SCRIPT", "OURS"))
    parser.add_argument("--guidance-scale", type=float, default=3.0)
    parser.add_argument("--rank", type=int, help="of LoRA on one base; without it students are whole copies")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    bench, rows = Saved(asked.rank), {}
    for seed in range(asked.seeds):
        for name, make, lr in (("script", trained, asked.lr[0]), ("ours", ours, asked.lr[1])):
            began = time.perf_counter()
            student = make(bench, seed, asked.steps, asked.batch_size, lr, asked.guidance_scale)
            seconds = time.perf_counter() - began
            for count in (1, 2, 4):
                sampler = Sampler(Consistency(), "trig", count)
                rows.setdefault((name, count), []).append(
                    bench.measure(generate(bench, student, sampler, seed=seed)) | {"seconds": seconds})
    print(json.dumps({f"{name}, {count} steps": {key: [round(row[key], 4) for row in found] + [
        f"mean {statistics.fmean(row[key] for row in found):.4g}"] for key in found[0]}
        for (name, count), found in rows.items()}, indent=1))


if __name__ == "__main__":
    main()
