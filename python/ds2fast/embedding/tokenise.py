"""Texts turned into token ids by the encoder's own tokeniser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.errors import InputFileError
from ds2fast.results import BoolArray, IdArray, IntArray

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# A chunk is short enough for Ctrl-C to be heard within a second, by number and by length.
_CHUNK_TEXTS = 512
_CHUNK_CHARACTERS = 250_000


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Token ids of N texts, one behind the other.

    Attributes
    ----------
    ids : (total,) int32
        The tokens of text i are `ids[offsets[i]:offsets[i + 1]]`; every text has at least one.
    offsets : (N + 1,) int64
        Where each text begins.
    truncated : (N,) bool
        Texts that were cut at the maximum length.
    """

    ids: IdArray
    offsets: IntArray
    truncated: BoolArray

    @property
    def lengths(self) -> IntArray:
        """(N,) int64: tokens of each text."""
        return np.diff(self.offsets)


class Tokeniser:
    """The encoder's tokeniser, cutting at the encoder's length and padding nothing."""

    def __init__(self, files: EncoderFiles) -> None:
        self._tokenizer = _load(files)
        self.pad_id = _pad_id(files, self._tokenizer)
        # What the file says about both is overridden: it often holds the settings of training.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(files.max_tokens)

    def encode(self, texts: Sequence[str], report: Callable[[int], None]) -> TokenTable:
        """Tokenise all texts; `report` is told how many are done.

        The tokeniser works in its own threads (`RAYON_NUM_THREADS` bounds them).
        """
        # encode_batch_fast leaves out character offsets; tokenizers has had it since 0.20.
        encode_batch = getattr(self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch)
        pieces: list[IdArray] = []
        lengths = np.empty(len(texts), np.int64)
        truncated = np.empty(len(texts), np.bool_)
        for begin, end in _chunks(texts):
            encodings: list[Encoding] = encode_batch(texts[begin:end])
            rows = [encoding.ids or [self.pad_id] for encoding in encodings]
            lengths[begin:end] = [len(row) for row in rows]
            truncated[begin:end] = [bool(encoding.overflowing) for encoding in encodings]
            pieces.append(np.array([token for row in rows for token in row], np.int32))
            report(end)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return TokenTable(np.concatenate(pieces), offsets, truncated)


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    begin = characters = 0
    for index, text in enumerate(texts):
        full = index - begin == _CHUNK_TEXTS or characters + len(text) > _CHUNK_CHARACTERS
        if full and index > begin:
            yield begin, index
            begin, characters = index, 0
        characters += len(text)
    yield begin, len(texts)


def _load(files: EncoderFiles) -> Tokenizer:
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    path, settings = files.tokenizer, files.tokenizer_config
    try:
        if path.suffix == ".json":
            return Tokenizer.from_file(str(path))
        words = BertWordPieceTokenizer.from_file(
            str(path),
            lowercase=settings.get("do_lower_case", True),
            strip_accents=settings.get("strip_accents"),
            handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        )
        return Tokenizer.from_str(words.to_str())
    except Exception as error:  # the tokenizers library raises the bare class
        raise InputFileError(f"{path}: expected a tokenizer, could not read it: {error}") from error


def _pad_id(files: EncoderFiles, tokenizer: Tokenizer) -> int:
    """Id that fills a batch up; masked, but some graphs count positions by it."""
    configured = files.config.get("pad_token_id")
    if isinstance(configured, int):
        return configured
    padding = tokenizer.padding or {}
    return int(padding.get("pad_id", 0))
