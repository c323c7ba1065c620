"""Reflow and distil: straighten the flow on its own noise-sample pairs, then learn it in one step.

InstaFlow, arXiv 2309.06380, algorithms 1-2; Rectified Flow, 2209.03003. Here t = 1 is noise, velocity = eps - x0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from workbench.methods.parts.distances import square
from workbench.methods.parts.draws import integers, noise_like, uniform
from workbench.methods.parts.grids import levels
from workbench.methods.parts.schedules import cosine, ramped
from workbench.nets.clone import clone
from workbench.noise import LinearFlow, Process, from_x0, spread, to_x0
from workbench.solvers import Euler, Heun, Sampler, Solver
from workbench.types import Act, Average, Count, Loss, Positive, Unit, Update


class PairStore(nn.Module):
    """Lines to learn: end (N, ...), the noise (N, ...) they point to, label (N,); buffers, so a checkpoint holds them.

    The line of an end passes at t_max through the very start that a flow carried there, wherever t_max lies.
    """

    def __init__(self, pairs: int, shape: tuple[int, ...], labelled: bool) -> None:
        super().__init__()
        self.labelled = labelled
        self.register_buffer("noise", torch.zeros(pairs, *shape))
        self.register_buffer("end", torch.zeros(pairs, *shape))
        self.register_buffer("label", torch.zeros(pairs, dtype=torch.long))

    def put(self, place: slice, noise, end, label) -> None:
        self.noise[place], self.end[place] = noise, end
        if self.labelled:
            self.label[place] = label

    def draw(self, i):
        """(noise, end, label or None) at indices i (B,)."""
        label = self.label[i]
        return self.noise[i], self.end[i], label if self.labelled else None


@dataclass(frozen=True)
class Reflow:
    """Acts: pairs of the teacher, ``reflows`` times (flow on them, pairs of that flow), then one-step distillation.

    ``reflows`` = 0 distils the teacher's own pairs: the ablation. ``pair_steps`` solver steps make a pair.
    ``distil_share`` is the share of the training steps that the one-step student gets (1 when reflows = 0); at 0 the
    programme ends with the straightened flow.
    ``fill`` pairs are made per filling step.
    """

    process: Process = LinearFlow()
    solver: Solver = Heun()
    reflows: int = 1
    pairs: Count = 20_000
    pair_steps: Count = 20
    fill: Count = 1000
    distil_share: Unit = 0.5
    ema: Average = 0.999
    lr: Positive = 1e-3
    stage: str = "distil"
    source: str = "teacher"
    form = "velocity"

    def extras(self, teacher, student, example):
        return {"pairs": PairStore(self.pairs, example.x.shape[1:], example.y is not None), "flow": clone(student)}

    def acts(self, steps):
        filling = -(-self.pairs // self.fill)
        training = steps - (self.reflows + (self.distil_share > 0 or not self.reflows)) * filling
        if training < self.reflows + 1:
            raise ValueError(f"{steps} steps do not even fill {self.reflows + 1} pair stores of {self.pairs}: "
                             f"raise steps or fill (now {self.fill}), or lower pairs")
        distil = int(training * self.distil_share) if self.reflows else training
        acts, source = [], "teacher"
        for i in range(self.reflows):
            kept = keep_flow if i else None
            flow = (training - distil) * (i + 1) // self.reflows - (training - distil) * i // self.reflows
            acts += [Act(f"pairs {i + 1}", replace(self, stage="pairs", source=source), filling, kept),
                     Act(f"reflow {i + 1}", replace(self, stage="reflow"), flow)]
            source = "flow"
        if not distil:
            return tuple(acts)
        last = replace(self, stage="pairs", source=source)
        return (*acts, Act("pairs", last, filling, keep_flow if self.reflows else None), Act("distil", self, distil))

    def updates(self):
        if self.stage == "pairs":
            return (Update((), self.make_pairs),)
        return (Update(("student",), self.loss, cosine(self.lr), average=ramped(self.ema)),)

    def sampler(self):
        straight = self.distil_share > 0 or not self.reflows  # else the flow itself is what comes out
        return Sampler(Euler(), "uniform", 1, only=self.stage == "distil" and straight)

    def make_pairs(self, nets, batch, now):
        """Fill the next stretch of the store: starts from the prior, carried to their ends."""
        place = slice(now.step * self.fill, min((now.step + 1) * self.fill, self.pairs))
        y = None if batch.y is None else batch.y.repeat(-(-self.fill // len(batch.y)))[: place.stop - place.start]
        noise = noise_like(nets["pairs"].noise[place], now)
        start = x = self.process.prior(noise)
        net = lambda x, t, s=None: to_x0(nets[self.source](x, t, cond=y), "velocity", self.process, x, t)  # noqa: E731
        memory, grid = None, levels(self.process, self.pair_steps, "karras", now.device)
        for t, s in zip(grid, grid[1:], strict=False):
            moved = self.solver.step(net, self.process, x, t.expand(len(x)), s.expand(len(x)), memory)
            x, memory = moved.x_s, moved.memory
        end_time = grid[:1].expand(len(x))
        nets["pairs"].put(place, from_x0(x, "eps", self.process, start, end_time), x, y)
        return Loss(torch.zeros(()), dict(pairs=torch.tensor(float(place.stop))))

    def loss(self, nets, batch, now):
        """Velocity of straight lines between pairs; the one-step student sees them at t_max alone."""
        noise, end, label = nets["pairs"].draw(integers(0, self.pairs, len(batch.x), now))
        straight = self.stage == "distil"
        share = 1 - uniform(len(end), now)  # (0, 1]: a velocity has no limit at t = 0
        t = self.process.t_max * (torch.ones_like(share) if straight else share)
        x_t = self.process.add_noise(end, t, noise)  # [B, ...]; at t_max the start of the pair
        guess = nets["student"](x_t, t, cond=label)  # velocity [B, ...]
        if straight:
            x0, target = to_x0(guess, "velocity", self.process, x_t, t), end
        else:
            alpha_rate, sigma_rate = self.process.rates(spread(t, end))
            x0, target = guess, alpha_rate * end + sigma_rate * noise
        total = square(x0, target).mean()
        return Loss(total, {self.stage: total}, dict(x_t=x_t, t=t, target=target, guess=x0))


def keep_flow(nets) -> None:
    """Keep the straightened flow as the maker of the next pairs, and go on from it."""
    for name in ("flow", "student"):
        nets[name].load_state_dict(nets["student.average"].state_dict())
