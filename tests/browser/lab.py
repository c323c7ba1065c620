"""A real JupyterLab server on loopback, and one of its pages as a person drives it: cells run, widgets clicked."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "only-for-these-tests"
NOTEBOOK = "jupyterapp.shell.currentWidget"
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}


def until(found: Callable[[], Any], seconds: float = 30.0, what: str = "it", pause: float = 0.05) -> Any:
    """The first true value of ``found()``; AssertionError that names ``what`` when it does not come in time."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"{what} did not come within {seconds:g} s"
        time.sleep(pause)
    return value


class Server:
    """JupyterLab with settings, kernels and notebooks of its own under ``home``; ends with all its kernels."""

    def __init__(self, home: Path, python: str = sys.executable) -> None:
        self.home, self.root = home, home / "work"
        self.root.mkdir(parents=True)
        quiet = home / "settings" / "@jupyterlab" / "apputils-extension"
        quiet.mkdir(parents=True)
        (quiet / "notification.jupyterlab-settings").write_text(json.dumps(QUIET))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        names = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
                 "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings", "WORKBENCH_CACHE": "cache",
                 "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}  # fmt: skip
        env = {**os.environ, **{name: str(home / part) for name, part in names.items()}, "PYTHONPATH": str(ROOT),
               "OMP_NUM_THREADS": "1"}  # fmt: skip
        for name in ("WORKBENCH_HEADLESS", "WORKBENCH_RUN_FOLDER", "JUPYTER_TOKEN"):
            env.pop(name, None)
        told = [f"--port={self.port}", "--ip=127.0.0.1", "--no-browser", "--allow-root", "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self.root}", "--expose-app-in-browser",
                # should these tests be killed, it ends by itself
                "--ServerApp.shutdown_no_activity_timeout=300", "--MappingKernelManager.cull_idle_timeout=300"]
        self.log = open(home / "server.log", "wb")  # noqa: SIM115 - as long as the server
        self.process = subprocess.Popen([python, "-m", "jupyterlab", *told], env=env, stdout=self.log, stderr=self.log,
                                        start_new_session=True)  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def api(self, path: str, method: str = "GET") -> Any:
        asked = Request(f"{self.url}/api/{path}", method=method, headers={"Authorization": f"token {TOKEN}"})
        with urlopen(asked, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def ready(self) -> Server:
        def answers() -> bool:
            assert self.process.poll() is None, (self.home / "server.log").read_text()[-2000:]
            try:
                return "started" in self.api("status")
            except OSError:
                return False

        until(answers, 60, "JupyterLab")
        return self

    def kernel(self, name: str, path: str) -> None:
        """One more kernel to choose, whose packages are looked for in ``path`` first."""
        folder = self.home / "data" / "kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": name, "language": "python", "env": {"PYTHONPATH": f"{path}:{ROOT}"}}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def notebook(self, name: str, cells: list[str] | None = None, **metadata: Any) -> str:
        """Path of a new notebook in a folder of that name: these cells, or explore; ``metadata`` over its own."""
        path = self.root / name / "explore.ipynb"
        path.parent.mkdir()
        found = json.loads((ROOT / "notebooks" / "explore.ipynb").read_text())
        if cells is not None:
            found["cells"] = [{"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "outputs": [], "source": text,
                               "execution_count": None} for i, text in enumerate(cells)]  # fmt: skip
        found["metadata"] |= metadata
        path.write_text(json.dumps(found))
        return f"{name}/{path.name}"

    def close(self) -> None:
        with_group = os.getpgid(self.process.pid)
        self.process.send_signal(signal.SIGTERM)  # it ends its kernels, which are in groups of their own
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(with_group, signal.SIGKILL)
        self.log.close()


