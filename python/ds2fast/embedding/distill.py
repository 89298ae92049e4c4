"""A static model made from any encoder here, without torch: `distill`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_count, as_numbers, as_type
from ds2fast.cache_dir import CacheDir
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.distinct import check_texts
from ds2fast.embedding.encode import embed
from ds2fast.embedding.engine import Engine
from ds2fast.embedding.models import resolve_encoder
from ds2fast.embedding.overlap import neighbour_overlap
from ds2fast.embedding.static import ORIGIN_KEY, StaticEncoder
from ds2fast.embedding.static_fit import (
    SIF_COEFFICIENT,
    fit_tokens,
    principal_axes,
    reduce_tokens,
)
from ds2fast.embedding.static_write import check_output, write_static
from ds2fast.embedding.tokenise import TokenTable, check_vocabulary, load_tokenizer
from ds2fast.embedding.transformer import TransformerModel
from ds2fast.errors import InputError, InputFileError
from ds2fast.progress import Progress, Reporter
from ds2fast.results import FloatArray
from ds2fast.threads import resolve_threads

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT_DIMS = 256
MAX_TEXTS = 10_000
"""Most texts of a fit: it solves a dense system of that size, which takes some 3 GB."""

_HELD_OUT = 5  # one text in so many measures the fit made on the others
_MIN_HELD_OUT = 100  # below, nearly all rows are neighbours of one another
_NEIGHBOURS = 10
_CHUNK = 1024


def distill(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    dims: int = DEFAULT_DIMS,
    texts: Sequence[str] | None = None,
    embeddings: npt.ArrayLike | None = None,
    threads: int | None = None,
    cache_dir: CacheDir = None,
    progress: Progress | Reporter = None,
) -> Path:
    """Make a static model, which embeds a hundred times as fast, from a sentence encoder.

    Every token of the vocabulary is run through the encoder once, between its special tokens.
    Without `texts` the token vectors are reduced by principal components and weighted by rank
    (smooth inverse frequency). With a sample of `texts` the token vectors are fitted to the
    encoder's own vectors of them (see `fit_tokens`), which keeps far more of its neighbourhoods: a
    few thousand texts like those to be embedded pay best.

    Parameters
    ----------
    model : str or path
        The encoder, as for `embed`.
    output : str or path
        Directory to make; it must not exist, or be empty. It holds `model.safetensors`,
        `tokenizer.json` and `config.json` in the model2vec format, and loads as `model` here.
    dims : int
        Width of the vectors, at most the encoder's.
    texts : sequence of str, optional
        Sample to fit to, at most 10 000; the encoder embeds it once. Of copies one counts.
    embeddings : (n, d) floats, optional
        The encoder's vectors of `texts`, where they are there already.
    threads : int, optional
        Threads of the encoder; by default what affinity and cgroup allow.
    cache_dir : path, False or None
        As for `embed`.
    progress : bool, callable or None
        Stage "vocabulary" (tokens), and those of `embed`.

    Returns
    -------
    Path
        The directory. Under `ds2fast`, its `config.json` names the encoder and the hash of its
        weights, and with 500 distinct texts or more `overlap_at_10`: the mean share of the ten
        nearest neighbours, among every fifth text, that the model keeps when fitted on the others
        alone (`overlap_rows` texts; the model that is written is fitted on all).

    Raises
    ------
    InputError
        `dims`, `texts` or `embeddings` out of their range, or an encoder that is static already.
    OutputError
        Where `output` is taken or cannot be written.
    ModelNotFoundError, InputFileError, InputTypeError
        As `embed` does.

    Notes
    -----
    The same input gives the same bytes on the same machine with the same threads.

    Examples
    --------
    With the files of all-MiniLM-L6-v2 in the directory `encoder_dir`:

    >>> from ds2fast.embedding.distill import distill
    >>> distill(encoder_dir, "static-model", dims=64).name
    'static-model'
    """
    width, target = as_count(dims, "dims"), check_output(output)
    sample = _Sample.of(texts, embeddings)
    num_threads = resolve_threads(threads)
    with Reporter.of(progress) as reporter:
        files = resolve_encoder(model)
        if files.architecture is not None:  # else the width is known when the encoder has run
            _check_widths(files.architecture.hidden_size, width, sample)
        teacher = _Teacher.of(files)
        opened = TransformerModel(files, graphs=GraphCache(cache_dir), threads=num_threads)
        with opened.open("fp32", opened.backend("auto")) as engine:
            vectors = _encode_vocabulary(engine, teacher, reporter)
        _check_widths(vectors.shape[1], width, sample)
        draft = _Draft(files, teacher, vectors, width, num_threads)
        if sample is None:
            return _write(target, draft, reduce_tokens(vectors, width), {})
        targets = sample.vectors
        if targets is None:
            targets = embed(
                sample.texts, model=model, threads=threads, cache_dir=cache_dir, progress=reporter
            ).vectors
    return _write(target, draft, *_fit(draft, sample.texts, targets))


@dataclass(frozen=True, eq=False)
class _Teacher:
    """What is needed of the encoder's tokeniser.

    Attributes
    ----------
    tokenizer : Tokenizer
        For texts without special tokens: nothing is cut, padded or framed.
    before, after : list of int
        Special tokens around a text.
    """

    tokenizer: Tokenizer
    before: list[int]
    after: list[int]

    @classmethod
    def of(cls, files: EncoderFiles) -> _Teacher:
        from tokenizers import Tokenizer

        whole = load_tokenizer(files)
        whole.no_padding()
        whole.no_truncation()
        framed = whole.encode("a")
        own = [place for place, special in enumerate(framed.special_tokens_mask) if not special]
        if not own:
            raise InputFileError(f"{files.tokenizer}: expected a token for the text 'a', got none")
        settings = json.loads(whole.to_str())
        settings["post_processor"] = None
        if files.lowercase:
            parts = [{"type": "Lowercase"}, settings["normalizer"]]
            settings["normalizer"] = {
                "type": "Sequence",
                "normalizers": [part for part in parts if part is not None],
            }
        plain = Tokenizer.from_str(json.dumps(settings))
        _check_ids(files, plain)
        return cls(plain, framed.ids[: own[0]], framed.ids[own[-1] + 1 :])

    @property
    def num_tokens(self) -> int:
        return int(self.tokenizer.get_vocab_size())


@dataclass(frozen=True, eq=False)
class _Draft:
    """What is known before the table is."""

    files: EncoderFiles
    teacher: _Teacher
    vectors: FloatArray
    dims: int
    threads: int

    @property
    def max_tokens(self) -> int:
        """Tokens that the encoder itself sees of a text."""
        framing = len(self.teacher.before) + len(self.teacher.after)
        return max(1, self.files.max_tokens - framing)

    def encoder(self, table: FloatArray) -> StaticEncoder:
        return StaticEncoder(
            table,
            self.teacher.tokenizer,
            source=self.files.weights,
            max_tokens=self.max_tokens,
            threads=self.threads,
        )


@dataclass(frozen=True, eq=False)
class _Sample:
    """Distinct texts: with copies, those held out would be among those fitted to.

    Attributes
    ----------
    texts : list of str
        In the order in which they first came.
    vectors : (n, d) float32 or None
        The encoder's own, of norm 1, where they were given.
    """

    texts: list[str]
    vectors: FloatArray | None

    @classmethod
    def of(cls, texts: Sequence[str] | None, embeddings: npt.ArrayLike | None) -> _Sample | None:
        """Check what was given; None where there are no texts."""
        if texts is None:
            if embeddings is not None:
                raise InputError(
                    "embeddings: expected the texts that they belong to as texts, got None"
                )
            return None
        checked = check_texts(texts)
        if len(checked) > MAX_TEXTS:
            raise InputError(
                f"texts: expected a sample of at most {MAX_TEXTS:,} texts, got {len(checked):,}"
            )
        firsts = {text: place for place, text in reversed(list(enumerate(checked)))}
        places = sorted(firsts.values())
        rows = None if embeddings is None else _unit_rows(embeddings, len(checked))[places]
        return cls([checked[place] for place in places], rows)


def _check_widths(expected: int, dims: int, sample: _Sample | None) -> None:
    if dims > expected:
        raise InputError(f"dims: expected at most the encoder's width ({expected}), got {dims}")
    vectors = None if sample is None else sample.vectors
    if vectors is not None and vectors.shape[1] != expected:
        raise InputError(
            f"embeddings: expected the encoder's width ({expected}), got rows of {vectors.shape[1]}"
        )


def _check_ids(files: EncoderFiles, tokenizer: Tokenizer) -> None:
    ids = sorted(tokenizer.get_vocab().values())
    if ids != list(range(len(ids))):
        raise InputFileError(
            f"{files.tokenizer}: expected token ids from 0 to {len(ids) - 1} without gaps, "
            f"got others up to {ids[-1]}"
        )
    check_vocabulary(files, len(ids))  # each token is run, those that were added too


def _unit_rows(embeddings: npt.ArrayLike, count: int) -> FloatArray:
    rows = as_type(as_numbers(embeddings, "embeddings"), np.float32)
    if rows.ndim != 2 or len(rows) != count:
        raise InputError(
            f"embeddings: expected a row for each of the {count:,} texts, got shape {rows.shape}"
        )
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unusable = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(unusable):
        raise InputError(
            "embeddings: expected rows of finite numbers, not all of them 0; "
            f"first offending row: {unusable[0]}"
        )
    return np.asarray(rows / norms, np.float32)


def _encode_vocabulary(engine: Engine, teacher: _Teacher, reporter: Reporter) -> FloatArray:
    """The encoder's vector of each token alone, (V, d)."""
    total = teacher.num_tokens
    pieces = []
    for begin in range(0, total, _CHUNK):
        tokens = np.arange(begin, min(begin + _CHUNK, total), dtype=np.int32)
        framed = np.empty((len(tokens), len(teacher.before) + 1 + len(teacher.after)), np.int32)
        framed[:] = [*teacher.before, 0, *teacher.after]
        framed[:, len(teacher.before)] = tokens
        offsets = np.arange(len(tokens) + 1, dtype=np.int64) * framed.shape[1]
        pieces.append(engine.encode(framed.ravel(), offsets, None))
        reporter.update("vocabulary", begin + len(tokens), total, unit="tok")
    return np.concatenate(pieces)


