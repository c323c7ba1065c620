"""Notebooks as jobs: parameters checked before a kernel starts, true statuses, a folder that tells what happened."""

from __future__ import annotations

from typing import Any


class PapermillEngine:
    """What papermill finds as ``workbench`` among its engines. It looks while it is itself half imported, as we import
    it: so this holds nothing but the way to the engine.
    """

    @staticmethod
    def execute_notebook(*arguments: Any, **named: Any) -> Any:
        from workbench.jobs.engine import WorkbenchEngine

        return WorkbenchEngine.execute_notebook(*arguments, **named)
