"""Commands on papers: ``papers``, ``verify``, ``compare``."""

from __future__ import annotations

import sys

import click


@click.command()
@click.argument("slug", required=False)
@click.option("--family", help="Only the papers of one family.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def papers(slug: str | None, family: str | None, as_json: bool) -> None:
    """List the papers with their status, or show one."""
    from workbench.papers.commands import papers_listing

    print(papers_listing(slug, family, as_json))


@click.command()
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at once.")
def verify(slug: str, as_json: bool, jobs: int | None) -> None:
    """Measure a paper's claims and check its identities; writes the evidence."""
    from workbench.papers.commands import verify_command

    sys.exit(verify_command(slug, as_json, jobs))


@click.command()
@click.argument("bench")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Seeds 0 to this less one.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at once.")
@click.option("--only", metavar="SLUG,SLUG", help="These papers alone (and the teacher).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(bench: str, seeds: int, jobs: int | None, only: str | None, as_json: bool) -> None:
    """Train every paper entered for a bench in one budget; sample in 1, 2 and 4 steps beside the teacher."""
    from workbench.papers.commands import compare_command

    sys.exit(compare_command(bench, seeds, jobs, only, as_json))
