"""What came of rating a pool: scores and reasons, row by row."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import numpy as np

from ds2fast.build import build_info
from ds2fast.checks import UNRATED
from ds2fast.errors import InputError
from ds2fast.pool import Pool
from ds2fast.rating.levels import NUM_LEVELS
from ds2fast.rating.tally import Tally
from ds2fast.rating.write import save_ratings
from ds2fast.results import BoolArray, DoubleArray, IntArray, ShortRepr


@dataclass(frozen=True, eq=False, repr=False)
class RaterScores(ShortRepr):
    """What one rater gave to N rows.

    Attributes
    ----------
    model, endpoint : str
        Who rated, and where it answers.
    identity : mapping of str to Any
        What its replies are kept by: prompt, temperature and all.
    form : mapping of str to Any or None
        Options that the server took in this run; None where nothing was asked.
    field : str
        Name of its column of scores.
    scores : (N,) int64
        Levels 0..5, `clip(overall, 4, 9) - 4`; −1 where the row is unrated.
    criteria : mapping of str to (N,) int64
        Each criterion as it was given, 1..10, `overall` among them; −1 where unrated.
    expected : (N,) float64 or None
        Expected level by the probabilities of the reply's tokens, NaN where they do not tell; None
        where they were not asked for.
    repeats : (N, K−1) int64
        Further scores of the rows that were rated K times, −1 elsewhere.
    reasons : list of str or None
        Why a row is unrated; None where it is rated.
    pending : (N,) bool
        Rows that were not asked for yet: a limit, or an end before.
    tally : Tally
        Replies, requests and tokens of this run; what was kept before is not counted.
    cost : float or None
        US dollars of this run, as far as can be told.
    spent : mapping of str to Any
        Replies, requests, tokens and US dollars of all replies here, whenever they were had.
    kept : int
        Replies that were kept before.
    store : str
        The file that holds all replies.
    """

    model: str
    endpoint: str
    identity: Mapping[str, Any]
    form: Mapping[str, Any] | None
    field: str
    scores: IntArray
    criteria: Mapping[str, IntArray]
    expected: DoubleArray | None
    repeats: IntArray
    reasons: list[str | None]
    pending: BoolArray
    tally: Tally
    cost: float | None
    spent: Mapping[str, Any]
    kept: int
    store: str

    def columns(self) -> dict[str, list[Any]]:
        """Columns to be written beside the rows; null where there is nothing."""
        found: dict[str, list[Any]] = {self.field: _nulls(self.scores)}
        if self.expected is not None:
            values = np.round(self.expected, 4).tolist()
            found[f"{self.field}_expected"] = [None if isnan(x) else x for x in values]
        for number, column in enumerate(self.repeats.T, 1):
            found[f"{self.field}_repeat_{number}"] = _nulls(column)
        for name, values in self.criteria.items():
            found.setdefault(f"{self.field}_{name}", _nulls(values))  # a model may name them so
        found[f"{self.field}_unrated"] = list(self.reasons)
        return found

    def record(self) -> dict[str, Any]:
        """The rater and its run, for a manifest."""
        unrated = self.scores == UNRATED
        levels, counts = np.unique(self.scores[~unrated], return_counts=True)
        return {
            **self.identity,
            "options": None if self.form is None else dict(self.form),
            "field": self.field,
            "rated": int((~unrated).sum()),
            "unrated": int(unrated.sum()),
            "not_asked": int(self.pending.sum()),
            "levels": dict(zip(map(str, levels.tolist()), counts.tolist(), strict=True)),
            "repeated_rows": int((self.repeats != UNRATED).any(axis=1).sum()),
            **self.spent,
            "this_run": {
                "kept_before": self.kept,
                "replies": self.tally.replies,
                "failed": self.tally.failed,
                "requests": self.tally.requests,
                "troubles": dict(self.tally.troubles),
                "prompt_tokens": self.tally.prompt_tokens,
                "completion_tokens": self.tally.completion_tokens,
                "tokens_estimated": self.tally.is_estimated,
                "cost": self.cost,
            },
            "store": self.store,
        }


def _nulls(values: IntArray) -> list[int | None]:
    return [None if value == UNRATED else value for value in values.tolist()]


@dataclass(frozen=True, eq=False, repr=False)
class Ratings(ShortRepr):
    """A rated pool; `ds2fast.rate` makes it.

    Attributes
    ----------
    pool : Pool
        The rows.
    raters : tuple of RaterScores
        What each model gave.
    settings : mapping of str to Any
        How it was asked.
    endings : tuple of str
        For each rater "done", or why it was stopped.
    num_cut : int
        Samples that were too long and were sent in part.
    seconds : float
        Time that it took.
    """

    pool: Pool
    raters: tuple[RaterScores, ...]
    settings: Mapping[str, Any]
    endings: tuple[str, ...]
    num_cut: int
    seconds: float

    def __len__(self) -> int:
        return len(self.pool)

    def __repr__(self) -> str:
        rated = int((self.scores != UNRATED).reshape(len(self), -1).any(axis=1).sum())
        return f"Ratings({rated} of {len(self)} rows rated by {len(self.raters)} models)"

    @property
    def scores(self) -> IntArray:
        """(N,) levels 0..5 of one rater, (N, R) of several; −1 where unrated."""
        if len(self.raters) == 1:
            return self.raters[0].scores
        return np.column_stack([rater.scores for rater in self.raters])

    @property
    def repeats(self) -> IntArray | None:
        """(N, K−1) further scores of one rater; None where there are none, or several raters."""
        found = self.raters[0].repeats
        return found if len(self.raters) == 1 and found.shape[1] else None

    @property
    def reasons(self) -> list[str | None]:
        """Why a row is unrated by any rater; None where all rated it."""
        if len(self.raters) == 1:
            return self.raters[0].reasons
        joined = zip(*(rater.reasons for rater in self.raters), strict=True)
        return [self._join(reasons) for reasons in joined]

    def _join(self, reasons: tuple[str | None, ...]) -> str | None:
        named = zip(self.raters, reasons, strict=True)
        words = [f"{rater.model}: {reason}" for rater, reason in named if reason is not None]
        return "; ".join(words) or None

    @property
    def is_complete(self) -> bool:
        """Whether every row with a text was asked for."""
        return not any(rater.pending.any() for rater in self.raters)

    def to_pool(self) -> Pool:
        """The pool with these scores as its own, as `select` takes it; for one rater.

        Raises
        ------
        InputError
            Several raters: `select(ratings.pool, scores=ratings.scores)` takes those.
        """
        if len(self.raters) > 1:
            raise InputError(
                f"to_pool: expected one rater, got {len(self.raters)}; "
                "select(ratings.pool, scores=ratings.scores) takes several"
            )
        rated = self.raters[0]
        unrated = int((rated.scores == UNRATED).sum())
        return replace(
            self.pool,
            scores=rated.scores,
            # Levels, as in the file that `save` writes: repeats and gold are read on that scale.
            raw_scores=np.where(rated.scores == UNRATED, np.nan, rated.scores),
            num_levels=NUM_LEVELS,
            score_mapping=(
                f"overall by {rated.model}, 1..10, compressed to 0..5: "
                f"clip(overall, 4, 9) - 4; {unrated} row{'s' * (unrated != 1)} unrated"
            ),
        )

    def fields(self) -> dict[str, list[Any]]:
        """Columns beside the rows: each rater's score, criteria, repeats, and reasons."""
        return {name: values for rater in self.raters for name, values in rater.columns().items()}

    def manifest(self) -> dict[str, Any]:
        """How it was made, in the order to read it in."""
        return {
            "input": {
                "path": self.pool.path,
                "sha256": self.pool.sha256,
                "rows": len(self.pool),
                "empty_texts": self.pool.empty.count,
                "cut_samples": self.num_cut,
                "text": self.pool.schema.describe(),
            },
            "raters": [rater.record() for rater in self.raters],
            "endings": list(self.endings),
            "settings": dict(self.settings),
            "seconds": round(self.seconds, 3),
            "build": build_info(),
        }

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the rows as JSON lines, as they came, with the columns of `fields` at their end.

        Parameters
        ----------
        path : path-like
            A `.jsonl` file; `<name>.manifest.json` is written beside it.
        overwrite : bool
            Whether a file that is there is replaced. One of ours that was not complete is anyway.

        Raises
        ------
        OutputError
            Another ending, a file that must not be replaced, or a place that cannot be written.
        """
        save_ratings(self, path, overwrite=overwrite)

    def __str__(self) -> str:
        """What came of it, in a few lines."""
        return self.describe()

    def describe(self) -> str:
        """What came of it, in a few lines for people."""
        from ds2fast.rating.words import describe_ratings

        return describe_ratings(self)
