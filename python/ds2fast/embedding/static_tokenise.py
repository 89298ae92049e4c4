"""Texts turned into the token ids that a static encoder averages."""

from __future__ import annotations

import copy
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast import _core
from ds2fast.embedding.tokenise import TokenTable, encode_batch, text_chunks
from ds2fast.io.scratch import Spool
from ds2fast.results import BoolArray, IdArray, IntArray
from ds2fast.threads import resolve_threads

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CHUNK_TEXTS = 1024  # a tenth of a second or so: Ctrl-C is heard between two chunks
_CHUNK_CHARACTERS = 1_000_000
_KNOWN_WORDS = 64 << 20  # bytes of words whose tokens are remembered
_NO_CUT = 1 << 62

Tokens = tuple[IdArray, IntArray, BoolArray]
"""Ids of some texts one behind the other, the number of each text's, and which were cut."""


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
    threads : int, optional
        Threads of a tokeniser with BERT's rules; by default what affinity and cgroup allow. Any
        other works in threads of its own (`RAYON_NUM_THREADS` bounds them).
    """

    def __init__(
        self, tokenizer: Tokenizer, max_tokens: int | None, *, threads: int | None = None
    ) -> None:
        vocabulary = tokenizer.get_vocab()
        self.num_tokens = max(vocabulary.values()) + 1
        self._max_characters = _max_characters(vocabulary, max_tokens)
        settings = json.loads(tokenizer.to_str())
        unknown = _unknown_id(settings, vocabulary)
        kind = _WordTokeniser if _has_bert_rules(settings) else _WholeTokeniser
        self._tokeniser = kind(tokenizer, max_tokens, unknown, resolve_threads(threads))

    def encode(
        self, texts: Sequence[str], report: Callable[[int], None], scratch: Path | None = None
    ) -> TokenTable:
        """Tokenise all texts; `report` is told how many are done.

        With `scratch` the tokens are in a file of that folder.
        """
        tokens = Spool(np.int32, scratch)
        offsets = np.zeros(len(texts) + 1, np.int64)
        truncated = np.empty(len(texts), np.bool_)
        full = array("q")
        begin = 0
        for short in text_chunks(self._shortened(texts, full), _CHUNK_TEXTS, _CHUNK_CHARACTERS):
            ids, lengths, cut = self._tokeniser.encode(short)
            end = begin + len(short)
            offsets[begin + 1 : end + 1] = offsets[begin] + np.cumsum(lengths)
            read = np.fromiter(map(len, short), np.int64, len(short))
            truncated[begin:end] = cut | (read < np.array(full[begin:end], np.int64))
            tokens.add(ids)
            begin = end
            report(end)
        return TokenTable(tokens.joined(), offsets, truncated)

    def _shortened(self, texts: Iterable[str], full: array[int]) -> Iterator[str]:
        """The beginnings of texts that are read; the texts' own lengths are added to `full`."""
        for text in texts:
            full.append(len(text))
            yield text[: self._max_characters]


class _WholeTokeniser:
    """Any tokeniser, as its library runs it."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_tokens: int | None,
        unknown: int | None,
        threads: int,  # noqa: ARG002 - the library has its own
    ) -> None:
        self._tokenizer = _without_settings(tokenizer, max_tokens)
        self._unknown = unknown

    def encode(self, texts: list[str]) -> Tokens:
        """Tokens of some texts."""
        encodings = encode_batch(self._tokenizer, texts, add_special_tokens=False)
        rows = [encoding.ids for encoding in encodings]
        cut = np.array([bool(encoding.overflowing) for encoding in encodings], np.bool_)
        offsets = np.cumsum([0, *map(len, rows)])
        ids = np.array([token for row in rows for token in row], np.int32)
        known = ids != (-1 if self._unknown is None else self._unknown)
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(known, dtype=np.int64)])
        return ids[known], np.diff(before[offsets]), cut


class _WordTokeniser:
    """A tokeniser with BERT's rules, asked for each word once.

    Its rules split at white space before anything else, and tokenise each word by itself. Splitting
    and looking up takes a tenth of what tokenising all texts does; the tokens are the same.
    """

    def __init__(
        self, tokenizer: Tokenizer, max_tokens: int | None, unknown: int | None, threads: int
    ) -> None:
        # One token more than is kept tells whether a text that is a single word is cut.
        self._tokenizer = _without_settings(
            tokenizer, None if max_tokens is None else max_tokens + 1
        )
        self._most_tokens = _NO_CUT if max_tokens is None else max_tokens
        self._unknown = -1 if unknown is None else unknown
        self._literals = _literals(json.loads(tokenizer.to_str()))
        self._threads = threads
        self._words = _core.WordTable()

    def encode(self, texts: list[str]) -> Tokens:
        """Tokens of some texts."""
        if self._words.nbytes > _KNOWN_WORDS:
            self._words.clear()
        as_read = [text if text.isascii() else text.encode() for text in texts]
        missing, ids, lengths, cut = self._look_up(as_read)
        if missing:
            self._learn(missing)
            _, ids, lengths, cut = self._look_up(as_read)
        return ids, lengths, cut

    def _look_up(
        self, texts: list[str | bytes]
    ) -> tuple[list[bytes], IdArray, IntArray, BoolArray]:
        return self._words.look_up(
            texts, self._most_tokens, self._unknown, self._literals, self._threads
        )

    def _learn(self, words: list[bytes]) -> None:
        asked = [word.decode() for word in words]
        encodings = encode_batch(self._tokenizer, asked, add_special_tokens=False)
        self._words.add(words, [encoding.ids for encoding in encodings])


def _without_settings(tokenizer: Tokenizer, max_tokens: int | None) -> Tokenizer:
    """A copy that pads nothing and cuts at `max_tokens`."""
    own = copy.deepcopy(tokenizer)
    own.no_padding()
    if max_tokens is None:
        own.no_truncation()
    else:
        own.enable_truncation(max_tokens)
    return own


def _has_bert_rules(settings: dict[str, Any]) -> bool:
    """Whether texts may be tokenised word by word, in small letters."""
    normaliser, splitter = settings.get("normalizer") or {}, settings.get("pre_tokenizer") or {}
    is_bert = (normaliser.get("type"), normaliser.get("lowercase"), splitter.get("type")) == (
        "BertNormalizer",
        True,
        "BertPreTokenizer",
    )
    # Control characters are no part of what the tokeniser looks for once it is normalised.
    is_simple = all(
        literal.isascii() and literal.isprintable() and " " not in literal
        for literal in _literals(settings)
    )
    return is_bert and is_simple


def _literals(settings: dict[str, Any]) -> list[str]:
    """Strings, in small letters, that the tokeniser finds before it splits a text."""
    return [token["content"].lower() for token in settings["added_tokens"] if token["content"]]


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
