"""The command `report`; nothing here imports the package before it runs."""

from __future__ import annotations

from pathlib import Path

import click

from ds2fast_cli import options as given
from ds2fast_cli.interrupt import interruptible


@click.command(short_help="Make the page that shows what a finished run selected, and why.")
@click.argument("directory", type=given.FILE)
@click.option(
    "-o", "--output", type=given.FILE, help="File for the page.  [report.html in DIRECTORY]"
)
@click.option("--title", help="Heading of the page.  [the name of the pool's file]")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@given.QUIET
def report(
    *, directory: Path, output: Path | None, title: str | None, overwrite: bool, quiet: bool
) -> None:
    """Make one HTML page from the results in DIRECTORY; it needs no network to be looked at.

    The texts are read again from the input, which must not have changed.
    """
    with interruptible():
        from ds2fast.errors import OutputError
        from ds2fast.report.extra import check_extra
        from ds2fast.reselect import reselect
        from ds2fast_cli.jobs import weak_evidence_told_once

        page = directory / "report.html" if output is None else output
        check_extra()
        if page.exists() and not overwrite:
            raise OutputError(f"{page} is there already; --overwrite replaces it")
        with weak_evidence_told_once():
            selection = reselect(directory, progress=False if quiet else None)
        selection.report(page, title=title)
        if not quiet:
            click.echo(f"wrote {page}", err=True)
