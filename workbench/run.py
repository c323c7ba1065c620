"""``python -m workbench.run FOLDER``: work on the job of a folder; what every executor starts, wherever it does."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

GRACE = 4.0  # seconds from being left alone to giving up


def main(arguments: list[str]) -> int:
    """Exit status 0 if and only if the job has succeeded; 2 for a folder that cannot be worked on, TAKEN for one that
    another process works on."""
    from workbench.jobs.executors import TAKEN
    from workbench.jobs.folder import Taken
    from workbench.jobs.work import work

    if len(arguments) != 1:
        print("usage: python -m workbench.run FOLDER", file=sys.stderr)
        return 2
    watch_parent()
    try:
        status = work(Path(arguments[0]))
    except (ValueError, OSError, Taken) as error:
        print(f"error: {error}", file=sys.stderr)
        return TAKEN if isinstance(error, Taken) else 2
    return {"succeeded": 0, "killed": 130}.get(status, 1)


def watch_parent() -> None:
    """End when the process named by WORKBENCH_PARENT is not our parent any more: nobody else would end us."""
    parent = os.environ.pop("WORKBENCH_PARENT", None)
    if parent:
        threading.Thread(target=leave_with, args=(int(parent),), daemon=True).start()


def leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)  # the cell is interrupted: a training saves and ends
    time.sleep(GRACE)
    os._exit(1)  # the kernel sees its parent gone and ends too


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
