"""What jobs print: results on stdout, messages on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import click

from ds2fast.io.write import write_manifest


def print_warnings(messages: Sequence[str]) -> None:
    """Warnings come also with --quiet."""
    for message in messages:
        click.echo(f"WARNING: {message}", err=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Print in the form of a manifest, so that what JSON lacks is written the same everywhere."""
    text = BytesIO()
    write_manifest(text, value)
    click.echo(text.getvalue(), nl=False)
