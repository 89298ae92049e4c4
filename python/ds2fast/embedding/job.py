"""A model that runs over texts, with what it finished before kept in a store."""

from __future__ import annotations

from collections.abc import Callable
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
from ds2fast.embedding.store import VectorStore
from ds2fast.embedding.tokenise import TokenTable
from ds2fast.errors import InputFileError, OutputError
from ds2fast.progress import Reporter
from ds2fast.results import BoolArray, FloatArray, IntArray


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
    ) -> None:
        self.notes: list[str] = []
        self.model = model
        self.backend = backend
        self._long_text = long_text
        self._place = place
        self._reporter = reporter
        self._stage = "embedding"
        self._tokeniser = cache(lambda: model.tokeniser(long_text))
        self._ran: list[HashArray] = []
        self._unkept: dict[Precision, tuple[DistinctTexts, TextVectors]] = {}

    @property
    def num_run(self) -> int:
        """Distinct texts that ran so far."""
        return len(set().union(*map(split_hashes, self._ran)))

    def run(
        self, texts: DistinctTexts, precision: Precision, *, stage: str = "embedding"
    ) -> TextVectors:
        """Vectors of texts in one precision; those that ran in it before do not run again.

        `stage` is what the reporter hears while they run.
        """
        self._stage = stage
        if precision in self._unkept:
            done = self._complete(*self._unkept.pop(precision), texts, precision)
        else:
            done = self._run(texts, precision)
        if not done.is_kept:
            self._unkept[precision] = texts, done
        return done

    def _complete(
        self, known: DistinctTexts, before: TextVectors, texts: DistinctTexts, precision: Precision
    ) -> TextVectors:
        """Vectors of texts of which some are known: no store has them, but they ran before."""
        places = known.find(texts)
        rest = np.flatnonzero(places < 0)
        vectors, truncated = before.vectors[places], before.truncated[places]
        if not len(rest):
            return TextVectors(vectors, truncated, rest, is_kept=False)
        done = self._run(texts.at(rest), precision)
        vectors[rest], truncated[rest] = done.vectors, done.truncated
        return TextVectors(vectors, truncated, rest[done.ran], is_kept=False)

    def _run(self, texts: DistinctTexts, precision: Precision) -> TextVectors:
        with (
            self.model.open(precision, self.backend) as engine,
            self._open_store(engine) as store,
        ):
            run = _Run(self.model, engine, self._tokeniser, texts, self._reporter, self._stage)
            if store is None:
                done = run.in_batches(run.plan(np.arange(len(texts))))
            else:
                self.notes += [note for note in store.notes if note not in self.notes]
                done = _run_with_store(run, texts, store)
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


def _run_with_store(run: _Run, texts: DistinctTexts, store: VectorStore) -> TextVectors:
    plan = BatchPlan(store, texts.hashes, run.plan)
    done = run.in_batches(plan.batches, store)
    plan.finish()
    kept = np.setdiff1d(np.arange(len(texts)), done.ran)
    if not len(kept):
        return done
    vectors, _, truncated = store.read(plan.slots[kept])
    if not len(done.ran):
        return TextVectors(vectors, truncated, done.ran, is_kept=True)
    done.vectors[kept], done.truncated[kept] = vectors, truncated
    return done


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
    ) -> None:
        self._model = model
        self._engine = engine
        self._tokeniser = tokeniser
        self._texts = texts
        self._reporter = reporter
        self._stage = stage
        self._tokens: tuple[IntArray, TokenTable] | None = None

    def plan(self, places: IntArray) -> list[IntArray]:
        """Group the texts at some places into batches."""
        return [places[batch] for batch in self._engine.plan(self._tokenise(places).lengths)]

    def in_batches(self, batches: list[IntArray], store: VectorStore | None = None) -> TextVectors:
        """Vectors of the texts in the batches, the others' undefined; each batch is stored."""
        vectors = np.empty((0, 0), np.float32)
        truncated = np.zeros(len(self._texts), np.bool_)
        places = np.sort(np.concatenate([np.empty(0, np.int64), *batches]))
        is_kept = store is not None and store.writable
        if not batches:
            return TextVectors(vectors, truncated, places, is_kept)
        tokens = self._tokenise(places)
        done, total = 0, int(tokens.lengths.sum())
        truncated[places] = tokens.truncated
        for batch in batches:
            table = tokens.rows(np.searchsorted(places, batch))
            found = self._encode(table, done, total)
            self._check_finite(found, batch)
            if store is not None:
                store.append(self._texts.hashes[batch], found, table.lengths, table.truncated)
            if not len(vectors):  # the first batch tells the width
                vectors = np.empty((len(self._texts), found.shape[1]), np.float32)
            vectors[batch] = found
            done += len(table.ids)
        return TextVectors(vectors, truncated, places, is_kept)

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
        texts = self._texts.at(places).texts
        tokeniser = self._tokeniser()
        self._engine.load()
        table = tokeniser.encode(
            texts, lambda done: self._reporter.update("tokenising", done, len(texts), unit="text")
        )
        self._model.check_tokens(table)
        self._tokens = (places, table)
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
