"""Commands on notebooks as jobs: ``run`` and ``runs``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("notebook")
@click.option("-p", "typed", multiple=True, metavar="NAME=VALUE", help="Set one parameter (repeatable).")
@click.option("-f", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Parameters from a YAML file.")
@click.option("--seed", type=click.IntRange(min=0), help="The notebook's parameter `seed`.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run [runs/<time>-<notebook>-<id>]; one "
              "that holds the same run, cut off, is gone on with.")
@click.option("--cell-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds a cell may take [no limit].")
def run(notebook: str, typed: tuple[str, ...], file: Path | None, seed: int | None, out: Path | None,
        **how: Any) -> None:
    """Run a notebook (`quickstart`, or a path) and keep its executed copy, HTML and figures in a folder.

    NOTEBOOK may be a run's folder: a run that was cut off goes on from its checkpoints.
    """
    from workbench.jobs.start import start

    status, folder = start(notebook, given=from_yaml(file), typed=dict(split(pair) for pair in typed), seed=seed,
                           out=out, **how)
    print(f"{status}: {folder}")
    sys.exit({"succeeded": 0, "killed": 130}.get(status, 1))


def split(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"-p takes NAME=VALUE, got {pair!r}")
    return name, value


def from_yaml(file: Path | None) -> dict[str, Any]:
    """The mapping in a YAML file; ValueError when it is no mapping of names."""
    if file is None:
        return {}
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content or {}, dict) or not all(isinstance(name, str) for name in content or {}):
        raise ValueError(f"{file} must hold lines of `name: value`")
    return content or {}


@click.command()
@click.argument("root", default="runs", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def runs(root: Path, as_json: bool) -> None:
    """List the runs under a folder [runs]."""
    from workbench.jobs.folder import listing

    if not root.is_dir():
        raise ValueError(f"there is no folder {root}: nothing was run here yet, or name the folder")
    found = listing(root)
    if as_json:
        print(json.dumps([{"folder": str(folder), **record} for folder, record in found], indent=1))
        return
    for folder, record in found:
        seconds = "" if record.get("seconds") is None else f"{record['seconds']:.0f} s"
        row = f"{record['status']:<10} {record['started'][:19]}  {seconds:>8}  {folder}  {record.get('error') or ''}"
        print(row.rstrip())
