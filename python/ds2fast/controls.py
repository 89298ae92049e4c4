"""Controls: rows to train the comparison with, as many as were selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ds2fast.results import BoolArray, IntArray

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

CONTROLS = ("random", "longest", "top_given")
"""Names of the controls, in the order in which they are written."""


def controls_of(selection: Selection, seed: int) -> dict[str, IntArray]:
    """Rows of each control, as many as were selected, out of all that could have been.

    Parameters
    ----------
    selection : Selection
        What to compare with. Rows that are unrated, or that repeat an evaluation file, are in no
        control; the other rules of a selection do not hold for them.
    seed : int
        For the draw, and for the order of ties.

    Returns
    -------
    dict of str to (n,) int64
        `"random"`: drawn without replacement. `"longest"`: by the length of the text in characters,
        longest first (only where there are texts). `"top_given"`: by the score as given, highest
        first. Ties are broken at random. A control does not depend on which others are made.
    """
    rows = np.flatnonzero(_could_be_selected(selection))
    measures: dict[str, npt.NDArray[np.number]] = {"random": np.zeros(len(rows), dtype=np.int64)}
    if selection.pool is not None:
        measures["longest"] = selection.pool.lengths[rows]
    given = selection.given_scores if selection.given_keys is None else selection.given_keys
    measures["top_given"] = given[rows]
    return {
        name: rows[_highest(measure, len(selection), seed, CONTROLS.index(name))]
        for name, measure in measures.items()
    }


def _could_be_selected(selection: Selection) -> BoolArray:
    rated, excluded = selection.given_scores >= 0, selection.rules.excluded
    return rated if excluded is None else rated & ~excluded.rows


def _highest(
    measure: npt.NDArray[np.number], count: int, seed: int, stream: int
) -> npt.NDArray[np.intp]:
    """Places of the highest values, descending; equal ones in an order drawn for this control."""
    drawn = np.random.default_rng([seed, stream]).permutation(len(measure))
    return drawn[np.argsort(-measure[drawn], kind="stable")][:count]
