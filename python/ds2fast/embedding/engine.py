"""An encoder that is open, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ds2fast.embedding.tokenise import TokenTable
from ds2fast.results import FloatArray, IdArray, IntArray

Precision = Literal["fp32", "bf16", "int8"]
Backend = Literal["native", "onnxruntime"]
LongText = Literal["truncate", "chunk-mean"]
Report = Callable[[int, int], None]
EncodeMany = Callable[[Iterable[TokenTable], int], Iterator[tuple[int, FloatArray]]]
"""Of batches, and the number of their tokens, to the number of each and its rows, in any order."""


@dataclass(frozen=True)
class Engine:
    """What a job runs.

    Attributes
    ----------
    encode : callable
        `encode(ids, offsets, report)` gives unit rows (n, d) float32: the tokens of row i are
        `ids[offsets[i]:offsets[i + 1]]`. `report(done, total)`, or None, hears how far it is.
    plan : callable
        `plan(lengths)` groups texts of so many tokens into batches, a list of (rows,) int64.
    identity : mapping
        All that the bytes of a vector depend on besides the model's files and the text.
    load : callable
        Reads the weights, which `encode` would do first: what is wrong with them is said before
        all texts are tokenised.
    texts_a_batch : int or None
        So many texts run together, in their order, and are tokenised as they run; then nothing is
        planned. With None all texts are tokenised first, for `plan` to group them by their length.
    encode_many : callable or None
        What runs batches side by side, elsewhere; with None they run here, one after the other.
    """

    encode: Callable[[IdArray, IntArray, Report | None], FloatArray]
    plan: Callable[[IntArray], list[IntArray]]
    identity: Mapping[str, str | int]
    load: Callable[[], object] = lambda: None
    texts_a_batch: int | None = None
    encode_many: EncodeMany | None = None


class TextTokeniser(Protocol):
    """Turns texts into tokens."""

    def encode(
        self, texts: Sequence[str], report: Callable[[int], None], scratch: Path | None = None
    ) -> TokenTable:
        """Tokens of all texts; `report` is told how many are done.

        With `scratch` they are in a file of that folder.
        """


class Model(Protocol):
    """A model's files, ready to be opened."""

    name: str
    lowercase: bool

    def identity(self) -> dict[str, str | int]:
        """Hashes of the files, and what else they say that vectors depend on."""

    def tokeniser(self, long_text: LongText) -> TextTokeniser:
        """The model's own tokeniser."""

    def check_tokens(self, tokens: TokenTable) -> None:
        """Raise InputFileError where the tokeniser is another model's."""

    def backend(self, wanted: Backend | Literal["auto"]) -> Backend | Literal["static"]:
        """What it runs in; InputError where that is not what is wanted."""

    def open(
        self, precision: Precision, backend: Backend | Literal["static"]
    ) -> AbstractContextManager[Engine]:
        """Open it."""
