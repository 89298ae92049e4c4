"""The command `report`; nothing here imports the package before it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ds2fast_cli import options as given
from ds2fast_cli.interrupt import interruptible

if TYPE_CHECKING:
    from ds2fast.run.finished import FinishedRun

PAGE = "report.html"


@click.command(short_help="Make the page that shows what a finished run selected, and why.")
@click.argument("directory", type=given.FILE)
@click.option(
    "-o", "--output", type=given.FILE, help="File for the page.  [report.html in DIRECTORY]"
)
@click.option("--title", help="Heading of the page.  [the name of the pool's file]")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@given.ROWS_NOW
@given.QUIET
def report(
    *,
    directory: Path,
    output: Path | None,
    title: str | None,
    overwrite: bool,
    data: tuple[Path, ...],
    quiet: bool,
) -> None:
    """Make one HTML page from the results in DIRECTORY; it needs no network to be looked at.

    The texts are read again from the input, which must not have changed; --data names where it lies
    now.
    """
    with interruptible():
        from ds2fast.io.atomic import atomic_file
        from ds2fast.report import report_html
        from ds2fast.report.extra import check_extra
        from ds2fast.reselect import reselect
        from ds2fast.run.finished import FinishedRun
        from ds2fast.run.restore import restored
        from ds2fast_cli.jobs import weak_evidence_told_once

        page = directory / PAGE if output is None else output
        check_extra()
        run = FinishedRun.open(directory)
        _check_place(page, run, data, overwrite=overwrite)
        with weak_evidence_told_once():
            progress = False if quiet else None
            again = reselect(directory, progress=progress, data=data or None)
        selection = restored(run, again)
        made = report_html(selection, title=title, manifest=run.manifest)
        with atomic_file(page) as file:
            file.write(made)
        if not quiet:
            click.echo(f"wrote {page}", err=True)


def _check_place(page: Path, run: FinishedRun, data: tuple[Path, ...], *, overwrite: bool) -> None:
    """Refuse a place where the page cannot go, or would replace what it is made from."""
    from ds2fast.errors import OutputError
    from ds2fast.io.names import check_file
    from ds2fast.io.place import check_place

    results = {*run.manifest["files"], "manifest.json"} - {PAGE}
    rows = [file["path"] for file in run.manifest["input"].get("files") or []]
    rows += [path for named in data for path in check_file(named)]
    check_place(page, source=[*(run.directory / name for name in results), *rows])
    if os.path.lexists(page) and not overwrite:
        raise OutputError(f"{page} is there already; --overwrite replaces it")
