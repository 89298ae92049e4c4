"""The command `diff`; nothing here imports the package before it runs."""

from __future__ import annotations

from pathlib import Path

import click

from ds2fast_cli import options as given
from ds2fast_cli.interrupt import interruptible


@click.command("diff", short_help="How do two selections from one pool differ?")
@click.argument("first", type=given.FILE)
@click.argument("second", type=given.FILE)
@given.JSON
def diff(*, first: Path, second: Path, as_json: bool) -> None:
    """Compare the results in the directories FIRST and SECOND, made from the same rows.

    Prints which rows both or one alone selected and why, settings that differ, where T differs
    most, the verdicts, and what became of the rows. Of two figures the first is FIRST's.
    """
    with interruptible():
        from ds2fast.run.difference import difference
        from ds2fast_cli.printing import print_json

        found = difference(first, second)
        if as_json:
            print_json(found.record())
        else:
            click.echo(str(found))
