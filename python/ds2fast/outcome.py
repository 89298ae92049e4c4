"""What `select` and `diagnose` return: the stages' results side by side, and how they were made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ds2fast.decided import Decided, decide
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.pool import Pool, sources_of
from ds2fast.results import (
    UNCHECKED,
    Curation,
    DoubleArray,
    FloatArray,
    FrozenArrays,
    IntArray,
    TransitionEstimate,
    Verdict,
)
from ds2fast.selection import dual_sort


@dataclass(frozen=True)
class Cut:
    """Where the selection ends, and so what decided it.

    Attributes
    ----------
    key : float
        What the last selected row is ranked by: its expected score in steps of a quarter, or its
        curated score.
    above : int
        Selected rows that rank higher.
    at_cut : int
        Selected rows that rank just so.
    candidates : int
        Rated rows in the pool that rank just so.
    """

    key: float
    above: int
    at_cut: int
    candidates: int

    @property
    def by_score(self) -> int:
        """Rows that the ranking by score alone decided."""
        return self.above + self.at_cut - self.by_rarity

    @property
    def by_rarity(self) -> int:
        """Rows that are in because they are rarer than others that rank the same."""
        return 0 if self.at_cut == self.candidates else self.at_cut


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(FrozenArrays):
    """Is the judge any good? The estimate of T and what it rests on, without a selection.

    Attributes
    ----------
    given_scores : (N,) int64
        Scores as levels, −1 unrated.
    graph, transition
        Results of the stages.
    verdict : Verdict
        How far to trust the estimate, from its own figures and the pool's.
    pool : Pool or None
        The rows, where data was given.
    encoder : mapping or None
        What identifies the encoder, where one ran; its precision, and how many texts were cut.
    timings : mapping of str to float
        Seconds by stage.
    settings : mapping
        Arguments in force, for the manifest.
    warnings : tuple of str
        What speaks against trusting the result; also issued as `WeakEvidenceWarning`.
    """

    given_scores: IntArray
    graph: KnnGraph
    transition: TransitionEstimate
    verdict: Verdict = UNCHECKED
    pool: Pool | None = None
    encoder: Mapping[str, Any] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        from ds2fast.summary import describe_diagnosis

        return describe_diagnosis(self)


@dataclass(frozen=True, eq=False, repr=False)
class Selection(FrozenArrays):
    """The selected rows, best first, and every stage's result.

    Attributes
    ----------
    indices : (n,) int64
        Rows of the pool, best first.
    given_scores : (N,) int64
        Scores as levels before curation, −1 unrated.
    keys : (N,) float64
        What rows are ranked by, −1 unrated: the curation's `rank_keys`, shrunk towards the given
        scores by `trust`.
    long_tail : (N,) float32
        Rarity of each row: it decides among rows of one key.
    graph, transition, curation
        Results of the stages; `transition` is None where a curation was given.
    verdict : Verdict
        How far to trust the corrections.
    trust : float
        Share of the way from given to curated scores that the ranking went.
    pool : Pool or None
        The rows, where data was given.
    encoder : mapping or None
        What identifies the encoder, where one ran; its precision, and how many texts were cut.
    timings : mapping of str to float
        Seconds by stage.
    settings : mapping
        Arguments in force, for the manifest.
    warnings : tuple of str
        What speaks against trusting the result; also issued as `WeakEvidenceWarning`.
    given_keys : (N,) float64 or None
        What rows would be ranked by as given; None where it is `given_scores`.
    """

    indices: IntArray
    given_scores: IntArray
    keys: DoubleArray
    long_tail: FloatArray
    graph: KnnGraph
    transition: TransitionEstimate | None
    curation: Curation
    verdict: Verdict = UNCHECKED
    trust: float = 1.0
    pool: Pool | None = None
    encoder: Mapping[str, Any] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    given_keys: DoubleArray | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def __str__(self) -> str:
        from ds2fast.summary import describe_selection

        return describe_selection(self)

    @property
    def curated_scores(self) -> IntArray:
        """(N,) int64: scores after curation, −1 unrated."""
        return self.curation.scores

    @property
    def selected(self) -> list[Any]:
        """The selected rows as they came, best first.

        Raises
        ------
        InputError
            The selection was made from arrays, without rows.
        """
        return self._rows().take(self.indices)

    @property
    def filtered(self) -> list[Any]:
        """All other rows, in the order of the pool; errors as for `selected`."""
        others = np.ones(len(self.given_scores), dtype=bool)
        others[self.indices] = False
        return self._rows().take(np.flatnonzero(others))

    @property
    def cut(self) -> Cut:
        """Where the selection ends: how much of it the score decided, how much rarity."""
        last = float(self.keys[self.indices[-1]])
        above = int((self.keys[self.indices] > last).sum())
        return Cut(last, above, len(self) - above, int((self.keys == last).sum()))

    @cached_property
    def decided(self) -> Decided:
        """What decided this selection: score, correction or rarity; text length; sources.

        Sources are the values of the field `source`, where the rows have one.
        """
        pool = self.pool
        return decide(
            self.indices,
            self.given_scores,
            self.keys,
            self.long_tail,
            lengths=None if pool is None else [len(text) for text in pool.texts],
            groups=None if pool is None else sources_of(pool),
            posterior=self.curation.posterior,
            values=self.given_keys,
        )

    def top(self, n: int | None = None) -> Selection:
        """The same run with another n, at once; None ranks all rated rows.

        Raises
        ------
        InputError
            n beyond the rated rows.
        """
        indices = dual_sort(self.keys, self.long_tail, n)
        return replace(self, indices=indices, settings={**self.settings, "n": len(indices)})

    def ranked_as_given(self) -> IntArray:
        """As many rows ranked by the scores as given: what curation changed is seen against it."""
        keys = self.given_scores if self.given_keys is None else self.given_keys
        return dual_sort(keys, self.long_tail, len(self))

    def save(self, directory: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write `selected.jsonl` (where there are rows), `scores.parquet` and `manifest.json`.

        All are written and synced under temporary names, then renamed together, the manifest last.

        Parameters
        ----------
        directory : path-like
            Made where it is missing; one that holds anything but results of ours is refused.
        overwrite : bool
            Whether earlier results of ours are replaced.

        Raises
        ------
        OutputError
            The directory holds other files, the file that the rows came from, or results of ours
            without `overwrite`; or it cannot be written to. Old results are then as they were,
            unless the message says that they are half replaced.
        """
        from ds2fast.io.output import check_output_dir
        from ds2fast.save import save_selection

        source = None if self.pool is None else self.pool.path
        check_output_dir(directory, overwrite=overwrite, source=source)
        save_selection(self, directory, overwrite=overwrite)

    def _rows(self) -> Pool:
        if self.pool is None:
            raise InputError(
                "selection: expected one made from data, got one made from arrays only"
            )
        return self.pool
