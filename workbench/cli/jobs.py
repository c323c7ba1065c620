"""``workbench run``: a notebook as a job."""

from __future__ import annotations

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
@click.option("--processes", type=click.IntRange(min=1), help="Processes that share each training [1].")
@click.option("--shard", is_flag=True, default=None, help="Each of the processes holds a share of a pipeline's "
              "networks (FSDP2).")
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="A variable that cells may read and whose "
              "value is kept out of all that is written (repeatable).")
def run(notebook: str, typed: tuple[str, ...], file: Path | None, seed: int | None, out: Path | None,
        **how: Any) -> None:
    """Run a notebook (`quickstart`, or a path) and keep its executed copy, HTML and figures in a folder.

    NOTEBOOK may be a run's folder: a run that was cut off goes on from its checkpoints.
    """
    from workbench.jobs.parameters import typed_pairs
    from workbench.jobs.start import start

    status, folder = start(notebook, given=from_yaml(file), typed=typed_pairs("-p", typed), seed=seed, out=out, **how)
    print(f"{status}: {folder}")
    sys.exit({"succeeded": 0, "killed": 130}.get(status, 1))


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
