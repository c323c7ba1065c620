"""A run's folder as event files of TensorBoard: readings of each training, numbers kept, parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.jobs.listing import section, whole
from workbench.record.store import read_events

PLAIN = (bool, int, float, str)


def export(folder: Path, to: Path) -> list[str]:
    """Write ``to/<training>`` for each training and ``to`` for the run itself; returns what was written, by name.

    Readings keep their steps and times, under the dashboard's names. Raises ValueError for a folder that is no run's
    or has nothing to export, and where ``to`` holds something; ImportError, naming the extra, without TensorBoard.
    """
    record = whole(folder)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ValueError(f"{to} exists and is not an empty folder: name another with --to")
    trainings = sorted({path.parent for path in folder.rglob("events.jsonl") if has_steps(path.parent)})
    if not trainings and not record["metrics"] and not section(record, "parameters"):
        raise ValueError(f"{folder} holds no training, number or parameter: there is nothing to export")
    writer_of = writer()
    for training in trainings:
        readings(training, writer_of(str(to / training.relative_to(folder))))
    summary(record, writer_of(str(to)))
    return [training.relative_to(folder).as_posix() for training in trainings]


def writer() -> Any:
    """torch's SummaryWriter."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError("TensorBoard is not installed: pip install 'distillation-workbench[tensorboard]'") from None
    return SummaryWriter


def has_steps(folder: Path) -> bool:
    try:
        return next(read_events(folder, "step"), None) is not None
    except (OSError, ValueError, KeyError):
        return False


def readings(folder: Path, into: Any) -> None:
    """Every recorded step of a training: parts, gradient norms, gaps, learning rates."""
    from workbench.cells.readings import reading

    with into:
        for event in read_events(folder, "step"):
            told = reading(event, 0)
            values = told["series"] | {f"{name}: learning rate": value for name, value in told["lr"].items()}
            for name, value in values.items():
                if value is not None:
                    into.add_scalar(name.replace(": ", "/"), value, event["step"], walltime=event["time"])


def summary(record: Mapping[str, Any], into: Any) -> None:
    """The numbers kept as scalars, the parameters and them as hparams, the record as text."""
    metrics = {name: value for name, value in record["metrics"].items()
               if isinstance(value, int | float) and not isinstance(value, bool)}
    parameters = {name: value if isinstance(value, PLAIN) else json.dumps(value)
                  for name, value in section(record, "parameters").items()}
    kept = {name: value for name, value in record.items() if name not in ("lock", "metrics")}
    with into:
        into.add_text("run.json", "    " + json.dumps(kept, indent=1, default=str).replace("\n", "\n    "))
        if parameters or metrics:
            into.add_hparams(parameters, {f"metrics/{name}": value for name, value in metrics.items()}, run_name=".")
