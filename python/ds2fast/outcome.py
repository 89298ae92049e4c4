"""What `select` and `diagnose` return: the stages' results side by side, and how they were made."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ds2fast.choice import Choice, Fate, Rules
from ds2fast.decided import Decided, decide
from ds2fast.errors import InputError, TrainerWarning
from ds2fast.given import Given
from ds2fast.graph import KnnGraph
from ds2fast.limits import Limits
from ds2fast.pool import Pool, sources_of
from ds2fast.results import (
    UNCHECKED,
    BoolArray,
    Curation,
    DoubleArray,
    FloatArray,
    FrozenArrays,
    IntArray,
    RowArray,
    TransitionEstimate,
    Verdict,
)
from ds2fast.selection import dual_sort
from ds2fast.settings import check_amount, resolve_amount

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars as pl

    from ds2fast.run.explain import Explanation


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
    given : Given or None
        What was seen of the scores: each rater's, repeats, gold.
    limits : Limits
        What was asked for to limit the selection beyond its order.
    groups : (N,) tuple of str or None
        Each row's group, where groups were asked for.
    choice : Choice or None
        What became of every row.
    rules : Rules
        The limits as they were applied.
    positions : (N, 2) float32 or None
        Places of the rows on a map, where there were vectors.
    vectors : (N, d) float32 or None
        The rows' vectors, kept where near-duplicates are left out.
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
    given: Given | None = None
    limits: Limits = field(default_factory=Limits)
    groups: tuple[str, ...] | None = None
    choice: Choice | None = None
    rules: Rules = field(default_factory=Rules)
    positions: FloatArray | None = None
    vectors: RowArray | None = None

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
        candidates = (self.keys == last) & self.eligible
        return Cut(last, above, len(self) - above, int(candidates.sum()))

    @property
    def eligible(self) -> BoolArray:
        """(N,) bool: rated rows that no rule left out."""
        if self.choice is None:
            return self.given_scores >= 0
        return np.isin(self.choice.fates, [Fate.SELECTED, Fate.BELOW])

    @cached_property
    def num_copies(self) -> int:
        """Selected rows that are copies (cosine 0.999 or more) of a better selected one."""
        from ds2fast.pool_checks import COPY_SIMILARITY

        rank = np.full(len(self.given_scores), len(self), dtype=np.int64)
        rank[self.indices] = np.arange(len(self))
        near = self.graph.similarities[self.indices] >= np.float32(COPY_SIMILARITY)
        better = rank[self.graph.indices[self.indices]] < np.arange(len(self))[:, None]
        return int((near & better).any(axis=1).sum())

    @cached_property
    def decided(self) -> Decided:
        """What decided this selection: score, correction or rarity; text length; sources.

        Sources are the groups, or else the values of the field `source` where the rows have one.
        """
        pool = self.pool
        groups: Sequence[str] | None = self.groups
        if groups is None and pool is not None:
            groups = sources_of(pool)
        return decide(
            self.indices,
            self.given_scores,
            self.keys,
            self.long_tail,
            lengths=None if pool is None else pool.lengths,
            groups=groups,
            posterior=self.curation.posterior,
            values=self.given_keys,
            as_given=self.ranked_as_given(),
            eligible=self.eligible,
        )

    def top(self, n: int | None = None) -> Selection:
        """The same run with another n, at once, within the same limits; None ranks all rated rows.

        Raises
        ------
        InputError, InputTypeError
            n below 1 or beyond the rated rows.
        """
        from ds2fast.ranking import rank_again

        count = num_rated = int((self.given_scores >= 0).sum())
        if n is not None:
            check_amount(n, None)
            count = resolve_amount(n, None, num_rated)
        rules, choice = rank_again(self, self.keys, count)
        return replace(
            self,
            indices=choice.indices,
            rules=rules,
            choice=choice,
            settings={**self.settings, "n": count},
        )

    def ranked_as_given(self) -> IntArray:
        """As many rows ranked by the scores as given: what curation changed is seen against it.

        The same limits hold, so there may be fewer, or none.
        """
        return self._ranked_as_given

    @cached_property
    def _ranked_as_given(self) -> IntArray:
        keys = self.given_scores.astype(np.float64) if self.given_keys is None else self.given_keys
        if self.rules.is_empty:
            first = dual_sort(keys, self.long_tail, len(self))
            first.setflags(write=False)
            return first
        from ds2fast.ranking import rank_again

        return rank_again(self, keys, len(self), may_be_none=True)[1].indices

    def rows(self) -> list[dict[str, Any]]:
        """The selected rows as dicts, best first; a bare string becomes `{"text": ...}`.

        Raises
        ------
        InputError
            The selection was made from arrays, without rows.
        """
        from ds2fast.tables import rows_of

        self._rows()
        return rows_of(self)

    def to_pandas(self) -> pd.DataFrame:
        """The selected rows as a pandas data frame, best first.

        Raises
        ------
        InputError
            The selection was made from arrays; or a field's values are of types that do not go
            together (the field is named).
        MissingExtraError
            pandas is not installed.
        """
        from ds2fast.tables import to_pandas

        return to_pandas(self._rows(), self.indices)

    def to_polars(self) -> pl.DataFrame:
        """The selected rows as a polars data frame, best first; errors as for `to_pandas`."""
        from ds2fast.tables import to_polars

        return to_polars(self._rows(), self.indices)

    def to_dataset(self) -> datasets.Dataset:
        """The selected rows as a Hugging Face `Dataset`, best first; errors as for `to_pandas`."""
        from ds2fast.tables import to_dataset

        return to_dataset(self._rows(), self.indices)

    def explain(self, row: int) -> Explanation:
        """Why a row is where it is: each step with its figures, and the row's neighbours.

        Parameters
        ----------
        row : int
            Its number in the pool, in [0, N).

        Raises
        ------
        InputError
            No such row.
        """
        from ds2fast.run.explain import explain

        return explain(self, row)

    def report(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Write one page that shows what was kept and why; it needs no network.

        Parameters
        ----------
        path : path-like
            An HTML file; one that is there is replaced.
        title : str, optional
            The page's heading.

        Raises
        ------
        MissingExtraError
            The extra `report` is not installed.
        OutputError
            The file cannot be written; what was there stays.
        """
        from ds2fast.io.atomic import atomic_file
        from ds2fast.report import report_html

        page = report_html(self, title=title)
        with atomic_file(path) as file:
            file.write(page)

    def save(
        self,
        directory: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        rows: Literal["jsonl", "parquet"] = "jsonl",
        controls: bool = True,
        trainers: Sequence[str] = (),
        report: bool = False,
    ) -> None:
        """Write the selected rows, every row's scores, the run's state and the manifest.

        All are written and synced under temporary names, then renamed together, the manifest last.

        Parameters
        ----------
        directory : path-like
            Made where it is missing; one that holds anything but results of ours is refused.
        overwrite : bool
            Whether earlier results of ours are replaced.
        rows : {"jsonl", "parquet"}
            Format of the rows' files.
        controls : bool
            Whether to write three sets of the same size to train the comparison with: drawn at
            random, the longest, and the best by the scores as given.
        trainers : sequence of str
            For which trainers to write the data-set entry and a config beside the rows:
            `"llama-factory"`, `"axolotl"`, `"trl"`.
        report : bool
            Whether to write `report.html` (extra `report`).

        Warns
        -----
        TrainerWarning
            Rows that a trainer drops or stops at, or that a copy for it cannot hold, with their
            number and the reason. All is written.

        Raises
        ------
        InputError
            A trainer that is not known, or that takes none of the rows; nothing was written.
        OutputError
            The directory holds other files, the file that the rows came from, or results of ours
            without `overwrite`; or it cannot be written to. Old results are then as they were,
            unless the message says that they are half replaced.
        """
        from ds2fast.io.output import check_output_dir
        from ds2fast.save import save_selection

        sources = [] if self.pool is None else self.pool.sources
        check_output_dir(directory, overwrite=overwrite, source=sources)
        told = save_selection(
            self,
            directory,
            overwrite=overwrite,
            rows=rows,
            controls=controls,
            trainers=trainers,
            report=report,
        )
        for message in told:
            warnings.warn(message, TrainerWarning, stacklevel=2)

    def _rows(self) -> Pool:
        if self.pool is None:
            raise InputError(
                "selection: expected one made from data, got one made from arrays only"
            )
        return self.pool
