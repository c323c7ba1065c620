"""``workbench lab``: JupyterLab on the notebooks of this checkout, or on a copy of the installed ones."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench.jobs.notebook import shipped

FORBIDDEN = ("--ServerApp.token=", "--IdentityProvider.token=", "--ServerApp.password=", "--NotebookApp.token=")


def command_line(options: Sequence[str]) -> list[str]:
    """The command that starts JupyterLab, its token kept. ValueError for an option that would take the token away."""
    for option in options:
        if option.rstrip("\"'") in FORBIDDEN:
            raise ValueError(f"{option} would open this machine to everyone: leave it out, the address holds the token")
    return [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder()}", *options]


def folder() -> Path:
    """Notebooks that may be written: the checkout's own, else a copy in ./notebooks made now (never overwritten)."""
    known = shipped()
    if not known:
        raise ValueError("no notebook came with this installation: install it anew")
    own = next(iter(known.values())).parent
    if (own.parent / "pyproject.toml").exists() and os.access(own, os.W_OK):
        return own
    mine = Path.cwd() / "notebooks"
    mine.mkdir(exist_ok=True)
    for path in known.values():
        if not (mine / path.name).exists():
            shutil.copyfile(path, mine / path.name)
    return mine
