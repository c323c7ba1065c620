"""``python -m workbench.jobs.ranks FOLDER``: one of several processes that train a run together.

``accelerate launch`` starts them all alike. Rank 0 records the training as a session does; the others restore what it
restores and step with it. Between two steps rank 0 says whether to go on, and with which changes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

GRACE = 5.0  # seconds from being left alone to giving up


def main(arguments: list[str]) -> None:
    """Ends the process: exit status 0 for a training that has finished or was stopped."""
    leaving = threading.Event()
    waker = watch(leaving)
    try:
        train_together(Path(arguments[0]), leaving)
        code = 0
    except Exception as error:
        traceback.print_exc()
        print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    waker.close()
    os._exit(code)  # gloo's threads sometimes abort a process that takes itself down in order


def watch(leaving: threading.Event) -> socket.socket:
    """Set ``leaving`` on SIGTERM, or when the pipe to whoever started the training breaks; end GRACE seconds later."""
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())  # is written to while the main thread waits inside a collective, too
    signal.signal(signal.SIGTERM, lambda *_: None)

    def wait() -> None:
        select.select([sys.stdin, woken], [], [])
        leaving.set()
        time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    return waker


def train_together(folder: Path, leaving: threading.Event) -> None:
    """Train the run of ``processes.json`` with the other processes, to its end or until rank 0 is told to stop."""
    from accelerate import Accelerator
    from torch import distributed

    from workbench.benches.assemble import from_recipe
    from workbench.jobs.team import Team
    from workbench.record.session import session
    from workbench.train.checkpoint import checkpoints, restore
    from workbench.train.place import Place

    told: dict[str, Any] = json.loads((folder / "processes.json").read_text(encoding="utf-8"))
    distributed.init_process_group("gloo" if told["cpu"] else "nccl", init_method=f"file://{told['meeting']}",
                                   rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]))
    place = Place.of(Accelerator(cpu=told["cpu"]), shard=told.get("shard", False))
    run = from_recipe(told["recipe"], folder, place=place)
    if place.device.type != "cpu":
        run.data = There(run.data, place.device)
    team = Team(run, told["options"].get("milestone"))
    going_on = bool(place.rank and checkpoints(folder))
    if going_on and not place.shard:
        restore(run)
    team.meet()
    if going_on and place.shard:  # together with rank 0, whose session does so now: the teacher is gathered to be known
        restore(run)
    if place.rank:
        team.follow()
    else:
        for _ in session(run, told["recipe"], stop=leaving.is_set, loop=team.lead, **told["options"]):
            pass
        team.stop()
    team.agree()


class There:
    """Data whose batches lie on the device that their run computes on."""

    def __init__(self, data: Any, device: Any) -> None:
        self.data, self.device = data, device

    def at(self, step: int, block: int = 0) -> Any:
        batch = self.data.at(step, block)
        return type(batch)(*(part if part is None else part.to(self.device) for part in batch))


if __name__ == "__main__":
    main(sys.argv[1:])
