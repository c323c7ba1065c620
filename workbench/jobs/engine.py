"""Our papermill engine: true statuses, the notebook saved whole after every cell, no open port, no widget state.

papermill's own marks a cell as completed when its kernel died or its time ran out, and the cells after it too.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
from papermill.translators import PythonTranslator, papermill_translators
from traitlets.config import Config

from workbench.files import write_whole
from workbench.jobs import folder as folders
from workbench.jobs.secrets import Redactor

AT_ONCE = 1.0  # seconds in which signals are one request: Slurm sends to every process, and we send once more
MOST = 1_000_000  # characters of text that a cell's output may keep; the rest is dropped, and it says so
START = 60  # seconds that a kernel may take to answer
SOCKET_PATH = 80  # longest temporary folder that leaves room for a socket's file name (the system's limit is about 100)


class Interrupted(RuntimeError):
    """The run was asked to end by Ctrl-C or by a signal; what was done is kept."""


class Record(NotebookExecutionManager):
    """Keeps the executed notebook on disk in step with the run, and says in run.json and on stderr where it is."""

    def __init__(self, nb, path: Path, facts: dict[str, Any] | None = None, redactor: Redactor | None = None,
                 autosave_seconds: int = 10) -> None:
        self.path, self.facts, self.began, self.heading = path, facts, time.monotonic(), ""
        self.redactor = redactor or Redactor({})
        super().__init__(nb, progress_bar=False, autosave_cell_every=autosave_seconds)

    def save(self, **kwargs) -> None:
        nb = self.redactor.all(self.nb) if self.redactor.forms else self.nb
        write_whole(self.path, nbformat.writes(nb).encode())
        self.last_save_time = self.now()

    def cell_start(self, cell, cell_index=None, **kwargs) -> None:
        super().cell_start(cell, cell_index, **kwargs)
        if cell.cell_type == "markdown":
            headings = [line.strip("# ") for line in cell.source.splitlines() if line.startswith("#")]
            self.heading = headings[-1] if headings else self.heading
        elif cell.source.strip():
            number = 1 + sum(before.cell_type == "code" for before in self.nb.cells[:cell_index])
            total = sum(one.cell_type == "code" for one in self.nb.cells)
            seconds = time.monotonic() - self.began
            print(f"[{seconds:6.1f} s] cell {number} of {total}: {self.heading}", file=sys.stderr, flush=True)
            if self.facts is not None:
                where = {"cell": number, "of": total, "heading": self.heading}
                folders.write(self.path.parent, self.facts, progress=where)
                folders.event(self.path.parent, "cell", number=number, of=total, heading=self.heading)

    def notebook_complete(self, **kwargs) -> None:
        """Close the times; cells that never ran stay pending (papermill would call them completed)."""
        self.end_time = self.now()
        begun = self.start_time or self.end_time
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        self.nb.metadata.papermill["duration"] = (self.end_time - begun).total_seconds()
        self.save()


class Client(PapermillNotebookClient):
    """Executes the cells; the first signal interrupts the running cell, the second one the run."""

    asked = 0.0  # when
    printed: tuple[int, int] = (-1, 0)  # (cell, characters of text it printed)

    def papermill_execute_cells(self) -> None:
        with self.listening():
            for index, cell in enumerate(self.nb.cells):
                try:
                    self.nb_man.cell_start(cell, index)
                    self.execute_cell(cell, index)
                except BaseException as error:
                    self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=error)
                    if self.asked and isinstance(error, CellExecutionError):
                        raise Interrupted("interrupted; finished cells and checkpoints are kept") from None
                    raise
                finally:
                    self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)
                if self.asked:
                    raise Interrupted("interrupted; finished cells and checkpoints are kept")

    def output(self, outs, msg, display_id, cell_index):
        """Keep an output of a cell, of its printed text no more than MOST characters."""
        if msg["msg_type"] == "stream":
            said = msg["content"]["text"]
            count = self.printed[1] if self.printed[0] == cell_index else 0
            self.printed = cell_index, count + len(said)
            if count > MOST:
                return None
            if count + len(said) > MOST:
                msg["content"]["text"] = f"{said[: MOST - count]}\n[beyond {MOST:,} characters: dropped]\n"
        return super().output(outs, msg, display_id, cell_index)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Turn SIGINT and SIGTERM into an interrupt of the kernel, where signals can be listened to."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def interrupt(self, number, frame) -> None:
        if self.asked:
            if time.monotonic() - self.asked > AT_ONCE:
                raise KeyboardInterrupt
            return
        self.asked = time.monotonic()
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        if process is not None:
            process.send_signal(signal.SIGINT)


class WorkbenchEngine(Engine):
    """Registered with papermill as ``workbench``.

    ``record_path`` is where the executed notebook is kept, ``record`` the content of the run.json beside it, if any,
    ``redactor`` keeps secrets out of it.
    """

    @classmethod
    def execute_notebook(cls, nb, kernel_name, output_path=None, record_path=None, record=None, redactor=None,
                         cell_timeout=None, start_timeout=None, stdout_file=None, stderr_file=None, **kwargs):
        path = record_path or output_path
        if path is None:
            raise ValueError("the workbench engine keeps the notebook while it runs: give an output path")
        manager = Record(nb, Path(path), record, redactor)
        manager.notebook_start()
        with tempfile.TemporaryDirectory(prefix="workbench-") as sockets:
            client = Client(manager, kernel_name=kernel_name, timeout=cell_timeout,
                            startup_timeout=start_timeout or START, store_widget_state=False, coalesce_streams=True,
                            stdout_file=stdout_file, stderr_file=stderr_file, config=transport(Path(sockets)))
            try:
                client.execute()
            finally:
                manager.notebook_complete()
        return manager.nb


class Literals(PythonTranslator):
    """Values as Python literals. papermill's own writes a tuple as text in quotes, and what is in it may end them."""

    @classmethod
    def translate(cls, val: Any) -> str:
        return ascii(val)


def register() -> None:
    """Make papermill use this engine, when asked for ``workbench``, and these literals."""
    papermill_engines.register("workbench", WorkbenchEngine)
    papermill_translators.register("python", Literals)


def transport(folder: Path) -> Config:
    """Sockets as files of a folder of the kernel's own, where the system has such, so that no port is open."""
    config = Config()
    config.KernelManager.connection_file = str(folder / "kernel.json")
    if sys.platform != "win32" and len(str(folder)) <= SOCKET_PATH:
        config.KernelManager.transport = "ipc"
    return config
