"""Texts to unit vectors: check, tokenise, batch, run, put back in order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import numpy as np

from ds2fast.embedding.batching import pad_batch, plan_batches
from ds2fast.embedding.cache import CacheDir, GraphCache
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.export import export_encoder, graph_key
from ds2fast.embedding.models import DEFAULT_MODEL, resolve_encoder
from ds2fast.embedding.onnx import OnnxEncoder
from ds2fast.embedding.tokenise import Tokeniser, TokenTable
from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.progress import Progress, Reporter
from ds2fast.results import Embeddings, FloatArray, IntArray
from ds2fast.threads import resolve_threads

_REASON = "fp32 is the one arithmetic that the encoder runs in"


def embed(
    texts: Sequence[str],
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    threads: int | None = None,
    cache_dir: CacheDir = None,
    progress: Progress | Reporter = None,
) -> Embeddings:
    """Turn texts into unit vectors with a sentence encoder, on the CPU.

    Pooling (mean or cls) and maximum length are the checkpoint's own; the vectors are normalised
    whether or not the checkpoint asks for it. Identical texts are encoded once. The same texts
    and threads give the same bytes on the same machine.

    Parameters
    ----------
    texts : sequence of str
        At least one. An empty text is encoded as the special tokens alone.
    model : str or path
        A directory or a Hugging Face id, see `resolve_encoder`.
    threads : int, optional
        Threads that the encoder runs in; by default what affinity and cgroup allow.
    cache_dir : path, False or None
        Where a graph that was made from a checkpoint is kept: None is `DS2FAST_CACHE_DIR` or the
        user's cache folder, False keeps none.
    progress : bool, callable or None
        Stages "tokenising" (texts) and "embedding" (tokens).

    Returns
    -------
    Embeddings
        `vectors` (N, d) float32 rows of norm 1, in the order of the texts; `truncated` counts
        the texts that were cut at the maximum length.

    Raises
    ------
    InputTypeError
        Where `texts` is no sequence, or holds something that is no str (the first is named).
    InputError
        Where `texts` is empty or a text is not valid Unicode, or the model is not supported.
    ModelNotFoundError, InputFileError
        Where the model's files are missing, or broken.
    OutputError
        Where a `cache_dir` that was given cannot be written.

    Examples
    --------
    With the files of all-MiniLM-L6-v2 in the directory `encoder_dir`:

    >>> import ds2fast
    >>> embeddings = ds2fast.embed(["a frog", "a toad"], model=encoder_dir)
    >>> embeddings.vectors.shape
    (2, 384)
    """
    checked = _check_texts(texts)
    num_threads = resolve_threads(threads)
    cache = GraphCache(cache_dir)
    with Reporter.of(progress) as reporter:
        files = resolve_encoder(model)
        unique, inverse = _drop_repeats(checked, lowercase=files.lowercase)
        tokeniser = Tokeniser(files)
        with _open_encoder(files, cache, num_threads) as encoder:
            tokens = tokeniser.encode(
                unique, lambda done: reporter.update("tokenising", done, len(unique), unit="text")
            )
            _check_vocabulary(files, tokens)
            vectors = _encode_all(encoder, tokens, tokeniser.pad_id, reporter)[inverse]
    _check_finite(files, vectors)
    return Embeddings(
        vectors=vectors,
        model=files.name,
        precision="fp32",
        reason=_REASON,
        truncated=int(tokens.truncated[inverse].sum()),
    )


def _check_texts(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str | bytes | Mapping | Set) or not (
        hasattr(texts, "__len__") and hasattr(texts, "__iter__")
    ):
        raise InputTypeError(f"texts: expected a sequence of str, got {type(texts).__name__}")
    checked = list(texts)
    if not checked:
        raise InputError("texts: expected at least one text, got none")
    for index, text in enumerate(checked):
        if not isinstance(text, str):
            raise InputTypeError(f"texts[{index}]: expected str, got {type(text).__name__}")
        if not text.isascii():
            _check_unicode(index, text)
    return checked


def _check_unicode(index: int, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"texts[{index}]: expected valid Unicode, got a lone surrogate "
            f"{text[error.start]!r} at character {error.start}"
        ) from error


def _drop_repeats(texts: list[str], *, lowercase: bool) -> tuple[list[str], IntArray]:
    """Distinct texts, and for each text the place of its own among them."""
    places: dict[str, int] = {}
    read = (text.lower() for text in texts) if lowercase else texts
    inverse = np.fromiter((places.setdefault(text, len(places)) for text in read), np.int64)
    return list(places), inverse


def _open_encoder(files: EncoderFiles, cache: GraphCache, threads: int) -> OnnxEncoder:
    graph: bytes | Path = files.weights
    if files.weights.suffix == ".safetensors":
        graph = cache.get_or_make(graph_key(files), lambda: export_encoder(files))
    return OnnxEncoder(graph, source=files.weights, pooling=files.pooling, threads=threads)


def _encode_all(
    encoder: OnnxEncoder, tokens: TokenTable, pad_id: int, reporter: Reporter
) -> FloatArray:
    """Vectors of all texts, batch by batch."""
    lengths = tokens.lengths
    done, total = 0, int(lengths.sum())
    vectors = np.empty((0, 0), np.float32)
    reporter.update("embedding", done, total, unit="tok")  # starts the clock of the rate
    for rows in plan_batches(lengths):
        batch = encoder.encode(*pad_batch(tokens, rows, pad_id))
        if not len(vectors):  # the first batch tells the width
            vectors = np.empty((len(lengths), batch.shape[1]), np.float32)
        vectors[rows] = batch
        done += int(lengths[rows].sum())
        reporter.update("embedding", done, total, unit="tok")
    return vectors


def _check_vocabulary(files: EncoderFiles, tokens: TokenTable) -> None:
    size = files.config.get("vocab_size")
    largest = int(tokens.ids.max())
    if isinstance(size, int) and largest >= size:
        raise InputFileError(
            f"{files.tokenizer}: expected token ids below the vocab_size {size} of "
            f"{files.config_path}, got {largest}; the tokenizer is another model's"
        )


def _check_finite(files: EncoderFiles, vectors: FloatArray) -> None:
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise InputFileError(
            f"{files.weights}: expected vectors of finite numbers, got others for "
            f"{len(broken)} texts, the first is texts[{broken[0]}]; its weights are damaged"
        )