def _fit(draft: _Draft, texts: list[str], targets: FloatArray) -> tuple[FloatArray, dict[str, Any]]:
    """The table fitted to the texts, and what is to be told of the fit."""
    tokeniser = draft.encoder(draft.vectors).tokeniser
    tokens = tokeniser.encode(texts, lambda _: None)
    held_out = np.arange(len(texts)) % _HELD_OUT == _HELD_OUT - 1
    facts: dict[str, Any] = {"fitted_texts": len(texts)}
    if held_out.sum() >= _MIN_HELD_OUT:
        draft_table = _fit_rows(draft, tokens, targets, ~held_out)
        measured = tokens.rows(np.flatnonzero(held_out))
        found = draft.encoder(draft_table).encode(measured.ids, measured.offsets)
        facts["overlap_at_10"] = round(
            neighbour_overlap(found, targets[held_out], _NEIGHBOURS, threads=draft.threads), 4
        )
        facts["overlap_rows"] = int(held_out.sum())
    return _fit_rows(draft, tokens, targets, np.ones(len(texts), np.bool_)), facts


def _fit_rows(
    draft: _Draft, tokens: TokenTable, targets: FloatArray, chosen: npt.NDArray[np.bool_]
) -> FloatArray:
    """The table fitted to some of the texts, turned to their principal axes."""
    chosen = chosen & (tokens.lengths > 0)
    if not chosen.any():
        raise InputError("texts: expected texts of tokens that the encoder knows, got none")
    full = fit_tokens(draft.vectors, tokens.rows(np.flatnonzero(chosen)), targets[chosen])
    # Not centred: it is the inner products that are to be kept.
    return np.asarray(full @ principal_axes(targets[chosen], draft.dims), np.float32)


def _write(target: Path, draft: _Draft, table: FloatArray, facts: dict[str, Any]) -> Path:
    write_static(target, table, draft.teacher.tokenizer, _config(draft, facts))
    return target


def _config(draft: _Draft, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": draft.files.name,
        "apply_pca": draft.dims,
        "sif_coefficient": SIF_COEFFICIENT,
        "hidden_dim": draft.dims,
        "max_length": draft.max_tokens,
        "normalize": True,
        "embedding_dtype": "float32",
        ORIGIN_KEY: {
            "teacher": draft.files.name,
            "revision": draft.files.revision,
            "weights_sha256": draft.files.weights_sha256(),
            **facts,
        },
    }
