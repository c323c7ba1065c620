"""``workbench sweep``: many jobs of one notebook."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from workbench.cli.jobs import from_yaml


@click.command()
@click.argument("notebook")
@click.option("--grid", multiple=True, metavar="NAME=A,B,...", help="Every one of these values (repeatable: product).")
@click.option("--random", "count", type=click.IntRange(min=0), default=0, metavar="N", help="N random settings...")
@click.option("--draw", multiple=True, metavar="NAME=LOW..HIGH", help="...of this parameter: LOW..HIGH, log:LOW..HIGH "
              "or A,B,... (repeatable).")
@click.option("--draw-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides the random draws.")
@click.option("--seeds", type=click.IntRange(min=0), default=0, metavar="K", help="Each setting with K seeds.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first of the seeds.")
@click.option("-p", "typed", multiple=True, metavar="NAME=VALUE", help="Fix one parameter (repeatable).")
@click.option("-f", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Fixed parameters from a YAML file.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the sweep [runs/sweep-<notebook>-<hash>].")
@click.option("--on", type=click.Choice(["local", "slurm", "ray"]), default="local", show_default=True,
              help="Where the jobs run.")
@click.option("--jobs", "slots", type=click.IntRange(min=1), help="Jobs at once [half the cores].")
@click.option("--gpus-per-job", type=click.IntRange(min=0), default=0, show_default=True, help="GPUs of each job.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of each job [cores / jobs].")
@click.option("--retries", type=click.IntRange(min=0), default=1, show_default=True,
              help="Further attempts at a job whose process or kernel was killed.")
@click.option("--cell-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds a cell may take [no limit].")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the executor, such as "
              "`partition=gpu` (slurm) or `address=auto` (ray).")
@click.option("--metric", help="The number of the summary [the first that all jobs kept].")
@click.option("--dry-run", is_flag=True, help="Check everything and list the jobs; run nothing.")
def sweep(notebook: str, grid: tuple[str, ...], count: int, draw: tuple[str, ...], draw_seed: int, seeds: int,
          seed: int, typed: tuple[str, ...], file: Path | None, out: Path | None, on: str, slots: int | None,
          gpus_per_job: int, threads: int | None, retries: int, cell_timeout: float | None,
          options: tuple[str, ...], metric: str | None, dry_run: bool) -> None:
    """Run a notebook with many settings, so many at once; the same command again does what is left.

    \b
    workbench sweep train -p bench=gmm2d --grid method=ctm,icm --seeds 3 --jobs 2
    workbench sweep train --random 20 --draw lr=log:1e-5..1e-3 --draw steps=200..800
    """
    from workbench.jobs.axes import Axes, typed_pairs

    axes = Axes(typed_pairs("--grid", grid), typed_pairs("--draw", draw), count, draw_seed, seeds, seed)
    found = axes.jobs(notebook, from_yaml(file), typed_pairs("-p", typed))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slots = slots or max(1, cores // 2)
    how = {"threads": threads or max(1, cores // slots), "cell_timeout": cell_timeout}
    place: dict[str, Any] = {"name": on, "jobs": slots, "gpus_per_job": gpus_per_job,
                             **typed_pairs("--option", options)}
    sys.exit(carried_out(found, out, how, place, retries, metric, dry_run))


def carried_out(found: list, out: Path | None, how: dict[str, Any], place: dict[str, Any], retries: int,
                metric: str | None, dry_run: bool) -> int:
    """Run the jobs and tell of them; the exit status."""
    from workbench.jobs.board import Board, named
    from workbench.jobs.sweep import Sweep

    sweep = Sweep(found, out, **how)
    if dry_run:
        for folder, (_, varied) in sweep.jobs.items():
            print(f"{sweep.state[folder]:<10} {named(varied)}")
        print(f"{len(sweep.jobs)} jobs, {len(sweep.before)} of them done, in {sweep.folder}")
        return 0
    from workbench.jobs.executors import executor
    from workbench.jobs.summary import summarise

    place = {**place}
    with Board(sweep) as board:
        try:
            status = sweep.run(executor(place.pop("name"), **place), retries, board.told)
        except KeyboardInterrupt:
            print("stopped: what was finished is kept; the same command goes on", file=sys.stderr)
            return 130
    print(summarise(sweep.folder, metric))
    return 0 if status == "succeeded" else 1
