"""How long a server may answer nothing: pauses and patience under a clock of our own."""

from __future__ import annotations

import pytest

from ds2fast.rating.outcome import Kind
from ds2fast.rating.pauses import LONGEST_PAUSE
from ds2fast.rating.silence import (
    BUSY_PATIENCE,
    FIRST_PATIENCE,
    MANY_FRESH,
    PATIENCE,
    PATIENT,
    Silence,
)

# Eight may be chance. Then half a second, doubling, to half a minute: 0.5 x 2^6 would be 32.
PAUSES = [0.0] * PATIENT + [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def answered() -> Silence:
    """The silence of a server that has answered once."""
    silence = Silence()
    silence.end()
    return silence


# --- Pauses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.UNREACHABLE, Kind.BUSY])
def test_a_server_that_answers_nothing_is_asked_ever_more_seldom(kind: Kind) -> None:
    silence, now, pauses = Silence(), 0.0, []
    for _ in PAUSES:
        pauses.append(silence.pause(kind, now, now + 0.01))
        now += 0.01 + pauses[-1]
    assert pauses == PAUSES
    silence.end()
    assert silence.pause(kind, now, now) == 0.0  # all begins anew
    assert PAUSES[-1] == LONGEST_PAUSE


def test_thousands_of_troubles_overflow_no_pause() -> None:
    silence = Silence()
    for moment in range(5000):
        pause = silence.pause(Kind.BUSY, moment, moment)
    assert pause == LONGEST_PAUSE


def test_what_was_in_flight_when_a_pause_began_lengthens_none() -> None:
    silence = Silence()
    pauses = [silence.pause(Kind.BUSY, 0.0, 1.0) for _ in range(PATIENT + 100)]
    assert pauses == [0.0] * PATIENT + [0.5] + [0.0] * 99
    assert silence.pause(Kind.BUSY, 1.5, 1.6) == 1.0  # sent after it: the second pause


@pytest.mark.parametrize(
    "kind", [kind for kind in Kind if kind not in {Kind.UNREACHABLE, Kind.BUSY}]
)
def test_other_troubles_pause_nothing(kind: Kind) -> None:
    silence = Silence()
    assert {silence.pause(kind, float(at), float(at)) for at in range(100)} == {0.0}
    assert silence.pause(Kind.BUSY, 100.0, 100.0) == 0.0  # nor do they count


# --- Patience -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silence", "kind", "patience"),
    [
        (Silence(), Kind.UNREACHABLE, FIRST_PATIENCE),
        (answered(), Kind.UNREACHABLE, PATIENCE),
        (Silence(), Kind.BUSY, BUSY_PATIENCE),
        (answered(), Kind.BUSY, BUSY_PATIENCE),
        (Silence(), Kind.TIMEOUT, BUSY_PATIENCE),
    ],
)
def test_how_long_a_silence_is_borne(silence: Silence, kind: Kind, patience: float) -> None:
    assert silence.too_long(kind, 0.0, 1000.0, is_fresh=False) is None  # from here on
    assert silence.too_long(kind, 0.0, 1000.0 + patience, is_fresh=False) is None
    words = silence.too_long(kind, 0.0, 1001.0 + patience, is_fresh=False)
    assert words == f"for {patience + 1:.0f} s now"


def test_an_answer_ends_a_silence() -> None:
    silence = Silence()
    silence.too_long(Kind.BUSY, 0.0, 0.0, is_fresh=True)
    assert silence.lasted(500.0) == 500.0
    silence.end()
    assert silence.lasted(500.0) == 0.0
    assert silence.too_long(Kind.BUSY, 0.0, 900.0, is_fresh=True) is None
    assert silence.lasted(1000.0) == 100.0


@pytest.mark.parametrize("kind", [Kind.BROKEN, Kind.REFUSED, Kind.REFORMED, Kind.FORBIDDEN])
def test_whoever_sends_errors_is_not_silent(kind: Kind) -> None:
    silence = Silence()
    assert silence.too_long(kind, 0.0, 0.0, is_fresh=False) is None
    assert silence.too_long(kind, 0.0, 1e6, is_fresh=False) is None
    assert silence.lasted(1e6) == 0.0


# --- Samples that all fail at once ----------------------------------------------------------------


def failures(silence: Silence, number: int, kind: Kind = Kind.BROKEN, *, since: float = 0.0) -> int:
    """How many first tries, one after the other, are told to be too many; 0: none."""
    for place in range(number):
        sent = since + place
        words = silence.too_long(kind, sent, sent + 0.5, is_fresh=True)
        if words is not None:
            assert words == f"the first tries of {place + 1} samples in a row failed"
            return place + 1
    return 0


@pytest.mark.parametrize("kind", [Kind.BROKEN, Kind.TIMEOUT])
def test_many_samples_that_fail_in_a_row_tell_of_the_server(kind: Kind) -> None:
    assert failures(answered(), 100, kind) == MANY_FRESH


def test_a_sample_that_was_answered_begins_the_row_anew() -> None:
    silence = answered()
    assert failures(silence, MANY_FRESH - 1) == 0
    silence.end()
    assert failures(silence, MANY_FRESH - 1, since=100.0) == 0
    assert silence.too_long(Kind.BROKEN, 200.0, 200.5, is_fresh=True) is not None


def test_samples_that_fail_again_tell_of_themselves() -> None:
    silence = answered()
    for at in range(500):
        assert silence.too_long(Kind.BROKEN, float(at), at + 0.5, is_fresh=False) is None


def test_what_was_in_flight_together_fails_as_one() -> None:
    silence = answered()
    for _ in range(1000):
        assert silence.too_long(Kind.BROKEN, 0.0, 1.0, is_fresh=True) is None
    found = [silence.too_long(Kind.BROKEN, 1.0, 2.0, is_fresh=True) for _ in range(MANY_FRESH - 1)]
    assert [words is not None for words in found] == [False] * (MANY_FRESH - 2) + [True]
