"""What a request asks for beside the messages; an option that a server refuses is dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

ReplyFormat = Literal["json_schema", "json_object", "free"]
LengthName = Literal["max_tokens", "max_completion_tokens"]

TOP_TOKENS = 20  # alternatives for each token: the most that servers give

_WORDS: dict[str, tuple[str, ...]] = {
    "reply_format": ("response_format", "json_schema", "json_object", "json schema", "guided"),
    "length_name": ("max_tokens", "max_completion_tokens"),
    "temperature": ("temperature",),
    "logprobs": ("logprobs", "log prob"),
}
"""What a server's message about an option mentions."""

_TOO_LONG = "context length"  # of a message about a sample: it may mention options, too


@dataclass(frozen=True)
class RequestForm:
    """Options of a request.

    Attributes
    ----------
    temperature : float or None
        None leaves it to the server.
    max_reply_tokens : int
        Tokens that a reply may have.
    length_name : {"max_tokens", "max_completion_tokens"}
        What the server calls that.
    reply_format : {"json_schema", "json_object", "free"}
        What the server is to hold the reply to.
    logprobs : bool
        Whether log probabilities are asked for.
    """

    temperature: float | None
    max_reply_tokens: int
    length_name: LengthName = "max_tokens"
    reply_format: ReplyFormat = "json_schema"
    logprobs: bool = False

    def options(self, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """The options as the protocol names them; `schema` comes with its name, as it is sent."""
        options: dict[str, Any] = {self.length_name: self.max_reply_tokens}
        if self.temperature is not None:
            options["temperature"] = self.temperature
        if self.logprobs:
            options |= {"logprobs": True, "top_logprobs": TOP_TOKENS}
        if self.reply_format == "json_schema" and schema is not None:
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self.reply_format != "free":
            options["response_format"] = {"type": "json_object"}
        return options

    def without(self, message: str) -> RequestForm | None:
        """The next form to try where a server refused this one with `message`; None: no other.

        Log probabilities are never dropped: who asked for them is to be told.
        """
        words = message.lower()
        if _TOO_LONG in words:
            return None
        for option, named in _WORDS.items():
            if any(word in words for word in named):
                found = self._next(option)
                if found is not None:
                    return found
        return None

    def is_refused_logprobs(self, message: str) -> bool:
        """Whether the server says that it has no log probabilities."""
        return self.logprobs and any(word in message.lower() for word in _WORDS["logprobs"])

    def _next(self, option: str) -> RequestForm | None:
        if option == "reply_format" and self.reply_format == "json_schema":
            return replace(self, reply_format="json_object")
        if option == "reply_format" and self.reply_format == "json_object":
            return replace(self, reply_format="free")
        if option == "length_name" and self.length_name == "max_tokens":
            return replace(self, length_name="max_completion_tokens")
        if option == "temperature" and self.temperature is not None:
            return replace(self, temperature=None)
        return None
