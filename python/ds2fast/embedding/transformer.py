"""A transformer's files, opened in an encoder of our own or in ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, cached_property
from typing import Literal

import orjson

from ds2fast import _core
from ds2fast.embedding.architecture import Architecture, parse
from ds2fast.embedding.batching import plan_batches, plan_runs
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.engine import Backend, Engine, LongText, Precision
from ds2fast.embedding.native import NativeEncoder
from ds2fast.embedding.tokenise import Tokeniser, TokenTable, check_vocabulary
from ds2fast.embedding.weights import check_weights, read_weights
from ds2fast.errors import InputError, InputFileError

NATIVE_VERSION = 1
"""Counts up whenever the native encoder gives other vectors, so that kept ones are not used."""

# A batch of the native encoder takes a fraction of a second: what a kill may cost. It is whole
# enough for all threads to end at about the same time.
_BATCH_PRODUCTS = 0.85e11
_LEAST_TOKENS = 512
_MOST_TOKENS = 8192


class TransformerModel:
    """The files of a transformer, in safetensors or ONNX form.

    Parameters
    ----------
    files : EncoderFiles
        Where they are and what they say.
    graphs : GraphCache
        Keeps graphs that were made for ONNX Runtime.
    threads : int
        Threads of the encoder.
    """

    def __init__(self, files: EncoderFiles, *, graphs: GraphCache, threads: int) -> None:
        self.files = files
        self.name = files.name
        self.lowercase = files.lowercase
        self._graphs = graphs
        self._threads = threads

    def identity(self) -> dict[str, str | int]:
        """Hashes of the files, and what else they say that vectors depend on."""
        return {
            "weights": self.files.weights_sha256(),
            "tokenizer": self._tokenizer_hash,
            "pooling": self.files.pooling,
            "most_tokens": self.files.max_tokens,
            "lowercase": int(self.files.lowercase),
            "architecture": hashlib.sha256(repr(self.files.architecture).encode()).hexdigest(),
        }

    def tokeniser(self, long_text: LongText) -> Tokeniser:
        """The model's own tokeniser."""
        return Tokeniser(self.files, cuts=long_text == "truncate")

    def check_tokens(self, tokens: TokenTable) -> None:
        """Raise InputFileError where the tokeniser is another model's."""
        check_vocabulary(self.files, int(tokens.ids.max()) + 1)

    def backend(self, wanted: Backend | Literal["auto"]) -> Backend:
        """The encoder of our own for tensors of a supported family, else ONNX Runtime."""
        if self._has_tensors and self.files.architecture is None:
            parse(self.files.config, self.files.config_path)  # says what is not supported
        is_ours = self._has_tensors
        if wanted == "native" and not is_ours:
            raise InputError(
                "backend: 'native' expects a model of a supported family in safetensors form, got "
                f"{self.files.weights}; use backend='onnxruntime' or 'auto'"
            )
        if wanted == "auto":
            return "native" if is_ours else "onnxruntime"
        return wanted

    def open(
        self, precision: Precision, backend: Backend | Literal["static"]
    ) -> AbstractContextManager[Engine]:
        """Open it in one precision; weights are read when there is a text to run."""
        if self._has_tensors and self.files.architecture is not None:
            check_weights(self.files.weights, self.files.architecture)
        return self._open_native(precision) if backend == "native" else self._open_onnx(precision)

    @contextmanager
    def _open_native(self, precision: Precision) -> Iterator[Engine]:
        files, architecture = self.files, self.files.architecture
        if architecture is None:
            raise InputError(f"{files.config_path}: expected a supported family, got another")

        @cache
        def encoder() -> NativeEncoder:
            return NativeEncoder(
                read_weights(files.weights, architecture),
                architecture,
                pooling=files.pooling,
                precision=precision,
                threads=self._threads,
            )

        budget = _batch_tokens(architecture) * self._threads
        yield Engine(
            encode=lambda ids, offsets, report: encoder().encode(ids, offsets, report),
            plan=lambda lengths: plan_runs(lengths, budget),
            identity={
                "backend": "native",
                "version": NATIVE_VERSION,
                "precision": precision,
                "level": _core.simd_level(),
                "is_native": int(precision in _core.native_precisions()),
            },
            load=encoder,
        )

    @contextmanager
    def _open_onnx(self, precision: Precision) -> Iterator[Engine]:
        import onnxruntime

        from ds2fast.embedding.export import EXPORT_VERSION
        from ds2fast.embedding.onnx import OnnxEncoder
        from ds2fast.embedding.optimise import OPTIMISE_VERSION

        if precision == "bf16":
            raise InputError(
                "precision: expected 'auto', 'fp32' or 'int8' with backend 'onnxruntime', "
                f"got {precision!r}"
            )
        with ExitStack() as stack:

            @cache
            def encoder() -> OnnxEncoder:
                opened = OnnxEncoder.open(
                    self.files, cache=self._graphs, precision=precision, threads=self._threads
                )
                return stack.enter_context(opened)

            yield Engine(
                encode=lambda ids, offsets, _: encoder().encode(ids, offsets),
                plan=plan_batches,
                identity={
                    "backend": "onnxruntime",
                    "version": onnxruntime.__version__,
                    "graph": f"{EXPORT_VERSION}.{OPTIMISE_VERSION}",
                    "precision": precision,
                    "level": _core.simd_level(),
                    "threads": self._threads,
                },
                load=encoder,
            )

    @property
    def _has_tensors(self) -> bool:
        """Whether the weights are tensors by name; else they are a graph."""
        return self.files.weights.suffix != ".onnx"

    @cached_property
    def _tokenizer_hash(self) -> str:
        try:
            content = self.files.tokenizer.read_bytes()
        except OSError as error:
            raise InputFileError(f"{self.files.tokenizer}: could not be read: {error}") from error
        settings = orjson.dumps(dict(self.files.tokenizer_config), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content + settings).hexdigest()


def _batch_tokens(architecture: Architecture) -> int:
    """Tokens of a batch, for each thread."""
    hidden, inner = architecture.hidden_size, architecture.intermediate_size
    products = architecture.num_layers * (4 * hidden * hidden + 2 * hidden * inner)
    return max(_LEAST_TOKENS, min(_MOST_TOKENS, int(_BATCH_PRODUCTS / products)))
