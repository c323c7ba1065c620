"""How the nets of the bench ``shapes`` are trained: the engine with three plain methods, one for each net."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.benches.shapes_captions import COLUMNS, UNSAID
from workbench.benches.training import DrawnData, Recipe, shown
from workbench.methods.parts.draws import noise_like
from workbench.methods.parts.schedules import cosine
from workbench.teachers.trained import Notes, fingerprint, kept
from workbench.train.run import Run
from workbench.types import Adam, Labelled, Loss, NonNegative, Now, Positive, Samples, Unit, Update

VERSION = 1  # of what this file computes: raise it when a recipe's weights would change
GROUPS = {**COLUMNS, "ground": 2}  # what the judge reads, and between how many classes


@dataclass(frozen=True)
class Autoencoding:
    """Squared error of decoded samples of the posterior, plus ``kl`` nats^-1 times its KL to N(0, 1) per latent.

    Source: 2112.10752, sec. 3.1, without its perceptual and adversarial parts.
    """

    edges: NonNegative = 1.0
    kl: NonNegative = 1e-4
    lr: Positive = 2e-3

    def updates(self) -> tuple[Update, ...]:
        optimizer = Adam(betas=(0.9, 0.99), clip=1.0)
        return (Update(("student",), self.loss, cosine(self.lr, warmup=0.05), optimizer=optimizer),)

    def loss(self, nets: Mapping[str, Any], batch: Samples, now: Now) -> Loss:
        law = nets["student"].encode(batch.x).latent_dist
        latents = law.mean + law.std * noise_like(law.mean, now)
        wrong = nets["student"].decode(latents).sample - batch.x
        error, away = wrong.square().mean(), law.kl().mean() / law.mean[0].numel()
        edges = wrong.diff(dim=-1).square().mean() + wrong.diff(dim=-2).square().mean()
        return Loss(error + self.edges * edges + self.kl * away, dict(error=error, edges=edges, kl=away))


@torch.no_grad()
def calm(vae: Any) -> Any:
    """The fresh autoencoder with every residual branch at a tenth and little noise on its latents: it learns faster."""
    for layer in vae.modules():
        if type(layer).__name__ == "ResnetBlock2D":
            layer.conv2.weight.mul_(0.1)
            layer.conv2.bias.zero_()
    noise = vae.config.latent_channels
    vae.quant_conv.weight[noise:].zero_()
    vae.quant_conv.bias[noise:].fill_(-5.0)
    return vae


@dataclass(frozen=True)
class Reading:
    """Cross-entropy of every attribute that is said, summed: y (B, 7) in the order of ``GROUPS``, ``UNSAID`` left out.

    Half of the pictures are noised by up to ``noise``, so that a picture that is not quite clean is read as well.
    """

    noise: NonNegative = 0.2
    weight_decay: float = 1e-2
    lr: Positive = 2e-3

    def updates(self) -> tuple[Update, ...]:
        optimizer = Adam(weight_decay=self.weight_decay)
        return (Update(("student",), self.loss, cosine(self.lr, warmup=0.05), optimizer=optimizer),)

    def loss(self, nets: Mapping[str, Any], batch: Labelled, now: Now) -> Loss:
        much = self.noise * (2 * torch.rand(len(batch.x), 1, 1, 1, generator=now.rng("much")) - 1).clamp(min=0)
        logits = nets["student"](batch.x + much * noise_like(batch.x, now)).split(list(GROUPS.values()), dim=1)
        parts = {name: functional.cross_entropy(said, batch.y[:, column], ignore_index=UNSAID)
                 for column, (name, said) in enumerate(zip(GROUPS, logits, strict=True))}
        return Loss(sum(parts.values(), torch.zeros(())), parts)


class Painter(nn.Module):
    """A pipeline's U-Net with its text encoder, as they are trained together; ``tokens`` (K + 1, T), the empty last."""

    tokens: Tensor

    def __init__(self, unet: Any, text: Any, tokens: Tensor) -> None:
        super().__init__()
        self.unet, self.text = unet, text
        self.register_buffer("tokens", tokens, persistent=False)
        self.settings = {"unet": plain(unet.config), "text": plain(text.config.to_dict())}

    def forward(self, x_t: Tensor, timestep: Tensor, cond: Tensor) -> Tensor:
        said, place = cond.unique(return_inverse=True)
        return self.unet(x_t, timestep, self.text(self.tokens[said])[0][place]).sample


