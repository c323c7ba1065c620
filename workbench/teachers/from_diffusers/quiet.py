"""The libraries' progress bars and advice, silenced while a pipeline is built or opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """diffusers and transformers say errors only and show no bars while this is open; then they are as before."""
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    before = [(one, one.get_verbosity(), getattr(one, "_tqdm_active", True)) for one in (ours, theirs)]
    for one in (ours, theirs):
        one.set_verbosity_error()
        one.disable_progress_bar()
    try:
        yield
    finally:
        for one, level, bars in before:
            one.set_verbosity(level)
            if bars:
                one.enable_progress_bar()
