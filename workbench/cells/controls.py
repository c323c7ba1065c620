"""``controls``: a form made of a method's fields, their types, ranges and meanings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.cells.show import Table, alive, live_page, tell
from workbench.methods.fields import Told, check_settings, described
from workbench.papers.chosen import method as named


class Settings(Mapping):
    """What the form says now: the fields that differ from the method's own, as ``w.distil(..., **settings)`` takes."""

    def __init__(self, method: Any) -> None:
        self.method, self.own = method, {told.name: told.value for told in described(method)}
        self.now = dict(self.own)

    def set(self, name: str, value: Any) -> None:
        """Take a value; ValueError where the field does not admit it."""
        self.now[name] = check_settings(type(self.method), {name: value})[name]

    def changed(self) -> dict[str, Any]:
        return {name: value for name, value in self.now.items() if value != self.own[name]}

    def __getitem__(self, name: str) -> Any:
        return self.changed()[name]

    def __iter__(self):
        return iter(self.changed())

    def __len__(self) -> int:
        return len(self.changed())


def controls(method: str, bench: Any, **settings: Any) -> Settings:
    """Show a method's fields as this bench has them, to be changed on a live page; returns what was changed.

    ``settings`` are set beforehand. Elsewhere the fields are shown as a table.
    ValueError for what does not fit a field.
    """
    found = Settings(named(method, {}, bench.name))
    for name, value in settings.items():
        found.set(name, value)
    rows = [[told.name, f"{found.now[told.name]}", allowed(told), told.doc] for told in described(found.method)]
    table = Table(["field", "value", "allowed", "meaning"], rows, f"fields of {type(found.method).__name__}")
    if live_page():
        alive(form(found), kept=table._repr_html_())
    else:
        tell(table)
    return found


def allowed(told: Told) -> str:
    """The range or the choices in words."""
    if told.choices:
        return ", ".join(told.choices)
    low, high = ("" if bound is None else f"{bound:g}" for bound in (told.low, told.high))
    return f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}" if high else told.kind


def form(found: Settings) -> Any:
    """One row a field: control, meaning; what a field refuses is said beside it and not taken."""
    import ipywidgets

    rows = []
    for told in described(found.method):
        control, note = control_of(told, found.now[told.name]), ipywidgets.Label(f"{told.doc}  ({allowed(told)})")
        control.observe(lambda change, told=told, note=note: take(found, told, change["new"], note), "value")
        rows.append(ipywidgets.HBox([control, note]))
    return ipywidgets.VBox(rows)


def take(found: Settings, told: Told, value: Any, note: Any) -> None:
    try:
        found.set(told.name, value)
        note.value = f"{told.doc}  ({allowed(told)})"
    except ValueError as error:
        note.value = str(error)


def control_of(told: Told, value: Any) -> Any:
    """The ipywidget for a field."""
    import ipywidgets

    options = {"description": told.name, "value": value, "style": {"description_width": "9em"},
               "layout": {"width": "22em"}, "tooltip": told.doc}  # fmt: skip
    if told.kind == "choice":
        return ipywidgets.Dropdown(options=told.choices, **options)
    if told.kind == "bool":
        return ipywidgets.Checkbox(**options)
    kind = ipywidgets.IntText if told.kind == "int" else ipywidgets.FloatText
    return kind(continuous_update=False, **options)
