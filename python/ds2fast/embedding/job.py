"""A model that runs over texts, with what it finished before kept in a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from ds2fast.embedding.distinct import DistinctTexts
from ds2fast.embedding.engine import Backend, Engine, LongText, Model, Precision, TextTokeniser
from ds2fast.embedding.hashes import HashArray, split_hashes
from ds2fast.embedding.plan import BatchPlan
from ds2fast.embedding.rows import Rows, SomeRows, VectorRows
from ds2fast.embedding.store import VectorStore
from ds2fast.embedding.tokenise import TokenTable
from ds2fast.errors import InputFileError, OutputError
from ds2fast.progress import Reporter
from ds2fast.results import BoolArray, FloatArray, IntArray

_READ_AT_ONCE = 4096  # vectors that are read from a store, and copied once


@dataclass(frozen=True, eq=False)
class TextVectors:
    """What became of texts.

    Attributes
    ----------
    vectors : (n, d) float32
        Rows of norm 1.
    truncated : (n,) bool
        Texts that were cut at the maximum length.
    ran : (m,) int64
        Places of those that ran now; the others had run before.
    is_kept : bool
        Whether a store has them all.
    """

    vectors: FloatArray
    truncated: BoolArray
    ran: IntArray
    is_kept: bool


@dataclass(frozen=True, eq=False)
class _Done:
    """What became of texts whose vectors are in their rows; as in `TextVectors`."""

    truncated: BoolArray
    ran: IntArray
    is_kept: bool


@dataclass(frozen=True)
class StorePlace:
    """Where vectors are kept.

    Attributes
    ----------
    folder : Path or None
        The folder of all stores; None keeps nothing.
    is_required : bool
        Whether the user named it: a folder that cannot be written is then an error, else a note.
    """

    folder: Path | None
    is_required: bool


class Job:
    """Runs a model over texts.

    Parameters
    ----------
    model : Model
        What runs.
    backend : {"native", "onnxruntime", "static"}
        What it runs in.
    long_text : {"truncate", "chunk-mean"}
        What becomes of texts beyond the maximum length.
    place : StorePlace
        Where vectors are kept.
    reporter : Reporter
        Hears of the stages "tokenising" (texts) and "embedding" (tokens), or as `run` calls it.
    scratch : Path, optional
        Folder of a file that holds the tokens; by default memory does.

    Attributes
    ----------
    model, backend
        As given.
    num_run : int
        Distinct texts that ran so far, those of comparisons too; the others were in the store.
    notes : list of str
        What the user should be told about the store.
    """

    def __init__(
        self,
        model: Model,
        *,
        backend: Backend | Literal["static"],
        long_text: LongText,
        place: StorePlace,
        reporter: Reporter,
        scratch: Path | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.model = model
        self.backend = backend
        self._long_text = long_text
        self._place = place
        self._reporter = reporter
        self._scratch = scratch
        self._stage = "embedding"
        self._tokeniser = cache(lambda: model.tokeniser(long_text))
        self._ran: list[HashArray] = []
        self._unkept: dict[Precision, tuple[DistinctTexts, TextVectors]] = {}

    @property
    def num_run(self) -> int:
        """Distinct texts that ran so far."""
        if len(self._ran) == 1:
            return len(self._ran[0])
        return len(set().union(*map(split_hashes, self._ran)))

    def run(
        self,
        texts: DistinctTexts,
        precision: Precision,
        *,
        stage: str = "embedding",
        rows: VectorRows | None = None,
    ) -> TextVectors:
        """Vectors of texts in one precision; those that ran in it before do not run again.

        `stage` is what the reporter hears while they run; `rows` is where the vectors go.
        """
        self._stage = stage
        rows = VectorRows(len(texts)) if rows is None else rows
        if precision in self._unkept:
            done = self._complete(*self._unkept.pop(precision), texts, precision, rows)
        else:
            done = self._run(texts, precision, rows)
        found = TextVectors(rows.first(len(texts)), done.truncated, done.ran, done.is_kept)
        if not done.is_kept:
            self._unkept[precision] = texts, found
        return found

    def _complete(
        self,
        known: DistinctTexts,
        before: TextVectors,
        texts: DistinctTexts,
        precision: Precision,
        rows: VectorRows,
    ) -> _Done:
        """Vectors of texts of which some are known: no store has them, but they ran before."""
        places = known.find(texts)
        seen, rest = np.flatnonzero(places >= 0), np.flatnonzero(places < 0)
        truncated = before.truncated[places]
        if len(seen):
            rows.put(seen, before.vectors[places[seen]])
        if not len(rest):
            return _Done(truncated, rest, is_kept=False)
        done = self._run(texts.at(rest), precision, SomeRows(rows, rest))
        truncated[rest] = done.truncated
        return _Done(truncated, rest[done.ran], is_kept=False)

    def _run(self, texts: DistinctTexts, precision: Precision, rows: Rows) -> _Done:
        with (
            self.model.open(precision, self.backend) as engine,
            self._open_store(engine) as store,
        ):
            run = _Run(
                self.model,
                engine,
                self._tokeniser,
                texts,
                self._reporter,
                self._stage,
                self._scratch,
            )
            if store is None:
                done = run.in_batches(run.plan(np.arange(len(texts))), rows)
            else:
                self.notes += [note for note in store.notes if note not in self.notes]
                done = _run_with_store(run, texts, rows, store)
        self._ran.append(texts.hashes[done.ran])
        return done

    def _open_store(self, engine: Engine) -> AbstractContextManager[VectorStore | None]:
        if self._place.folder is None:
            return nullcontext()
        key = {**self.model.identity(), **engine.identity, "long_text": self._long_text}
        try:
            return VectorStore(self._place.folder, key)
        except (OutputError, InputFileError) as error:
            if self._place.is_required:
                raise
            self.notes.append(f"vectors are not kept: {error}")
            if isinstance(error, OutputError):  # no other store can be made there either
                self._place = StorePlace(None, is_required=False)
            return nullcontext()


def _run_with_store(run: _Run, texts: DistinctTexts, rows: Rows, store: VectorStore) -> _Done:
    plan = BatchPlan(store, texts.hashes, run.plan)
    done = run.in_batches(plan.batches, rows, store)
    plan.finish()
    kept = np.setdiff1d(np.arange(len(texts)), done.ran)
    for first in range(0, len(kept), _READ_AT_ONCE):
        part = kept[first : first + _READ_AT_ONCE]
        vectors, _, done.truncated[part] = store.read(plan.slots[part])
        rows.put(part, vectors)
    return _Done(done.truncated, done.ran, done.is_kept or not len(done.ran))


class _Run:
    """One pass of an engine over some of the texts."""

    def __init__(
        self,
        model: Model,
        engine: Engine,
        tokeniser: Callable[[], TextTokeniser],
        texts: DistinctTexts,
        reporter: Reporter,
        stage: str,
        scratch: Path | None,
    ) -> None:
        self._model = model
        self._engine = engine
        self._tokeniser = tokeniser
        self._texts = texts
        self._reporter = reporter
        self._stage = stage
        self._scratch = scratch
        self._tokens: tuple[IntArray, TokenTable] | None = None

    def plan(self, places: IntArray) -> list[IntArray]:
        """Group the texts at some places into batches."""
        size = self._engine.texts_a_batch
        if size is not None:
            self._tokeniser()
            self._engine.load()
            return [places[begin : begin + size] for begin in range(0, len(places), size)]
        return [places[batch] for batch in self._engine.plan(self._tokenise(places).lengths)]

    def in_batches(
        self, batches: list[IntArray], rows: Rows, store: VectorStore | None = None
    ) -> _Done:
        """Put the vectors of the texts in the batches into their rows; each batch is stored."""
        truncated = np.zeros(len(self._texts), np.bool_)
        places = np.sort(np.concatenate([np.empty(0, np.int64), *batches]))
        is_kept = store is not None and store.writable
        if not batches:
            return _Done(truncated, places, is_kept)
        for batch, table, found in self._encode_all(batches, places):
            truncated[batch] = table.truncated
            self._check_finite(found, batch)
            if store is not None:
                store.append(self._texts.hashes[batch], found, table.lengths, table.truncated)
            rows.put(batch, found)
        return _Done(truncated, places, is_kept)

    def _encode_all(
        self, batches: list[IntArray], places: IntArray
    ) -> Iterator[tuple[IntArray, TokenTable, FloatArray]]:
        """Each batch with its tokens and its vectors, as they come."""
        if self._engine.texts_a_batch is not None and self._engine.encode_many is None:
            return self._encode_as_read(batches)
        return self._encode_planned(batches, places, self._tokenise(places))

    def _encode_as_read(
        self, batches: list[IntArray]
    ) -> Iterator[tuple[IntArray, TokenTable, FloatArray]]:
        """Each batch is tokenised as it runs: the tokens of all texts are never there together."""
        done, total = 0, sum(map(len, batches))
        self._reporter.update(self._stage, 0, total, unit="text")
        for batch in batches:
            table = self._read_tokens(batch)
            pieces = self._engine.encode(table.ids, table.offsets, None)
            done += len(batch)
            self._reporter.update(self._stage, done, total, unit="text")
            yield batch, table, _join_pieces(pieces, table)

    def _encode_planned(
        self, batches: list[IntArray], places: IntArray, tokens: TokenTable
    ) -> Iterator[tuple[IntArray, TokenTable, FloatArray]]:
        """Batches of texts of which all tokens are known."""

        def table_of(batch: IntArray) -> TokenTable:
            return tokens.rows(np.searchsorted(places, batch))

        done, total = 0, int(tokens.lengths.sum())
        if self._engine.encode_many is None:
            for batch in batches:
                table = table_of(batch)
                yield batch, table, self._encode(table, done, total)
                done += len(table.ids)
            return
        self._reporter.update(self._stage, 0, total, unit="tok")
        for number, pieces in self._engine.encode_many(map(table_of, batches), total):
            table = table_of(batches[number])
            done += len(table.ids)
            self._reporter.update(self._stage, done, total, unit="tok")
            yield batches[number], table, _join_pieces(pieces, table)

    def _encode(self, table: TokenTable, done: int, total: int) -> FloatArray:
        """Vectors of texts; `done` of `total` tokens ran before them."""
        count = len(table.ids)

        def report(part: int, parts: int) -> None:
            if part < parts:  # the end is told once, behind the engine
                self._reporter.update(self._stage, done + count * part // parts, total, unit="tok")

        report(0, 1)
        pieces = self._engine.encode(table.ids, table.offsets, report)
        self._reporter.update(self._stage, done + count, total, unit="tok")
        return _join_pieces(pieces, table)

    def _tokenise(self, places: IntArray) -> TokenTable:
        """Tokens of the texts at ascending places."""
        if self._tokens is not None and np.isin(places, self._tokens[0]).all():
            known, table = self._tokens
            return table if len(known) == len(places) else table.rows(known.searchsorted(places))
        table = self._read_tokens(
            places, lambda done: self._reporter.update("tokenising", done, len(places), unit="text")
        )
        self._tokens = (places, table)
        return table

    def _read_tokens(
        self, places: IntArray, report: Callable[[int], None] = lambda _: None
    ) -> TokenTable:
        tokeniser = self._tokeniser()
        self._engine.load()
        table = tokeniser.encode(self._texts.at(places).texts, report, self._scratch)
        self._model.check_tokens(table)
        return table

    def _check_finite(self, vectors: FloatArray, batch: IntArray) -> None:
        broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(broken):
            text = self._texts.texts[batch[broken[0]]]
            raise InputFileError(
                f"model {self._model.name!r}: expected vectors of finite numbers, got others for "
                f"{len(broken)} texts, the first is {text[:60]!r}; its weights are damaged"
            )


def _join_pieces(vectors: FloatArray, table: TokenTable) -> FloatArray:
    """Unit rows of texts from those of their pieces, which count by their tokens."""
    if len(vectors) == len(table.truncated):
        return vectors
    rows = vectors[table.firsts[:-1]]
    # A text in one piece has its very bytes, whatever texts are beside it.
    for text in np.flatnonzero(np.diff(table.firsts) > 1):
        first, end = table.firsts[text : text + 2]
        tokens = np.diff(table.offsets[first : end + 1])
        joined = tokens @ vectors[first:end].astype(np.float64)
        rows[text] = joined / np.linalg.norm(joined)
    return rows
