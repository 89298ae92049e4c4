"""The command `explain`; nothing here imports the package before it runs."""

from __future__ import annotations

from pathlib import Path

import click

from ds2fast_cli import options as given
from ds2fast_cli.interrupt import interruptible


@click.command(short_help="Why was a row selected, or not? Each step, and its neighbours.")
@click.argument("directory", type=given.FILE)
@click.argument("row", type=int)
@click.option(
    "--neighbours", type=click.IntRange(min=0), default=10, show_default=True,
    help="Neighbours to show.",
)  # fmt: skip
@given.ROWS_NOW
@given.JSON
def explain(
    *, directory: Path, row: int, neighbours: int, data: tuple[Path, ...], as_json: bool
) -> None:
    """Say why ROW (counted from 0) of the pool was selected or not, by the results in DIRECTORY.

    Prints the row, what each step made of it, and its neighbours with their texts and scores. The
    texts are read again from the input, which must not have changed; --data names where it lies
    now.
    """
    with interruptible():
        from ds2fast.run.explain import explain as explain_row
        from ds2fast_cli.printing import print_json

        found = explain_row(directory, row, neighbours=neighbours, data=data or None)
        if as_json:
            print_json(found.record())
        else:
            click.echo(str(found))
