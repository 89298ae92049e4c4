"""Plots of the quality bench, as SVG files; they need matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ds2fast.io.atomic import atomic_file
from quality_figures import Figures
from quality_goals import TOP, Means
from quality_regimes import OWN, Regime
from quality_ways import STEPS, WAYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = ("paper", "simifeat", "smoothing", "posterior", "posterior-repeats", "oracle")
BARS = ("paper", "simifeat", "posterior")
FRONT = ["quality first", *(f"steps of {step:g}" for step in STEPS), "diversity first"]


def draw(means: Means, folder: Path) -> list[Path]:
    """Every plot that the figures suffice for; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, tuple[Callable[[Axes, Means], None], bool]] = {
        "gain-by-own": (draw_gains, bool(gains_by_own(means))),
        "t-error": (draw_t_errors, any(regime.plain for regime in means)),
        "quality-and-rarity": (draw_front, bool(front(means))),
        "neighbours": (draw_widths, bool(by_width(means))),
    }
    return [
        _save(plot, means, folder / f"{name}.svg")
        for name, (plot, possible) in plots.items()
        if possible
    ]


def _save(plot: Callable[[Axes, Means], None], means: Means, path: Path) -> Path:
    from matplotlib.figure import Figure  # no pyplot: no window, no state

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    plot(figure.add_subplot(), means)
    with atomic_file(path) as file:
        figure.savefig(file, format="svg")
    return path


def gains_by_own(means: Means) -> dict[str, dict[float, float]]:
    """Mean gain of the top 3.3 % over the regimes of each share of own rows, by way.

    Regimes of shared errors are left out, and ways that were not run in all the others.
    """
    chosen = {regime: ways for regime, ways in means.items() if not regime.shared_error}
    found: dict[str, dict[float, float]] = {}
    for way in LINES:
        if chosen and all({"given", way} <= ways.keys() for ways in chosen.values()):
            found[way] = {
                own: _mean_gain([w for regime, w in chosen.items() if regime.own == own], way)
                for own in OWN
                if any(regime.own == own for regime in chosen)
            }
    return found


def _mean_gain(regimes: list[dict[str, Figures]], way: str) -> float:
    return float(np.mean([ways[way][TOP] - ways["given"][TOP] for ways in regimes]))


def draw_gains(axes: Axes, means: Means) -> None:
    for way, gains in gains_by_own(means).items():
        axes.plot(list(gains), list(gains.values()), marker="o", label=way)
    axes.axhline(0.0, color="grey", linewidth=0.8)
    axes.set_xlabel("share of rows with a quality of their own")
    axes.set_ylabel("true mean of the top 3.3 %, above as given")
    axes.legend()


def draw_t_errors(axes: Axes, means: Means) -> None:
    regimes = [regime for regime in means if regime.plain]
    places = np.arange(len(regimes))
    for number, way in enumerate(BARS):
        errors = [_figure(means[regime], way, "t_error") for regime in regimes]
        axes.bar(places + 0.27 * (number - 1), errors, 0.27, label=way)
    axes.set_xticks(places, [_two_lines(regime) for regime in regimes], fontsize=8)
    axes.set_ylabel("mean |T̂ − T|")
    axes.legend()


def _two_lines(regime: Regime) -> str:
    return regime.kind.replace(" ", "\n", 1)


def front(means: Means) -> dict[str, tuple[float, float]]:
    """Mean rarity and mean true level of the top 3.3 %, over all regimes, by way."""
    return {
        way: (
            _over_all(means, way, "long_tail_top_3.3"),
            _over_all(means, way, TOP),
        )
        for way in FRONT
        if means and all(way in ways for ways in means.values())
    }


def draw_front(axes: Axes, means: Means) -> None:
    for way, (rarity, level) in front(means).items():
        axes.plot(rarity, level, marker="o", linestyle="none", alpha=0.7, label=way)
    axes.set_xlabel("mean long-tail score of the top 3.3 %")
    axes.set_ylabel("true mean of the top 3.3 %")
    axes.legend()  # names beside the points would lie on each other


def by_width(means: Means) -> dict[str, dict[int, float]]:
    """MAE by number of neighbours of either curator, over all regimes."""
    found: dict[str, dict[int, float]] = {}
    names = dict.fromkeys(name for ways in means.values() for name in ways if name not in WAYS)
    for name in names:
        method, separator, width = name.partition(", k = ")
        if separator and all(name in ways for ways in means.values()):
            found.setdefault(method, {})[int(width)] = _over_all(means, name, "mae")
    return found


def draw_widths(axes: Axes, means: Means) -> None:
    for method, errors in by_width(means).items():
        widths = sorted(errors)
        axes.plot(widths, [errors[width] for width in widths], marker="o", label=method)
    axes.set_xlabel("neighbours (of SimiFeat voters, the row among them)")
    axes.set_ylabel("mean absolute error of the curated scores")
    axes.legend()


def _over_all(means: Means, way: str, figure: str) -> float:
    return float(np.mean([ways[way][figure] for ways in means.values()]))


def _figure(ways: dict[str, Figures], way: str, figure: str) -> float:
    return ways.get(way, {}).get(figure, float("nan"))
