"""Where the model answers, and the key for it: from the environment or a file, never shown."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ds2fast.errors import InputError, InputFileError, InputTypeError

OPENAI_URL = "https://api.openai.com/v1"
KEY_VARIABLE, URL_VARIABLE = "OPENAI_API_KEY", "OPENAI_BASE_URL"
AZURE_HOST = ".openai.azure.com"
AZURE_KEY_VARIABLE, AZURE_VERSION_VARIABLE = "AZURE_OPENAI_API_KEY", "OPENAI_API_VERSION"
NO_KEY = "none"  # what a server without keys is sent: the client insists on one
SHORTEST_SECRET = 6  # shorter words may be part of any message


@dataclass(frozen=True)
class Endpoint:
    """A server that speaks the protocol.

    Attributes
    ----------
    base_url : str
        What requests are sent to; it holds no secrets.
    api_key : str
        The key, `"none"` where there is none.
    azure_version : str or None
        The API version (`""`: not told) where the server is Azure's older form, which has the model
        in the path.
    """

    base_url: str
    api_key: str = field(repr=False)
    azure_version: str | None = None

    @property
    def name(self) -> str:
        """The URL in the form in which it is shown and stored."""
        parts = urlsplit(self.base_url)
        return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own."""
        return urlsplit(self.base_url).hostname == urlsplit(OPENAI_URL).hostname

    def redact(self, text: str) -> str:
        """`text` without the key, should a server echo it."""
        return (
            text.replace(self.api_key, "[secret]") if len(self.api_key) >= SHORTEST_SECRET else text
        )


def resolve_endpoint(
    base_url: str | None = None,
    api_key_file: str | os.PathLike[str] | None = None,
    *,
    needs_key: bool = True,
) -> Endpoint:
    """Where to ask, by what was given and by `OPENAI_BASE_URL` and `OPENAI_API_KEY`.

    A URL of Azure's that has no `/v1` is asked in its older form, with the API version out of
    `OPENAI_API_VERSION` and the key out of `AZURE_OPENAI_API_KEY`. Without `needs_key` a missing
    key is no error: nothing is going to be sent.

    Raises
    ------
    InputError
        A URL that is none, no key for a server that wants one, or an empty file for it.
    InputFileError
        The key's file cannot be read.
    InputTypeError
        An argument of another type.
    """
    if base_url is not None and not isinstance(base_url, str):
        raise InputTypeError(f"base_url: expected a URL or None, got {type(base_url).__name__}")
    url = base_url or os.environ.get(URL_VARIABLE) or OPENAI_URL
    host, path = _parts_of(url, "base_url" if base_url else URL_VARIABLE)
    if host.endswith(AZURE_HOST) and not path.rstrip("/").endswith("/v1"):
        return _azure(url, api_key_file, needs_key=needs_key)
    endpoint = Endpoint(url, _read_key(api_key_file) or _key_in(KEY_VARIABLE) or NO_KEY)
    if needs_key and endpoint.is_openai and endpoint.api_key == NO_KEY:
        raise InputError(
            f"{KEY_VARIABLE}: expected a key for {endpoint.name} in the environment, or in a file "
            "that api_key_file= (--api-key-file) names, got none; base_url= (--base-url) names "
            "another server"
        )
    return endpoint


def _parts_of(url: str, name: str) -> tuple[str, str]:
    """Host and path of a URL; a message about one that is none shows no password."""
    expected = f"{name}: expected a URL such as http://localhost:8000/v1"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError(f"{expected}, got one without a usable host and port") from None
    if parts.scheme not in {"http", "https"} or not host:
        got = "a password in it" if "@" in url else repr(url)
        raise InputError(f"{expected}, that begins with http:// or https://, got {got}")
    if parts.username is not None or parts.query or parts.fragment:
        # They would be logged by whatever handles URLs, and a query would stand before the path.
        raise InputError(f"{expected}, got one with a user, a password, a query or a fragment")
    return host, parts.path


def _azure(url: str, api_key_file: str | os.PathLike[str] | None, *, needs_key: bool) -> Endpoint:
    version = os.environ.get(AZURE_VERSION_VARIABLE)
    key = _read_key(api_key_file) or _key_in(AZURE_KEY_VARIABLE)
    if needs_key and not (version and key):
        missing = AZURE_KEY_VARIABLE if version else AZURE_VERSION_VARIABLE
        raise InputError(
            f"{missing}: expected in the environment for {urlsplit(url).hostname}, got none; a URL "
            "that ends in /openai/v1 needs no version"
        )
    return Endpoint(url, key or NO_KEY, version or "")


def _key_in(variable: str) -> str | None:
    text = os.environ.get(variable, "")
    return _only_key(text, variable) if text.strip() else None


def _read_key(path: str | os.PathLike[str] | None) -> str | None:
    if path is None:
        return None
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"api_key_file: expected a file, got {type(path).__name__}")
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputFileError(f"api_key_file: cannot read {path}: {reason}") from error
    return _only_key(text, f"api_key_file {path}")


def _only_key(text: str, source: str) -> str:
    """The key without blanks around it; what no header can hold would come back in messages."""
    words = text.split()
    if len(words) != 1:
        raise InputError(f"{source}: expected one key, got {len(words)} words")
    if not (words[0].isascii() and words[0].isprintable()):
        raise InputError(f"{source}: expected a key of printable ASCII characters, got others")
    return words[0]
