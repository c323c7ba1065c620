"""A causal language model as a teacher: logits for losses, and generation with counted randomness and a KV cache."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from workbench.randomness import Key
from workbench.teachers.from_transformers_memory import enough_memory
from workbench.types import Tokens


class CausalTeacher(nn.Module):
    """``model`` (of transformers, frozen by ``load``) with its ``tokenizer``.

    Tokens are ids (B, T) int64 with mask (B, T), false where there is padding, which may stand on either side:
    positions are counted over the mask. V is the number of rows of the output layer.
    """

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.takes = set(inspect.signature(model.forward).parameters)
        ends = getattr(model.generation_config, "eos_token_id", None)
        ends = tokenizer.eos_token_id if ends is None else ends
        self.ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        first = (tokenizer.pad_token_id, *self.ends, 0)
        self.pad = next(token for token in first if token is not None)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Next-token logits (B, T, V), float32; the row at a padded place means nothing."""
        mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
        with enough_memory(f"a batch of {tuple(ids.shape)} tokens", "take fewer rows or shorter ones"):
            return self.asked(ids, mask, positions(mask)).logits.float()

    def logits(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """The same: (B, T, V)."""
        return self(ids, mask)

    def asked(self, ids: Tensor, mask: Tensor, places: Tensor, **named: Any) -> Any:
        """The model's own answer; inputs that its class does not know are left out."""
        given = dict(attention_mask=mask.long(), position_ids=places, **named)
        return self.model(input_ids=ids, **{name: value for name, value in given.items() if name in self.takes})

    # -- text -------------------------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str], *, side: str = "left", max_length: int | None = None) -> Tokens:
        """Tokens of the texts on the model's device, padded on ``side``; cut to ``max_length`` where it is given.

        Raises ValueError for a text without tokens (such as ""), and for one string where several are meant.
        """
        if isinstance(texts, str):
            raise ValueError("give a list of texts, such as [text]")
        rows = self.tokenizer(list(texts), truncation=max_length is not None, max_length=max_length)["input_ids"]
        for index, row in enumerate(rows):
            if not row:
                raise ValueError(f"text {index} ({texts[index]!r}) has no tokens: give it at least one word")
        longest = max(map(len, rows))
        fill = lambda row, value: [value] * (longest - len(row))  # noqa: E731
        order = (lambda row, rest: rest + row) if side == "left" else (lambda row, rest: row + rest)
        ids = [order(row, fill(row, self.pad)) for row in rows]
        mask = [order([True] * len(row), fill(row, False)) for row in rows]
        return Tokens(torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device))

    def decode(self, ids: Tensor | Tokens) -> list[str]:
        """Texts of rows of ids (B, T), without padding (where it is known) and special tokens."""
        rows = [row[keep] for row, keep in zip(*ids, strict=True)] if isinstance(ids, Tokens) else ids
        return [self.tokenizer.decode(row.tolist(), skip_special_tokens=True) for row in rows]

    # -- generation -------------------------------------------------------------------------------------------

    @torch.no_grad()
    def generate(self, prompts: Sequence[str] | Tokens | Tensor, *, max_new_tokens: int, temperature: float = 1.0,
                 top_p: float = 1.0, seed: int = 0, batch_size: int = 16, use_cache: bool = True) -> Tokens:
        """The continuations alone: ids (B, N), N <= max_new_tokens, mask true up to and with the end token.

        ``temperature`` 0 takes the likeliest token. Else row i draws its n-th token by Key(seed, step=n, block=i), on
        the CPU, from the likeliest tokens that together have ``top_p``: neither ``batch_size`` nor the device nor the
        other rows change it, up to rounding. Of the model's own generation settings only the end tokens are used.
        Raises ValueError for settings out of range and for more tokens than the model has positions for.
        """
        if max_new_tokens < 1 or temperature < 0 or not 0 < top_p <= 1 or batch_size < 1:
            raise ValueError("max_new_tokens and batch_size must be at least 1, temperature 0 or more, top_p in (0, 1]")
        tokens = to_left(self.tokens(prompts))
        most = getattr(self.model.config, "max_position_embeddings", None)
        longest = int(tokens.mask.sum(1).max())
        if most is not None and longest + max_new_tokens > most:
            raise ValueError(f"{longest} tokens and {max_new_tokens} new ones exceed the model's {most} positions: "
                             f"shorten the prompts or lower max_new_tokens to {max(most - longest, 0)}")
        parts = []
        for start in range(0, len(tokens.ids), batch_size):
            piece, key = Tokens(*(value[start : start + batch_size] for value in tokens)), Key(seed, block=start)
            with enough_memory(f"generating {len(piece.ids)} rows", "lower batch_size or max_new_tokens"):
                parts.append(self.continued(piece, max_new_tokens, temperature, top_p, key, use_cache))
        return joined(parts, self.pad)

    def continued(self, tokens: Tokens, count: int, temperature: float, top_p: float, key: Key, cached: bool) -> Tokens:
        """Up to ``count`` more tokens of left-padded rows; ``key.block`` is the number of the first row."""
        used = int(tokens.mask.any(0).int().argmax())
        ids, mask = tokens.ids[:, used:], tokens.mask[:, used:]
        ends = torch.tensor(self.ends, device=ids.device, dtype=torch.long)
        going, found, kept, memory = torch.ones_like(mask[:, 0]), [], [], None
        for turn in range(count):
            fresh = slice(-1, None) if memory is not None else slice(None)
            out = self.asked(ids[:, fresh], mask, positions(mask)[:, fresh], past_key_values=memory, use_cache=cached,
                             logits_to_keep=1)
            memory = getattr(out, "past_key_values", None) if cached else None
            draws = None if temperature == 0 else drawn(key.at(step=turn), len(ids)).to(ids.device)
            token = chosen(out.logits[:, -1].float(), temperature, top_p, draws).where(going, self.pad)
            found, kept = [*found, token], [*kept, going]
            ids, mask = torch.cat([ids, token[:, None]], 1), torch.cat([mask, going[:, None]], 1)
            going = going & ~torch.isin(token, ends)
            if not going.any():
                break
        return Tokens(torch.stack(found, 1), torch.stack(kept, 1))

    def tokens(self, prompts: Sequence[str] | Tokens | Tensor) -> Tokens:
        if isinstance(prompts, Tensor):
            prompts = Tokens(prompts, torch.ones_like(prompts, dtype=torch.bool))
        elif not isinstance(prompts, Tokens):
            prompts = self.encode(prompts)
        if not bool(prompts.mask.any(1).all()):
            raise ValueError("a row of the mask is false throughout: every prompt needs at least one token")
        return Tokens(prompts.ids.to(self.device), prompts.mask.to(self.device).bool())


