"""One sentence for the many ways in which a library says that memory has run out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def enough_memory(what: str, remedy: str) -> Iterator[None]:
    """Raise MemoryError, naming ``what`` did not fit and the ``remedy``, for any allocation that failed within."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        short = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
        if not short:
            raise
        raise MemoryError(f"out of memory: {what} does not fit; {remedy}") from error
