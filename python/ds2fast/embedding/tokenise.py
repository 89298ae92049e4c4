"""Texts turned into token ids by the encoder's own tokeniser."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.errors import InputFileError
from ds2fast.io.scratch import Spool
from ds2fast.results import BoolArray, IdArray, IntArray

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# A chunk is short enough for Ctrl-C to be heard within a second, by number and by length.
_CHUNK_TEXTS = 512
_CHUNK_CHARACTERS = 250_000
_ENOUGH = 16  # characters read for each token that is kept: several times those of a usual one


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Token ids of N texts in one or more pieces each, one behind the other.

    Attributes
    ----------
    ids : (total,) int32
        The tokens of piece i are `ids[offsets[i]:offsets[i + 1]]`.
    offsets : (pieces + 1,) int64
        Where each piece begins.
    truncated : (N,) bool
        Texts that were cut at the maximum length.
    firsts : (N + 1,) int64
        The pieces of text i are `firsts[i]` to `firsts[i + 1]`; by default, one each.
    """

    ids: IdArray
    offsets: IntArray
    truncated: BoolArray
    firsts: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.firsts):
            object.__setattr__(self, "firsts", np.arange(len(self.truncated) + 1))

    @property
    def lengths(self) -> IntArray:
        """(N,) int64: tokens of each text."""
        return np.diff(self.offsets[self.firsts])

    def rows(self, texts: IntArray) -> TokenTable:
        """The table of some texts, in the order given."""
        counts = np.diff(self.firsts)[texts]
        firsts = _offsets(counts)
        pieces = np.repeat(self.firsts[texts] - firsts[:-1], counts) + np.arange(firsts[-1])
        lengths = np.diff(self.offsets)[pieces]
        offsets = _offsets(lengths)
        places = np.repeat(self.offsets[pieces] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return TokenTable(self.ids[places], offsets, self.truncated[texts], firsts)


def _offsets(lengths: IntArray) -> IntArray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


class Tokeniser:
    """The encoder's tokeniser, padding nothing.

    Parameters
    ----------
    files : EncoderFiles
        Its tokenizer, and the length that the encoder takes.
    cuts : bool
        Whether a text beyond that length is cut there, or falls into pieces of that length.

    Raises
    ------
    InputFileError
        Where the tokenizer cannot be read, or is another model's.
    """

    def __init__(self, files: EncoderFiles, *, cuts: bool = True) -> None:
        self._tokenizer = load_tokenizer(files)
        # Tokens that were added may go beyond: of these, only those that occur in a text matter.
        check_vocabulary(files, self._tokenizer.get_vocab_size(with_added_tokens=False))
        self._cuts = cuts
        self._pad_id = _pad_id(files, self._tokenizer)
        # What the file says about both is overridden: it often holds the settings of training.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(files.max_tokens)
        can_shorten = cuts and _keeps_words_apart(self._tokenizer)
        self._enough = _ENOUGH * files.max_tokens if can_shorten else None

    def encode(
        self, texts: Sequence[str], report: Callable[[int], None], scratch: Path | None = None
    ) -> TokenTable:
        """Tokenise all texts; `report` is told how many are done.

        With `scratch` the tokens are in a file of that folder. The tokeniser works in its own
        threads (`RAYON_NUM_THREADS` bounds them).
        """
        ids = Spool(np.int32, scratch)
        lengths = array("q")
        counts = np.ones(len(texts), np.int64)
        truncated = np.zeros(len(texts), np.bool_)
        done = 0
        for chunk in text_chunks(texts, _CHUNK_TEXTS, _CHUNK_CHARACTERS):
            rows: list[list[int]] = []
            encodings = self._encode_chunk(chunk)
            for place, encoding in enumerate(encodings, done):
                pieces = self._pieces(encoding)
                counts[place] = len(pieces)
                truncated[place] = self._cuts and bool(encoding.overflowing)
                rows += pieces
            lengths.extend(map(len, rows))
            ids.add(np.fromiter(chain.from_iterable(rows), np.int32))  # one a chunk: memory
            done += len(chunk)
            report(done)
        offsets = _offsets(np.array(lengths, np.int64))
        return TokenTable(ids.joined(), offsets, truncated, _offsets(counts))

    def _encode_chunk(self, texts: list[str]) -> list[Encoding]:
        """Tokens of some texts; of a long one its beginning is read where that is enough."""
        if self._enough is None:
            return encode_batch(self._tokenizer, texts)
        short = [_beginning(text, self._enough) for text in texts]
        found = encode_batch(self._tokenizer, short)
        again = [
            place
            for place, encoding in enumerate(found)
            if len(short[place]) < len(texts[place]) and not encoding.overflowing
        ]
        whole = encode_batch(self._tokenizer, [texts[place] for place in again])
        for place, encoding in zip(again, whole, strict=True):
            found[place] = encoding
        return found

    def _pieces(self, encoding: Encoding) -> list[list[int]]:
        """Tokens of each piece; a text that has none is a padding token."""
        first = encoding.ids or [self._pad_id]
        return [first] if self._cuts else [first, *(piece.ids for piece in encoding.overflowing)]


def _keeps_words_apart(tokenizer: Tokenizer) -> bool:
    """Whether tokens before a space are the same whatever follows it.

    So it is with BERT's rules: they clean characters one by one, split at white space first, and
    tokens that were added are found before that.
    """
    settings = json.loads(tokenizer.to_str())
    kinds = [(settings.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer")]
    added = [token["content"] for token in settings["added_tokens"]]
    is_bert = kinds == ["BertNormalizer", "BertPreTokenizer"]
    return is_bert and not any(re.search(r"\s", content) for content in added)


def _beginning(text: str, enough: int) -> str:
    """The words of a text within its first characters; all of it where these have no space."""
    if len(text) <= enough:
        return text
    end = text.rfind(" ", 0, enough)
    return text[:end] if end > 0 else text


def text_chunks(texts: Iterable[str], most_texts: int, most_characters: int) -> Iterator[list[str]]:
    """The texts in chunks, short by number and by length; one pass that keeps a chunk at a time.

    Examples
    --------
    >>> list(text_chunks(["a", "b", "long", "c"], 2, 3))
    [['a', 'b'], ['long'], ['c']]
    """
    chunk: list[str] = []
    characters = 0
    for text in texts:
        if chunk and (len(chunk) == most_texts or characters + len(text) > most_characters):
            yield chunk
            chunk, characters = [], 0
        chunk.append(text)
        characters += len(text)
    if chunk:
        yield chunk


def encode_batch(
    tokenizer: Tokenizer, texts: Sequence[str], *, add_special_tokens: bool = True
) -> list[Encoding]:
    """Tokens of some texts, without the places of their characters."""
    # encode_batch_fast leaves these out; tokenizers has had it since 0.20.
    encode = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    encodings: list[Encoding] = encode(texts, add_special_tokens=add_special_tokens)
    return encodings


def check_vocabulary(files: EncoderFiles, size: int) -> None:
    """Refuse token ids up to `size` where the encoder has no vectors for them.

    Raises
    ------
    InputFileError
        Where config.json has a smaller vocab_size.
    """
    known = files.config.get("vocab_size")
    if isinstance(known, int) and size > known:
        raise InputFileError(
            f"{files.tokenizer}: expected token ids below the vocab_size {known} of "
            f"{files.config_path}, got {size - 1}; the tokenizer is another model's"
        )


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokeniser of a tokenizer.json."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises the bare class
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputFileError:
    return InputFileError(f"{path}: expected a tokenizer, could not read it: {error}")


def load_tokenizer(files: EncoderFiles) -> Tokenizer:
    """The tokeniser of an encoder as its file has it, truncation and padding included."""
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    path, settings = files.tokenizer, files.tokenizer_config
    if path.suffix == ".json":
        return read_tokenizer(path)
    try:
        words = BertWordPieceTokenizer.from_file(
            str(path),
            lowercase=settings.get("do_lower_case", True),
            strip_accents=settings.get("strip_accents"),
            handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        )
        return Tokenizer.from_str(words.to_str())
    except Exception as error:  # the tokenizers library raises the bare class
        raise _unreadable(path, error) from error


def _pad_id(files: EncoderFiles, tokenizer: Tokenizer) -> int:
    """Id that stands for a text without tokens."""
    configured = files.config.get("pad_token_id")
    if isinstance(configured, int):
        return configured
    padding = tokenizer.padding or {}
    return int(padding.get("pad_id", 0))
