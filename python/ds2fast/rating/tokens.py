"""How many tokens a request will have: by the model's own tokeniser if it is here, or by rules."""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ds2fast.embedding.models import is_path
from ds2fast.errors import InputFileError, InputTypeError, ModelNotFoundError
from ds2fast.rating.token_rules import rule_tokens

__all__ = ["CHAT_OVERHEAD", "TokenCounter", "calibrated", "counter", "rule_tokens"]

CHAT_OVERHEAD = 11
"""Tokens that OpenAI's chat form adds to a system and a user message: 3 and the role's word for
each, 3 to begin the reply. Other models' templates add 10 to 15."""

FEWEST_REPLIES = 20
"""Finished replies that calibrating needs."""

_TOKENIZER = "tokenizer.json"
_SINGLE_DIGITS = ("qwen", "qwq", "mistral", "mixtral", "ministral", "magistral", "gemma", "gemini")

# Where tiktoken keeps a vocabulary on disk: under the SHA-1 of its address. A file whose SHA-256 is
# another is downloaded anew, so that is looked at first.
_VOCABULARIES = "https://openaipublic.blob.core.windows.net/encodings"
_VOCABULARY_SHA256 = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens, and says how.

    Attributes
    ----------
    tokens_of : callable
        Tokens of a text, not scaled.
    source : str
        Whose tokens they are, in words.
    scale : float
        What finished replies say: tokens used for each one counted.
    replies : int
        How many replies the scale was taken from; 0 where it is not.

    Examples
    --------
    >>> counter = TokenCounter(lambda text: len(text.split()), "words")
    >>> counter.count("a tree frog")
    3
    """

    tokens_of: Callable[[str], int]
    source: str
    scale: float = 1.0
    replies: int = 0

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return round(self.scale * self.tokens_of(text))

    def count_request(self, messages: Iterable[Mapping[str, str]]) -> int:
        """Tokens of a system and a user message, as a chat request sends them."""
        counted = sum(self.tokens_of(message["content"]) for message in messages)
        return round(self.scale * (counted + CHAT_OVERHEAD))

    def remembering(self, text: str) -> TokenCounter:
        """The same counter, which counts `text` once: what every request begins with."""
        known = self.tokens_of(text)
        tokens_of = self.tokens_of
        return replace(self, tokens_of=lambda other: known if other == text else tokens_of(other))

    def describe(self) -> str:
        """How the tokens are counted, for a person.

        Examples
        --------
        >>> counter("my-model").describe()
        'by rules (within some 5 % in English and code, less close in other languages)'
        """
        if not self.replies:
            return self.source
        return f"{self.source}, scaled by {self.scale:.3f} as {self.replies} replies were"


def counter(model: str, tokenizer: str | os.PathLike[str] | None = None) -> TokenCounter:
    """Choose how the tokens of a model's requests are counted.

    Parameters
    ----------
    model : str
        The rating model's name, as it is sent.
    tokenizer : str or path, optional
        A `tokenizer.json`, a directory that holds one, or a Hugging Face id (the hub's cache is
        looked into first). None is tiktoken where it is installed and has the model's vocabulary
        on disk already (nothing is downloaded for it), else rules.

    Returns
    -------
    TokenCounter

    Raises
    ------
    ModelNotFoundError
        Where the tokenizer is not there, or the hub does not give it.
    InputFileError
        Where the file is no tokenizer.
    InputTypeError
        Where `tokenizer` is neither a text nor a path.

    Examples
    --------
    With the files of all-MiniLM-L6-v2 in the directory `encoder_dir`:

    >>> from ds2fast.rating.tokens import counter
    >>> counter("my-model", encoder_dir).count("a tree frog")
    3
    """
    if tokenizer is not None:
        return _by_tokenizer(tokenizer)
    return _by_tiktoken(model) or _by_rules(model)


def calibrated(counter: TokenCounter, pairs: Iterable[tuple[int, int]]) -> TokenCounter:
    """A counter scaled by what finished replies of the same rater used.

    Parameters
    ----------
    counter : TokenCounter
        What counted the first of each pair; its own scale is given up.
    pairs : iterable of (int, int)
        Of each finished reply, the tokens of its request as `tokens_of` counts them with the
        overhead, and as the server told them. Those of a server that tells none (0) are passed
        over.

    Returns
    -------
    TokenCounter
        `counter` as it is where fewer than 20 pairs are left.

    Examples
    --------
    >>> words = TokenCounter(lambda text: len(text.split()), "words")
    >>> calibrated(words, [(100, 150)] * 20).count("a tree frog in a tree")
    9
    """
    told = [(counted, used) for counted, used in pairs if counted > 0 and used > 0]
    if len(told) < FEWEST_REPLIES:
        return counter
    scale = sum(used for _, used in told) / sum(counted for counted, _ in told)
    return replace(counter, scale=scale, replies=len(told))


# --- By rules -------------------------------------------------------------------------------------


def _by_rules(model: str) -> TokenCounter:
    single = any(name in model.lower() for name in _SINGLE_DIGITS)
    return TokenCounter(
        lambda text: rule_tokens(text, single_digits=single),
        "by rules (within some 5 % in English and code, less close in other languages)",
    )


# --- By a tokenizer.json --------------------------------------------------------------------------


def _by_tokenizer(tokenizer: str | os.PathLike[str]) -> TokenCounter:
    if not isinstance(tokenizer, str | os.PathLike):
        raise InputTypeError(
            "tokenizer: expected a tokenizer.json, a directory or a Hugging Face id, "
            f"got {type(tokenizer).__name__}"
        )
    name = os.fspath(tokenizer)
    path = _local_file(name) if is_path(tokenizer, name) else _hub_file(name)
    loaded = _load_tokenizer(path)

    def count(text: str) -> int:
        sendable = text.encode("utf-8", "replace").decode("utf-8")
        return len(loaded.encode(sendable, add_special_tokens=False).ids)

    return TokenCounter(count, f"by the tokenizer {name}")


def _local_file(name: str) -> Path:
    path = Path(name).expanduser()
    path = path / _TOKENIZER if path.is_dir() else path
    if not path.is_file():
        raise ModelNotFoundError(
            f"tokenizer {name!r}: expected a file at {path.absolute()}, got nothing there; pass a "
            f"{_TOKENIZER}, a directory that holds one, or a Hugging Face id (org/name)"
        )
    return path


def _hub_file(name: str) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(name, _TOKENIZER)
        return Path(cached if isinstance(cached, str) else hf_hub_download(name, _TOKENIZER))
    except Exception as error:  # the hub lets through the errors of its HTTP library, by version
        raise ModelNotFoundError(
            f"tokenizer {name!r}: expected a path that exists or a Hugging Face id with a "
            f"{_TOKENIZER}, got {type(error).__name__}: {error}"
        ) from error


def _load_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise InputFileError(f"tokenizer {path}: expected a {_TOKENIZER}, got: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


# --- By tiktoken ----------------------------------------------------------------------------------


def _by_tiktoken(model: str) -> TokenCounter | None:
    try:
        tiktoken = importlib.import_module("tiktoken")
    except ImportError:
        return None
    try:
        name: str = tiktoken.encoding_name_for_model(model.removeprefix("openai/"))
    except KeyError:
        return None
    if not _on_disk(name):
        return None
    encoding = tiktoken.get_encoding(name)
    return TokenCounter(
        lambda text: len(encoding.encode_ordinary(text)), f"by tiktoken's vocabulary {name}"
    )


def _on_disk(name: str) -> bool:
    """Whether tiktoken would load a vocabulary without the network."""
    name = "o200k_base" if name == "o200k_harmony" else name
    folder = _tiktoken_folder()
    if folder is None or name not in _VOCABULARY_SHA256:
        return False
    address = f"{_VOCABULARIES}/{name}.tiktoken"
    path = folder / hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest() == _VOCABULARY_SHA256[name]


def _tiktoken_folder() -> Path | None:
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if variable in os.environ:
            return Path(os.environ[variable]) if os.environ[variable] else None
    return Path(tempfile.gettempdir()) / "data-gym-cache"
