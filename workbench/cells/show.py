"""Where a panel goes: under its cell as a still picture, and into the run's folder as a file of the same bytes."""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from workbench.files import write_json, write_whole

# Where the kernel of a view is gone JupyterLab writes "Error displaying widget": a panel with text, without elements.
LOST = """
.jp-OutputArea:has(.wb-kept) .lm-Panel.jp-OutputArea-output:not(:has(> *)),
.jp-OutputArea:has(> .jp-OutputArea-child > .lm-Panel > *) > .jp-OutputArea-child:has(.wb-kept),
.jp-OutputArea-child:has(.wb-kept > style:only-child) { display: none; }
"""


def run_folder() -> Path | None:
    """The folder of the job that this code runs in; None in a live notebook or a plain script."""
    chosen = os.environ.get("WORKBENCH_RUN_FOLDER")
    return Path(chosen) if chosen else None


def in_kernel() -> bool:
    """Whether an IPython kernel shows what we display."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def live_page() -> bool:
    """Whether a person's page shows what we display, so that a widget is worth making: a kernel, and not a job's."""
    return in_kernel() and os.environ.get("WORKBENCH_HEADLESS") != "1" and run_folder() is None


def panel(figure: Figure, name: str, numbers: Any = None, view: tuple[str, dict[str, Any]] | None = None) -> Any:
    """Show a figure; under a job also keep it, and the ``numbers`` (JSON) it was drawn from, in ``figures/``.

    ``view`` (module, data) is its interactive twin: on a live page that is shown instead, and returned, with the
    figure as the still that remains when the notebook is opened without a kernel. A job keeps it as an HTML page.
    """
    content, twin = png(figure), None
    folder = run_folder()
    if folder is not None:
        path = numbered(folder / "figures", name)
        write_whole(path, content)
        if numbers is not None:
            write_json(path.with_suffix(".json"), numbers)
        if view is not None:
            twin = path.with_suffix(".html")
            write_whole(twin, page(*view, title=name).encode())
    widget = widget_of(*view) if view is not None and live_page() else None
    if widget is not None:
        alive(widget)
    if in_kernel():
        from IPython.display import display

        display(still(content, figure, name, twin))
    return widget


def alive(widget: Any, kept: str = "") -> None:
    """Show a widget. A page without its kernel shows ``kept`` (HTML), or the still that follows, and no error."""
    from IPython.display import HTML, display

    display(widget)
    display(HTML(f'<div class="wb-kept">{kept}<style>{LOST}</style></div>'))


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def still(content: bytes, figure: Figure, name: str, twin: Path | None = None) -> Any:
    """The picture as a notebook keeps it; a page that shows a view in the same output hides it (``page.css``).

    ``twin`` is the HTML page of the same view, which the report puts beside it.
    """
    from IPython.display import Image

    width = int(figure.get_figwidth() * 96)
    return Image(content, width=width, alt=name, metadata={"workbench_view": twin.name} if twin else None)


def widget_of(module: str, data: dict[str, Any]) -> Any:
    """The widget of that module with its data in it."""
    return getattr(importlib.import_module(f"widgets.{module}"), module.capitalize())(**data)


def page(module: str, data: dict[str, Any], title: str) -> str:
    """The same view as an HTML page of its own, data inside."""
    from widgets.view import standalone

    return standalone(module, importlib.import_module(f"widgets.{module}").prepared(data), title)


def numbered(folder: Path, name: str) -> Path:
    """``folder/NN-name.png`` with the next free number."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name[:2]) for path in folder.glob("[0-9][0-9]-*.png")]
    return folder / f"{max(taken, default=0) + 1:02d}-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.png"


class Table:
    """Rows under a head, shown as HTML in a notebook and as aligned text elsewhere."""

    def __init__(self, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> None:
        self.head, self.rows, self.caption = list(head), [list(row) for row in rows], caption

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        text = [
            "  ".join(
                f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}"
                for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        return "\n".join([line.rstrip() for line in text] + ([self.caption] if self.caption else []))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.head)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def tell(table: Table) -> None:
    """Show a table under the cell, or print it."""
    if in_kernel():
        from IPython.display import display

        display(table)
    else:
        print(table)
