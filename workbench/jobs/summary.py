"""What a sweep came to: a table of its settings for a terminal, ``summary.csv`` of its jobs, ``summary.png``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from workbench.files import write_whole
from workbench.record.sweep import Row, rows


def summarise(folder: Path, metric: str | None = None) -> str:
    """Write the sweep's ``summary.csv`` and ``summary.png``; the table of its settings as text.

    ValueError for a metric that not all of the succeeded jobs kept.
    """
    from workbench.cells.sweep import chosen_metric, effects_chart, failures_table, settings_table  # loads torch

    found = rows(folder)
    write_whole(folder / "summary.csv", as_csv(found).encode())
    metric = chosen_metric(found, metric)
    lines = [str(settings_table(found, metric))]
    if any(row.status in ("failed", "killed") for row in found):
        lines += ["", str(failures_table(found))]
    if metric:
        write_whole(folder / "summary.png", effects_chart(found, metric))
    lines += ["", f"{folder / 'summary.csv'}; tell it all: workbench run sweep_report -p folder={folder}"]
    return "\n".join(lines)


def as_csv(found: list[Row]) -> str:
    """A line a job: folder, varied values, status, seconds, attempts, error, metrics."""
    varied = list(dict.fromkeys(name for row in found for name in row.varied))
    metrics = list(dict.fromkeys(name for row in found for name in row.metrics))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["folder", *varied, "status", "seconds", "attempts", "error", *metrics])
    for row in found:
        writer.writerow([f"jobs/{row.folder.name}", *(row.varied.get(name, "") for name in varied), row.status,
                         row.seconds, row.attempts, row.error, *(row.metrics.get(name, "") for name in metrics)])
    return text.getvalue()
