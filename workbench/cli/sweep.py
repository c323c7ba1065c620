"""``workbench sweep``: many jobs of one notebook."""

from __future__ import annotations

import os
import signal
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
@click.option("--processes", type=click.IntRange(min=1), help="Processes that share each job's trainings [1].")
@click.option("--shard", is_flag=True, default=None, help="Each of the processes holds a share of a pipeline's "
              "networks (FSDP2).")
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="A variable that cells may "
              "read and whose value appears in no file (repeatable).")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the executor, such as "
              "`partition=gpu` (slurm) or `address=auto` (ray).")
@click.option("--metric", help="The number of the summary [the first that all jobs kept].")
@click.option("--dry-run", is_flag=True, help="Check everything and list the jobs; run nothing.")
def sweep(notebook: str, out: Path | None, retries: int, metric: str | None, dry_run: bool, **asked: Any) -> None:
    """Run a notebook with many settings, so many at once; the same command again does what is left.

    \b
    workbench sweep train -p bench=gmm2d --grid method=ctm,icm --seeds 3 --jobs 2
    workbench sweep train --random 20 --draw lr=log:1e-5..1e-3 --draw steps=200..800
    """
    from workbench.jobs.board import named
    from workbench.jobs.sweep import Sweep

    slots = asked["slots"] or max(1, cores() // 2)
    sweep = Sweep(jobs_of(notebook, asked), out, **how_of(asked, slots))
    if dry_run:
        for folder, (_, varied) in sweep.jobs.items():
            print(f"{sweep.state[folder]:<10} {named(varied)}")
        print(f"{len(sweep.jobs)} jobs, {len(sweep.before)} of them done, in {sweep.folder}")
        return
    sys.exit(carried_out(sweep, place_of(asked, slots), retries, metric))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs_of(notebook: str, asked: dict[str, Any]) -> list[Any]:
    """Every job of the sweep, checked."""
    from workbench.jobs.axes import Axes
    from workbench.jobs.parameters import typed_pairs

    axes = Axes(typed_pairs("--grid", asked["grid"]), typed_pairs("--draw", asked["draw"]), asked["count"],
                asked["draw_seed"], asked["seeds"], asked["seed"])
    return axes.jobs(notebook, from_yaml(asked["file"]), typed_pairs("-p", asked["typed"]))


def how_of(asked: dict[str, Any], slots: int) -> dict[str, Any]:
    """How each job is run, whatever runs it."""
    return {"threads": asked["threads"] or max(1, cores() // slots), "cell_timeout": asked["cell_timeout"],
            "processes": asked["processes"], "shard": asked["shard"], "secrets": list(asked["secrets"]) or None}


def place_of(asked: dict[str, Any], slots: int) -> dict[str, Any]:
    """Which executor runs them, and its options."""
    from workbench.jobs.parameters import typed_pairs

    return {"name": asked["on"], "jobs": slots, "gpus_per_job": asked["gpus_per_job"],
            **typed_pairs("--option", asked["options"])}


def carried_out(sweep: Any, place: dict[str, Any], retries: int, metric: str | None) -> int:
    """Run the jobs and tell of them; the exit status. SIGTERM is a Ctrl-C."""
    from workbench.jobs.board import Board
    from workbench.jobs.executors import executor
    from workbench.jobs.summary import summarise

    def end(*_: Any) -> None:
        """Between two looks, not in the middle of anything; the second one there and then."""
        sweep.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    running = executor(**place)
    with Board(sweep) as board:
        try:
            status = sweep.run(running, retries, board.told)
        except KeyboardInterrupt:
            print("stopped: what was finished is kept; the same command goes on", file=sys.stderr)
            return 130
    print(summarise(sweep.folder, metric))
    return 0 if status == "succeeded" else 1