def positions(mask: Tensor) -> Tensor:
    """(B, T) int64: each token's number among those that count, 0 before the first."""
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def to_left(tokens: Tokens) -> Tokens:
    """The same rows with all padding in front."""
    order = tokens.mask.int().argsort(dim=1, stable=True)
    return Tokens(tokens.ids.gather(1, order), tokens.mask.gather(1, order))


def drawn(key: Key, count: int) -> Tensor:
    """(count,) uniform in [0, 1), one per row, each from its own key."""
    rows = (key.at(block=key.block + row).generator("token") for row in range(count))
    return torch.cat([torch.rand(1, generator=generator, dtype=torch.float64) for generator in rows])


def chosen(logits: Tensor, temperature: float, top_p: float, draws: Tensor | None) -> Tensor:
    """(B,) the likeliest of logits (B, V), or by ``draws`` (B,) from the smallest set of tokens that has ``top_p``."""
    if draws is None:
        return logits.argmax(1)
    p, order = torch.softmax(logits.double() / temperature, 1).sort(dim=1, descending=True, stable=True)
    before = p.cumsum(1) - p
    p = p.where(before < top_p, 0.0)
    place = (p.cumsum(1) <= (draws * p.sum(1))[:, None]).sum(1, keepdim=True)
    return order.gather(1, place.clamp(max=p.shape[1] - 1))[:, 0]


def joined(parts: Sequence[Tokens], pad: int) -> Tokens:
    """The rows of all parts, padded on the right to the longest."""
    longest = max(part.ids.shape[1] for part in parts)
    widen = lambda x, value: nn.functional.pad(x, (0, longest - x.shape[1]), value=value)  # noqa: E731
    return Tokens(torch.cat([widen(part.ids, pad) for part in parts]),
                  torch.cat([widen(part.mask, False) for part in parts]))
