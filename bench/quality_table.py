"""What `bench_quality.py` prints: tables of each family of regimes."""

from __future__ import annotations

from dataclasses import dataclass

from quality_figures import Figures
from quality_figures import means as means_of
from quality_goals import TOP, Means
from quality_regimes import Regime

ESTIMATES = ("paper", "paper-doubled", "simifeat", "posterior", "posterior-repeats")
FIRST, WIDTH = 22, 11
BY_WAY = {
    "top 3.3 %": "top_3.3",
    "top 10 %": "top_10",
    "top 30 %": "top_30",
    "rarity": "long_tail_top_3.3",
    "F1": "f1",
    "AUC": "auc",
    "MAE": "mae",
    "0.8 right": "right_at_0.8",
    "seconds": "seconds",
}
"""Figures of the tables by way, by their headings; rarity is of the top 3.3 %."""


@dataclass(frozen=True)
class Column:
    """One figure of one way, and its heading in two lines."""

    way: str
    figure: str
    heading: tuple[str, str]
    digits: int = 3


def describe(means: Means, ways: list[str]) -> str:
    """All tables, family by family."""
    return "\n\n".join(
        _describe_family(family, regimes, means, ways)
        for family, regimes in _families(means).items()
    )


def _families(means: Means) -> dict[str, list[Regime]]:
    found: dict[str, list[Regime]] = {}
    for regime in means:
        found.setdefault(regime.family, []).append(regime)
    return found


def _describe_family(family: str, regimes: list[Regime], means: Means, ways: list[str]) -> str:
    chosen = {regime: means[regime] for regime in regimes}
    return "\n\n".join(
        [
            f"{family}: true mean of the top 3.3 %\n{table(chosen, top_columns(ways))}",
            f"{family}: error of T, and fitted share of own rows\n"
            f"{table(chosen, transition_columns(ways))}",
            f"{family}: misrated rows and curated scores\n{table(chosen, curation_columns(ways))}",
        ]
    )


def top_columns(ways: list[str]) -> list[Column]:
    return [Column(way, TOP, _heading(way)) for way in ways]


def transition_columns(ways: list[str]) -> list[Column]:
    errors = [Column(way, "t_error", _heading(way), 4) for way in ways if way in ESTIMATES]
    own = [Column(way, "own", ("own", "repeats")) for way in ways if way == "posterior-repeats"]
    return errors + own


def curation_columns(ways: list[str]) -> list[Column]:
    """F1 of the ways that find misrated rows, MAE of those that give levels."""
    flagging = [way for way in ways if way in ESTIMATES]
    giving = [way for way in ways if way in (*ESTIMATES, "given", "smoothing")]
    f1 = [Column(way, "f1", ("F1", _short(way))) for way in flagging]
    return f1 + [Column(way, "mae", ("MAE", _short(way))) for way in giving]


def table(means: Means, columns: list[Column]) -> str:
    """A row a regime, and their mean; `-` where there is no figure."""
    lines = [
        f"{'':{FIRST}}" + "".join(f"{column.heading[part]:>{WIDTH}}" for column in columns)
        for part in (0, 1)
    ]
    lines += [_line(regime.kind, ways, columns) for regime, ways in means.items()]
    if len(means) > 1:
        lines.append(_line("mean", _mean(list(means.values())), columns))
    return "\n".join(line.rstrip() for line in lines)


def _line(name: str, ways: dict[str, Figures], columns: list[Column]) -> str:
    return f"{name:{FIRST}}" + "".join(_cell(ways, column) for column in columns)


def _cell(ways: dict[str, Figures], column: Column) -> str:
    value = ways.get(column.way, {}).get(column.figure)
    return f"{'-' if value is None else format(value, f'.{column.digits}f'):>{WIDTH}}"


def _mean(regimes: list[dict[str, Figures]]) -> dict[str, Figures]:
    """Of each way over the regimes that have it."""
    names = dict.fromkeys(way for ways in regimes for way in ways)
    return {way: means_of([ways[way] for ways in regimes if way in ways]) for way in names}


def describe_by_way(title: str, means: Means, ways: list[str]) -> str:
    """One row a way, all figures, means over all regimes."""
    over_all = _mean(list(means.values()))
    lines = [title, f"{'':{FIRST}}" + "".join(f"{head:>{WIDTH}}" for head in BY_WAY)]
    columns = {head: (name, 2 if name == "seconds" else 3) for head, name in BY_WAY.items()}
    for way in ways:
        cells = [Column(way, name, ("", ""), digits) for name, digits in columns.values()]
        lines.append(_line(way, over_all, cells))
    return "\n".join(line.rstrip() for line in lines)


def _heading(way: str) -> tuple[str, str]:
    first, _, second = way.partition("-")
    return first, second


def _short(way: str) -> str:
    """Fits a column."""
    names = {"paper-doubled": "doubled", "posterior-repeats": "repeats"}
    return names.get(way, way)
