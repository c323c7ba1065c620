"""The command line: ``workbench run|papers|verify|compare|runs|lab|doctor``. Each imports what it needs when called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from workbench import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="workbench")
def commands() -> None:
    """Distil models and watch every step of it."""


@commands.command()
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


@commands.command()
@click.argument("slug", required=False)
@click.option("--family", help="Only the papers of one family.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def papers(slug: str | None, family: str | None, as_json: bool) -> None:
    """List the papers with their status, or show one."""
    from workbench.papers.commands import papers_listing

    print(papers_listing(slug, family, as_json))


@commands.command()
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at once.")
def verify(slug: str, as_json: bool, jobs: int | None) -> None:
    """Measure a paper's claims and check its identities; writes the evidence."""
    from workbench.papers.commands import verify_command

    sys.exit(verify_command(slug, as_json, jobs))


@commands.command()
@click.argument("bench")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Seeds 0 to this less one.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at once.")
@click.option("--only", metavar="SLUG,SLUG", help="These papers alone (and the teacher).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(bench: str, seeds: int, jobs: int | None, only: str | None, as_json: bool) -> None:
    """Train every paper entered for a bench in one budget; sample in 1, 2 and 4 steps beside the teacher."""
    from workbench.papers.commands import compare_command

    sys.exit(compare_command(bench, seeds, jobs, only, as_json))


@commands.command()
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


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options: tuple[str, ...]) -> None:
    """Open JupyterLab on the notebooks. OPTIONS go to it as they are, such as `--no-browser` or `--port=8899`."""
    from workbench.jobs.lab import command_line

    sys.exit(subprocess.run(command_line(options)).returncode)


@commands.command()
def doctor() -> None:
    """Show versions, threads, cache and disk, and say what is wrong."""
    from workbench.jobs.doctor import report

    lines, healthy = report()
    print("\n".join(lines))
    sys.exit(0 if healthy else 1)


def main() -> None:
    """Entry point: every expected failure is one sentence on stderr and a non-zero exit."""
    try:
        commands.main(standalone_mode=False)
    except click.exceptions.Abort:
        fail("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("WORKBENCH_TRACEBACK"):
            raise
        fail(f"error: {one_line(error)}", 2 if isinstance(error, ValueError) else 1)


def one_line(error: BaseException) -> str:
    """The error as a sentence; a full disk and a forbidden path say what to do."""
    if isinstance(error, PermissionError):
        return f"no permission to write {error.filename}: choose another folder with --out, or change its rights"
    if isinstance(error, OSError) and error.errno == 28:
        where = error.filename or "while writing"
        return f"the disk is full ({where}): free some space and run again; what was finished is kept"
    return " ".join(str(error).split()) or type(error).__name__


def fail(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
