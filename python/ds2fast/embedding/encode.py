"""Texts to unit vectors: what a user calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from ds2fast.arguments import check_choice
from ds2fast.cache_dir import CacheDir, resolve_cache_dir
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.distinct import check_texts, distinct_texts
from ds2fast.embedding.engine import Backend, LongText, Model, Precision
from ds2fast.embedding.gate import Choice, PrecisionGate, choose_precision
from ds2fast.embedding.job import Job, StorePlace
from ds2fast.embedding.models import DEFAULT_MODEL, resolve_model
from ds2fast.embedding.rows import VectorRows
from ds2fast.embedding.static import StaticFiles
from ds2fast.embedding.static_model import StaticModel
from ds2fast.embedding.teacher import compare_with_teacher
from ds2fast.embedding.transformer import TransformerModel
from ds2fast.errors import InputTypeError
from ds2fast.progress import Progress, Reporter
from ds2fast.results import Embeddings
from ds2fast.threads import resolve_threads

_DEFAULT_GATE = PrecisionGate()

OpenModel = Callable[[EncoderFiles | StaticFiles, CacheDir, int], Model]
"""Of a model's files, a cache folder and threads to the model, ready to run."""


def embed(
    texts: Sequence[str],
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    precision: Precision | Literal["auto"] = "auto",
    backend: Backend | Literal["auto"] = "auto",
    long_text: LongText = "truncate",
    gate: PrecisionGate = _DEFAULT_GATE,
    threads: int | None = None,
    cache_dir: CacheDir = None,
    scratch: str | os.PathLike[str] | None = None,
    progress: Progress | Reporter = None,
) -> Embeddings:
    """Turn texts into unit vectors with a sentence encoder, on the CPU.

    Pooling (mean or cls) and maximum length are the model's own; the vectors are normalised
    whether or not the model asks for it. Identical texts are encoded once, and what was encoded
    before with the same model and precision is read from `cache_dir`. A call that was stopped, by
    whatever, goes on where it was when it is made again. The same texts give the same bytes on
    the same machine.

    Parameters
    ----------
    texts : sequence of str
        At least one. An empty text is encoded as the special tokens alone.
    model : str or path
        A directory or a Hugging Face id, see `resolve_encoder`; or a static model.
    precision : {"auto", "fp32", "bf16", "int8"}
        Arithmetic of the linear layers. "auto" takes the fastest that the processor has products
        of, provided that it passes `gate` on these texts; fp32 where none does, or where there
        are fewer than twice `gate.sample` distinct texts.
    backend : {"auto", "native", "onnxruntime"}
        "native" runs BERT, CamemBERT, DistilBERT, MPNet, RoBERTa and XLM-RoBERTa from tensors;
        "onnxruntime" also runs graphs, in fp32 and int8. "auto" takes "native" where it can.
    long_text : {"truncate", "chunk-mean"}
        A text beyond the model's length is cut there, or falls into pieces of that length whose
        vectors are averaged, each by its number of tokens.
    gate : PrecisionGate
        What "auto" asks of a precision.
    threads : int, optional
        Threads that the encoder runs in; by default what affinity and cgroup allow.
    cache_dir : path, False or None
        Where vectors and graphs are kept: None is `DS2FAST_CACHE_DIR` or the user's cache folder,
        False keeps none.
    scratch : path, optional
        Folder for a file that holds vectors and tokens instead of memory. It has no name, and is
        gone with the array; `vectors` is then memory-mapped.
    progress : bool, callable or None
        Stages "tokenising" (texts), "comparing: int8" and the like, and "embedding" (tokens; texts
        of a static model).

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
        Where a `cache_dir` that was given cannot be written, or the disk is full: what was
        finished is kept.

    Examples
    --------
    With the files of all-MiniLM-L6-v2 in the directory `encoder_dir`:

    >>> import ds2fast
    >>> embeddings = ds2fast.embed(["a frog", "a toad"], model=encoder_dir)
    >>> embeddings.vectors.shape
    (2, 384)
    """
    return embed_by(
        open_model,
        texts,
        model=model,
        precision=precision,
        backend=backend,
        long_text=long_text,
        gate=gate,
        threads=threads,
        cache_dir=cache_dir,
        scratch=scratch,
        progress=progress,
    )


