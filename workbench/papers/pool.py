"""Many trainings at once: fresh processes, one training each at a time, progress on stderr."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from typing import Any


def finished(tasks: Sequence[Any], jobs: int, run: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    """(task, run(task)) as they come: here for one job, else in fresh processes that Ctrl-C ends at once.

    Progress with an estimate goes to stderr.
    """
    started, total = time.perf_counter(), len(tasks)
    for done, pair in enumerate(here(tasks, run) if min(jobs, total) <= 1 else apart(tasks, jobs, run), start=1):
        yield pair
        spent = time.perf_counter() - started
        left = spent / done * (total - done)
        progress = f"\r{done}/{total} trainings, {spent:.0f} s, about {left:.0f} s left "
        print(progress, end="" if done < total else "\n", file=sys.stderr, flush=True)


def here(tasks: Sequence[Any], run: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    for task in tasks:
        yield task, run(task)


def apart(tasks: Sequence[Any], jobs: int, run: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    others = set(active_children())
    with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn"), ignore_interrupt) as pool:
        try:
            waiting = {pool.submit(run, task): task for task in tasks}
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(active_children()) - others:
                child.terminate()
            raise


def ignore_interrupt() -> None:
    """In a worker: Ctrl-C is the parent's to answer, by ending its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
