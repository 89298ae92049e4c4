"""When replies are worth no money: the exact numbers, by hand.

A share's lower bound of Wilson's is above p where the share exceeds p by more than so many standard
errors *under p*: sqrt(p (1 - p) / n), the score test it inverts. All bounds below come from that.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ds2fast.rating.alarms import Alarms
from ds2fast.rating.stored import StoredReply


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def rated(number: int, overall: int, *, turn: int = 0, rarity: int | None = None) -> StoredReply:
    criteria = {"rarity": 1 + number % 10 if rarity is None else rarity, "overall": overall}
    return StoredReply(key(number), turn, criteria, None, None, "{}", 1, 1, 1, 1.0)


def failed(number: int, reason: str = "no JSON", *, turn: int = 0) -> StoredReply:
    return StoredReply(key(number), turn, None, None, reason, "words", 1, 1, 1, 1.0)


def seen(replies: Sequence[StoredReply], *, repeats: bool = False) -> Alarms:
    alarms = Alarms(watches_repeats=repeats)
    alarms.see_all(replies)
    return alarms


def mixed(total: int, failures: int) -> Alarms:
    """Failures, and scores that lie evenly over all six levels."""
    replies = [rated(number, 4 + number % 6) for number in range(total - failures)]
    return seen(replies + [failed(total + number) for number in range(failures)])


def one_level(total: int, alike: int) -> Alarms:
    """So many of level 3, the others evenly over the other five; the criteria differ."""
    others = (4, 5, 6, 8, 9)
    overalls = [7] * alike + [others[number % 5] for number in range(total - alike)]
    return seen([rated(number, overall) for number, overall in enumerate(overalls)])


def test_nothing_seen_raises_nothing() -> None:
    assert Alarms().raised(at_end=True) is None
    assert Alarms().raised(at_end=False) is None


# --- Failures: more than 5 % ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "failures", "is_raised"),
    [
        (100, 5, False),
        (100, 6, True),
        (1000, 50, False),
        (1000, 51, True),
        (20, 1, False),  # 5 % exactly
        (20, 2, True),
        (19, 1, False),  # 5.3 %, but fewer than 20 tell nothing...
        (19, 18, False),
        (19, 19, True),  # ...unless all of them failed
        (1, 1, True),
        (2, 1, False),
        (1, 0, False),
    ],
)
def test_at_the_end_the_share_of_failures_counts(
    total: int, failures: int, is_raised: bool
) -> None:
    assert (mixed(total, failures).raised(at_end=True) is not None) == is_raised


@pytest.mark.parametrize(
    ("total", "least"),
    [
        (20, 4),  # 0.05 + 3 sqrt(0.0475 / 20) = 0.1962: 3.9 of 20
        (100, 12),  # 0.05 + 3 x 0.02179 = 0.1154
        (1000, 71),  # 0.05 + 3 x 0.006892 = 0.0707
        (10_000, 566),  # 0.05 + 3 x 0.0021794 = 0.056538
    ],
)
def test_before_the_end_only_failures_beyond_chance_count(total: int, least: int) -> None:
    assert mixed(total, least - 1).raised(at_end=False) is None
    assert mixed(total, least).raised(at_end=False) is not None


def test_few_replies_do_not_stop_a_run_however_they_failed() -> None:
    assert mixed(19, 19).raised(at_end=False) is None
    assert mixed(20, 20).raised(at_end=False) is not None


def test_the_commonest_reason_is_told_with_the_numbers() -> None:
    replies = [rated(number, 4 + number % 6) for number in range(93)]
    replies += [failed(100 + number, "refusal: I cannot") for number in range(4)]
    replies += [failed(200 + number, f"other {number}") for number in range(3)]
    words = seen(replies).raised(at_end=True)
    assert words is not None
    assert "7 of 100 replies failed (7.0%" in words
    assert "4 times: refusal: I cannot" in words


def test_failed_repeats_are_failures() -> None:
    replies = [rated(number, 4 + number % 6) for number in range(95)]
    replies += [failed(number, turn=1) for number in range(6)]
    assert seen(replies).raised(at_end=True) is not None  # 6 of 101
    assert seen(replies[:-1]).raised(at_end=True) is None  # 5 of 100


# --- Scores that hardly differ: more than 60 % of one level ---------------------------------------


@pytest.mark.parametrize(
    ("total", "alike", "is_raised"),
    [
        (100, 60, False),
        (100, 61, True),
        (20, 12, False),
        (20, 13, True),
        (19, 18, False),  # fewer than 20 tell nothing
    ],
)
def test_at_the_end_the_commonest_level_counts(total: int, alike: int, is_raised: bool) -> None:
    assert (one_level(total, alike).raised(at_end=True) is not None) == is_raised


@pytest.mark.parametrize(
    ("total", "least"),
    [
        (20, 19),  # 0.6 + 3 sqrt(0.24 / 20) = 0.9286
        (100, 75),  # 0.6 + 3 x 0.04899 = 0.74697
        (1000, 647),  # 0.6 + 3 x 0.015492 = 0.64648
    ],
)
def test_before_the_end_only_a_level_beyond_chance_counts(total: int, least: int) -> None:
    assert one_level(total, least - 1).raised(at_end=False) is None
    assert one_level(total, least).raised(at_end=False) is not None


def test_a_level_is_counted_and_not_the_overall_that_it_comes_from() -> None:
    # 1, 2, 3 and 4 are level 0, 9 and 10 are level 5.
    lowest = [rated(number, 1 + number % 4) for number in range(70)]
    others = [rated(100 + number, 5 + number % 4) for number in range(30)]
    words = seen(lowest + others).raised(at_end=True)
    assert words is not None
    assert "70 of 100 scores are 0 (70%" in words
    highest = [rated(number, 9 + number % 2) for number in range(70)]
    words = seen(highest + others).raised(at_end=True)
    assert words is not None
    assert "70 of 100 scores are 5" in words


def test_repeats_do_not_count_towards_the_levels() -> None:
    replies = [rated(number, 4 + number % 6) for number in range(30)]
    replies += [rated(number, 7, turn=1, rarity=2) for number in range(300)]
    assert seen(replies).raised(at_end=True) is None


# --- The same reply to all ------------------------------------------------------------------------


def test_the_same_reply_to_twenty_is_told_at_once() -> None:
    same = [rated(number, 7, rarity=3) for number in range(20)]
    assert seen(same[:19]).raised(at_end=True) is None
    words = seen(same).raised(at_end=False)
    assert words is not None
    assert "all 20 replies are the same: overall 7" in words


def test_one_other_reply_among_many_is_no_longer_the_same() -> None:
    same = [rated(number, 7, rarity=3) for number in range(99)]
    words = seen([*same, rated(99, 5, rarity=3)]).raised(at_end=False)
    assert words is not None
    assert "99 of 100 scores are 3 (99%" in words


# --- Repeats that repeat themselves ---------------------------------------------------------------


def repeated(samples: int, differing: int, *, repeats_first: bool = False) -> list[StoredReply]:
    """Samples rated twice; of some the second differs in one criterion that is not overall."""
    first = [rated(number, 4 + number % 6, rarity=5) for number in range(samples)]
    again = [
        rated(number, 4 + number % 6, turn=1, rarity=6 if number < differing else 5)
        for number in range(samples)
    ]
    return again + first if repeats_first else first + again


@pytest.mark.parametrize("repeats_first", [False, True])
def test_fifty_repeats_that_are_all_the_same_are_told(repeats_first: bool) -> None:
    def raised(samples: int, differing: int) -> str | None:
        replies = repeated(samples, differing, repeats_first=repeats_first)
        return seen(replies, repeats=True).raised(at_end=False)

    assert raised(49, 0) is None
    words = raised(50, 0)
    assert words is not None
    assert "all 50 repeats are the same" in words
    assert raised(50, 1) is None
    assert raised(500, 1) is None


def test_repeats_are_compared_with_the_rating_and_not_with_each_other() -> None:
    replies = [rated(number, 4 + number % 6, rarity=5) for number in range(50)]
    for turn in (1, 2):  # both differ from it, in the same way
        replies += [rated(number, 4 + number % 6, turn=turn, rarity=6) for number in range(50)]
    assert seen(replies, repeats=True).raised(at_end=True) is None


def test_a_repeat_of_a_rating_that_failed_is_compared_with_nothing() -> None:
    replies = repeated(50, 0)
    replies[0] = failed(0)
    assert seen(replies, repeats=True).raised(at_end=False) is None


def test_repeats_are_not_looked_at_where_none_are_wanted() -> None:
    assert seen(repeated(60, 0)).raised(at_end=True) is None
