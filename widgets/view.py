"""What every widget is: a module in the page, data sent as binary messages, events that come back.

Data never sits in synced traits, so a saved notebook holds none of it. The page says ``ready`` when it can draw (also
after a reload, or when a second view opens) and is sent everything anew; it says ``seen`` for each message, and while
one is on its way the next rows wait and go together: rows are never dropped, and a slow page is never flooded.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from html import escape
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np

HERE = Path(__file__).parent
PLAIN, REAL = (str, int), (float, np.floating)  # made once: ``pack`` runs for every row
MAPPING = (dict, Mapping)  # dict first: an abstract class answers slowly
PATIENCE = 2.0  # seconds after which a message that was not acknowledged is taken for lost (no page is open)


def pack(value: Any, buffers: list[bytes]) -> Any:
    """``value`` as JSON, its arrays moved to ``buffers`` (little endian) and replaced by where and what they are.

    float64 goes as float32 unless it is one-dimensional (steps and times keep their digits). NaN and infinities inside
    arrays travel as they are; bare ones become None.
    """
    if value is None or isinstance(value, PLAIN):
        return value
    if isinstance(value, REAL):
        return float(value) if isfinite(value) else None
    if isinstance(value, MAPPING):
        return {str(key): pack(one, buffers) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        array = value.astype(np.float32) if value.dtype == np.float64 and value.ndim > 1 else value
        array = array.astype(np.float64) if array.dtype == np.int64 else array
        array = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        buffers.append(array.tobytes())
        return {"$array": len(buffers) - 1, "dtype": array.dtype.name, "shape": list(array.shape)}
    if isinstance(value, list | tuple | Sequence) and not isinstance(value, bytes):
        return [pack(one, buffers) for one in value]
    return value.item() if isinstance(value, np.generic) else value


class View(anywidget.AnyWidget):
    """A widget. A subclass names its ``module`` (``widgets/<module>.js``, which defines ``render({model, el})``)."""

    module: ClassVar[str] = ""

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "module" in vars(cls):  # not in the class that traitlets makes of it for each widget: its traits must stay
            cls._esm = source(cls.module)
            cls._css = style(cls.module)

    def __init__(self, **data: Any) -> None:
        super().__init__()
        self.data: dict[str, Any] = data
        self.waiting: list[dict[str, Any]] = []
        self.number, self.seen, self.sent_at = 0, 0, 0.0
        self.guard, self.listeners = threading.RLock(), []
        self.on_msg(self._heard)

    def show(self, **data: Any) -> None:
        """Replace everything that is shown."""
        with self.guard:
            self.data, self.waiting = data, []
            self._post("show", self.whole())

    def whole(self) -> dict[str, Any]:
        """What a page needs to draw from nothing."""
        return self.data

    def keep(self, rows: list[dict[str, Any]]) -> None:
        """Take appended rows into ``self.data``, so that ``whole`` holds them; subclasses that append define it."""
        raise NotImplementedError

    def append(self, *rows: dict[str, Any]) -> None:
        """Add rows to what is shown; they go to the page at once, or together as soon as it has seen the last ones."""
        with self.guard:
            self.keep(list(rows))
            self.waiting += rows
            self._flush()

    def on_event(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Call ``listener(event)`` for what the user does; it may run on any thread: set a flag and return."""
        self.listeners.append(listener)

    def _flush(self) -> None:
        free = self.seen >= self.number or time.monotonic() - self.sent_at > PATIENCE
        if self.waiting and free:
            rows, self.waiting = self.waiting, []
            self._post("append", {"rows": rows})

    def _post(self, kind: str, data: Mapping[str, Any]) -> None:
        buffers: list[bytes] = []
        content = pack(data, buffers)
        self.number, self.sent_at = self.number + 1, time.monotonic()
        self.send({"kind": kind, "number": self.number, "data": content}, buffers)

    def _heard(self, _: Any, content: dict[str, Any], __: list[bytes]) -> None:
        if content.get("kind") == "ready":
            with self.guard:
                self.waiting = []
                self._post("show", self.whole())
        elif content.get("kind") == "seen":
            with self.guard:
                self.seen = max(self.seen, int(content["number"]))
                self._flush()
        elif content.get("kind") == "event":
            for listener in self.listeners:
                listener(content["data"])


def source(module: str) -> str:
    """The ES module of a widget: page.js, the files its first line names (``// parts: clouds sheets``), its own."""
    own = (HERE / f"{module}.js").read_text(encoding="utf-8")
    first = own.partition("\n")[0]
    parts = first.removeprefix("// parts:").split() if first.startswith("// parts:") else []
    return "".join((HERE / f"{part}.js").read_text(encoding="utf-8") for part in ["page", *parts]) + own


def style(module: str) -> str:
    own = HERE / f"{module}.css"
    return (HERE / "page.css").read_text(encoding="utf-8") + (own.read_text(encoding="utf-8") if own.exists() else "")


def standalone(module: str, data: Mapping[str, Any], title: str) -> str:
    """One HTML page with the view and its data inside: opens offline, and runs nothing but this script."""
    buffers: list[bytes] = []
    content = json.dumps({"kind": "show", "number": 1, "data": pack(data, buffers)})
    sealed = json.dumps([base64.b64encode(buffer).decode() for buffer in buffers])
    told = (content + ";\nconst SEALED = " + sealed).replace("<", "\\u003c")
    script = f"{source(module)}\nconst TOLD = {told};\nalone(render, TOLD, SEALED);\n"
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{style(module)}</style></head>'
        f'<body class="wb-alone"><div id="view"></div><script type="module">{script}</script></body></html>'
    )
