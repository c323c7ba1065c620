"""What Slurm's queue holds, asked for seldom and without waiting for the answer."""

from __future__ import annotations

import subprocess
import tempfile
import time
from typing import IO

OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REVOKED", "TIMEOUT"}
ASK = ["squeue", "--me", "--array", "--noheader", "--states=all", "--format=%i|%j|%T"]


class Queue:
    """The jobs of this user, from ``squeue`` at most every so many seconds.

    A queue that does not answer has lost nothing: its last answer holds. A job is gone when two answers in a row say
    so, as one that is preempted is over for a moment before it waits again.
    """

    def __init__(self, every: float) -> None:
        self.every, self.asked = every, float("-inf")
        self.asking: tuple[subprocess.Popen[bytes], IO[bytes]] | None = None
        self.names: dict[str, str] = {}
        self.live: list[set[str]] = []  # of the last two answers
        self.since: dict[str, int] = {}  # answers there were when a job was first asked for
        self.answers = 0

    def has(self, job: str, now: bool = False) -> bool:
        """Whether the job waits or runs, as far as is known; ``now`` asks and waits for an answer."""
        self.since.setdefault(job, self.answers)
        for _ in range(2 if now else 1):
            self.look(now)
        known = self.live[-min(2, self.answers - self.since[job]):] if self.answers > self.since[job] else []
        return len(known) < 2 or any(job in live for live in known)

    def find(self, name: str, index: int) -> str | None:
        """The number of a live job, by its array's name and its place there; one alone has no place."""
        self.look(now=True)
        alone = [job for job, other in self.names.items() if other == name]
        found = [job for job in alone if job.partition("_")[2] in (str(index), "")]
        return found[0] if found and self.live and found[0] in self.live[-1] else None

    def look(self, now: bool = False) -> None:
        if self.asking is None and (now or time.monotonic() - self.asked >= self.every):
            file = tempfile.TemporaryFile()
            self.asking = subprocess.Popen(ASK, stdout=file, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL), file
            self.asked = time.monotonic()
        if self.asking is None:
            return
        process, file = self.asking
        if now:
            process.wait()
        if process.poll() is not None:
            self.asking = None
            if process.returncode == 0:
                file.seek(0)
                self.read(file.read().decode())
            file.close()

    def read(self, answer: str) -> None:
        rows = [line.rsplit("|", 2) for line in answer.splitlines() if line.count("|") >= 2]
        self.names = {job: name for job, name, _ in rows}
        self.live = [*self.live, {job for job, _, state in rows if state not in OVER}][-2:]
        self.answers += 1
