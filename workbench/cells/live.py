"""A training in a thread of this kernel, so that the cell returns and every button works while it runs."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from copy import deepcopy
from queue import Empty, SimpleQueue
from typing import Any

from workbench.record.session import session
from workbench.record.store import read_state
from workbench.train.run import Run


class Live:
    """Trains ``run`` into its folder. Whatever else wants the run does it ``between`` two steps, in that thread.

    Commands come through the folder (``record.control``), as they would from anywhere else. ``error`` holds what ended
    it, if that was no plain end. When the kernel goes, the run is stopped and saved.
    """

    def __init__(self, run: Run, recipe: dict[str, Any], **options: Any) -> None:
        self.run, self.error, self.leaving = run, None, False
        self.ended, self.tasks = threading.Event(), SimpleQueue()
        self.thread = threading.Thread(target=self._train, args=(recipe, options), daemon=True, name=f"{run.folder}")

    def start(self) -> Live:
        self.thread.start()
        atexit.register(self.leave)
        return self

    def begun(self, seconds: float = 30.0) -> Live:
        """Wait until the folder tells of the run; raises what kept it from beginning."""
        until = time.monotonic() + seconds
        while not self.ended.wait(0.01) and time.monotonic() < until:
            with suppress(ValueError):  # not there yet
                if read_state(self.run.folder).get("pid") == os.getpid():
                    break
        self.wait(0)
        return self

    def _train(self, recipe: dict[str, Any], options: dict[str, Any]) -> None:
        try:
            for _ in session(self.run, recipe, stop=self._serve, **options):
                pass
        except BaseException as error:  # told by the panel and by wait(): a thread has nobody to raise it to
            self.error = error
        finally:
            self.ended.set()
            self._serve()
            atexit.unregister(self.leave)

    def _serve(self) -> bool:
        """Do what was asked for; asked by the session after every step, and all the time while it is paused."""
        while True:
            try:
                task, done = self.tasks.get_nowait()
            except Empty:
                return self.leaving
            try:
                done.set_result(task())
            except BaseException as error:
                done.set_exception(error)

    def between(self, task: Callable[[], Any]) -> Any:
        """``task()``, done between two steps (or now, when training has ended); waits for it."""
        done: Future = Future()
        self.tasks.put((task, done))
        while True:
            with suppress(NotYet):
                return done.result(timeout=0.05)
            if self.ended.is_set():
                self._serve()

    def snapshot(self) -> Any:
        """A copy of the student as it stands between two steps."""
        return self.between(lambda: deepcopy(self.run.student()).requires_grad_(False).eval())

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end; whether it has come. Raises what ended the training, if it was an error."""
        found = self.ended.wait(seconds)
        if found and self.error is not None:
            raise self.error
        return found

    def leave(self) -> None:
        """Stop and save; called when the kernel goes."""
        self.leaving = True
        self.thread.join(10)
