"""Servers that refuse, vanish, hang or overcharge: when a run ends, and what is kept of it."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import ds2fast
from ds2fast.rating import pace, pauses, run, silence
from ds2fast.rating.client import ChatClient
from ds2fast.rating.outcome import Answer, Trouble
from ds2fast.rating.store import ReplyStore
from rating_pools import Row, judge, made_up_rows, texts_of
from rating_scripted import Asked, Sent, error, right, scripted_server
from rating_truth import true_criteria
from waiting import PATIENCE, wait_until

NUM_ROWS = 60


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def rate(url: str, store: Path, rows: Sequence[Row], **arguments: Any) -> ds2fast.Ratings:
    given = {"model": "judge", "progress": False, **arguments}
    return ds2fast.rate(rows, base_url=url, store=store, **given)


def num_kept(store: Path) -> int:
    with ReplyStore(store, readonly=True) as kept:
        return sum(len(kept.replies(number)) for number in kept.raters())


# --- A server that asks to wait for a day ---------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_wait_that_nobody_would_wait_for_ends_the_run(
    status: int, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = count_tries(monkeypatch)

    def script(asked: Asked) -> Sent:
        if asked.number == 20:
            return error(status, "out for a day", Retry_After="100000")
        if asked.number > 20:
            wait_until(lambda: any(isinstance(outcome, Trouble) for outcome in outcomes))
        return right(asked)

    with scripted_server(script) as server:
        with pytest.raises(ds2fast.ServerError, match="it asks to wait for 100000 s") as raised:
            rate(server.base_url, store, made_up_rows(NUM_ROWS), concurrency=4)
        assert len(server.asked) <= 21 + 3  # nothing new is sent; three may have been beside it
        kept = num_kept(store)
        assert kept == len(server.asked) - 1
    assert f"{kept} replies of this run are kept" in str(raised.value)


# --- What a server forbids ------------------------------------------------------------------------


def test_a_sample_that_is_forbidden_is_that_samples_failure(store: Path) -> None:
    rows = made_up_rows(NUM_ROWS)
    moderated = texts_of(rows)[7]

    def script(asked: Asked) -> Sent:
        return error(403, "moderated") if asked.sample == moderated else right(asked)

    with scripted_server(script) as server:
        ratings = rate(server.base_url, store, rows)
        asked = Counter(asked.sample for asked in server.asked)
    assert [place for place, reason in enumerate(ratings.reasons) if reason is not None] == [7]
    assert "403: moderated" in str(ratings.reasons[7])
    assert judge(ratings).right == NUM_ROWS - 1
    # Where it was the first of all others were to tell; it is asked again then, and no more.
    assert asked[moderated] <= 2


def test_the_first_sample_that_is_forbidden_is_put_back_until_others_tell(store: Path) -> None:
    def script(asked: Asked) -> Sent:
        if asked.number == 0:
            first.append(asked.sample)
        return error(403, "moderated") if asked.sample in first else right(asked)

    first: list[str] = []
    rows = made_up_rows(NUM_ROWS)
    with scripted_server(script) as server:
        ratings = rate(server.base_url, store, rows)
        asked = Counter(asked.sample for asked in server.asked)
    assert [texts_of(rows)[place] for place, r in enumerate(ratings.reasons) if r] == first
    assert asked[first[0]] == 2
    assert len(server.asked) == NUM_ROWS + 1


def test_a_key_that_may_not_ask_ends_the_run_after_two_samples(store: Path) -> None:
    def script(asked: Asked) -> Sent:
        return error(403, "not your model")

    with scripted_server(script) as server:
        with pytest.raises(ds2fast.ServerError, match="403: not your model"):
            rate(server.base_url, store, made_up_rows(NUM_ROWS))
        assert len(server.asked) == len({asked.sample for asked in server.asked}) == 2
    assert num_kept(store) == 0


def test_a_key_that_may_not_ask_is_found_out_with_a_single_sample(store: Path) -> None:
    with scripted_server(lambda asked: error(403, "not your model")) as server:
        with pytest.raises(ds2fast.ServerError, match="403: not your model"):
            rate(server.base_url, store, made_up_rows(1))
        num_asked = len(server.asked)
    assert 1 < num_asked <= 3  # once may be chance
    assert num_kept(store) == 0


# --- A server that is not there -------------------------------------------------------------------


def test_nobody_there_is_asked_ever_more_seldom_and_then_given_up(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "FIRST_PATIENCE", 3.0)
    asked = count_tries(monkeypatch)
    with socket.socket() as free:  # bound and not listening: nobody else gets it
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        start = time.monotonic()
        with pytest.raises(ds2fast.ServerError, match=r"no connection to .*; for \d+ s now"):
            rate(url, store, made_up_rows(1000))
        assert time.monotonic() - start > 3.0
    # Eight at once, then pauses of 0.5, 1, 2 s: at 0, 0.5, 1.5 and 3.5 s.
    assert len(asked) <= silence.PATIENT + 5
    assert num_kept(store) == 0


def test_connections_that_are_closed_at_once_end_the_run_soon(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Samples are not tried again before the run has ended, however long twenty of them take.
    monkeypatch.setattr(pauses, "FIRST_PAUSE", PATIENCE)
    monkeypatch.setattr(pauses, "LONGEST_PAUSE", PATIENCE)
    accepted: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        closing = threading.Thread(target=close_all, args=(listening, accepted), daemon=True)
        closing.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(ds2fast.ServerError, match="the connection broke"):
            rate(url, store, made_up_rows(1000))
        listening.shutdown(socket.SHUT_RDWR)
        closing.join(PATIENCE)
    assert len(accepted) <= 2 * silence.MANY_FRESH
    assert num_kept(store) == 0


def close_all(listening: socket.socket, accepted: list[float]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        accepted.append(time.monotonic())
        connection.close()


def count_tries(monkeypatch: pytest.MonkeyPatch) -> list[Answer | Trouble]:
    """What comes of every request of the client, which asks as ever."""
    outcomes: list[Answer | Trouble] = []
    ask = ChatClient.ask

    async def counted(client: ChatClient, messages: Any) -> Answer | Trouble:
        outcomes.append(await ask(client, messages))
        return outcomes[-1]

    monkeypatch.setattr(ChatClient, "ask", counted)
    return outcomes


@pytest.fixture
def _full_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """No slowness of this machine has fewer requests in flight than there may be."""
    monkeypatch.setattr(pace, "SLOWDOWN", math.inf)


@pytest.mark.usefixtures("_full_pace")
def test_a_burst_of_broken_answers_is_lived_through(store: Path) -> None:
    # A proxy that restarts fails all that is in flight, in one moment, and is well again.
    together = threading.Barrier(32, timeout=PATIENCE)

    def script(asked: Asked) -> Sent:
        if 193 <= asked.number < 193 + 32:
            together.wait()
            return error(502, "bad gateway")
        return right(asked)

    with scripted_server(script) as server:
        ratings = rate(server.base_url, store, made_up_rows(400), concurrency=32)
        assert len(server.asked) == 400 + 32
    assert judge(ratings).all_right


@pytest.mark.usefixtures("_full_pace")
def test_a_server_that_fails_whatever_it_is_asked_ends_the_run(store: Path) -> None:
    def script(asked: Asked) -> Sent:
        time.sleep(0.02)
        return right(asked) if asked.number < 100 else error(500, "out of memory")

    with scripted_server(script) as server:
        with pytest.raises(ds2fast.ServerError, match=r"500: out of memory; the first tries of"):
            rate(server.base_url, store, made_up_rows(5000), concurrency=32)
        # What was in flight together tells once; then come as many more as make it sure.
        assert len(server.asked) < 100 + 32 + 3 * 32
    assert num_kept(store) == 100


# --- Options --------------------------------------------------------------------------------------


def test_a_refusal_that_quotes_an_option_changes_nothing_for_others(store: Path) -> None:
    rows = made_up_rows(NUM_ROWS)
    odd = texts_of(rows)[7]

    def script(asked: Asked) -> Sent:
        if asked.sample == odd and asked.number > 0:
            return error(400, f"bad request: temperature, response_format, max_tokens: {odd}")
        return right(asked)

    with scripted_server(script) as server:
        ratings = rate(server.base_url, store, rows)
        options = [{**asked.body, "messages": None} for asked in server.asked]
    assert len(options) == NUM_ROWS
    assert all(asked == options[0] for asked in options)
    assert options[0]["temperature"] == 0.0
    assert [place for place, reason in enumerate(ratings.reasons) if reason is not None] == [7]
    assert "no temperature" not in ratings.describe()


def test_a_server_without_a_temperature_is_told(store: Path) -> None:
    def script(asked: Asked) -> Sent:
        if "temperature" in asked.body:
            return error(400, "'temperature' does not support 0 with this model")
        return right(asked)

    with scripted_server(script) as server:
        ratings = rate(server.base_url, store, made_up_rows(NUM_ROWS))
        again = rate(server.base_url, store, made_up_rows(NUM_ROWS))
        assert len(server.asked) == NUM_ROWS + 1
    assert judge(ratings).all_right
    assert "the server takes no temperature" in ratings.describe()
    (record,) = ratings.manifest()["raters"]
    assert record["options"]["temperature"] is None
    assert record["options"]["reply_format"] == "json_schema"
    assert record["temperature"] == 0.0
    assert again.manifest()["raters"][0]["options"] is None  # nothing was asked


# --- Money ----------------------------------------------------------------------------------------


def test_max_cost_is_kept_by_a_server_that_bills_what_timed_out(store: Path) -> None:
    prompt, most, price = 100, 256, (1.0, 10.0)

    def script(asked: Asked) -> Sent:
        late = asked.number % 3 == 2
        if late:  # two of three come, the third is generated in full, and too late
            time.sleep(1.0)
        return right(asked, prompt_tokens=prompt, completion_tokens=most)

    # A prompt has more tokens than the server counts here, so a request costs 2660 a million at
    # least, and ten of them are surely had for 0.05.
    with scripted_server(script) as server:
        ratings = rate(
            server.base_url,
            store,
            made_up_rows(300),
            timeout=0.4,
            max_cost=0.05,
            price=price,
            max_reply_tokens=most,
            keep_going=True,
        )
        billed = len(server.asked) * (prompt * price[0] + most * price[1]) / 1e6
    (cost,) = [rater.cost for rater in ratings.raters]
    assert cost is not None
    assert billed <= cost <= 0.05
    assert len(server.asked) >= 10
    assert ratings.raters[0].tally.troubles["timeout"] >= 3
    assert "max_cost" in ratings.endings[0]


# --- Ctrl-C ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [0.5, PATIENCE])
def test_ctrl_c_after_the_run_has_ended_waits_no_longer_than_the_grace(
    grace: float, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "GRACE", grace)
    endings = note_endings(monkeypatch)
    released, hanging = threading.Event(), threading.Semaphore(0)

    def script(asked: Asked) -> Sent:
        if asked.number in (35, 36):
            hanging.release()
            released.wait(PATIENCE)
        elif asked.number == 40:
            for _ in range(2):
                hanging.acquire()
            return error(401, "no more")  # ends the run, with two in flight
        return right(asked)

    interrupted: list[float] = []

    def interrupt() -> None:
        wait_until(lambda: endings == [run.Ending.SERVER])  # and waits for the two
        interrupted.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: endings == [run.Ending.SERVER, run.Ending.STOPPED])
        if grace == PATIENCE:
            released.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    try:
        with scripted_server(script) as server:
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                rate(server.base_url, store, made_up_rows(300), concurrency=8, timeout=PATIENCE)
            waited = time.monotonic() - interrupted[0]
            was_released = released.is_set()
            thread.join()
            kept, asked = num_kept(store), len(server.asked)
    finally:
        released.set()
        signal.signal(signal.SIGINT, before)
    assert asked < 60
    if grace == PATIENCE:
        assert kept == asked - 1  # what came in the meantime is kept; one was refused
    else:
        assert waited >= grace
        assert not was_released  # the two were not waited for
        assert kept == asked - 3


def note_endings(monkeypatch: pytest.MonkeyPatch) -> list[run.Ending]:
    """What ended a run, in the order in which it came."""
    endings: list[run.Ending] = []
    end = run.RatingRun._end

    def noted(self: run.RatingRun, ending: run.Ending, reason: str) -> None:
        end(self, ending, reason)
        endings.append(ending)

    monkeypatch.setattr(run.RatingRun, "_end", noted)
    return endings


# --- Failures of earlier runs ---------------------------------------------------------------------


def test_failures_are_asked_again_in_part_where_nothing_else_is_there(store: Path) -> None:
    is_well: list[bool] = []

    def script(asked: Asked) -> Sent:
        return right(asked) if is_well else error(400, "content policy")

    rows = made_up_rows(NUM_ROWS)
    with scripted_server(script) as server:
        with pytest.raises(ds2fast.RatingAlarm):
            rate(server.base_url, store, rows)
        rate(server.base_url, store, rows, keep_going=True)
        requests = len(server.asked)
        assert requests == num_kept(store) == NUM_ROWS
        with pytest.raises(ds2fast.RatingAlarm, match="nothing was asked now"):
            rate(server.base_url, store, rows)
        is_well.append(True)
        some = rate(server.base_url, store, rows, retry_failed=True, limit=25)
        assert len(server.asked) == requests + 25
        assert judge(some).right == 25
        rest = rate(server.base_url, store, rows, retry_failed=True)
        assert len(server.asked) == requests + NUM_ROWS
    assert judge(rest).all_right


def test_a_notebook_may_rate_too(store: Path) -> None:
    """Where a loop runs already the run has one of its own."""

    async def main(url: str) -> ds2fast.Ratings:
        return rate(url, store, made_up_rows(NUM_ROWS))

    with scripted_server(right) as server:
        assert judge(asyncio.run(main(server.base_url))).all_right


# --- Columns --------------------------------------------------------------------------------------


def test_a_criterion_that_a_model_makes_up_now_and_then_gets_no_column(
    store: Path, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Rate it from 1 to 10. Answer with JSON: overall, and what else you like.")
    rows = made_up_rows(150)
    texts = texts_of(rows)

    def script(asked: Asked) -> Sent:
        criteria = true_criteria(asked.sample)
        if asked.sample in texts[:2]:  # 1.3 %
            criteria["clarity"] = 3
        if asked.sample == texts[5]:  # 0.7 %
            criteria["beauty"] = 9
        message = {"message": {"content": json.dumps(criteria)}, "finish_reason": "stop"}
        return Sent(200, {"choices": [message]})

    with scripted_server(script) as server:
        (rater,) = rate(server.base_url, store, rows, prompt=prompt).raters
    assert set(rater.criteria) == {*true_criteria(""), "clarity"}
    assert rater.criteria["clarity"].tolist() == [3, 3] + [-1] * 148


def test_models_whose_columns_would_be_the_same_are_refused() -> None:
    for second in ("judge_overall", "judge_unrated"):
        with pytest.raises(ds2fast.InputError, match="expected models whose columns differ"):
            ds2fast.estimate_rating(made_up_rows(3), model=["judge", second])
    assert ds2fast.estimate_rating(made_up_rows(3), model=["judge", "judge_other"]).requests == 6
