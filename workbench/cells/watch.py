"""``watch``: the dashboard and the panels of runs, read from their folders alone, wherever they train."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.benches.assemble import rebuilt
from workbench.cells.losses import drawn, folders, losses, series
from workbench.cells.model import Model
from workbench.cells.readings import rows_of, speed
from workbench.cells.show import alive, live_page, png, still
from workbench.cells.style import STUDENTS
from workbench.methods.fields import described
from workbench.record.control import command, free
from workbench.record.fork import fork
from workbench.record.store import ENDED, read_events
from workbench.record.tail import STALE, Tail, standing
from workbench.train.checkpoint import checkpoints

INTERVAL = 0.1  # seconds between two looks; ten times that once every run has ended
FEW = 6  # fields that one run's panel shows unasked
Runs = Model | Path | str | Sequence[Model | Path | str]


def watch(runs: Runs) -> Watch | None:
    """Follow runs that train now, here or elsewhere, or look at ended ones; give students or their folders.

    On a live page: losses as they come, and a panel for each run that stops, pauses, changes, saves and forks it.
    In a job or a script: the losses as they stand, as pictures. ValueError for a folder that is no run's.
    """
    if not live_page():
        losses(runs)
        return None
    found = Watch(folders(runs))
    found.show()
    return found


class Followed:
    """One run under watch: where it is, and what was read of it."""

    def __init__(self, name: str, folder: Path, index: int) -> None:
        self.name, self.folder, self.index = name, folder, index
        self.state = standing(folder)
        self.said: dict[str, Any] = {}
        self.asked, self.forking = 0.0, False  # when the facts were read last; whether a fork is being made
        self.begin()

    def begin(self) -> None:
        """Read it from the first event on."""
        self.tail, self.recent, self.act, self.step = Tail(self.folder), [], "", 0

    def rows(self) -> list[dict[str, Any]]:
        """What the dashboard has to add."""
        events, anew = self.tail.poll()
        self.recent = ([] if anew else self.recent)[-40:] + events
        rows, self.act = rows_of(events, self.index, "" if anew else self.act)
        self.step = max([0 if anew else self.step, *(row["step"] for row in rows)])
        return ([{"run": self.index, "cut": -1}] if anew else []) + rows

    @property
    def status(self) -> str:
        return (self.state.state or {}).get("status", "lost")

    def facts(self) -> dict[str, Any]:
        """What the panel shows, read anew; of a folder that cannot be read the problem alone."""
        self.state, self.asked = standing(self.folder), time.monotonic()
        state, beat, problem = self.state
        if state is None:
            return {"message": problem}
        rate, steps = speed(self.recent), (state.get("recipe") or {}).get("steps", 0)
        left = (steps - self.step) / rate if rate and self.status == "running" else None
        ended = self.status in ENDED or self.status == "lost"
        can = ["fork"] if ended else ["stop", "pause", "step", "save", "fork", "change"]
        points = [int(path.stem) for path in checkpoints(self.folder)]
        return {"status": self.status, "step": max(self.step, state.get("step") or 0), "steps": steps, "rate": rate,
                "eta": left, "beat": beat, "can": can, "checkpoints": points, "message": self.message(state)}

    def message(self, state: dict[str, Any]) -> str:
        if state.get("error"):
            return str(state["error"])
        if self.status == "lost":
            return f"its process is gone: w.resume({str(self.folder)!r}) goes on from the last checkpoint"
        last = next((event for event in reversed(self.recent) if event["kind"] in ("refused", "fork", "change")), None)
        if last is None:
            return ""
        return {"refused": f"{last.get('command')}: {last.get('message')}", "fork": f"forked to {last.get('folder')}",
                "change": f"{last.get('name')} is {last.get('value')} since step {last['step']}"}[last["kind"]]

    def fields(self) -> list[dict[str, Any]]:
        """The method's plain fields with their values now, as the panel's form wants them."""
        state = self.state.state or {}
        try:
            method = rebuilt(state["recipe"]["method"])
            told = described(method)
        except (KeyError, ValueError, AttributeError, TypeError, ImportError):
            return []
        values = {event["name"]: event["value"] for event in read_events(self.folder, "change")}
        return [{**one._asdict(), "choices": list(one.choices), "value": values.get(one.name, one.value)}
                for one in told]


class Watch:
    """Widgets fed by one thread that reads the folders; buttons write commands into them."""

    def __init__(self, found: dict[str, Path]) -> None:
        from ipywidgets import VBox

        from widgets.dashboard import Dashboard

        self.guard = threading.RLock()
        self.runs = [Followed(name, folder, index) for index, (name, folder) in enumerate(found.items())]
        self.dashboard = Dashboard(title="", runs=[self.about(run) for run in self.runs])
        self.panels = [self.panel_of(run) for run in self.runs]
        self.box = VBox([*self.panels, self.dashboard])
        self.handle: Any = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True, name="watch")

    def about(self, run: Followed) -> dict[str, Any]:
        state = run.state.state or {}
        return {"name": run.name, "steps": (state.get("recipe") or {}).get("steps", 0), "role": "student",
                "colour": STUDENTS[run.index % len(STUDENTS)], "status": run.status, "started": state.get("started")}

    def panel_of(self, run: Followed) -> Any:
        from widgets.panel import Panel

        fields = run.fields()
        folded = len(self.runs) > 1 or len(fields) > FEW  # long forms would push the charts out of sight
        panel = Panel(name=run.name, folder=str(run.folder), stale_after=STALE, fields=fields, folded=folded,
                      **run.facts())
        panel.on_event(lambda event: self.heard(run, event))
        return panel

    def show(self) -> None:
        from IPython.display import display

        self.look()
        alive(self.box)
        self.handle = display(self.stills(), display_id=True)
        self.thread.start()
        atexit.register(self.leave)

    def leave(self) -> None:
        """The kernel goes: a message that is sent while it does would arrive torn."""
        self.over.set()
        self.thread.join(2)

    def stills(self) -> Any:
        """The charts as they stand: what the notebook keeps."""
        figure = drawn({run.name: series(read_events(run.folder, "step")) for run in self.runs})
        return still(png(figure), figure, "losses")

    def heard(self, run: Followed, event: dict[str, Any]) -> None:
        """What a button or a field asks for, as a command to whoever trains the run; returns at once."""
        name = event["event"]
        try:
            if name == "fork":
                threading.Thread(target=self.fork, args=(run, event.get("checkpoint")), daemon=True).start()
            elif name == "change":
                command(run.folder, "change", name=event["name"], value=event["value"])
            else:
                command(run.folder, name)
        except (ValueError, OSError) as error:
            self.problem(run, f"{name}: {error}")

    def problem(self, run: Followed, message: str) -> None:
        """Say in the run's panel what could not be done."""
        run.said["message"] = message
        self.panels[run.index].update(message=message)

    def fork(self, run: Followed, checkpoint: int | None) -> None:
        """Have the session fork a run that lives, or fork an ended one; then train the fork and watch it."""
        with self.guard:
            if run.forking:
                return
            run.forking = True
        try:
            target = free(run.folder)
            if run.status in ENDED or run.status == "lost":
                fork(run.folder, target, checkpoint=checkpoint)
            else:
                command(run.folder, "fork", folder=str(target), checkpoint=checkpoint)
                until = time.monotonic() + 60
                while not target.exists() and time.monotonic() < until:
                    time.sleep(0.05)
            if target.exists():  # else the session refused, and its event says why
                self.forked(run, target)
        except Exception as error:  # a thread has nobody to raise it to
            self.problem(run, f"fork: {error}")
        finally:
            run.forking = False

    def forked(self, parent: Followed, target: Path) -> None:
        """Train a fork in a thread of this kernel and watch it beside its parent."""
        from workbench.cells.distil import resumed

        resumed(target)
        with self.guard:
            new = Followed(target.name.replace(parent.folder.name, parent.name, 1), target, len(self.runs))
            self.runs.append(new)
            self.panels.append(self.panel_of(new))
            for run, panel in zip(self.runs, self.panels, strict=True):
                run.begin()  # the dashboard begins anew
                panel.update(folded=True)
            self.dashboard.show(title="", runs=[self.about(run) for run in self.runs], rows=[])
            self.box.children = (*self.panels, self.dashboard)

    def look(self) -> None:
        """Read what is new and pass it on."""
        with self.guard:
            for run, panel in zip(self.runs, self.panels, strict=True):
                try:
                    self.look_at(run, panel)
                except Exception as error:  # one bad record must not end the watch of the others
                    self.problem(run, f"its record cannot be read: {error}")

    def look_at(self, run: Followed, panel: Any) -> None:
        rows = run.rows()
        facts = run.facts() if rows or time.monotonic() - run.asked > 0.3 else {}
        if "status" in facts and facts["status"] != run.said.get("status"):
            rows.append({"run": run.index, "status": facts["status"], "message": facts["message"]})
        if rows:
            self.dashboard.append(*rows)
        self.tell(run, panel, facts, any(row.get("mark") == "change" for row in rows))

    def tell(self, run: Followed, panel: Any, facts: dict[str, Any], changed: bool) -> None:
        """Give the panel what is not as it was told last."""
        news = {name: value for name, value in facts.items() if run.said.get(name) != value}
        if changed:
            news["values"] = {field["name"]: field["value"] for field in run.fields()}
        if news:
            panel.update(**news)
            run.said |= news

    def _follow(self) -> None:
        ended = False
        while not self.over.wait(10 * INTERVAL if ended else INTERVAL):
            self.look()
            before, ended = ended, all(run.status in ENDED or run.status == "lost" for run in self.runs)
            if ended and not before and all(run.status in ENDED for run in self.runs):
                with suppress(Exception):
                    self.handle.update(self.stills())