class Book:
    """One notebook in one page of Lab. Cells are counted from 0, text cells too."""

    def __init__(self, server: Server, page: Any, path: str) -> None:
        self.server, self.page, self.path, self.dialogs = server, page, path, []
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.accept()))

    @property
    def folder(self) -> Path:
        """Where its kernel works."""
        return (self.server.root / self.path).parent

    def open(self, mode: str = "lab", kernel: bool = True) -> Book:
        """``mode`` "lab" as people have it, "doc" for the notebook alone."""
        name = re.sub("[^a-z0-9]", "_", self.folder.name)  # the default workspace would bring other tests' tabs
        own = mode if mode == "doc" else f"{mode}/workspaces/{name}"
        self.page.goto(f"{self.server.url}/{own}/tree/{self.path}?token={TOKEN}", timeout=60_000)
        return self.settled(kernel)

    def forget(self) -> None:
        """End its kernel."""
        for session in self.server.api("sessions"):
            if session["path"] == self.path:
                self.server.api(f"sessions/{session['id']}", "DELETE")

    def settled(self, kernel: bool = True) -> Book:
        """Wait until the notebook stands, and its kernel is idle."""
        self.page.wait_for_function(f"window.jupyterapp && {NOTEBOOK}?.content?.widgets?.length > 0", timeout=60_000)
        if kernel:
            idle = f"['idle', 'busy'].includes({NOTEBOOK}.sessionContext.session?.kernel?.status)"
            self.page.wait_for_function(idle, timeout=60_000)
        return self

    def do(self, command: str, **args: Any) -> Any:
        """A command of Lab."""
        return self.page.evaluate("([command, args]) => jupyterapp.commands.execute(command, args).then(() => null)",
                                  [command, args])  # fmt: skip

    def cell(self, index: int) -> Any:
        """The cell's element."""
        return self.page.evaluate_handle(f"{NOTEBOOK}.content.widgets[{index}].node").as_element()

    def count(self) -> int:
        return self.page.evaluate(f"{NOTEBOOK}.content.widgets.length")

    def write(self, index: int, text: str) -> None:
        self.page.evaluate(f"text => {NOTEBOOK}.content.widgets[{index}].model.sharedModel.setSource(text)", text)

    def go(self, index: int) -> None:
        """Make the cell the active one and bring it into sight."""
        self.page.evaluate(f"""async () => {{ const book = {NOTEBOOK}.content; book.deselectAll();
            book.activeCellIndex = {index}; await book.scrollToItem({index}, "start"); }}""")

    def start(self, index: int) -> None:
        """Run a cell as Shift+Enter does, without waiting for it."""
        self.go(index)
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell-and-select-next'); }")

    def run(self, index: int, seconds: float = 60.0) -> dict[str, Any]:
        """Run a cell and wait for its end; what it put out. AssertionError with its traceback if it failed."""
        self.go(index)
        self.page.evaluate(f"""seconds => Promise.race([jupyterapp.commands.execute("notebook:run-cell"),
            new Promise((_, no) => setTimeout(no, seconds * 1000, new Error("cell {index} runs on")))])""", seconds)
        found = self.outputs(index)
        wrong = ["\n".join(one["traceback"])[-3000:] for one in found if one["output_type"] == "error"]
        assert not wrong, wrong[0]
        return {"text": "".join("".join(one.get("text", "")) for one in found), "outputs": found}

    def say(self, text: str, seconds: float = 60.0) -> str:
        """Run ``text`` in a new cell at the end of the notebook; what it printed."""
        last = self.page.evaluate(f"""() => {{ const {{ model, widgets }} = {NOTEBOOK}.content;
            model.sharedModel.insertCell(widgets.length, {{ cell_type: "code", source: "" }});
            return widgets.length - 1; }}""")
        self.write(last, text)
        return self.run(last, seconds)["text"]

    def outputs(self, index: int) -> list[dict[str, Any]]:
        return self.page.evaluate(f"{NOTEBOOK}.content.widgets[{index}].model.outputs?.toJSON() || []")

    def save(self) -> dict[str, Any]:
        """Save as Ctrl+S does; the file's content."""
        self.page.evaluate(f"{NOTEBOOK}.context.save()")
        return json.loads((self.server.root / self.path).read_text())

    def theme(self, name: str) -> None:
        self.do("apputils:change-theme", theme=name)
        self.page.wait_for_function(f"document.body.dataset.jpThemeName === '{name}'")
