"""The command line: ``workbench run|sweep|reproduce|runs|papers|...``. Each imports what it needs when called."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import click

from workbench import __version__
from workbench.cli import jobs, papers, runs
from workbench.cli.sweep import sweep


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="workbench")
def commands() -> None:
    """Distil models and watch every step of it."""


for command in (jobs.run, sweep, runs.reproduce, runs.runs, papers.papers, papers.verify, papers.compare):
    commands.add_command(command)


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options: tuple[str, ...]) -> None:
    """Open JupyterLab on the notebooks. OPTIONS go to it as they are, such as `--no-browser` or `--port=8899`."""
    from workbench.jobs.lab import command_line

    sys.exit(subprocess.run(command_line(options)).returncode)


@commands.command()
@click.option("--fit", nargs=2, metavar="METHOD BENCH", help="Instead: will this training fit, and how long is a step? "
              "BENCH is a bench's name, or a diffusers pipeline's folder.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Of --fit [the bench's].")
@click.option("-p", "typed", multiple=True, metavar="NAME=VALUE", help="Of --fit: a field of the bench (`rank=None`, "
              "`torch_dtype=bfloat16`, `device=cuda`) or of the method (repeatable).")
def doctor(fit: tuple[str, str] | None, batch_size: int | None, typed: tuple[str, ...]) -> None:
    """Show versions, threads, cache and disk, and say what is wrong; or, with --fit, what a training takes."""
    if fit:
        from workbench.jobs.fit import told

        line, fits = told(*fit, batch_size, typed)
        print(line)
        sys.exit(0 if fits else 1)
    if batch_size or typed:
        raise click.UsageError("--batch-size and -p belong to --fit METHOD BENCH")
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
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return f"no permission to write {error.filename}: choose another folder with --out, or change its rights"
    if isinstance(error, OSError) and error.errno == 28:
        where = error.filename or "while writing"
        return f"the disk is full ({where}): free some space and run again; what was finished is kept"
    return " ".join(str(error).split()) or type(error).__name__


def fail(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)
