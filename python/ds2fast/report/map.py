"""The pool as a map: one point a row, drawn as paths that take a dozen bytes a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2fast.positions import graph_plane
from ds2fast.results import BoolArray, DoubleArray, FloatArray, IntArray

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

DRAWN_POINTS = 20_000
WIDTH, HEIGHT = 1000, 620
MARGIN = 14
OUTER_SHARE = 0.05
"""Of the points on each side that are drawn ever closer together, towards the border."""


@dataclass(frozen=True)
class Layer:
    """Points of one kind: its CSS class, its name, how many there are, and the path's data."""

    kind: str
    name: str
    rows: int
    drawn: int
    path: str


@dataclass(frozen=True)
class Map:
    """The drawn layers, the last on top, and where the places come from."""

    layers: list[Layer]
    of_vectors: bool
    width: int = WIDTH
    height: int = HEIGHT


def draw_map(selection: Selection) -> Map:
    """Place at most 20 000 rows: all kinds are thinned alike, so that shares stay as they are."""
    kinds = _kinds(selection)
    num_rows = len(selection.given_scores)
    shown = np.arange(num_rows)
    if num_rows > DRAWN_POINTS:
        shown = np.sort(np.random.default_rng(0).permutation(num_rows)[:DRAWN_POINTS])
    places = selection.positions
    points = _to_picture(graph_plane(selection.graph) if places is None else places, shown)
    layers = [_layer(kind, name, mask, shown, points) for kind, (name, mask) in kinds.items()]
    return Map([layer for layer in layers if layer.rows], places is not None)


def _kinds(selection: Selection) -> dict[str, tuple[str, BoolArray]]:
    """Each row is of one kind; later ones are drawn on top."""
    chosen = np.zeros(len(selection.given_scores), dtype=bool)
    chosen[selection.indices] = True
    corrected = selection.curation.corrected & (
        selection.curation.suggested != selection.given_scores
    )
    return {
        "pool": ("not selected", ~chosen & ~corrected),
        "corrected": ("corrected, not selected", corrected & ~chosen),
        "selected": ("selected", chosen & ~corrected),
        "both": ("corrected and selected", chosen & corrected),
    }


def _to_picture(places: FloatArray, shown: IntArray) -> DoubleArray:
    """(n, 2): the shown rows in the picture's units; what lies far out comes nearer."""
    points = places[shown].astype(np.float64)
    low, middle, high = np.quantile(points, [OUTER_SHARE, 0.5, 1.0 - OUTER_SHARE], axis=0)
    half = np.where(high > low, (high - low) / 2.0, 1.0)
    bent = np.tanh(0.9 * (points - middle) / half)
    first, last = bent.min(axis=0), bent.max(axis=0)
    inside = np.where(last > first, (bent - first) / np.where(last > first, last - first, 1.0), 0.5)
    room = np.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN])
    pixels: DoubleArray = MARGIN + inside * room
    return pixels


def _layer(kind: str, name: str, mask: BoolArray, shown: IntArray, points: DoubleArray) -> Layer:
    """A line of no length is drawn as a dot by its round ends: the shortest way to say a point."""
    of_kind = points[mask[shown]]
    tenths = np.rint(of_kind * 10).astype(np.int64)
    path = "".join(f"M{x / 10:g} {y / 10:g}h0" for x, y in tenths.tolist())
    return Layer(kind, name, int(mask.sum()), len(of_kind), path)
