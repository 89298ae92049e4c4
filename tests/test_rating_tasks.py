"""Which samples are sent, which replies are wanted, and how they come back to the rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import ds2fast
from ds2fast.errors import InputError
from ds2fast.rating.gather import gather
from ds2fast.rating.job import RatingJob, prepare_rating
from ds2fast.rating.prompt import DEFAULT_PROMPT
from ds2fast.rating.result import RaterScores
from ds2fast.rating.samples import distinct_samples
from ds2fast.rating.settings import check_rating
from ds2fast.rating.stored import StoredReply
from ds2fast.rating.tally import Tally
from ds2fast.rating.tasks import TaskPlan, plan_tasks
from ds2fast.rating.tokens import CHAT_OVERHEAD, TokenCounter

TEXTS = [f"sample {number}" for number in range(30)]
Replies = dict[tuple[bytes, int], StoredReply]


def rated(key: bytes, turn: int, overall: int, **settings: Any) -> StoredReply:
    criteria = settings.pop("criteria", None) or {
        "rarity": 1,
        "complexity": 2,
        "informativeness": 3,
        "overall": overall,
    }
    expected = settings.pop("expected", None)
    return StoredReply(key, turn, criteria, expected, None, "{}", 10, 2, 1, 1.0)


def failed(key: bytes, turn: int, reason: str = "refusal") -> StoredReply:
    return StoredReply(key, turn, None, None, reason, "No.", 10, 2, 3, 1.0)


def plan(replies: Replies | None = None, texts: Sequence[str] = TEXTS, **settings: Any) -> TaskPlan:
    return plan_tasks(
        distinct_samples(texts, 1000), replies or {}, check_rating(model="judge", **settings)
    )


# --- Distinct samples -----------------------------------------------------------------------------


def test_rows_of_equal_texts_share_a_sample_and_empty_ones_have_none() -> None:
    samples = distinct_samples(["b", "", "a", "b", "a", "b", "c"], 100)
    assert samples.texts == ["b", "a", "c"]
    assert samples.of_row.tolist() == [0, -1, 1, 0, 1, 0, 2]
    assert samples.num_copies == 3
    assert len(set(samples.keys)) == len(samples) == 3
    assert samples.num_cut == 0


def test_samples_are_told_apart_as_they_are_sent() -> None:
    # Both are sent without their middle, where alone they differ, but in length.
    begin, end = "first words " * 200, " last words" * 200
    same = distinct_samples([begin + "A" * 50 + end, begin + "B" * 50 + end], 64)
    assert len(same) == 1
    assert same.num_cut == 1  # samples, not rows
    assert distinct_samples([begin + "A" * 50 + end, "X" + begin + end], 64).num_cut == 2


def test_no_rows_are_no_samples() -> None:
    samples = distinct_samples(["", ""], 100)
    assert len(samples) == 0
    assert samples.order(0) == []


# --- The order ------------------------------------------------------------------------------------


def test_the_order_does_not_depend_on_that_of_the_rows() -> None:
    shuffled = random.Random(5).sample(TEXTS, len(TEXTS))
    first, second = distinct_samples(TEXTS, 100), distinct_samples([*shuffled, *TEXTS], 100)
    assert [first.texts[place] for place in first.order(7)] == [
        second.texts[place] for place in second.order(7)
    ]


def test_each_seed_draws_another_order_of_all() -> None:
    samples = distinct_samples(TEXTS, 100)
    orders = [samples.order(seed) for seed in (0, 1, 2, 2**32, 2**63 - 1)]
    assert all(sorted(order) == list(range(30)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5


def test_the_beginning_of_the_order_is_a_fair_sample() -> None:
    # Of 4 000 texts, half of each kind, the first 1 000 hold 500 of a kind, give or take four
    # standard deviations of sqrt(1000 x 1/4 x 3/4) = 13.7.
    texts = [f"{'even' if number % 2 == 0 else 'odd'} {number}" for number in range(4000)]
    drawn = distinct_samples(texts, 100).order(0)[:1000]
    assert abs(sum(place % 2 == 0 for place in drawn) - 500) < 4 * 13.7


# --- What is wanted, and what is missing ----------------------------------------------------------


def test_all_are_wanted_once_in_the_drawn_order() -> None:
    found = plan(seed=3)
    assert found.wanted == [(place, 0) for place in found.samples.order(3)]
    assert found.missing == found.wanted
    assert found.num_kept == 0


def test_the_first_of_the_order_are_wanted_several_times() -> None:
    found = plan(repeat=3, sample=4, seed=3)
    order = found.samples.order(3)
    assert found.wanted == [(place, turn) for place in order[:4] for turn in range(3)] + [
        (place, 0) for place in order[4:]
    ]


def test_what_was_had_is_not_asked_again() -> None:
    keys = distinct_samples(TEXTS, 1000).keys
    replies = {(keys[place], 0): rated(keys[place], 0, 7) for place in range(10)}
    replies |= {(keys[place], 0): failed(keys[place], 0) for place in range(10, 15)}
    found = plan(replies)
    assert {place for place, _ in found.missing} == set(range(15, 30))
    assert found.num_kept == 15
    again = plan(replies, retry_failed=True)
    assert {place for place, _ in again.missing} == set(range(10, 30))
    assert again.num_kept == 10


def test_more_repeats_ask_only_for_what_is_new() -> None:
    first = plan(repeat=2, sample=5)
    keys = first.samples.keys
    replies = {(keys[place], turn): rated(keys[place], turn, 7) for place, turn in first.wanted}
    more = plan(replies, repeat=3, sample=8)
    order = more.samples.order(0)
    assert more.missing == [(place, 2) for place in order[:5]] + [
        (place, turn) for place in order[5:8] for turn in (1, 2)
    ]
    assert more.num_kept == len(first.wanted) == 35


def test_a_limit_counts_samples_that_miss_something() -> None:
    found = plan(limit=10, repeat=2, sample=3)
    order = found.samples.order(0)
    expected = [(place, turn) for place in order[:3] for turn in (0, 1)]
    expected += [(place, 0) for place in order[3:10]]
    assert found.missing == expected
    assert len(found.wanted) == 33
    keys = found.samples.keys
    replies = {(keys[place], turn): rated(keys[place], turn, 7) for place, turn in found.missing}
    second = plan(replies, limit=10, repeat=2, sample=3)
    assert second.missing == [(place, 0) for place in order[10:20]]
    assert second.num_kept == 13


def test_runs_of_a_limit_each_ask_for_everything_once() -> None:
    replies: Replies = {}
    asked: list[tuple[int, int]] = []
    while (found := plan(replies, limit=7, repeat=2, sample=4)).missing:
        asked += found.missing
        for place, turn in found.missing:
            key = found.samples.keys[place]
            replies[key, turn] = rated(key, turn, 6)
    assert sorted(asked) == sorted(found.wanted)


def test_tasks_are_counted_as_they_are_sent() -> None:
    found = plan(texts=["one", "two"])
    counter = TokenCounter(len, "letters", scale=2.0)
    for task, (place, turn) in zip(
        found.tasks(DEFAULT_PROMPT, counter), found.missing, strict=True
    ):
        assert (task.text, task.turn) == (found.samples.texts[place], turn)
        assert task.key == found.samples.keys[place]
        sent = sum(len(message["content"]) for message in DEFAULT_PROMPT.messages(task.text))
        assert task.prompt_tokens == 2 * (sent + CHAT_OVERHEAD)


# --- Back to the rows -----------------------------------------------------------------------------

ROWS = ["b", "", "a", "b", "c"]


def job_of(rows: Sequence[Any] = ROWS, **settings: Any) -> RatingJob:
    return prepare_rating(
        ds2fast.read(list(rows), scores=None),
        check_rating(model="judge", **settings),
        base_url="http://localhost:1/v1",
        api_key_file=None,
        text=None,
        prompt=None,
        tokenizer=None,
    )


def keys_of(job: RatingJob) -> dict[str, bytes]:
    """Keys by the letter of a row, whatever the row is rendered to."""
    places = job.samples.of_row.tolist()
    return {row: job.samples.keys[place] for row, place in zip(ROWS, places, strict=True) if row}


def gathered(job: RatingJob, replies: Replies) -> RaterScores:
    return gather(
        job, job.raters[0], "score", replies, tally=Tally(), cost=None, kept=0, store="here"
    )


def test_each_row_gets_what_its_sample_was_given() -> None:
    job = job_of()
    key = keys_of(job)
    found = gathered(
        job, {(key["b"], 0): rated(key["b"], 0, 10), (key["a"], 0): failed(key["a"], 0, "no JSON")}
    )
    assert found.scores.tolist() == [5, -1, -1, 5, -1]  # clip(10, 4, 9) - 4
    assert found.criteria["overall"].tolist() == [10, -1, -1, 10, -1]
    assert found.criteria["rarity"].tolist() == [1, -1, -1, 1, -1]
    assert list(found.criteria) == ["rarity", "complexity", "informativeness", "overall"]
    assert found.reasons == [None, "the row has no text", "no JSON", None, "not asked yet"]
    assert found.pending.tolist() == [False, False, False, False, True]
    assert found.expected is None
    assert found.repeats.shape == (5, 0)


def test_levels_are_the_papers() -> None:
    rows = [f"sample {number}" for number in range(1, 11)]
    job = job_of(rows)
    keys = [job.samples.keys[place] for place in job.samples.of_row]
    replies = {(key, 0): rated(key, 0, overall) for overall, key in enumerate(keys, 1)}
    assert gathered(job, replies).scores.tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 5]


def test_repeats_stand_beside_the_rating_and_gaps_stay_gaps() -> None:
    job = job_of(repeat=3, sample=2)
    first, second = job.samples.order(0)[:2]
    last = job.samples.order(0)[2]
    keys = job.samples.keys
    replies = {
        (keys[first], 0): rated(keys[first], 0, 7),
        (keys[first], 1): rated(keys[first], 1, 8),
        (keys[first], 2): failed(keys[first], 2),
        (keys[second], 0): rated(keys[second], 0, 5),
        (keys[last], 0): rated(keys[last], 0, 9),
        (keys[last], 1): rated(keys[last], 1, 4),  # of an earlier rating with a larger sample
    }
    found = gathered(job, replies)
    by_place = {place: found.repeats[row].tolist() for row, place in enumerate(job.samples.of_row)}
    assert by_place == {first: [4, -1], second: [-1, -1], last: [-1, -1], -1: [-1, -1]}
    pending = {place: bool(found.pending[row]) for row, place in enumerate(job.samples.of_row)}
    # A reply that failed was asked for; a row without text is never asked for.
    assert pending == {first: False, second: True, last: False, -1: False}


def test_expected_levels_are_given_where_they_were_asked_for() -> None:
    job = job_of(logprobs=True)
    key = keys_of(job)
    found = gathered(
        job,
        {
            (key["b"], 0): rated(key["b"], 0, 7, expected=3.25),
            (key["a"], 0): rated(key["a"], 0, 7),
        },
    )
    assert found.expected is not None
    np.testing.assert_array_equal(found.expected, [3.25, np.nan, np.nan, 3.25, np.nan])


def test_criteria_of_a_prompt_of_ones_own_come_as_they_are_given() -> None:
    job = job_of()
    key = keys_of(job)
    replies = {
        (key["b"], 0): rated(key["b"], 0, 7, criteria={"overall": 7, "use of words": 3}),
        (key["a"], 0): rated(key["a"], 0, 7, criteria={"overall": 4}),
    }
    found = gathered(job, replies)
    assert found.criteria["use_of_words"].tolist() == [3, -1, -1, 3, -1]
    assert found.criteria["overall"].tolist() == [7, -1, 4, 7, -1]


def test_a_larger_sample_than_there_are_texts_is_refused() -> None:
    assert len(job_of(repeat=2, sample=3).samples) == 3
    with pytest.raises(InputError, match=r"sample: expected at most .* \(3\), got 4"):
        job_of(repeat=2, sample=4)
