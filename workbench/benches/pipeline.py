"""``pipeline``: any diffusers pipeline as a bench, with prompts and pictures of one's own. All truth is the teacher."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from workbench.benches import sources
from workbench.benches.bench import Budget, Data, Generated
from workbench.benches.sources.batches import Batches
from workbench.noise import Edm, Process
from workbench.noise.times import karras
from workbench.randomness import Key
from workbench.solvers import Heun, sample
from workbench.students.ranges import check_bounds
from workbench.teachers.guidance import Guided
from workbench.types import Samples

FREE_NOISE = 80.0  # noise over signal at which a flow's walks begin: its own end, infinity, has no finite grid


@dataclass(frozen=True)
class PipelineBench:
    """A pipeline of ``folder`` (or of the hub's cache), to be distilled with ``prompts`` and, where given, pictures.

    ``prompts``: texts, or a file of them. ``images``: a folder of pictures or shards; their captions are the prompts
    then. ``rank``: of the students' LoRA on one shared base; None copies the network whole. ``guidance_scale``: what
    the teacher is guided by wherever a method asks for none itself. ``size`` (height, width) in pixels. Measured are
    the distance to the teacher's own samples and the diversity under one prompt, both in latents.

    Where ``rank`` is None, ``depth`` is the share of blocks that a student keeps, ``width`` the share of channels of a
    fresh one. ``ranges``, bounds in noise over signal, gives each range of noise adapters of its own.
    """

    folder: str
    prompts: tuple[str, ...] | str = ()
    images: str | None = None
    rank: int | None = 16
    depth: float = 1.0
    width: float = 1.0
    ranges: tuple[float, ...] = ()
    targets: tuple[str, ...] | str = "all-linear"
    guidance_scale: float = 1.0
    size: tuple[int, int] | None = None
    frames: int | None = None
    torch_dtype: str = "float32"
    device: str = "cpu"
    offload: bool = False
    gradient_checkpointing: bool = False
    compile: str | None = None  # torch.compile's backend for the network, "inductor" on a GPU; one graph a slot
    sigma_data: float = 1.0
    budget: Budget = Budget(teacher_calls=1e6, batch_size=4)
    samples: int = 16

    name: ClassVar[str] = "pipeline"
    metrics: ClassVar[tuple[str, ...]] = ("endpoint_error", "diversity")

    def __post_init__(self) -> None:
        for name in ("prompts", "targets", "size", "ranges"):
            if isinstance(getattr(self, name), list):  # JSON knows no tuples
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("depth", "width"):
            share = getattr(self, name)
            if not 0 < share <= 1:
                raise ValueError(f"{name} = {share}: give a share of the teacher's, above 0 and at most 1")
            if share < 1 and self.rank is not None:
                raise ValueError(f"{name} = {share} makes a student of its own, rank = {self.rank} adapters on the "
                                 f"teacher: give rank=None, or {name}=1")
        if self.ranges and self.rank is None:
            raise ValueError(f"ranges = {self.ranges} are of adapters, and rank=None makes none: give a rank")
        if self.ranges:
            check_bounds(self.ranges)

    @property
    def settings(self) -> dict[str, Any]:
        """What ``benches.load`` makes it from again: its name and its fields."""
        said = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "budget"}
        return {"name": self.name, **{key: list(v) if isinstance(v, tuple) else v for key, v in said.items()}}

    @cached_property
    def loaded(self) -> Any:
        """The pipeline before it knows its prompts."""
        from workbench.teachers.from_diffusers import Teacher

        found = Teacher.from_pretrained(self.folder, torch_dtype=self.torch_dtype, device=self.device, size=self.size,
                                        frames=self.frames, sigma_data=self.sigma_data, offload=self.offload)
        if self.compile:
            found.net.model.compile(backend=self.compile)
        return found

    @cached_property
    def source(self) -> Any:
        """Where batches come from; None for texts that were given, and for none."""
        if self.images:
            prompted = bool(self.loaded.net.conditions.table)
            return sources.load(self.images, size=self.loaded.size, **({} if prompted else {"captioned": False}))
        return sources.load(self.prompts) if isinstance(self.prompts, str) else None

    @cached_property
    def pipeline(self) -> Any:
        """The teacher with its table of prompts, its latents and pictures."""
        texts = self.prompts if self.source is None else self.source.prompts
        return self.loaded.knowing(texts or ())

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pipeline.shape

    @property
    def num_classes(self) -> int | None:
        return self.pipeline.net.num_classes

    @property
    def sigma_min(self) -> float:
        return max(self.pipeline.process.sigma_min, 0.002)

    @property
    def sigma_max(self) -> float:
        return min(self.pipeline.process.sigma_max, FREE_NOISE)

    def process(self, kind: type[Process] = Edm) -> Process:
        return kind(self.sigma_min, self.sigma_max, self.sigma_data)

    def data(self, seed: int, batch_size: int | None = None) -> Data:
        """Latents of pictures and their prompts' indices; with prompts alone x is NaN: only its shape may be read."""
        count = batch_size or self.budget.batch_size
        if self.source is None:
            return Wishes(self.shape, self.num_classes, seed, count)
        if not self.source.pictures:
            return Batches(self.source, seed, count, shape=self.shape, device=self.device)
        return Batches(self.source, seed, count, encode=self.pipeline.encode, device=self.device)

    @cached_property
    def shared(self) -> Any:
        """The base with its slots, None where students are whole copies."""
        from workbench.students.shared import Shared

        if self.rank is None:
            return None
        shared = Shared(self.pipeline.net.model, self.rank, targets=self.targets)
        if self.gradient_checkpointing:
            shared.checkpoint_gradients()
        return shared

    def teacher(self) -> nn.Module:
        """The frozen network; a view of the shared base without adapters where there is one."""
        from workbench.students.adapted import Adapted

        net = self.pipeline.net if self.shared is None else Adapted(self.pipeline.net, self.shared, None)
        guided = self.guidance_scale != 1 and not net.guided and self.num_classes
        return Guided(net, self.guidance_scale) if guided else net

    def student(self, seed: int = 0, second_time: bool = False, guided: bool = False) -> nn.Module:
        """A student that answers as the unguided teacher does, unless it is a smaller one."""
        from workbench.students.adapted import Adapted
        from workbench.students.ranges import Ranges
        from workbench.students.whole import Whole

        wants = {"seed": seed, "second_time": second_time, "guided": guided}
        if self.shared is None:
            return Whole.student(self.smaller(seed), **wants)
        views = [Adapted.student(self.pipeline.net, self.shared, **wants) for _ in range(len(self.ranges) + 1)]
        return Ranges(views, self.ranges) if self.ranges else views[0]

    def smaller(self, seed: int) -> Any:
        """The network that a student of its own begins as: the teacher's, with fewer blocks and channels if asked."""
        from workbench.students.narrow import narrow
        from workbench.students.shallow import shallow

        net = self.pipeline.net
        net = shallow(net, self.depth) if self.depth < 1 else net
        return narrow(net, self.width, seed) if self.width < 1 else net

    def start(self, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """Unit noise (count, ...) and the prompts' indices in turn."""
        noise = torch.randn(count, *self.shape, generator=Key(seed).generator("start")).to(self.device)
        return noise, torch.arange(count, device=self.device) % self.num_classes if self.num_classes else None

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures in [-1, 1]."""
        return self.pipeline.decode(latents)

    def measure(self, generated: Generated) -> dict[str, float]:
        """endpoint_error: root mean square distance to the teacher's samples (Heun, 32 steps) from the same noise;
        NaN without noise. diversity: the same between samples of one prompt, NaN where no prompt comes twice."""
        x, y = generated.x, generated.y
        found = dict.fromkeys(self.metrics, float("nan"))
        if generated.noise is not None:
            process = self.process(Edm)
            end = sample(self.teacher(), process, Heun(), karras(process, 32), process.prior(generated.noise), cond=y)
            found["endpoint_error"] = float((x - end).square().mean().sqrt())
        groups = [x] if y is None else [x[y == one] for one in y.unique()]
        spreads = [2 * group.flatten(1).var(0).mean() for group in groups if len(group) > 1]
        if spreads:
            found["diversity"] = float(torch.stack(spreads).mean().sqrt())
        return found

    @property
    def reference(self) -> dict[str, Any]:
        """Nothing is known of a perfect sampler here."""
        return {}


@dataclass(frozen=True)
class Wishes:
    """Batches of given texts: x (B, ...) is NaN, since only its shape may be read; y (B,) are drawn indices."""

    shape: tuple[int, ...]
    num_classes: int | None
    seed: int
    batch_size: int

    def at(self, step: int, block: int = 0) -> Samples:
        x = torch.full((self.batch_size, *self.shape), float("nan"))
        if not self.num_classes:
            return Samples(x)
        generator = Key(self.seed, step=step, block=block).generator("data")
        return Samples(x, torch.randint(self.num_classes, (self.batch_size,), generator=generator))
