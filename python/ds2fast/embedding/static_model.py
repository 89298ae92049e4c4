"""A static model's files, ready to be opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Literal

from ds2fast.embedding.batching import plan_runs
from ds2fast.embedding.checkpoint import file_sha256
from ds2fast.embedding.engine import Backend, Engine, LongText, Precision
from ds2fast.embedding.static import StaticEncoder, StaticFiles
from ds2fast.embedding.static_tokenise import StaticTokeniser
from ds2fast.embedding.tokenise import TokenTable
from ds2fast.errors import InputError

_BATCH_TOKENS = 1 << 20
_BATCH_TEXTS = 8192  # some megabytes of tokens
_CUTS_NOTHING = -1  # a length that no model has


class StaticModel:
    """The files of a static model.

    Parameters
    ----------
    files : StaticFiles
        Where they are.
    threads : int
        Threads of the encoder.
    """

    lowercase = False

    def __init__(self, files: StaticFiles, *, threads: int) -> None:
        self.files = files
        self.name = files.name
        self._threads = threads

    def identity(self) -> dict[str, str | int]:
        """Hashes of the files."""
        files = self.files
        return {
            "weights": files.weights_sha256(),
            "tokenizer": file_sha256(files.tokenizer),
            "most_tokens": _CUTS_NOTHING if files.max_tokens is None else files.max_tokens,
        }

    def tokeniser(self, long_text: LongText) -> StaticTokeniser:
        """The model's own tokeniser; it cuts, as the format has it."""
        if long_text != "truncate":
            raise InputError(
                f"long_text: expected 'truncate' with the static model {self.name!r}, "
                f"got {long_text!r}"
            )
        return self._encoder.tokeniser

    def check_tokens(self, tokens: TokenTable) -> None:
        """Nothing is left to check: the encoder does."""

    def backend(self, wanted: Backend | Literal["auto"]) -> Literal["static"]:
        """A table of vectors runs in neither backend."""
        if wanted != "auto":
            raise InputError(
                f"backend: expected 'auto' with the static model {self.name!r}, got {wanted!r}"
            )
        return "static"

    @contextmanager
    def open(self, precision: Precision, backend: Backend | Literal["static"]) -> Iterator[Engine]:
        """Open it; there is one precision."""
        if precision != "fp32":
            raise InputError(
                f"precision: expected 'auto' or 'fp32' with the static model {self.name!r}, "
                f"got {precision!r}"
            )
        yield Engine(
            encode=self._encoder.encode,
            plan=lambda lengths: plan_runs(lengths, _BATCH_TOKENS),
            identity={"backend": backend, "version": 1},
            texts_a_batch=_BATCH_TEXTS,
        )

    @cached_property
    def _encoder(self) -> StaticEncoder:
        return StaticEncoder.open(self.files, threads=self._threads)
