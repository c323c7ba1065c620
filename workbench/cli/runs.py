"""Commands on what runs left behind: ``reproduce`` and ``runs ls|show|diff|rm|export``. They read folders alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("-p", "typed", multiple=True, metavar="NAME=VALUE", help="Change one parameter (repeatable).")
@click.option("--out", type=FOLDER, help="Folder of the new run [FOLDER-again].")
def reproduce(folder: Path, typed: tuple[str, ...], out: Path | None) -> None:
    """Run a folder's job again from its own record, and say whether the same came out, and where first not.

    Says before what is not as it was: parameters, packages, code, machine, threads. Compares the numbers kept, every
    recorded step of each training, its weights, and the numbers of the figures. Ends with 0 where all are identical to
    the bit or within tolerance, else with 1.
    """
    from workbench.jobs.parameters import typed_pairs
    from workbench.jobs.reproduce import prepare, repeat

    again = prepare(folder, typed_pairs("-p", typed))
    for one in again.changed or ["nothing has changed since: cells, parameters, packages, code, machine, threads"]:
        print(one, flush=True)
    where, verdict = repeat(again, out)
    print(f"run again in {where}")
    print(verdict)
    sys.exit(0 if verdict.said in ("identical to the bit", "within tolerance") else 1)


class Listing(click.Group):
    """A group whose own name lists: ``workbench runs [ROOT]`` is ``workbench runs ls [ROOT]``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["ls", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Listing)
def runs() -> None:
    """List runs, show one, compare two, remove some, export one. `workbench runs` alone lists."""


@runs.command()
@click.argument("root", default="runs", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def ls(root: Path, as_json: bool) -> None:
    """List the runs under a folder [runs] and in its sweeps, oldest first."""
    from workbench.jobs.folder import listing
    from workbench.jobs.listing import broken, rows

    lines = rows(root)
    if as_json:
        lines = [json.dumps([{"folder": str(folder), **record} for folder, record in listing(root)], indent=1)]
    print("\n".join(lines)) if lines else None
    for sentence in broken(root):
        print(sentence, file=sys.stderr)


@runs.command()
@click.argument("folder", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="As JSON, whole.")
def show(folder: Path, as_json: bool) -> None:
    """Show a run: how it stands, its parameters, numbers, trainings, cost, and what it was made of."""
    from workbench.jobs.listing import told, whole

    record = whole(folder)
    print(json.dumps(record, indent=1) if as_json else "\n".join(told(folder, record)))


@runs.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Name what two runs were not made of alike, and where first they did not come out alike.

    Ends with 0 where both are the same, else with 1.
    """
    from workbench.jobs.difference import changes, made_of
    from workbench.jobs.outcome import metrics_differ, verdict

    old, new = made_of(a), made_of(b)
    changed = [*changes(old, new), *metrics_differ(a, b)]
    found = verdict(a, b, (old, new), weights=False)
    if as_json:
        print(json.dumps({"changes": changed, "outcome": found.said, "first": found.first and str(found.first)}))
    else:
        print("\n".join([*changed, str(found)]))
    sys.exit(1 if changed or found.first else 0)


@runs.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
@click.option("--yes", is_flag=True, help="Without asking.")
def rm(folders: tuple[Path, ...], yes: bool) -> None:
    """Remove the folders of runs that have ended. Nothing is removed unless all can be."""
    from workbench.jobs.remove import check, remove

    check(folders)
    if not yes:
        names = ", ".join(map(str, folders))
        click.confirm(f"Remove {names} and all that is in {'it' if len(folders) == 1 else 'them'}?", abort=True)
    remove(folders)


@runs.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", required=True, type=FOLDER, help="A new folder for TensorBoard's event files.")
def export(folder: Path, to: Path) -> None:
    """Export a run to TensorBoard: each training's readings, the numbers kept, the parameters."""
    from workbench.jobs.export_tensorboard import export

    trainings = export(folder, to)
    print(f"{to}: {len(trainings)} trainings; look with `tensorboard --logdir {to}`")
