"""How two finished selections from one pool differ: rows, settings, T, verdicts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ds2fast.errors import InputError
from ds2fast.results import IntArray, ShortRepr
from ds2fast.run.finished import FinishedRun

SHOWN_ROWS = 5
"""Rows of either selection alone that are shown, best first."""

_NO_SETTINGS = {"misrated", "corrected", "embeddings_given", "graph_given", "memory_plan"}
"""What lies among settings in a manifest but is none: results, and whence a part came."""

_DIGITS = 4
"""Of a broken number, behind the point, where they tell two settings apart."""

_ABSENT = "not given"


@dataclass(frozen=True)
class RowOfOne:
    """A row that only one of two selections holds, and what each says of it."""

    row: int
    first: str
    second: str


@dataclass(frozen=True)
class MatrixDifference:
    """Where two estimates of T differ most: P(given | true) there, in each."""

    true: int
    given: int
    first: float
    second: float


@dataclass(frozen=True, eq=False, repr=False)
class RunDifference(ShortRepr):
    """How two selections differ; `str()` tells it, `record()` gives plain values.

    Attributes
    ----------
    first, second : str
        The folders.
    both, only_first, only_second : (n,) int64
        Rows that both selections hold, or one alone; best first, as the run ranks them that holds
        them (the first of two).
    examples_first, examples_second : tuple of RowOfOne
        The best rows that the first, or the second, holds alone, and why.
    settings : mapping of str to pair
        Settings that differ, by name.
    matrix : MatrixDifference or None
        Where T differs most; None where it cannot be compared: one has none, or other levels.
    verdicts : pair of str
        How far each trusts its estimate.
    fates : pair of mappings
        Rows by what became of them, in each.
    rescored : int
        Rows with another curated score.
    """

    first: str
    second: str
    both: IntArray
    only_first: IntArray
    only_second: IntArray
    examples_first: tuple[RowOfOne, ...]
    examples_second: tuple[RowOfOne, ...]
    settings: Mapping[str, tuple[Any, Any]]
    matrix: MatrixDifference | None
    verdicts: tuple[str, str]
    fates: tuple[Mapping[str, int], Mapping[str, int]]
    rescored: int

    @property
    def overlap(self) -> float:
        """Rows of both as a share of the rows of either."""
        either = len(self.both) + len(self.only_first) + len(self.only_second)
        return len(self.both) / either

    def record(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {
            "first": self.first,
            "second": self.second,
            "rows": {
                "both": len(self.both),
                "only_first": len(self.only_first),
                "only_second": len(self.only_second),
                "overlap": self.overlap,
            },
            "only_first": self.only_first,
            "only_second": self.only_second,
            "examples_first": [asdict(example) for example in self.examples_first],
            "examples_second": [asdict(example) for example in self.examples_second],
            "settings": self.settings,
            "matrix": None if self.matrix is None else asdict(self.matrix),
            "verdicts": self.verdicts,
            "fates": self.fates,
            "rescored": self.rescored,
        }

    def __str__(self) -> str:
        alone = (
            ("first", self.only_first, self.examples_first),
            ("second", self.only_second, self.examples_second),
        )
        parts = [
            f"first: {self.first}\nsecond: {self.second}",
            f"{len(self.both)} rows are in both, {len(self.only_first)} only in the first, "
            f"{len(self.only_second)} only in the second: {self.overlap:.1%} of the rows of either "
            f"are in both; {self.rescored} rows of the pool have another curated score",
            _settings_words(self.settings),
            "\n".join((_verdict_words(self.verdicts), _matrix_words(self.matrix))),
            _fate_words(self.fates),
            *(_example_words(which, len(rows), seen) for which, rows, seen in alone if len(rows)),
        ]
        return "\n\n".join(parts)


def difference(
    first: str | os.PathLike[str] | FinishedRun, second: str | os.PathLike[str] | FinishedRun
) -> RunDifference:
    """Compare two finished selections from the same rows.

    Parameters
    ----------
    first, second : path-like or FinishedRun
        The folders of their results.

    Raises
    ------
    InputError
        The rows are not the same, so that row numbers do not match.
    InputFileError
        A folder holds no results, or damaged ones.

    Examples
    --------
    >>> difference("nowhere", "elsewhere")
    Traceback (most recent call last):
        ...
    ds2fast.errors.InputFileError: run: expected the folder of a selection, nowhere is missing
    """
    one, two = (_opened(first), _opened(second))
    _refuse_other_rows(one, two)
    ranked = [_ranked(run) for run in (one, two)]
    only_first = _without(ranked[0], ranked[1])
    only_second = _without(ranked[1], ranked[0])
    curated = [run.scores["curated_score"] for run in (one, two)]
    return RunDifference(
        first=str(one.directory),
        second=str(two.directory),
        both=_without(ranked[0], only_first),
        only_first=only_first,
        only_second=only_second,
        examples_first=_examples(one, two, only_first),
        examples_second=_examples(one, two, only_second),
        settings=_settings_apart(one.manifest, two.manifest),
        matrix=_matrices_apart(one.manifest, two.manifest),
        verdicts=(_verdict(one), _verdict(two)),
        fates=(_fates(one), _fates(two)),
        rescored=int((curated[0] != curated[1]).sum()),
    )


def _opened(run: str | os.PathLike[str] | FinishedRun) -> FinishedRun:
    return run if isinstance(run, FinishedRun) else FinishedRun.open(run)


def _refuse_other_rows(one: FinishedRun, two: FinishedRun) -> None:
    known = [run.manifest["input"].get("sha256") for run in (one, two)]
    if None in known:
        made = (one, two)[known.index(None)].directory
        raise InputError(
            f"run: expected two selections from the same rows, but {made} was made from arrays, "
            "without rows to tell that by"
        )
    if known[0] != known[1] or len(one) != len(two):
        raise InputError(
            f"run: expected two selections from the same rows, but {one.directory} has "
            f"{len(one)} rows of {_source(one)} and {two.directory} has {len(two)} rows of "
            f"{_source(two)}, and the contents differ"
        )


def _source(run: FinishedRun) -> str:
    return run.manifest["input"].get("path") or "several files or memory"


def _ranked(run: FinishedRun) -> IntArray:
    """The selected rows, best first."""
    rank = run.scores["rank"]
    chosen = np.flatnonzero(rank >= 0)
    return chosen[np.argsort(rank[chosen], kind="stable")].astype(np.int64)


def _without(rows: IntArray, others: IntArray) -> IntArray:
    return rows[~np.isin(rows, others)]


def _examples(one: FinishedRun, two: FinishedRun, rows: IntArray) -> tuple[RowOfOne, ...]:
    reasons = one.scores["reason"], two.scores["reason"]
    return tuple(
        RowOfOne(row, reasons[0][row], reasons[1][row]) for row in rows[:SHOWN_ROWS].tolist()
    )


def _settings_apart(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, by name; those of a part of the run have its name before a dot."""
    told = [_settings_of(manifest) for manifest in (one, two)]
    names = dict.fromkeys([*told[0], *told[1]])
    pairs = {name: (told[0].get(name, _ABSENT), told[1].get(name, _ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _settings_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    parts = {
        "": manifest["settings"],
        "read": manifest["input"].get("read"),
        "encoder": manifest.get("encoder"),
        "graph": manifest.get("graph"),
        "curation": manifest["curation"],
    }
    found: dict[str, Any] = {}
    for prefix, part in parts.items():
        kept = {name: value for name, value in (part or {}).items() if name not in _NO_SETTINGS}
        found |= _flat(kept, prefix)
    found["exclude"] = _excluded_words(manifest)
    found["trust"] = manifest["selection"].get("trust")
    found["version"] = (manifest.get("build") or {}).get("version")
    return found


def _excluded_words(manifest: Mapping[str, Any]) -> str | None:
    """What rows were compared with that must not be repeated: no argument, but a file's name."""
    excluded = (manifest.get("rules") or {}).get("excluded")
    if not isinstance(excluded, dict):
        return None
    return f"{excluded.get('compared_with')} rows of {excluded.get('name')}"


def _flat(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested settings by dotted names."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        dotted = f"{prefix}.{name}" if prefix else name
        found |= _flat(value, dotted) if isinstance(value, dict) and value else {dotted: value}
    return found


def _matrices_apart(one: Mapping[str, Any], two: Mapping[str, Any]) -> MatrixDifference | None:
    told = [(manifest.get("transition") or {}).get("transition_matrix") for manifest in (one, two)]
    if None in told:
        return None
    first, second = (np.asarray(matrix, dtype=np.float64) for matrix in told)
    if first.shape != second.shape:
        return None
    apart = np.nan_to_num(np.abs(first - second))
    true, given = np.unravel_index(apart.argmax(), apart.shape)
    at = (int(true), int(given))
    return MatrixDifference(*at, float(first[at]), float(second[at]))


def _verdict(run: FinishedRun) -> str:
    return str(run.manifest["verdict"].get("word", _ABSENT))


def _fates(run: FinishedRun) -> dict[str, int]:
    """Rows by what became of them, the largest number first."""
    return dict(Counter(run.scores["fate"]).most_common())


def _settings_words(settings: Mapping[str, tuple[Any, Any]]) -> str:
    if not settings:
        return "all settings are the same"
    pairs = ((name, *_told_apart(a, b)) for name, (a, b) in settings.items())
    return "\n".join(("settings that differ", *(f"  {name}: {a} | {b}" for name, a, b in pairs)))


def _told_apart(one: Any, two: Any) -> tuple[str, str]:
    """Two settings in words: with few digits, but where they would look the same."""
    short = str(_short(one)), str(_short(two))
    return short if short[0] != short[1] else (str(one), str(two))


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(part) for part in value]
    return round(value, _DIGITS) if isinstance(value, float) else value


def _verdict_words(verdicts: tuple[str, str]) -> str:
    one, two = verdicts
    return f"both estimates are {one}" if one == two else f"verdicts: {one} | {two}"


def _matrix_words(found: MatrixDifference | None) -> str:
    if found is None:
        return "T cannot be compared: one run has none, or other levels"
    if found.first == found.second:
        return "T is the same"
    return (
        f"T differs most at true {found.true}, given {found.given}: {found.first:.3f} | "
        f"{found.second:.3f}"
    )


def _fate_words(fates: tuple[Mapping[str, int], Mapping[str, int]]) -> str:
    names = dict.fromkeys([*fates[0], *fates[1]])
    lines = (f"  {name}: {fates[0].get(name, 0)} | {fates[1].get(name, 0)}" for name in names)
    return "\n".join(("rows by what became of them", *lines))


def _example_words(which: str, count: int, examples: tuple[RowOfOne, ...]) -> str:
    shown = "" if count <= len(examples) else f", the best {len(examples)} of {count}"
    lines = (f"  row {seen.row}: {seen.first} | {seen.second}" for seen in examples)
    return "\n".join((f"only in the {which}{shown}", *lines))
