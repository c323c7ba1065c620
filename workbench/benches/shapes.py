"""Shapes: 32x32 pictures of one or two shapes with captions, in the latents of a tiny autoencoder; all trained here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from workbench.benches import shapes_nets as nets
from workbench.benches.bench import Budget, Generated, Interval
from workbench.benches.shapes_captions import CAPTIONS, SINGLE, mixed
from workbench.benches.shapes_drawing import Drawn, Pictures, Scenes, numbers, render, scenes
from workbench.benches.shapes_measures import agreement, balance, spread
from workbench.benches.training import DrawnData
from workbench.metrics.features import frechet, precision_recall
from workbench.nets.classifier import predictions
from workbench.noise import Edm, Process
from workbench.randomness import Key
from workbench.teachers.guidance import Guided

NEIGHBOURS = 5  # of precision and recall
HELD = 1 << 32  # held-out pictures are those from this index on
TWINS = 2  # pictures of each caption that is asked for


class Held(NamedTuple):
    """The yardstick: captions (N,), features (N, 64) of real pictures of them, mean distance between twins."""

    y: Tensor
    features: Tensor
    spread: float


@dataclass(frozen=True)
class Shapes:
    """Latents (4, 8, 8) of pictures drawn from ``drawing_seed``, conditional on their caption by its index.

    160 captions tell of one shape; ``pairs`` adds the 512 of two, for which the teacher needs a much longer training.
    The autoencoder and the judge know both.
    The teacher is an ordinary StableDiffusionPipeline, trained here at first use (about five minutes on one core) and
    kept; ``pipeline_folder`` is that pipeline saved. x of batches and samples is latents; ``decode`` gives pictures.
    """

    drawing_seed: int = 0
    count: int = 8192  # training pictures, one half of them with two shapes
    pairs: bool = False
    sizes: nets.Sizes = nets.Sizes()
    guidance_scale: float = 1.0  # of the teacher that students learn from
    budget: Budget = Budget(teacher_calls=1.28e5, batch_size=64)
    samples: int = 400  # drawn for a measurement
    memory: dict = field(default_factory=dict, init=False, repr=False, compare=False)  # nets and latents, once made

    name: ClassVar[str] = "shapes"
    shape: ClassVar[tuple[int, ...]] = (4, 8, 8)
    metrics: ClassVar[tuple[str, ...]] = ("agreement", "frechet", "precision", "recall", "diversity", "balance")

    @property
    def num_classes(self) -> int:
        """Number of captions."""
        return len(CAPTIONS) if self.pairs else SINGLE

    @property
    def captions(self) -> tuple[str, ...]:
        """The captions, in the order of their indices."""
        return CAPTIONS[: self.num_classes]

    # -- pictures ---------------------------------------------------------------------------------------------

    def scenes(self, first: int, count: int, captions: Tensor | None = None) -> Scenes:
        """What pictures ``first`` ... of this bench show; ``captions`` (count,) overrides theirs."""
        return scenes(self.drawing_seed, torch.arange(first, first + count), captions)

    def pictures(self, first: int, count: int, captions: Tensor | None = None) -> Pictures:
        """Real pictures ``first`` ... with the masks of their shapes; ``captions`` (count,) overrides theirs."""
        return render(self.scenes(first, count, captions))

    @property
    def drawn(self) -> Drawn:
        """The training pictures: their scenes, x and masks."""
        return self.made("drawn", lambda: Drawn(self.drawing_seed, self.count))

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, 32, 32) in [-1, 1] of latents (B, 4, 8, 8)."""
        return self.codec.decode(latents)

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents (B, 4, 8, 8), of unit standard deviation over all, of pictures (B, 3, 32, 32) in [-1, 1]."""
        return self.codec.encode(pictures)

    # -- nets -------------------------------------------------------------------------------------------------

    def made(self, name: str, make: Any) -> Any:
        """What ``make()`` gives, asked once."""
        if name not in self.memory:
            self.memory[name] = make()
        return self.memory[name]

    @property
    def codec(self) -> nets.Codec:
        """The trained autoencoder, which needs no teacher."""
        return self.made("codec", lambda: nets.Codec(self.started.vae, 64))

    @property
    def started(self) -> Any:
        """The pipeline with its autoencoder trained; its U-Net and text encoder are so when ``pipe`` is asked."""
        return self.made("started", lambda: nets.started(self.sizes, self.drawn))

    @property
    def latents(self) -> tuple[Tensor, Tensor]:
        """Training latents (N, 4, 8, 8), and captions (N,)."""
        vae = self.started.vae
        scaled = self.made("latents", lambda: vae.config.scaling_factor * nets.unscaled(vae, self.drawn))
        y = self.drawn.scenes.caption
        mine = y < self.num_classes
        return scaled[mine], y[mine]

    @property
    def pipe(self) -> Any:
        """The trained StableDiffusionPipeline."""
        return self.made("pipe", lambda: nets.painted(self.started, self.sizes, *self.latents))

    @property
    def pipeline(self) -> Any:
        """The same as the engine's teacher: its network, its latents and pictures, its table of captions."""
        from workbench.teachers.from_diffusers import Teacher

        return self.made("teacher", lambda: Teacher.of(self.pipe, prompts=self.captions, sigma_data=self.sigma_data))

    def teacher(self) -> nn.Module:
        """The pipeline's U-Net (cond=None is the empty caption), guided where ``guidance_scale`` is not 1."""
        net = self.pipeline.net
        return net if self.guidance_scale == 1 else Guided(net, self.guidance_scale)

    def student(self, seed: int = 0, second_time: bool = False, guided: bool = False) -> nn.Module:
        """The teacher's trainable copy, further inputs born as zeros, their first layers drawn from ``seed``."""
        from workbench.students.whole import Whole

        return Whole.student(self.pipeline.net, seed=seed, second_time=second_time, guided=guided)

    def judge(self) -> nn.Module:
        """The classifier of real pictures whose features and answers measure samples."""
        return self.made("judge", lambda: nets.judge(self.drawn, self.sizes))

    def pipeline_folder(self) -> Path:
        """The pipeline as a plain folder, in the cache: diffusers loads it without this package."""
        return nets.folder_of(self.pipe)

    # -- data and measures ------------------------------------------------------------------------------------

    @cached_property
    def sigma_data(self) -> float:
        """Standard deviation of all training latents: 1 over pictures of one and of two shapes together."""
        return float(self.latents[0].double().std(correction=0))

    @cached_property
    def table(self) -> Process:
        """The teacher's own process: it bounds the noise levels of all others."""
        from workbench.teachers.from_diffusers.schedule import read

        return read(self.started.scheduler, self.sigma_data)[0]

    @property
    def sigma_min(self) -> float:
        return self.table.sigma_min

    @property
    def sigma_max(self) -> float:
        return self.table.sigma_max

    def process(self, kind: type[Process] = Edm) -> Process:
        return kind(self.sigma_min, self.sigma_max, self.sigma_data)

    def data(self, seed: int, batch_size: int | None = None) -> DrawnData:
        return DrawnData(*self.latents, seed, batch_size or self.budget.batch_size)

    def asked(self, count: int) -> Tensor:
        """Captions (count,), each twice in a row, drawn as those of pictures are."""
        half = numbers(self.drawing_seed, torch.arange(HELD, HELD + -(-count // TWINS)))[:, :2]
        found = mixed(half) if self.pairs else (SINGLE * half[:, 1]).long()
        return found.repeat_interleave(TWINS)[:count]

    def start(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Unit noise (count, 4, 8, 8), and captions (count,) that are the same for every seed."""
        return torch.randn(count, *self.shape, generator=Key(seed).generator("start")), self.asked(count)

    @cached_property
    def held(self) -> Held:
        y = self.asked(self.samples)
        x = render(self.scenes(HELD, len(y), y)).x
        return Held(y, predictions(self.judge(), x)[0], spread(x, y))

    def measure(self, generated: Generated) -> dict[str, float]:
        """``metrics`` of latents by name, decoded first; NaN throughout where x is not finite.

        agreement: share that shows all its caption names (NaN without captions). frechet: of the judge's features to
        those of ``samples`` real held-out pictures of ``start``'s captions, biased upwards by small sets: compare equal
        numbers. precision, recall: against the same, 5 neighbours. diversity: mean distance between two pictures of one
        caption over real ones' (NaN where none comes twice). balance: twice the share of the rarer ground.
        """
        if not bool(torch.isfinite(generated.x).all()):
            return dict.fromkeys(self.metrics, float("nan"))
        return self.seen(self.decode(generated.x.detach().float().cpu()), generated.y)

    def seen(self, pictures: Tensor, y: Tensor | None = None) -> dict[str, float]:
        """``measure`` of pictures (N, 3, 32, 32) themselves."""
        features, logits = predictions(self.judge(), pictures)
        precision, recall = precision_recall(self.held.features, features, NEIGHBOURS)
        nothing = float("nan")
        return {
            "agreement": nothing if y is None else agreement(logits, y.cpu()),
            "frechet": frechet(features, self.held.features), "precision": precision, "recall": recall,
            "diversity": nothing if y is None else spread(pictures, y.cpu()) / self.held.spread,
            "balance": balance(logits),
        }  # fmt: skip

    def perfect(self, seeds: int = 5) -> dict[str, Interval]:
        """What a perfect sampler of the latents reads: lowest, mean and highest over ``seeds`` sets of fresh pictures.

        They are encoded and decoded, so what the autoencoder loses is in these numbers: no sampler can do better.
        """
        rows = []
        for seed in range(1, seeds + 1):
            y = self.asked(self.samples)
            fresh = render(self.scenes((seed + 1) * HELD, len(y), y)).x
            rows.append(self.measure(Generated(self.encode(fresh), y)))
        return {name: Interval(min(v), sum(v) / len(v), max(v))
                for name, v in ((name, [row[name] for row in rows]) for name in self.metrics)}  # fmt: skip

    @cached_property
    def reference(self) -> dict[str, Any]:
        """``perfect()``, computed when first read."""
        return self.perfect()