@dataclass(frozen=True)
class Denoising:
    """|eps - guess|^2 at timesteps 0 ... T-1 of a table (2006.11239, eq. 14), or of v (2202.00512) for ``form`` "v".

    ``alphas`` (T,) are cumulated, as a tuple. ``unlabelled`` is the share of captions replaced by the empty one, for
    guidance (2207.12598). ``tail`` is the power of the averaging profile (2312.02696, eq. 3).
    """

    alphas: tuple[float, ...]
    form: str = "eps"
    unlabelled: Unit = 0.1
    tail: Positive = 8.0
    lr: Positive = 2e-3

    def updates(self) -> tuple[Update, ...]:
        optimizer = Adam(betas=(0.9, 0.99), clip=1.0)
        return (Update(("student",), self.loss, cosine(self.lr, warmup=0.05), average=self.average,
                       optimizer=optimizer),)  # fmt: skip

    def average(self, now: Now) -> float:
        """Decay (1 - 1/n)^(tail + 1) after n steps: the average keeps the last share ~1/tail of the training."""
        return (1 - 1 / (now.step + 1)) ** (self.tail + 1)

    def loss(self, nets: Mapping[str, Any], batch: Labelled, now: Now) -> Loss:
        x, noise, count = batch.x, noise_like(batch.x, now), len(batch.x)
        shares = (torch.arange(count) + torch.rand(count, generator=now.rng("time"))) / count
        step = (shares * len(self.alphas)).long().clamp(max=len(self.alphas) - 1)
        square = torch.tensor(self.alphas)[step].view(-1, 1, 1, 1)
        alpha, sigma = square.sqrt(), (1 - square).sqrt()
        hidden = torch.rand(count, generator=now.rng("unlabelled")) < self.unlabelled
        net = nets["student"]
        cond = torch.where(hidden, len(net.tokens) - 1, batch.y)
        guess = net(alpha * x + sigma * noise, step, cond)
        target = noise if self.form == "eps" else alpha * noise - sigma * x
        return Loss(functional.mse_loss(guess, target))


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a library's config says of the net itself, as JSON: no versions, no paths."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()
            if not name.startswith("_") and "version" not in name and "dtype" not in name}


def trained(name: str, net: nn.Module, settings: Mapping[str, Any], recipe: Recipe, made_of: Sequence[Tensor],
            make: Callable[[], tuple[Tensor, Tensor]], kind: type = Samples) -> nn.Module:
    """``net`` frozen, trained by the recipe on x (N, ...), y (N, ...), or loaded when the cache holds just that.

    ``make()`` gives x and y, and is asked only where there is something to train; ``made_of`` stands for them in the
    fingerprint, ``settings`` (JSON) for the net. A progress bar goes to stderr.
    """
    said = {**asdict(recipe), "kind": type(recipe.method).__name__, "net": dict(settings), "version": VERSION}

    def run_it(fresh: nn.Module) -> Notes:
        started, (x, y) = time.perf_counter(), make()
        data = DrawnData(x, y, recipe.seed, recipe.batch_size, kind)
        nets = {"student": fresh.requires_grad_(True).train()}
        run = Run(recipe.method, nets, data, seed=recipe.seed, steps=recipe.steps)
        last = shown(run, f"training {name} (once, then cached)")
        fresh.load_state_dict(run.student().state_dict())
        return {"seconds": round(time.perf_counter() - started, 1), "last_loss": last, "torch": torch.__version__}

    return kept(name, net, fingerprint(said, *made_of), run_it)
