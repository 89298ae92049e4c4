"""Texts turned into the token ids that a static encoder averages."""

from __future__ import annotations

import copy
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast.embedding.tokenise import TokenTable, encode_batch, text_chunks
from ds2fast.results import BoolArray, IdArray

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_CHUNK_TEXTS = 1024  # a tenth of a second or so: Ctrl-C is heard between two chunks
_CHUNK_CHARACTERS = 1_000_000
_NOT_PLAIN = re.compile(r"[^\t\n\r -~]")


class StaticTokeniser:
    """A tokeniser without special tokens, which leaves unknown tokens out.

    As the model2vec format has it: a text is first cut at `max_tokens` times the median length of
    a token in characters, which saves reading what would be cut anyway, then at `max_tokens`
    tokens; unknown tokens among these are left out, so that a text may end with no token at all.

    Parameters
    ----------
    tokenizer : Tokenizer
        The model's own; its truncation and padding are overridden.
    max_tokens : int or None
        Length at which texts are cut; None cuts nothing.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int | None) -> None:
        self._tokenizer = copy.deepcopy(tokenizer)
        self._tokenizer.no_padding()
        if max_tokens is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(max_tokens)
        vocabulary = self._tokenizer.get_vocab()
        self.num_tokens = max(vocabulary.values()) + 1
        self._max_characters = _max_characters(vocabulary, max_tokens)
        settings = json.loads(self._tokenizer.to_str())
        self._unknown = _unknown_id(settings, vocabulary)
        self._plain = _PlainTokeniser.of(settings)

    def encode(self, texts: Sequence[str], report: Callable[[int], None]) -> TokenTable:
        """Tokenise all texts; `report` is told how many are done.

        The tokeniser works in its own threads (`RAYON_NUM_THREADS` bounds them).
        """
        pieces: list[IdArray] = []
        lengths = np.empty(len(texts), np.int64)
        truncated = np.empty(len(texts), np.bool_)
        full = array("q")
        begin = 0
        for cut in text_chunks(self._shortened(texts, full), _CHUNK_TEXTS, _CHUNK_CHARACTERS):
            encodings = self._encode_chunk(cut)
            rows = [encoding.ids for encoding in encodings]
            end = begin + len(cut)
            lengths[begin:end] = [len(row) for row in rows]
            truncated[begin:end] = [
                len(short) < length or bool(encoding.overflowing)
                for short, length, encoding in zip(cut, full[begin:end], encodings, strict=True)
            ]
            pieces.append(np.array([token for row in rows for token in row], np.int32))
            begin = end
            report(end)
        ids = np.concatenate(pieces) if pieces else np.empty(0, np.int32)
        return _without(self._unknown, ids, lengths, truncated)

    def _shortened(self, texts: Iterable[str], full: array[int]) -> Iterator[str]:
        """The beginnings of texts that are read; the texts' own lengths are added to `full`."""
        for text in texts:
            full.append(len(text))
            yield text[: self._max_characters]

    def _encode_chunk(self, texts: list[str]) -> list[Encoding]:
        if self._plain is None:
            return encode_batch(self._tokenizer, texts, add_special_tokens=False)
        lowered = [self._plain.lowered(text) for text in texts]
        rest = [text for text, low in zip(texts, lowered, strict=True) if low is None]
        quick = iter(self._plain.encode([low for low in lowered if low is not None]))
        slow = iter(encode_batch(self._tokenizer, rest, add_special_tokens=False))
        return [next(slow if low is None else quick) for low in lowered]


class _PlainTokeniser:
    """The same tokeniser without its normaliser, for texts of which that changes but the case.

    BERT's normaliser is a quarter of the work. On printable ASCII it does nothing that `str.lower`
    and the splitting at white space do not do as well. Literal special tokens, which are found
    before the case is changed, are left to the whole tokeniser.
    """

    def __init__(self, tokenizer: Tokenizer, added: list[str]) -> None:
        self._tokenizer = tokenizer
        self._added = added

    @classmethod
    def of(cls, settings: dict[str, Any]) -> _PlainTokeniser | None:
        """Make one, or None where the tokeniser is not of the kind of which this is known."""
        from tokenizers import Tokenizer

        normaliser, splitter = settings.get("normalizer") or {}, settings["pre_tokenizer"] or {}
        if (normaliser.get("type"), normaliser.get("lowercase")) != ("BertNormalizer", True):
            return None
        if splitter.get("type") != "BertPreTokenizer":
            return None
        tokenizer = Tokenizer.from_str(json.dumps(settings | {"normalizer": None}))
        return cls(tokenizer, [token["content"].lower() for token in settings["added_tokens"]])

    def lowered(self, text: str) -> str | None:
        """The text as it may be passed to `encode`, or None where it may not."""
        if not text.isascii() or _NOT_PLAIN.search(text):
            return None
        low = text.lower()
        return None if any(token in low for token in self._added) else low

    def encode(self, texts: list[str]) -> list[Encoding]:
        return encode_batch(self._tokenizer, texts, add_special_tokens=False)


def _max_characters(vocabulary: dict[str, int], max_tokens: int | None) -> int | None:
    if max_tokens is None:
        return None
    return max_tokens * int(np.median([len(token) for token in vocabulary]))


def _unknown_id(settings: dict[str, Any], vocabulary: dict[str, int]) -> int | None:
    model = settings["model"]
    if model.get("type") == "Unigram":
        place = model.get("unk_id")
        return None if place is None else int(place)
    return vocabulary.get(model.get("unk_token") or "")


def _without(
    unknown: int | None, ids: IdArray, lengths: np.ndarray[Any, Any], truncated: BoolArray
) -> TokenTable:
    """The table of texts whose ids stand one behind the other, with one id left out."""
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    if unknown is None:
        return TokenTable(ids, offsets, truncated)
    known = ids != unknown
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(known, dtype=np.int64)])
    return TokenTable(ids[known], before[offsets], truncated)
