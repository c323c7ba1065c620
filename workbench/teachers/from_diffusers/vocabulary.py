"""Real tokenizers of a small vocabulary, made on the spot: CLIP's byte pairs and T5's pieces. Nothing is downloaded."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = (
    "a", "an", "the", "of", "on", "in", "and", "with", "to", "left", "right", "above", "below", "big", "small", "one",
    "two", "three", "photo", "picture", "cat", "dog", "red", "green", "blue", "yellow", "black", "white", "circle",
    "square", "triangle", "cross", "star", "background",
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,-'"
START, END, SPACE = "<|startoftext|>", "<|endoftext|>", "▁"


def clip_tokenizer(words: Sequence[str] = WORDS, length: int = 24) -> Any:
    """A CLIPTokenizer whose ``words`` are one token each and whose other words fall into letters; at most ``length``.

    Its end token has the highest number, as in CLIP, and also pads.
    """
    from transformers import CLIPTokenizer

    merges = byte_pairs(words)
    pieces = [*LETTERS, *(letter + "</w>" for letter in LETTERS), *("".join(pair) for pair in merges), START, END]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
        Path(folder, "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
        Path(folder, "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return CLIPTokenizer.from_pretrained(folder, model_max_length=length)


def byte_pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Merges, in order, that make each word one token: what is still in pieces under the earlier ones is joined last.

    A later merge never undoes an earlier word, because the earliest merge that fits always comes first. ValueError for
    a word that CLIP would split: words are small letters a to z.
    """
    if odd := [word for word in words if not (word.isascii() and word.isalpha() and word.islower())]:
        raise ValueError(f"a word is made of the letters a to z alone, small ones; change {', '.join(map(repr, odd))}")
    merges: dict[tuple[str, str], int] = {}
    for word in words:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            known = [(merges[pair], at) for at, pair in enumerate(zip(pieces, pieces[1:], strict=False))
                     if pair in merges]
            at = min(known)[1] if known else 0
            merges.setdefault((pieces[at], pieces[at + 1]), len(merges))
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return list(merges)


def t5_tokenizer(words: Sequence[str] = WORDS, length: int = 64) -> Any:
    """A T5TokenizerFast whose ``words`` are one piece each and whose other words fall into letters; at most ``length``.

    0 pads, 1 ends, 2 is unknown, as in T5 and UMT5.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import T5TokenizerFast

    scores = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, SPACE: -6.0, **dict.fromkeys(LETTERS, -8.0)}
    scores |= {SPACE + word: -math.log(len(words)) for word in words}
    tokenizer = Tokenizer(models.Unigram([*scores.items()], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(str(Path(folder, "tokenizer.json")))
        return T5TokenizerFast.from_pretrained(folder, model_max_length=length, extra_ids=0)
