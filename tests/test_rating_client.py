"""One request over real HTTP, and what every kind of answer means."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web

from ds2fast.errors import MissingExtraError
from ds2fast.rating import extra
from ds2fast.rating.client import ChatClient
from ds2fast.rating.endpoint import Endpoint
from ds2fast.rating.outcome import Answer, Kind, Trouble
from ds2fast.rating.request import RequestForm
from waiting import PATIENCE

KEY = "sk-0123456789abcdef"
MESSAGES = [{"role": "system", "content": "Rate."}, {"role": "user", "content": "ä 你"}]
FORM = RequestForm(0.0, 64)
SCHEMA = {"name": "rating", "strict": True, "schema": {"type": "object"}}
COMPLETION = {
    "choices": [{"message": {"role": "assistant", "content": "7"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Job = Callable[[ChatClient], Awaitable[Any]]


def with_client(
    handler: Handler,
    job: Job,
    *,
    form: RequestForm = FORM,
    timeout: float = PATIENCE,
    azure_version: str | None = None,
    path: str = "/v1",
    concurrency: int = 1,
) -> Any:
    """What a job gets that uses a client of a server with this handler for all."""

    async def main() -> Any:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
        endpoint = Endpoint(url, KEY, azure_version)
        asking = ChatClient(
            endpoint, "judge", form, schema=SCHEMA, timeout=timeout, concurrency=concurrency
        )
        try:
            return await job(asking)
        finally:
            await asking.close()
            await runner.cleanup()

    return asyncio.run(main())


def ask_once(handler: Handler, **settings: Any) -> Answer | Trouble:
    outcome: Answer | Trouble = with_client(
        handler, lambda client: client.ask(MESSAGES), **settings
    )
    return outcome


def trouble_of(handler: Handler, **settings: Any) -> Trouble:
    outcome = ask_once(handler, **settings)
    assert isinstance(outcome, Trouble), outcome
    return outcome


def answering(status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Handler:
    """A handler that gives this answer to all; a body that is no bytes is sent as JSON."""

    async def handle(_: web.Request) -> web.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/html" if isinstance(body, bytes) else "application/json"
        return web.Response(status=status, body=content, content_type=kind, headers=headers)

    return handle


# --- What is sent ---------------------------------------------------------------------------------


def recorded(seen: list[tuple[web.Request, Any]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        seen.append((request, json.loads(await request.read())))
        return web.json_response(COMPLETION)

    return handle


def test_a_request_has_the_key_the_messages_and_the_options() -> None:
    seen: list[tuple[web.Request, Any]] = []
    outcome = ask_once(recorded(seen))
    assert outcome == Answer("7", None, "stop", None, 9, 1)
    ((request, body),) = seen
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "judge",
        "messages": MESSAGES,
        "max_tokens": 64,
        "temperature": 0.0,
        "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    }


def test_azures_older_form_has_the_model_in_the_path_and_its_own_header() -> None:
    seen: list[tuple[web.Request, Any]] = []
    outcome = ask_once(recorded(seen), azure_version="2024-06-01", path="")
    assert isinstance(outcome, Answer)
    ((request, _),) = seen
    assert request.path == "/openai/deployments/judge/chat/completions"
    assert request.query["api-version"] == "2024-06-01"
    assert request.headers["api-key"] == KEY


def test_many_requests_at_once_are_each_answered_by_its_own_reply() -> None:
    async def handle(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        await asyncio.sleep(0.01)
        message = {"message": {"content": body["messages"][0]["content"]}}
        return web.json_response({"choices": [message]})

    async def ask_all(client: ChatClient) -> list[Any]:
        asked = ([{"role": "user", "content": str(number)}] for number in range(100))
        return list(await asyncio.gather(*(client.ask(messages) for messages in asked)))

    outcomes = with_client(handle, ask_all, concurrency=100)
    assert [outcome.content for outcome in outcomes] == [str(number) for number in range(100)]


# --- What a status means --------------------------------------------------------------------------


@pytest.mark.parametrize("param", [None, "temperature"])
def test_who_has_answered_takes_all_options_whatever_a_message_quotes(param: str | None) -> None:
    replies = iter([web.json_response(COMPLETION)])

    async def handle(_: web.Request) -> web.Response:
        error = {"message": "your sample says: temperature is not supported", "param": param}
        return next(replies, web.json_response({"error": error}, status=400))

    async def ask_twice(client: ChatClient) -> list[Any]:
        return [await client.ask(MESSAGES), await client.ask(MESSAGES), client.form]

    answer, trouble, form = with_client(handle, ask_twice)
    assert isinstance(answer, Answer)
    assert trouble.kind is Kind.REFUSED
    assert form == FORM


def test_a_param_that_is_no_text_names_no_option() -> None:
    error = {"message": "temperature is not supported", "param": ["max_tokens"]}
    assert trouble_of(answering(400, {"error": error})).kind is Kind.REFORMED  # by the message
    other = {"message": "the sample is too long", "param": {"temperature": 1}}
    assert trouble_of(answering(400, {"error": other})).kind is Kind.REFUSED


def test_only_the_option_that_a_server_names_is_dropped() -> None:
    async def handle(request: web.Request) -> web.Response:
        said = f"bad request: {await request.text()}"  # which quotes all options
        return web.json_response({"error": {"message": said, "param": "temperature"}}, status=400)

    async def ask(client: ChatClient) -> list[Any]:
        return [await client.ask(MESSAGES), client.form]

    trouble, form = with_client(handle, ask)
    assert trouble.kind is Kind.REFORMED
    assert form.temperature is None
    assert form.reply_format == "json_schema"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Kind.REFUSED),
        (401, Kind.FATAL),
        (402, Kind.FATAL),
        (403, Kind.FORBIDDEN),
        (404, Kind.FATAL),
        (408, Kind.BROKEN),
        (409, Kind.BROKEN),
        (413, Kind.REFUSED),
        (422, Kind.REFUSED),
        (425, Kind.BROKEN),
        (429, Kind.BUSY),
        (500, Kind.BROKEN),
        (502, Kind.BROKEN),
        (503, Kind.BUSY),
        (504, Kind.BROKEN),
        (529, Kind.BUSY),
    ],
)
def test_what_a_status_means(status: int, kind: Kind) -> None:
    requests = 0

    async def handle(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.json_response({"error": {"message": "so it is"}}, status=status)

    found = trouble_of(handle)
    assert found.kind is kind
    assert f"the server answered {status}: so it is" in found.reason
    assert found.retry_after is None
    assert not found.may_cost  # nothing was generated
    assert requests == 1  # the client is not to ask again by itself


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_no_credit_is_not_too_many_requests(code: str) -> None:
    found = trouble_of(answering(429, {"error": {"message": "You exceeded", "code": code}}))
    assert found.kind is Kind.FATAL
    assert "no credit" in found.reason


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>502\n Bad Gateway</html>", "<html>502 Bad Gateway</html>"),
        (b"", "the server answered 502"),
        (["odd"], "the server answered 502"),
        ("odd", "the server answered 502"),
        ({"detail": "worker died"}, "worker died"),
        ({"error": "worker died"}, "worker died"),
        ({"error": {"message": {"odd": 1}}}, "the server answered 502"),
    ],
)
def test_errors_of_every_form_are_trouble(body: Any, words: str) -> None:
    found = trouble_of(answering(502, body))
    assert found.kind is Kind.BROKEN
    assert words in found.reason
    assert len(found.reason) < 250


# --- What a server asks to wait -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "0"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "3"}, 3.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": ""}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    found = trouble_of(answering(429, {"error": {"message": "slow down"}}, headers))
    assert (found.kind, found.retry_after) == (Kind.BUSY, seconds)


def test_a_date_to_wait_for_is_told_in_seconds() -> None:
    found = trouble_of(
        answering(503, {}, {"Retry-After": formatdate(time.time() + 3600, usegmt=True)})
    )
    assert found.retry_after is not None
    assert 3600 - PATIENCE < found.retry_after <= 3600


# --- Connections that fail ------------------------------------------------------------------------


def test_no_answer_in_time_is_a_time_out() -> None:
    async def handle(_: web.Request) -> web.Response:
        await asyncio.sleep(PATIENCE)
        return web.json_response(COMPLETION)

    begin = time.monotonic()
    found = trouble_of(handle, timeout=0.3)
    assert found.kind is Kind.TIMEOUT
    assert found.may_cost
    assert time.monotonic() - begin > 0.25


def test_an_answer_that_trickles_is_a_time_out_too() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(2000):  # each read is quick
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    found = trouble_of(handle, timeout=0.4)
    assert found.kind is Kind.TIMEOUT


@pytest.mark.parametrize("is_late", [False, True])
def test_a_connection_that_breaks_is_broken(is_late: bool) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        if is_late:
            await response.prepare(request)
            await response.write(b'{"choices": ')
        assert request.transport is not None
        request.transport.close()
        return response

    found = trouble_of(handle)
    assert found.kind is Kind.BROKEN
    assert found.may_cost
    assert "connection" in found.reason


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as free:  # bound and not listening: nobody else gets it
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"

        async def main() -> Answer | Trouble:
            asking = ChatClient(Endpoint(url, KEY), "judge", FORM, schema=SCHEMA, timeout=PATIENCE)
            try:
                return await asking.ask(MESSAGES)
            finally:
                await asking.close()

        found = asyncio.run(main())
    assert isinstance(found, Trouble)
    assert found.kind is Kind.UNREACHABLE
    assert not found.may_cost
    assert "no connection" in found.reason


def test_a_body_that_is_no_completion_is_broken() -> None:
    assert trouble_of(answering(200, b"<html></html>")).kind is Kind.BROKEN
    found = trouble_of(answering(200, {"choices": []}))
    assert (found.kind, found.may_cost) == (Kind.BROKEN, True)
    assert "out of memory" in trouble_of(answering(200, {"error": "out of memory"})).reason


# --- Options that a server lacks ------------------------------------------------------------------


def lacking(*options: str) -> Handler:
    """Refuses requests that have any of these options, as OpenAI does."""

    async def handle(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        asked = body.get("response_format", {}).get("type")
        for option in options:
            if option in body or option == asked:
                param = "response_format" if option == asked else option
                error = {"message": f"'{option}' is not supported here", "param": param}
                return web.json_response({"error": error}, status=400)
        return web.json_response(COMPLETION)

    return handle


async def _ask_until_answered(client: ChatClient) -> tuple[int, RequestForm]:
    for number in range(10):
        outcome = await client.ask(MESSAGES)
        if isinstance(outcome, Answer):
            return number, client.form
        assert outcome.kind is Kind.REFORMED, outcome
    raise AssertionError("no answer")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), RequestForm(0.0, 64)),
        (("json_schema",), RequestForm(0.0, 64, reply_format="json_object")),
        (("json_schema", "json_object"), RequestForm(0.0, 64, reply_format="free")),
        (("temperature",), RequestForm(None, 64)),
        (("max_tokens",), RequestForm(0.0, 64, length_name="max_completion_tokens")),
        (
            ("temperature", "json_schema", "max_tokens"),
            RequestForm(None, 64, "max_completion_tokens", "json_object"),
        ),
    ],
)
def test_each_option_that_is_lacking_costs_one_request(
    options: tuple[str, ...], found: RequestForm
) -> None:
    assert with_client(lacking(*options), _ask_until_answered) == (len(options), found)


def test_requests_in_flight_find_out_about_an_option_once() -> None:
    async def ask_eight(client: ChatClient) -> tuple[list[Any], RequestForm]:
        return list(await asyncio.gather(*(client.ask(MESSAGES) for _ in range(8)))), client.form

    outcomes, form = with_client(lacking("json_schema"), ask_eight)
    assert {outcome.kind for outcome in outcomes} == {Kind.REFORMED}
    assert form.reply_format == "json_object"  # and not "free"


def test_log_probabilities_that_a_server_lacks_end_the_run() -> None:
    found = trouble_of(lacking("logprobs"), form=RequestForm(0.0, 64, logprobs=True))
    assert found.kind is Kind.FATAL
    assert "logprobs" in found.reason


def test_a_bad_request_for_another_reason_is_the_samples() -> None:
    error = {"error": {"message": "content management policy", "code": "content_filter"}}
    found = trouble_of(answering(400, error))
    assert found.kind is Kind.REFUSED
    assert "content management policy" in found.reason


# --- Secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("is_json", [False, True])
def test_a_key_that_the_server_repeats_is_in_no_outcome(status: int, is_json: bool) -> None:
    # So far behind that a quotation of the words would cut the key in two.
    said = "x" * 150 + f" key {KEY} is bad"
    body = {"error": {"message": said}} if is_json else said.encode()
    found = trouble_of(answering(status, body))
    assert not any(KEY[start : start + 6] in found.reason for start in range(len(KEY) - 5))


def test_a_key_in_the_reply_itself_is_in_no_answer() -> None:
    message = {"content": f"the key is {KEY}", "refusal": f"not with {KEY}"}
    found = ask_once(answering(200, {"choices": [{"message": message}]}))
    assert isinstance(found, Answer)
    assert KEY not in repr(found)
    assert found.content == "the key is [secret]"


# --- The extra ------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["openai", "json_repair"])
def test_a_missing_package_is_told_with_the_extra(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra.check_extra()
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(MissingExtraError, match=rf"{missing}: pip install 'ds2fast\[rate\]'"):
        extra.check_extra()
