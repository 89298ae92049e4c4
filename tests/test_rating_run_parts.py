"""The parts of a run: attempts and their queue, budget and tally, request forms, commits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from ds2fast.rating.attempt import Attempt, Task
from ds2fast.rating.budget import Budget
from ds2fast.rating.commit import GroupCommit
from ds2fast.rating.completion import error_message, quote, read_completion
from ds2fast.rating.outcome import Answer, Kind, Trouble
from ds2fast.rating.prices import Price
from ds2fast.rating.queue import AttemptQueue
from ds2fast.rating.request import RequestForm
from ds2fast.rating.stored import StoredReply
from ds2fast.rating.tally import Tally
from ds2fast.rating.tokens import TokenCounter
from waiting import PATIENCE


def task(number: int = 0, *, tokens: int = 100, turn: int = 0) -> Task:
    return Task(number.to_bytes(16, "big"), f"sample {number}", turn, tokens)


def answer(content: str = "{}", prompt: int | None = None, completion: int | None = None) -> Answer:
    return Answer(content, None, "stop", None, prompt, completion)


# --- AttemptQueue ---------------------------------------------------------------------------------


def test_fresh_tasks_come_in_order_and_are_read_as_they_are_needed() -> None:
    read: list[int] = []

    def tasks() -> Iterator[Task]:
        for number in range(100):
            read.append(number)
            yield task(number)

    queue = AttemptQueue(tasks())
    taken = [queue.take(0.0).task.text for _ in range(3)]
    assert taken == ["sample 0", "sample 1", "sample 2"]
    assert len(read) <= 4  # one ahead


def test_an_attempt_is_given_out_again_when_its_pause_is_over_before_fresh_ones() -> None:
    queue = AttemptQueue([task(0), task(1), task(2)])
    first, second = queue.take(0.0), queue.take(0.0)
    queue.put_back(first, 10.0)
    queue.put_back(second, 5.0)
    assert queue.peek(1.0) == task(2)
    assert queue.wait(1.0) == 0.0
    assert queue.take(6.0) is second  # due, and so before the fresh one
    assert queue.take(6.0).task == task(2)
    assert queue.peek(6.0) is None
    assert queue.wait(6.0) == 4.0
    assert queue.peek(10.0) == task(0)
    assert queue.wait(12.0) == 0.0
    assert queue.take(10.0) is first


def test_attempts_that_are_due_together_keep_their_order() -> None:
    queue = AttemptQueue([])
    attempts = [Attempt(task(number)) for number in range(5)]
    for attempt in attempts:
        queue.put_back(attempt, 1.0)
    assert [queue.take(1.0) for _ in attempts] == attempts


def test_an_empty_queue_says_so() -> None:
    queue = AttemptQueue([])
    assert not queue
    assert queue.peek(0.0) is None
    assert queue.wait(0.0) is None
    with pytest.raises(IndexError):
        queue.take(0.0)
    queue.put_back(Attempt(task()), 3.0)
    assert queue
    with pytest.raises(IndexError):
        queue.take(0.0)


# --- Attempt --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flawed", "troubles", "max_tries", "is_spent"),
    [
        (0, {}, 6, False),
        (2, {}, 6, False),
        (3, {}, 6, True),  # what cannot be read three times is given up
        (1, {}, 1, True),
        (0, {Kind.BROKEN: 5}, 6, False),
        (0, {Kind.BROKEN: 6}, 6, True),
        (2, {Kind.BROKEN: 4}, 6, True),
        (0, {Kind.TIMEOUT: 2, Kind.BROKEN: 3}, 6, False),
        (0, {Kind.TIMEOUT: 3}, 6, True),  # each has held a place all the time
        (1, {Kind.TIMEOUT: 2, Kind.BROKEN: 3}, 6, True),
        (0, {Kind.BUSY: 19}, 6, False),  # no fault of the sample: not counted as tries
        (0, {Kind.BUSY: 20}, 6, True),
        (0, {Kind.REFORMED: 6}, 6, False),
        (0, {Kind.UNREACHABLE: 50}, 6, False),
        (0, {Kind.UNREACHABLE: 99}, 6, False),
        (0, {Kind.UNREACHABLE: 100}, 6, True),  # no run waits for ever
    ],
)
def test_when_a_reply_has_been_tried_often_enough(
    flawed: int, troubles: dict[Kind, int], max_tries: int, is_spent: bool
) -> None:
    requests = flawed + sum(troubles.values())
    tried = Attempt(task(), requests, flawed=flawed, troubles=Counter(troubles))
    assert tried.is_spent(max_tries) == is_spent


@pytest.mark.parametrize(
    "kind", [Kind.BUSY, Kind.UNREACHABLE, Kind.BROKEN, Kind.TIMEOUT, Kind.FORBIDDEN]
)
def test_pauses_double_to_half_a_minute_and_are_drawn(kind: Kind) -> None:
    for times, longest in ((1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (5000, 30.0)):
        # Troubles of other kinds lengthen nothing.
        troubles = Counter({**dict.fromkeys(Kind, 9), kind: times})
        attempt = Attempt(task(), troubles=troubles)
        drawn = [attempt.pause(kind) for _ in range(200)]
        assert longest / 2 <= min(drawn) < max(drawn) <= longest
        assert max(drawn) - min(drawn) > longest / 4  # no two that failed together come together


def test_an_answer_that_cannot_be_read_is_asked_for_again_at_once() -> None:
    assert Attempt(task(), flawed=2).pause(None) == 0.0
    assert Attempt(task()).pause(Kind.REFORMED) == 0.0


def test_what_is_kept_has_the_cost_of_all_tries() -> None:
    attempt = Attempt(task(3, turn=2), requests=4, prompt_tokens=400, completion_tokens=90)
    reply = attempt.rated({"overall": 7}, 3.1, '{"overall": 7}', 2.5)
    assert reply == StoredReply(
        task(3).key, 2, {"overall": 7}, 3.1, None, '{"overall": 7}', 400, 90, 4, 2.5
    )
    failure = attempt.failed("refusal", "No.", 1.0)
    assert failure.criteria is None
    assert failure.reason == "refusal (4 tries)"
    assert Attempt(task(), requests=1).failed("refusal", None, 1.0).reason == "refusal"


# --- Budget and Tally -----------------------------------------------------------------------------


PRICE = Price(2.0, 8.0)


def budget(max_cost: float | None, price: Price | None = PRICE) -> Budget:
    return Budget(price, max_cost, 50, TokenCounter(len, "letters"))


def test_what_is_in_flight_is_held_back_until_it_is_over() -> None:
    # A request of 100 tokens may take 1.25 x 100 x 2 + 50 x 8 = 650 dollars a million.
    asked, tally = budget(1301e-6), Tally()
    assert asked.admits(task(), tally)
    asked.hold(task())
    assert asked.admits(task(1), tally)
    asked.hold(task(1))
    assert not asked.admits(task(2), tally)
    asked.release(task())
    assert asked.admits(task(2), tally)


def test_what_was_spent_is_counted_as_the_server_counts_it() -> None:
    asked, tally = budget(1301e-6), Tally()
    tally.answered(answer(), prompt=150, completion=45)  # 660 a million: 641 are left
    assert tally.cost(Price(2.0, 8.0)) == pytest.approx(660e-6)
    assert not asked.admits(task(), tally)
    assert asked.admits(task(tokens=96), tally)  # 1.25 x 96 x 2 + 400 = 640


def test_without_a_limit_everything_is_admitted() -> None:
    tally = Tally(prompt_tokens=10**12)
    assert budget(None).admits(task(tokens=10**9), tally)
    assert budget(None, price=None).admits(task(), tally)


def test_tokens_are_the_servers_where_it_counts() -> None:
    asked = budget(None)
    assert asked.tokens(task(), answer("seven", 90, 5)) == (90, 5)
    assert asked.tokens(task(), answer("seven", None, None)) == (100, 5)  # its five letters
    assert asked.tokens(task(), answer("seven", 0, 0)) == (0, 0)


def test_a_tally_counts_answers_and_troubles() -> None:
    tally = Tally()
    tally.answered(answer(prompt=90, completion=5), 90, 5)
    assert not tally.is_estimated
    tally.answered(answer(prompt=90), 90, 7)
    assert tally.is_estimated
    for kind in (Kind.BUSY, Kind.BROKEN, Kind.UNREACHABLE, Kind.BUSY):
        tally.troubled(Trouble(kind, "no"), 1000, 50)
    for kind in (Kind.BROKEN, Kind.TIMEOUT):  # what the model may have worked for
        tally.troubled(Trouble(kind, "no", may_cost=True), 1000, 50)
    assert tally.requests == 7  # without a connection nothing was asked
    assert dict(tally.troubles) == {"busy": 2, "broken": 2, "timeout": 1, "unreachable": 1}
    assert (tally.prompt_tokens, tally.completion_tokens) == (180, 12)
    assert (tally.lost_prompt_tokens, tally.lost_completion_tokens) == (2000, 100)
    assert tally.cost(Price(1.0, 10.0)) == pytest.approx((2180 + 10 * 112) / 1e6)
    assert tally.cost(None) is None


def test_replies_are_those_that_were_rated_or_failed() -> None:
    assert Tally(rated=3, failed=2).replies == 5


# --- RequestForm ----------------------------------------------------------------------------------

SCHEMA = {"name": "rating", "schema": {}}


def test_a_form_names_its_options_as_the_protocol_does() -> None:
    form = RequestForm(0.0, 256, logprobs=True)
    assert form.options(SCHEMA) == {
        "max_tokens": 256,
        "temperature": 0.0,
        "logprobs": True,
        "top_logprobs": 20,
        "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    }
    bare = RequestForm(None, 256, "max_completion_tokens", "free")
    assert bare.options(SCHEMA) == {"max_completion_tokens": 256}


def test_a_form_without_a_schema_asks_for_an_object() -> None:
    asked = RequestForm(None, 16, reply_format="json_object").options(None)
    assert asked["response_format"] == {"type": "json_object"}
    assert RequestForm(None, 16).options(None)["response_format"] == {"type": "json_object"}


FORM = RequestForm(0.0, 256)


@pytest.mark.parametrize(
    ("message", "form"),
    [
        (
            "'response_format' of type 'json_schema' is not supported",
            replace(FORM, reply_format="json_object"),
        ),
        ("guided decoding is off", replace(FORM, reply_format="json_object")),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            replace(FORM, length_name="max_completion_tokens"),
        ),
        (
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
            "(1) value is supported.",
            replace(FORM, temperature=None),
        ),
    ],
)
def test_an_option_that_a_server_lacks_is_dropped(message: str, form: RequestForm) -> None:
    assert FORM.without(message) == form


def test_formats_are_given_up_one_after_the_other_and_then_nothing_is_left() -> None:
    form: RequestForm | None = RequestForm(None, 256, "max_completion_tokens")
    formats = []
    while form is not None:
        formats.append(form.reply_format)
        form = form.without("response_format: no")
    assert formats == ["json_schema", "json_object", "free"]


@pytest.mark.parametrize(
    "message",
    [
        "the model is overloaded",
        "",
        # Of a sample that is too long, by two servers: no other form would make it shorter.
        "'max_tokens' or 'max_completion_tokens' is too large: 256. This model's maximum context "
        "length is 512 tokens and your request has 400 input tokens",
        "This model's maximum context length is 4096 tokens. However, your messages resulted in "
        "5000 tokens. Please reduce the length of the messages or max_tokens.",
    ],
)
def test_a_message_about_something_else_changes_no_form(message: str) -> None:
    assert RequestForm(0.0, 256).without(message) is None


def test_log_probabilities_are_never_dropped() -> None:
    form = RequestForm(None, 256, "max_completion_tokens", "free", logprobs=True)
    assert form.without("logprobs are not supported") is None
    assert form.is_refused_logprobs("Logprobs are not supported")
    assert not form.is_refused_logprobs("temperature is not supported")
    assert not RequestForm(None, 256).is_refused_logprobs("logprobs")


# --- What a server sends --------------------------------------------------------------------------


def test_a_whole_completion_is_read_field_by_field() -> None:
    body = (
        b'{"choices": [{"finish_reason": "stop", "message": {"content": "7", "refusal": null},'
        b' "logprobs": {"content": [{"token": "7"}]}}, {"message": {"content": "8"}}],'
        b' "usage": {"prompt_tokens": 90, "completion_tokens": 0}}'
    )
    assert read_completion(body) == Answer("7", None, "stop", [{"token": "7"}], 90, 0)


@pytest.mark.parametrize(
    "body",
    [
        '{"choices": [{"message": {"content": "7"}}], "usage": null}',
        '{"choices": [{"message": {"content": "7"}}], "usage": []}',
        '{"choices": [{"message": {"content": "7"}, "logprobs": 3, "finish_reason": 1}]}',
        '{"error": null, "choices": [{"message": {"content": "7"}}], "usage": {"prompt_tokens": -1,'
        ' "completion_tokens": true}}',
        '{"choices": [{"message": {"content": "7"}}], "usage": {"prompt_tokens": "90",'
        ' "completion_tokens": 1.5}}',
        '{"choices": [{"message": {"content": "7"}}], "usage": {"prompt_tokens":'
        ' 9223372036854775808, "completion_tokens": 1000000000}}',
    ],
)
def test_odd_fields_beside_the_content_are_passed_over(body: str) -> None:
    assert read_completion(body.encode()) == Answer("7", None, None, None, None, None)


@pytest.mark.parametrize("content", ["null", "3", "[]", "{}"])
def test_content_that_is_no_text_is_none(content: str) -> None:
    found = read_completion(f'{{"choices": [{{"message": {{"content": {content}}}}}]}}'.encode())
    assert isinstance(found, Answer)
    assert found.content == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON"),
        (b'{"choices": [{"message": {"content": "7"', "no JSON"),
        (b"<html>Bad\n gateway</html>", "<html>Bad gateway</html>"),
        (b"\xff\xfe", "no JSON"),
        (b"data: {}\n\n", "no JSON"),
        (b"[1]", "no object: [1]"),
        (b"null", "no object"),
        (b"[" * 1000 + b"]" * 1000, "no object"),
        (b'{"error": ' + b"[" * 1000 + b"]" * 1000 + b"}", "an error"),
        (b'{"error": {"message": "out of memory"}}', "out of memory"),
        (
            b'{"error": "out of memory", "choices": [{"message": {"content": "7"}}]}',
            "out of memory",
        ),
        (b"{}", "without choices"),
        (b'{"choices": []}', "without choices"),
        (b'{"choices": {"0": 1}}', "without choices"),
        (b'{"choices": [null]}', "without a message"),
        (b'{"choices": [{"message": "7"}]}', "without a message"),
        (b'{"choices": [{"text": "7"}]}', "without a message"),
    ],
)
def test_what_is_no_completion_is_broken(body: bytes, words: str) -> None:
    found = read_completion(body)
    assert isinstance(found, Trouble)
    assert found.kind is Kind.BROKEN
    assert words in found.reason


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "key sk-12345678 is bad"}}',
        b"key sk-12345678 is bad",
        b'["sk-12345678"]',
        b'{"choices": [{"message": {"content": "sk-12345678", "refusal": "sk-12345678"}}]}',
    ],
)
def test_secrets_are_taken_out_of_whatever_comes(body: bytes) -> None:
    found = read_completion(body, lambda text: text.replace("sk-12345678", "[secret]"))
    assert "sk-12345678" not in repr(found)
    assert "[secret]" in repr(found)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "no", "type": "x"}}, "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"detail": "no"}, "no"),
        ({"object": "error", "message": "no"}, "no"),
        ("no", "no"),
        (None, "None"),
    ],
)
def test_an_errors_words_are_found_in_every_usual_form(body: object, message: str) -> None:
    assert error_message(body) == message


def test_a_quotation_is_one_line_of_bounded_length() -> None:
    assert quote(" a \n\t b ") == "a b"
    assert quote("x" * 160) == "x" * 160
    assert quote("x" * 161) == "x" * 160 + "…"


# --- GroupCommit ----------------------------------------------------------------------------------


def reply(number: int) -> StoredReply:
    return StoredReply(number.to_bytes(16, "big"), 0, {"overall": 5}, None, None, "", 1, 1, 1, 1.0)


def test_what_comes_while_one_transaction_runs_goes_into_the_next() -> None:
    batches: list[list[StoredReply]] = []
    kept: list[StoredReply] = []
    begun, may_end = threading.Event(), threading.Event()

    def write(replies: Sequence[StoredReply]) -> None:
        if batches:
            begun.set()
            assert may_end.wait(PATIENCE)
        else:
            time.sleep(0.05)  # a slow disk: from here on others are written in a thread
        batches.append(list(replies))

    async def main() -> None:
        commit = GroupCommit(write, kept.extend)
        writing = asyncio.create_task(commit.run())
        commit.add(reply(0))
        while not kept:
            await asyncio.sleep(0.001)
        commit.add(reply(1))
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        for number in range(2, 6):
            commit.add(reply(number))
        await asyncio.sleep(0.01)
        assert kept == [reply(0)]  # none is, before it is written
        may_end.set()
        commit.close()
        await writing

    asyncio.run(main())
    assert batches == [[reply(0)], [reply(1)], [reply(number) for number in range(2, 6)]]
    assert kept == [reply(number) for number in range(6)]


def test_closing_writes_what_is_left_and_ends_without_any() -> None:
    written: list[StoredReply] = []

    async def main(number: int) -> None:
        commit = GroupCommit(written.extend, lambda replies: None)
        for place in range(number):
            commit.add(reply(place))
        commit.close()
        await asyncio.wait_for(commit.run(), PATIENCE)

    asyncio.run(main(0))
    assert written == []
    asyncio.run(main(3))
    assert written == [reply(0), reply(1), reply(2)]


def test_what_writing_raises_comes_out_and_is_not_told_as_kept() -> None:
    kept: list[StoredReply] = []

    def write(replies: Sequence[StoredReply]) -> None:
        raise OSError("disk full")

    async def main() -> None:
        commit = GroupCommit(write, kept.extend)
        commit.add(reply(0))
        await asyncio.wait_for(commit.run(), PATIENCE)

    with pytest.raises(OSError, match="disk full"):
        asyncio.run(main())
    assert kept == []
