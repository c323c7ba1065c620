"""What every source of data gives: items by index, prompts by index, a fingerprint of all they are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

from torch import Tensor


class Item(NamedTuple):
    """One example: image (3, H, W) float32 in [-1, 1], or None where there are prompts alone; its prompt."""

    image: Tensor | None
    prompt: str


class BadItem(ValueError):
    """An item that cannot be used because of what it is: torn, empty or unreadable. It is so at every visit, so
    passing over it is counted like everything else; a disk that fails is an OSError and is never passed over."""

    def __init__(self, said: str) -> None:
        super().__init__(said.encode(errors="backslashreplace").decode())  # names of files need not be UTF-8


class Source(ABC):
    """Data by index: ``source[index] -> Item``, ``len(source)``, ``source.prompt(index)``, ``source.fingerprint``.

    Nothing is held but what finds an item again. ``pictures`` and ``captioned`` say which half of an item there is.
    Raises IndexError outside [0, len), BadItem for an item that is there and cannot be used.
    """

    pictures: bool = True
    captioned: bool = True

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """sha256 (hex) of the settings and of every byte that items are made of: equal ones give equal items."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def prompt(self, index: int) -> str:
        """The prompt of one item; "" where ``captioned`` is false."""

    def image(self, index: int) -> Tensor | None:
        """The picture of one item, (3, H, W) in [-1, 1]; None where ``pictures`` is false."""
        return None

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return Item(self.image(index), self.prompt(index))

    @property
    def prompts(self) -> Sequence[str] | None:
        """The table of prompts that a batch's y points into, read when looked at; None where there are none."""
        return PromptTable(self) if self.captioned else None


class PromptTable(Sequence[str]):
    """The prompts of a source in order of index, each read when it is asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self.source.prompt(i) for i in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"prompt {index} of {len(self)}")
        return self.source.prompt(place)


def usable(text: object, where: str) -> str:
    """The text without white space at its ends; BadItem, naming ``where``, when it is no text, or empty."""
    if not isinstance(text, str):
        raise BadItem(f"{where} holds {type(text).__name__}, not a text: choose another field, or repair it")
    text = text.strip()
    if not text:
        raise BadItem(f"{where} is an empty prompt: write one, or pass over such items with on_bad='skip'")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadItem(f"{where} holds half a surrogate pair at letter {error.start}: no Unicode text") from None
    return text


def faults(source: Source) -> Iterator[tuple[int, BadItem]]:
    """Visit every item; yields (index, what is wrong) for each that cannot be used. For a look before a long run."""
    for index in range(len(source)):
        try:
            source[index]
        except BadItem as error:
            yield index, error