def embed_by(
    opener: OpenModel,
    texts: Sequence[str],
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    precision: Precision | Literal["auto"] = "auto",
    backend: Backend | Literal["auto"] = "auto",
    long_text: LongText = "truncate",
    gate: PrecisionGate = _DEFAULT_GATE,
    threads: int | None = None,
    cache_dir: CacheDir = None,
    scratch: str | os.PathLike[str] | None = None,
    progress: Progress | Reporter = None,
) -> Embeddings:
    """Embed as `embed` does; `opener` says what a model's files run in."""
    checked = check_texts(texts)
    check_choices(precision=precision, backend=backend, long_text=long_text)
    if not isinstance(gate, PrecisionGate):
        raise InputTypeError(f"gate: expected a PrecisionGate, got {type(gate).__name__}")
    num_threads, place = resolve_threads(threads), _store_place(cache_dir)
    folder = None if scratch is None else Path(scratch)
    with Reporter.of(progress) as reporter:
        files = resolve_model(model)
        jobs: list[Job] = []

        def job_of(
            chosen: EncoderFiles | StaticFiles, wanted: Backend | Literal["auto"] = "auto"
        ) -> Job:
            opened = opener(chosen, cache_dir, num_threads)
            jobs.append(
                Job(
                    opened,
                    backend=opened.backend(wanted),
                    long_text=long_text,
                    place=place,
                    reporter=reporter,
                    scratch=folder,
                )
            )
            return jobs[-1]

        job = job_of(files, backend)
        distinct, inverse = distinct_texts(checked, lowercase=job.model.lowercase)
        if isinstance(files, StaticFiles) and precision == "auto":
            choice = Choice("fp32", compare_with_teacher(files, distinct, gate, job, job_of))
        else:
            choice = choose_precision(precision, distinct, gate, job)
        rows = VectorRows(len(inverse), folder)
        done = job.run(distinct, choice.precision, rows=rows)
    return Embeddings(
        vectors=done.vectors if len(distinct) == len(inverse) else rows.spread(inverse),
        model=files.name,
        precision=choice.precision,
        reason=choice.reason,
        truncated=int(done.truncated[inverse].sum()),
        backend=job.backend,
        num_run=sum(one.num_run for one in jobs),  # a static model's encoder runs for comparison
        num_kept=len(distinct) - job.num_run,
        notes=tuple(dict.fromkeys(note for one in jobs for note in one.notes)),
    )


def check_choices(
    *, precision: str = "auto", backend: str = "auto", long_text: str = "truncate"
) -> None:
    """Refuse words that `embed` does not know, before anything is looked for."""
    check_choice(precision, "precision", ("auto", *get_args(Precision)))
    check_choice(backend, "backend", ("auto", *get_args(Backend)))
    check_choice(long_text, "long_text", get_args(LongText))


def check_model(
    model: str | os.PathLike[str],
    *,
    precision: Precision | Literal["auto"] = "auto",
    backend: Backend | Literal["auto"] = "auto",
    long_text: LongText = "truncate",
) -> None:
    """Raise what `embed` would raise of a model and how it is to run, before texts are read."""
    check_choices(precision=precision, backend=backend, long_text=long_text)
    opened = open_model(resolve_model(model), False, 1)
    chosen = opened.backend(backend)
    opened.tokeniser(long_text)
    with opened.open("fp32" if precision == "auto" else precision, chosen):
        pass


def open_model(files: EncoderFiles | StaticFiles, cache_dir: CacheDir, threads: int) -> Model:
    """A model's files, ready to run in so many threads."""
    if isinstance(files, StaticFiles):
        return StaticModel(files, threads=threads)
    return TransformerModel(files, graphs=GraphCache(cache_dir), threads=threads)


def _store_place(cache_dir: CacheDir) -> StorePlace:
    root = resolve_cache_dir(cache_dir)
    return StorePlace(None if root is None else root / "vectors", cache_dir is not None)
