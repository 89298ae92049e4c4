"""The bound on rows with a quality of their own: it never lies below what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2fast import reference_posterior as plain
from ds2fast.own_quality import HIGHEST_OWN, NEGATIVE_MASS, most_own, negative_mass, without_own
from ds2fast.results import DoubleArray

thorough = settings(deadline=None, max_examples=300)

EVEN_HANDED = np.array([[0.7, 0.3], [0.3, 0.7]])
THIRDS = np.full(3, 1 / 3)


@st.composite
def shares(draw: st.DrawFn, size: int) -> DoubleArray:
    """(size,) that sum to 1, some of them 0."""
    parts = draw(st.lists(st.integers(0, 100), min_size=size, max_size=size).filter(any))
    return np.asarray(parts) / sum(parts)


@st.composite
def raters(draw: st.DrawFn) -> tuple[DoubleArray, DoubleArray]:
    """T of up to three raters (R, K, K), with zeros, and a prior, of levels that may be absent."""
    size = draw(st.integers(1, 8))
    count = draw(st.integers(1, 3))
    rows = [draw(shares(size)) for _ in range(count * size)]
    return np.reshape(rows, (count, size, size)), draw(shares(size))


def with_own(matrices: DoubleArray, prior: DoubleArray, own: float) -> DoubleArray:
    """What the raters look like if a share of the rows has a quality unlike its neighbours'."""
    return np.stack([(1.0 - own) * t + own * (prior @ t) for t in matrices])


@thorough
@given(raters(), st.floats(0.0, 0.99))
def test_there_is_always_room_for_what_was_planted(
    planted: tuple[DoubleArray, DoubleArray], own: float
) -> None:
    matrices, prior = planted
    seen = with_own(matrices, prior, own)
    # Rounding of the entries, some 1e-16, is far below the mass that is let pass.
    assert negative_mass(seen, prior, own) < 1e-12
    bound = most_own(seen, prior)
    assert min(own, HIGHEST_OWN) - 1e-9 <= bound <= HIGHEST_OWN
    # With the planted share taken out the raters are as they were.
    np.testing.assert_allclose(without_own(seen, prior, own), matrices, atol=1e-12)


@thorough
@given(raters())
def test_the_bound_is_where_the_negative_mass_is_reached(
    planted: tuple[DoubleArray, DoubleArray],
) -> None:
    matrices, prior = planted
    masses = [negative_mass(matrices, prior, own) for own in np.linspace(0.0, HIGHEST_OWN, 31)]
    assert masses[0] == 0.0
    assert (np.diff(masses) >= -1e-15).all()
    bound = most_own(matrices, prior)
    if bound < HIGHEST_OWN:
        # The mass rises by at most 1 / (1 - own)^2 = 16 per unit of own; bisection ends at 1e-12.
        assert negative_mass(matrices, prior, bound) == pytest.approx(NEGATIVE_MASS, abs=1e-10)
    else:
        assert masses[-1] <= NEGATIVE_MASS
    if len(matrices) == 1:
        assert bound == pytest.approx(plain.most_own(matrices[0], prior), abs=1e-9)


@pytest.mark.parametrize(
    ("matrix", "prior", "expected"),
    [
        # c = (.5, .5); one entry a row lacks .5 own - .3 = .005 (1 - own).
        pytest.param(EVEN_HANDED, [0.5, 0.5], 0.305 / 0.505, id="two levels"),
        # c = (.3, .4, .3); two entries of rows that are a third each lack .3 own.
        pytest.param(
            [[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]], THIRDS, 0.005 / 0.205, id="near"
        ),
        # Each row lacks own / 3 twice: 2/3 own = .005 (1 - own).
        pytest.param(np.eye(3), THIRDS, 0.005 / (2 / 3 + 0.005), id="faultless"),
        pytest.param(np.tile([0.2, 0.5, 0.3], (3, 1)), THIRDS, HIGHEST_OWN, id="mere noise"),
        pytest.param([[1.0]], [1.0], HIGHEST_OWN, id="one level"),
        # The third level, which no row has and nobody is given, says nothing; nor does its row.
        pytest.param(
            [[0.7, 0.3, 0.0], [0.3, 0.7, 0.0], [0.0, 0.0, 1.0]],
            [0.5, 0.5, 0.0],
            0.305 / 0.505,
            id="absent level",
        ),
        # c = (.9, .1): row 1 lacks .9 own, a tenth of the rows; row 0, of nine tenths, .1 own.
        pytest.param(np.eye(2), [0.9, 0.1], 0.005 / (0.18 + 0.005), id="uneven prior"),
    ],
)
def test_small_matrices_by_hand(
    matrix: list[list[float]], prior: list[float], expected: float
) -> None:
    assert most_own(np.array(matrix), np.array(prior)) == pytest.approx(expected, abs=1e-9)


def test_several_raters_share_the_bound() -> None:
    prior = np.array([0.5, 0.5])
    alike = np.stack([EVEN_HANDED, EVEN_HANDED, EVEN_HANDED])
    assert most_own(alike, prior) == pytest.approx(0.305 / 0.505, abs=1e-9)
    # Beside a rater of mere noise, who lacks nothing: (.5 own - .3) / 2 = .005 (1 - own).
    beside_noise = np.stack([EVEN_HANDED, np.full((2, 2), 0.5)])
    assert most_own(beside_noise, prior) == pytest.approx(0.31 / 0.51, abs=1e-9)


def test_taking_out_more_than_there_is_leaves_shares() -> None:
    # c = (.5, .5): .6 of it is (.3, .3), of which (.7, .3) leaves (.4, 0) and so on.
    np.testing.assert_allclose(without_own(EVEN_HANDED, np.array([0.5, 0.5]), 0.6), np.eye(2))
    near = np.array([[0.8, 0.2], [0.4, 0.6]])  # c = (.6, .4); halves (.3, .2)
    found = without_own(near, np.array([0.5, 0.5]), 0.5)
    np.testing.assert_allclose(found, [[1.0, 0.0], [0.2, 0.8]], atol=1e-15)
    # Nothing is left of a rater of mere noise: that rater stays.
    noise = np.tile([0.25, 0.75], (2, 1))
    np.testing.assert_array_equal(without_own(noise, np.array([0.5, 0.5]), 1.0), noise)
