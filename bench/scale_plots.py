"""Plots of the scale bench, as SVG files; they need matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2fast.io.atomic import atomic_file
from scale_recall import Point, front

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_recall(points: dict[str, list[Point]], title: str, path: Path) -> None:
    """Share of the neighbours that is missed against seconds, a line a way: up and left is better.

    The lines are the fronts; faint dots are what was measured beside them.
    """
    from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

    def draw(axes: Axes) -> None:
        for way, measured in points.items():
            best = [one for one in front(measured) if one.recall < 1]
            seconds = [one.seconds for one in best]
            missed = [1 - one.recall for one in best]
            width = 2.4 if way == "ours" else 1.2
            line = axes.plot(seconds, missed, marker="o", linewidth=width, label=way)[0]
            others = [one for one in measured if one.recall < 1]
            axes.plot(
                [one.seconds for one in others],
                [1 - one.recall for one in others],
                marker=".",
                linestyle="none",
                alpha=0.35,
                color=line.get_color(),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        recalls = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999]
        axes.set_yticks([1 - one for one in recalls], [f"{one:g}" for one in recalls])
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.invert_yaxis()
        axes.set_xlabel("seconds")
        axes.set_ylabel("recall")
        axes.set_title(title, fontsize=10)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()

    _save(draw, path)


def draw_overlap(rows: list[dict[str, Any]], path: Path) -> None:
    """Overlap of the selected rows against the recall of the graph, a line a kind and share."""

    def draw(axes: Axes) -> None:
        lines = dict.fromkeys((row["kind"], row["share"]) for row in rows)
        for kind, share in lines:
            chosen = [row for row in rows if (row["kind"], row["share"]) == (kind, share)]
            chosen.sort(key=lambda row: row["recall"])
            axes.plot(
                [row["recall"] for row in chosen],
                [row["overlap"] for row in chosen],
                marker="o",
                label=f"{kind}, best {share:.1%}",
            )
        axes.set_xlabel("recall of the graph")
        axes.set_ylabel("selected rows in common with the exact graph's")
        axes.grid(visible=True, alpha=0.3)
        if rows:
            axes.legend()

    _save(draw, path)


def _save(draw: Callable[[Axes], None], path: Path) -> None:
    from matplotlib.figure import Figure  # no pyplot: no window, no state

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    draw(figure.add_subplot())
    with atomic_file(path) as file:
        figure.savefig(file, format="svg")
