"""One request to a model through the `openai` client, and what came of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ds2fast.rating.completion import error_message, quote, read_completion
from ds2fast.rating.endpoint import NO_KEY, Endpoint
from ds2fast.rating.outcome import Answer, Kind, Trouble
from ds2fast.rating.request import RequestForm

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI

CONNECT_SECONDS = 10.0
POOLED, MOST_POOLS = 16, 8  # connections of a pool, where there are no more than eight pools
_BUSY = {429, 503, 529}
_NEVER = {
    401: "the key was refused",
    402: "the account has no credit",
}
_FORBIDDEN = 403  # the key's fault, or, by providers that moderate, the sample's
_OUT_OF_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_OF_THE_REQUEST = {400, 413, 422}
_NOT_CONNECTED = {"ConnectError", "ConnectTimeout"}  # names: httpx or httpx2, by openai's version


class ChatClient:
    """Asks one model; it remembers which options the server takes.

    Parameters
    ----------
    endpoint : Endpoint
        Where it answers.
    model : str
        Its name there.
    form : RequestForm
        Options to begin with.
    schema : mapping or None
        JSON schema of the reply.
    timeout : float
        Seconds that a request may take.
    concurrency : int
        Requests that may be in flight.

    Attributes
    ----------
    form : RequestForm
        Options in use.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        form: RequestForm,
        *,
        schema: Mapping[str, Any] | None,
        timeout: float,
        concurrency: int = 1,
    ) -> None:
        self.form = form
        self._endpoint = endpoint
        self._model = model
        self._schema = schema
        self._timeout = timeout
        self._has_answered = False
        # A pool looks through all its connections for each request, so none may have many.
        pools = min(MOST_POOLS, -(-concurrency // POOLED))
        self._clients = [_open(endpoint, model, timeout) for _ in range(pools)]
        self._busy = [0] * pools

    async def ask(self, messages: Sequence[Mapping[str, str]]) -> Answer | Trouble:
        """Send one request; whatever comes back is an outcome, never an exception."""
        import openai

        form, quoted = self.form, self._quoted
        try:
            # The client's own time-out is for each read: a server that trickles would never end.
            async with asyncio.timeout(self._timeout):
                body = await self._post({"messages": messages, **form.options(self._schema)})
            self._has_answered = True
            return read_completion(body, self._endpoint.redact)
        except openai.APITimeoutError as error:
            return self._unconnected(error) or _timed_out()
        except TimeoutError:
            return _timed_out()
        except openai.APIStatusError as error:
            return self._of_status(error, form)
        except openai.APIConnectionError as error:
            words = f"the connection broke: {quoted(error.__cause__ or error)}"
            return self._unconnected(error) or Trouble(Kind.BROKEN, words, may_cost=True)
        except openai.OpenAIError as error:
            return Trouble(Kind.BROKEN, f"no usable answer: {quoted(error)}")

    async def _post(self, body: Mapping[str, Any]) -> bytes:
        """The body of the response, as it is.

        The client's typed methods walk the whole request each time, a quarter of what a request
        takes here; and what comes back is checked by ourselves.
        """
        from openai import HttpxBinaryResponseContent

        place = self._busy.index(min(self._busy))
        self._busy[place] += 1
        try:
            response = await self._clients[place].post(
                "/chat/completions",
                body={"model": self._model, **body},
                cast_to=HttpxBinaryResponseContent,
            )
        finally:
            self._busy[place] -= 1
        return response.content

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()

    def _of_status(self, error: APIStatusError, form: RequestForm) -> Trouble:
        status, message = error.status_code, error_message(error.body or error.message)
        said = self._quoted(message).removeprefix(f"{status}: ")
        words = f"the server answered {status}: {said}".removesuffix(".")
        hopeless = self._hopeless(error)
        if hopeless is not None:
            return Trouble(Kind.FATAL, f"{hopeless}: {words}")
        if status in _BUSY:
            return Trouble(Kind.BUSY, words, _retry_after(error.response.headers))
        if status >= 500 or status in {408, 409, 425}:
            return Trouble(Kind.BROKEN, words, _retry_after(error.response.headers))
        if status in _OF_THE_REQUEST:
            # Where no option is named the message has to tell, which may quote all of the request.
            named = error.param if isinstance(error.param, str) and error.param else message
            return self._of_form(named, form, words)
        return Trouble(Kind.FORBIDDEN if status == _FORBIDDEN else Kind.REFUSED, words)

    def _hopeless(self, error: APIStatusError) -> str | None:
        """Why no request would be any good; None where another might be."""
        if error.code in _OUT_OF_MONEY:
            return _NEVER[402]
        if error.status_code == 401 and self._endpoint.api_key == NO_KEY:
            return (
                "the server wants a key, and none was given: OPENAI_API_KEY or api_key_file= "
                "(--api-key-file) brings one"
            )
        if error.status_code == 404:
            return (
                f"there is no model {self._model!r} at {self._endpoint.name}, or no such address "
                "(most end in /v1)"
            )
        return _NEVER.get(error.status_code)

    def _of_form(self, message: str, form: RequestForm, words: str) -> Trouble:
        """A request of this form was refused: perhaps the server lacks one of its options."""
        if form.is_refused_logprobs(message):
            return Trouble(Kind.FATAL, f"logprobs: the server gives none: {words}")
        other = form.without(message)
        # Who has answered takes these options: its message quotes the sample, or tells of it.
        if other is None or self._has_answered:
            return Trouble(Kind.REFUSED, words)
        if self.form == form:  # another request may have found it out before
            self.form = other
        return Trouble(Kind.REFORMED, words)

    def _unconnected(self, error: APIConnectionError) -> Trouble | None:
        cause = error.__cause__
        if type(cause).__name__ not in _NOT_CONNECTED:
            return None
        return Trouble(
            Kind.UNREACHABLE,
            f"no connection to {self._endpoint.name}: {self._quoted(str(cause) or error)}",
        )

    def _quoted(self, message: object) -> str:
        """A server's message in one line; redacted before it is cut, which might halve a secret."""
        return quote(self._endpoint.redact(str(message)))


def _open(endpoint: Endpoint, model: str, timeout: float) -> AsyncOpenAI:
    from openai import AsyncAzureOpenAI, AsyncOpenAI, Timeout

    limits = Timeout(timeout, connect=min(CONNECT_SECONDS, timeout))
    # Tries are ours: they are counted, paced together, and bounded.
    if endpoint.azure_version is not None:
        return AsyncAzureOpenAI(
            azure_endpoint=endpoint.base_url,
            azure_deployment=model,
            api_version=endpoint.azure_version,
            api_key=endpoint.api_key,
            timeout=limits,
            max_retries=0,
        )
    return AsyncOpenAI(
        base_url=endpoint.base_url, api_key=endpoint.api_key, timeout=limits, max_retries=0
    )


def _timed_out() -> Trouble:
    return Trouble(Kind.TIMEOUT, "no answer within the time-out", may_cost=True)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: in milliseconds, seconds or as a date."""
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        return seconds / 1000
    words = headers.get("retry-after")
    seconds = _number(words)
    if seconds is not None or words is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(words).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _number(words: str | None) -> float | None:
    try:
        number = float(words or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
