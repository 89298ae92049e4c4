"""Options that limit a selection beyond its order; nothing here imports the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ds2fast_cli.options import FILE, Command


def _take_once(_ctx: click.Context, _param: click.Parameter, values: tuple[Any, ...]) -> Any:
    """The only value: the last of several would silently take the place of the others."""
    if len(values) > 1:
        raise click.BadParameter(f"expected it once, got it {len(values)} times")
    return values[0] if values else None


def _single(name: str, *, default: Any = None, **settings: Any) -> Any:
    """An option that may be given once."""
    settings["default"] = None if default is None else (default,)
    return click.option(name, multiple=True, callback=_take_once, **settings)


def _take_files(
    _ctx: click.Context, _param: click.Parameter, values: tuple[Path, ...]
) -> Path | list[Path] | None:
    """One file or several, as `ds2fast.select` takes them."""
    return _take_once(_ctx, _param, values) if len(values) < 2 else list(values)


def _parse_shares(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, float] | None:
    """NAME=SHARE, given again for each group."""
    if not values:
        return None
    shares = {}
    for value in values:
        name, found, share = value.rpartition("=")
        if not found:
            raise click.BadParameter(f"expected NAME=SHARE, got {value!r}")
        shares[name] = float(_number(share, value))
    _refuse_twice(list(shares), len(values))
    return shares


def _parse_caps(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> float | dict[str, float] | None:
    """One cap for every group, or NAME=CAP given again."""
    if not values:
        return None
    named = [value.rpartition("=") for value in values]
    if len(values) == 1 and not named[0][1]:
        return _number(values[0], values[0])
    if not all(found for _, found, _ in named):
        raise click.BadParameter("expected one cap, or NAME=CAP for each group")
    caps = {name: _number(cap, cap) for name, _, cap in named}
    _refuse_twice(list(caps), len(values))
    return caps


def _refuse_twice(names: list[str], given: int) -> None:
    if len(names) < given:
        raise click.BadParameter("expected each group once, got one of them again")


def _number(word: str, shown: str) -> float:
    """Digits alone are a number of rows, others a share."""
    try:
        return int(word) if word.isdecimal() else float(word)
    except ValueError:
        raise click.BadParameter(f"expected a number, got {shown!r}") from None


_RULES = (
    _single("--groups", metavar="FIELD", help="Field with each row's group (source, say)."),
    click.option(
        "--share", "group_shares", multiple=True, metavar="NAME=SHARE", callback=_parse_shares,
        help="Share of the selection for a group; given again for others.  [a group's share of "
        "the rated rows]",
    ),
    click.option(
        "--cap", "group_caps", multiple=True, metavar="[NAME=]CAP", callback=_parse_caps,
        help="The most rows (1000), or the greatest share (0.3), of any group or of one.",
    ),
    _single(
        "--max-similarity", type=float, metavar="COSINE",
        help="Leave out rows so similar to a better selected one; near copies have 0.95 and more.",
    ),
    _single(
        "--min-score", type=float, metavar="SCORE",
        help="Leave out rows that rank below it; levels count from 0.",
    ),
    _single(
        "--max-rarity", type=float, metavar="SHARE",
        help="Leave out rows rarer than this share of the rated ones: 0.99 leaves out a hundredth.",
    ),
    click.option(
        "--exclude", type=FILE, multiple=True, callback=_take_files,
        help="File of an evaluation, say, whose rows no selected row may repeat; given again for "
        "others.",
    ),
    _single(
        "--exclude-ngram", type=int, default=13, show_default=True, metavar="WORDS",
        help="So many words in a row in common are a repeat; 0: do not look.",
    ),
    _single(
        "--exclude-similarity", type=float, default=0.9, show_default=True, metavar="COSINE",
        help="So high a cosine is a repeat; 0: do not look.",
    ),
)  # fmt: skip


def rule_options(command: Command) -> Command:
    """What limits the selection."""
    for option in reversed(_RULES):
        command = option(command)
    return command


RULE_NAMES = (
    "groups", "group_shares", "group_caps", "max_similarity", "min_score", "max_rarity", "exclude",
    "exclude_ngram", "exclude_similarity",
)  # fmt: skip


def take_rules(options: dict[str, Any]) -> dict[str, Any]:
    """The rules out of all options, as `ds2fast.select` takes them."""
    rules = {name: options.pop(name) for name in RULE_NAMES}
    for name in ("exclude_ngram", "exclude_similarity"):
        rules[name] = rules[name] or None
    return rules
