"""Pictures of distributions: SVG whose colours and fonts are those of the page around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ds2fast.results import DoubleArray

SIZE = (4.8, 2.6)  # inches; small, so that letters stay readable on a telephone
LETTERS = 10.5
BINS = 48
OUTER_SHARE = 0.002

# Colours that stand for the page's own, which differ between light and dark.
_STAND_INS = {
    "#010203": "var(--ink)",
    "#010204": "var(--soft)",
    "#010205": "var(--line)",
    "#010206": "var(--pool)",
    "#010207": "var(--selected)",
    "#010208": "var(--corrected)",
}
INK, SOFT, LINE, POOL, SELECTED, CORRECTED = _STAND_INS
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ds2fast",
    "font.size": LETTERS,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "ytick.major.size": 0,
    "legend.frameon": False,
}


def bars_of_levels(shares: Mapping[str, DoubleArray]) -> str:
    """Bars side by side: of each score the share of rows that have it, before and after."""
    colours = dict(zip(shares, (POOL, CORRECTED, SELECTED), strict=False))
    width = 0.84 / len(shares)

    def draw(axes: Axes) -> None:
        for place, (name, values) in enumerate(shares.items()):
            offset = (place - (len(shares) - 1) / 2) * width
            levels = np.arange(len(values))
            axes.bar(levels + offset, values, width * 0.92, color=colours[name], label=name)
        axes.set_xticks(np.arange(len(next(iter(shares.values())))))
        axes.set_xlabel("score")
        axes.grid(visible=False, axis="x")

    return _drawn("levels", draw)


def distributions(
    name: str, kinds: Mapping[str, npt.NDArray[Any]], label: str, *, by_factor: bool = False
) -> str:
    """Histograms over one range: the pool filled, the selection and others as lines.

    `by_factor` is for amounts over many sizes: bins are then as wide as their values are large.
    """
    edges = bin_edges(next(iter(kinds.values())), by_factor=by_factor)
    looks: tuple[dict[str, Any], ...] = (
        {"color": POOL, "alpha": 0.45, "fill": True},
        {"color": SELECTED, "linewidth": 2.2},
        {"color": SOFT, "linewidth": 1.3, "linestyle": (0, (4, 2))},
    )

    def draw(axes: Axes) -> None:
        for (kind, values), look in zip(kinds.items(), looks, strict=False):
            heights = shares_in_bins(values, edges)
            axes.stairs(heights, edges, label=kind, **look)
        if by_factor:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            # Within one power of ten most marks are minor ones; else their names would crowd.
            narrow = edges[-1] < 10 * edges[0]
            axes.xaxis.set_minor_formatter("{x:,.0f}" if narrow else NullFormatter())
        axes.set_xlabel(label)
        axes.set_xlim(edges[0], edges[-1])

    return _drawn(name, draw)


def bin_edges(values: npt.NDArray[Any], *, by_factor: bool = False) -> DoubleArray:
    """Edges of the bins; few far outliers fall into the outer ones."""
    low, high = (float(q) for q in np.quantile(values, [OUTER_SHARE, 1.0 - OUTER_SHARE]))
    if by_factor:
        low, high = max(low, 1.0), max(high, 2.0)
        high = max(high, 1.5 * low)
        return np.geomspace(low, high, BINS + 1)
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def shares_in_bins(values: npt.NDArray[Any], edges: DoubleArray) -> DoubleArray:
    """(BINS,): the share of the values in each bin; they sum to 1."""
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    shares: DoubleArray = counts / max(len(values), 1)
    return shares


def _drawn(name: str, draw: Callable[[Axes], None]) -> str:
    """An SVG element; matplotlib's own settings are as before afterwards."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.yaxis.set_major_formatter(_percent)
        if len(axes.get_legend_handles_labels()[0]) > 1:
            figure.legend(loc="outside upper left", ncols=3, handlelength=1.4, fontsize=LETTERS - 1)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return _of_the_page(text.getvalue(), name)


def _percent(share: float, _place: float) -> str:
    return f"{100 * share:.3g}%"


def _of_the_page(svg: str, name: str) -> str:
    """Without what would reach beyond the picture: head, style sheet and ids of others."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1)
    body = body.replace("<svg ", '<svg aria-hidden="true" ', 1)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    for stand_in, colour in _STAND_INS.items():
        body = body.replace(stand_in, colour)
    return re.sub(r"\s*\n\s*", "\n", body)
