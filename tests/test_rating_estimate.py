"""What rating will take, against what it then takes of a real server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ds2fast
from ds2fast.rating.drive import drive
from ds2fast.rating.job import prepare_rating
from ds2fast.rating.prompt import DEFAULT_PROMPT
from ds2fast.rating.settings import check_rating
from ds2fast.rating.store import ReplyStore
from ds2fast.rating.stored import StoredReply
from ds2fast.rating.tokens import rule_tokens
from rating_pools import made_up_rows, texts_of
from rating_process import RunningServer, rating_server
from waiting import PATIENCE

URL = "http://localhost:1/v1"  # nobody is asked


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2FAST_RATINGS_DIR", str(tmp_path / "ratings"))


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with rating_server() as running:
        yield running


def estimate(rows: Any, **settings: Any) -> ds2fast.RatingEstimate:
    given = {"model": "judge", "base_url": URL, "progress": False, **settings}
    return ds2fast.estimate_rating(rows, **given)


def keep(rows: Any, replies: int, *, tokens: tuple[int, int], seconds: float) -> None:
    """Keep replies of a rater as if it had rated the first samples of the pool."""
    job = prepare_rating(
        rows,
        check_rating(model="judge"),
        base_url=URL,
        api_key_file=None,
        text=None,
        prompt=None,
        tokenizer=None,
    )
    with ReplyStore(job.store_of(job.raters[0])) as store:
        rater = store.rater_id(job.raters[0].identity())
        store.write(
            rater,
            [
                StoredReply(key, 0, {"overall": 7}, None, None, "{}", *tokens, 1, seconds)
                for key in job.samples.keys[:replies]
            ],
        )


# --- What it is reckoned from ---------------------------------------------------------------------


def test_requests_are_counted_by_distinct_samples_repeats_and_limit() -> None:
    rows = [*made_up_rows(40), *made_up_rows(10), {"question": "", "answer": ""}]
    assert estimate(rows).requests == 40
    assert estimate(rows).samples == 40
    assert estimate(rows, repeat=3, sample=7).requests == 40 + 2 * 7
    assert estimate(rows, limit=12).requests == 12
    assert estimate(rows, model=["one", "two"]).requests == 80


def test_tokens_are_those_of_the_messages_and_of_the_chat_form() -> None:
    rows = made_up_rows(5)
    messages = [message for text in texts_of(rows) for message in DEFAULT_PROMPT.messages(text)]
    counted = sum(rule_tokens(message["content"]) for message in messages)
    found = estimate(rows)
    assert found.prompt_tokens == counted + 5 * 11  # 11 for each, as OpenAI adds
    # A reply is some {"rarity": 5, "complexity": 5, "informativeness": 5, "overall": 5}.
    assert 5 * 15 <= found.completion_tokens <= 5 * 40


def test_the_cost_is_tokens_times_price() -> None:
    found = estimate(made_up_rows(5), price=(2.0, 10.0))
    dollars = (2.0 * found.prompt_tokens + 10.0 * found.completion_tokens) / 1e6
    assert found.cost == pytest.approx(dollars)
    assert estimate(made_up_rows(5)).cost is None
    assert "cost: not known" in str(estimate(made_up_rows(5)))


def test_prices_of_openai_are_known_and_told_with_their_date() -> None:
    found = estimate(made_up_rows(5), base_url=None, model="gpt-4o-mini")  # and without a key
    dollars = (0.15 * found.prompt_tokens + 0.60 * found.completion_tokens) / 1e6
    assert found.cost == pytest.approx(dollars)
    assert "prices of 2026-06" in str(found)
    assert "prices of" not in str(estimate(made_up_rows(5), price=(1.0, 1.0)))


def test_the_cost_of_several_raters_is_known_only_where_each_is() -> None:
    both = estimate(made_up_rows(3), base_url=None, model=["gpt-4o", "gpt-4o-mini"])
    assert both.cost == pytest.approx(sum(rater.cost or 0.0 for rater in both.raters))
    assert "in all 6 requests" in str(both)
    one = estimate(made_up_rows(3), base_url=None, model=["gpt-4o", "some-model"])
    assert one.cost is None


def test_the_time_is_that_of_rounds_of_requests() -> None:
    # 40 replies of a guessed 2 s each, 8 at once: five rounds.
    assert estimate(made_up_rows(40), concurrency=8).raters[0].seconds == pytest.approx(10.0)
    # With more places than requests: one round.
    assert estimate(made_up_rows(40), concurrency=500).raters[0].seconds == pytest.approx(2.0)
    assert "a guess" in str(estimate(made_up_rows(40)))


def test_replies_that_were_had_tell_tokens_and_time() -> None:
    rows = made_up_rows(60)
    plain = estimate(rows)
    keep(rows, 20, tokens=(1000, 33), seconds=0.25)
    found = estimate(rows, concurrency=10)
    (rater,) = found.raters
    assert (rater.kept, rater.replies) == (20, 40)
    assert rater.is_measured
    assert rater.completion_tokens == 40 * 33
    assert rater.seconds == pytest.approx(40 * 0.25 / 10)
    # All rows are of about the same length, so all requests have about as many as those 20.
    assert rater.prompt_tokens == pytest.approx(40_000, rel=0.02)
    assert plain.prompt_tokens < 60_000
    assert "20 replies are kept from before" in str(found)


def test_fewer_than_twenty_replies_tell_too_little() -> None:
    rows = made_up_rows(60)
    keep(rows, 19, tokens=(1000, 33), seconds=0.25)
    (rater,) = estimate(rows).raters
    assert not rater.is_measured
    assert rater.reply_seconds == 2.0


def test_an_estimate_sends_nothing_and_writes_nothing(
    server: RunningServer, tmp_path: Path
) -> None:
    before = server.stats()["requests"]
    estimate(made_up_rows(50), base_url=server.base_url)
    assert server.stats()["requests"] == before
    assert list(tmp_path.iterdir()) == []


# --- Against what it then takes -------------------------------------------------------------------


def test_a_measured_estimate_is_close_to_what_is_then_used(server: RunningServer) -> None:
    rows = made_up_rows(300)
    asked: dict[str, Any] = {"base_url": server.base_url, "model": "close"}
    first = ds2fast.rate(rows, **asked, limit=50, progress=False)
    assert int((first.scores >= 0).sum()) == 50
    found = estimate(rows, **asked)
    before = server.stats()
    ds2fast.rate(rows, **asked, progress=False)
    after = server.stats()
    assert found.requests == after["requests"] - before["requests"] == 250
    for name in ("prompt_tokens", "completion_tokens"):
        assert getattr(found, name) == pytest.approx(after[name] - before[name], rel=0.02)


# --- Under a bar: the caller's thread -------------------------------------------------------------


class _Run:
    """What `drive` needs of a run: something to await that ends when it is told."""

    def __init__(self, error: Exception | None = None, *, waits: bool = False) -> None:
        self.may_end = threading.Event()
        self.thread: int | None = None
        self.was_cancelled = False
        self._error, self._waits = error, waits

    def stop(self) -> None:
        raise AssertionError("nobody pressed Ctrl-C")

    async def run(self) -> None:

        self.thread = threading.get_ident()
        if self._waits:
            try:
                await asyncio.sleep(PATIENCE)
            except asyncio.CancelledError:
                self.was_cancelled = True
                raise
        await asyncio.to_thread(self.may_end.wait, PATIENCE)
        if self._error is not None:
            raise self._error


def _drive(run: _Run, watch: Any) -> None:
    drive(run, watch, lambda: None)  # type: ignore[arg-type]  # a run's stand-in


def test_a_run_is_watched_from_the_callers_thread() -> None:
    run, seen = _Run(), []

    def watch() -> None:
        seen.append(threading.get_ident())
        if len(seen) == 2:
            run.may_end.set()

    _drive(run, watch)
    assert set(seen) == {threading.get_ident()}
    assert run.thread not in seen
    assert len(seen) >= 3  # the last time at the end


def test_what_a_run_raises_comes_out_in_the_callers_thread() -> None:
    run = _Run(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        _drive(run, run.may_end.set)


def test_where_watching_fails_nothing_runs_on() -> None:
    def watch() -> None:
        raise BrokenPipeError("closed")

    run, before = _Run(waits=True), threading.active_count()
    with pytest.raises(BrokenPipeError):
        _drive(run, watch)
    assert run.was_cancelled
    assert threading.active_count() == before


def test_a_rating_may_be_driven_where_a_loop_runs_already(server: RunningServer) -> None:

    async def cell() -> ds2fast.Ratings:  # as in a notebook
        return ds2fast.rate(
            made_up_rows(5),
            model="judge",
            base_url=server.base_url,
            keep_going=True,
            progress=False,
        )

    assert asyncio.run(cell()).reasons == [None] * 5
