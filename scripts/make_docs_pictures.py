"""Draw the pictures of docs/how-it-works.md from the demo's pool: `docs/pictures/*.svg`.

    python scripts/make_docs_pictures.py --encoder .cache/encoder

The pictures become part of the page and take its colours, light or dark: every mark has a class of
`docs/css/pictures.css` and no colour of its own. That, and their size, is why they are written as
SVG here and not by a plotting library.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

import ds2fast
from ds2fast.results import BoolArray, DoubleArray, IntArray

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
LEVELS = range(6)


class Picture:
    """Marks of one SVG, in the order in which they are drawn; lengths are in its own units."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height = width, height
        self.parts = [f"<title>{escape(title)}</title>"]

    def text(self, x: float, y: float, words: str, look: str = "", anchor: str = "start") -> None:
        """Words with their baseline at y."""
        self.parts.append(
            f'<text x="{x:.0f}" y="{y:.0f}" class="ds-text {look}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def line(self, start: tuple[float, float], end: tuple[float, float], look: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self.parts.append(
            f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" class="{look}"/>'
        )

    def box(
        self, x: float, y: float, wide: float, high: float, look: str, opacity: float = 1.0
    ) -> None:
        """A rectangle from its upper left corner."""
        faint = "" if opacity == 1.0 else f' fill-opacity="{opacity:.2f}"'
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="3" '
            f'class="{look}"{faint}/>'
        )

    def dots(self, points: Iterable[tuple[float, float]], look: str) -> None:
        """Round dots as one path of strokes without length: nine bytes each."""
        path = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in points)
        self.parts.append(f'<path d="{path}" class="ds-dots {look}"/>')

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """A line with a head at its end."""
        self.polyline(start, end)

    def polyline(self, *corners: tuple[float, float]) -> None:
        """A line around corners with a head at its end."""
        (x0, y0), (x, y) = corners[-2:]
        along = (float(np.sign(x - x0)), float(np.sign(y - y0)))
        across = (along[1], along[0])
        ends = [
            (x - 6 * along[0] + side * across[0], y - 6 * along[1] + side * across[1])
            for side in (-4, 4)
        ]
        path = [_move(corners), _move((ends[0], (x, y), ends[1]))]
        self.parts.append(f'<path d="{"".join(path)}" class="ds-arrow"/>')

    def save(self, name: str) -> None:
        """Write `docs/pictures/<name>.svg`; one line a mark, none empty (Markdown ends at one)."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            'role="img">'
        )
        path = PICTURES / f"{name}.svg"
        path.write_text("\n".join([head, *self.parts, "</svg>"]) + "\n", encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.1f} kB")


def _move(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points)


def main() -> int:
    """The command line: returns 0."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the documentation.")
    parser.add_argument("--encoder", required=True, help="directory or id of the sentence encoder")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "examples"))
    from make_pool import TRANSITION_MATRIX, make_pool, true_scores

    PICTURES.mkdir(parents=True, exist_ok=True)
    truth = true_scores()
    selection = ds2fast.select(make_pool(), fraction=0.1, num_levels=6, model=options.encoder)
    draw_way()
    draw_neighbours(selection, truth)
    draw_transition(selection, TRANSITION_MATRIX)
    draw_scores(selection, truth)
    draw_dual_sort(selection)
    return 0


def draw_way() -> None:
    """The stages and what goes from one to the next."""
    picture = Picture(760, 250, "The way of the data: rows to the best n rows")
    stages = (
        (5, 20, "rows", "texts and scores"),
        (200, 20, "embeddings", "a vector for each text"),
        (395, 20, "k-NN graph", "the nearest of each row"),
        (590, 20, "T", "how the rater errs"),
        (590, 150, "curation", "P(true score) of a row"),
        (395, 150, "long tail", "how rare a row is"),
        (200, 150, "dual sort", "best score, then rarest"),
        (5, 150, "selection", "n rows, and why"),
    )
    for x, y, name, what in stages:
        picture.box(x, y, 165, 70, "ds-card")
        picture.text(x + 82, y + 31, name, "ds-strong", "middle")
        picture.text(x + 82, y + 52, what, "ds-small", "middle")
    for x in (170, 365, 560):
        picture.arrow((x + 3, 55), (x + 27, 55))
    for x in (477, 672):
        picture.arrow((x, 93), (x, 147))
    picture.polyline((500, 93), (500, 120), (630, 120), (630, 147))
    for x in (395, 200):
        picture.polyline((x - 3, 185), (x - 27, 185))
    picture.polyline((672, 223), (672, 240), (282, 240), (282, 223))
    picture.save("way")


def draw_neighbours(selection: ds2fast.Selection, truth: IntArray) -> None:
    """A row whose score the neighbours contradict, and what its score probably is."""
    posterior = selection.curation.posterior
    if posterior is None:
        raise SystemExit("the curation gave no probabilities to draw")
    row = _mended_row(selection, truth)
    given, true = int(selection.given_scores[row]), int(truth[row])
    picture = Picture(720, 300, f"A row given {given}, and the scores of its neighbours")
    heights = [262 - 42 * level for level in LEVELS]
    for level in LEVELS:
        picture.text(58, heights[level] + 5, str(level), "", "end")
        picture.line((70, heights[level]), (440, heights[level]), "ds-grid")
    picture.text(70, 20, "scores of its neighbours, by similarity", "ds-strong")
    picture.text(470, 20, "P(true score) of the row", "ds-strong")
    similar, scores = selection.graph.similarities[row], selection.given_scores
    least = float(similar.min())
    places = 90 + (similar - least) / (1.0 - least) * 330
    near = scores[selection.graph.indices[row]]
    points = [(x, heights[s]) for x, s in zip(places.tolist(), near.tolist(), strict=True)]
    picture.dots(points, "ds-main ds-large")
    picture.dots([(425, heights[given])], "ds-other ds-large")
    picture.text(414, heights[given] - 12, "the row itself", "ds-small", "end")
    picture.text(90, 292, f"similarity {least:.2f}", "ds-small", "middle")
    picture.text(425, 292, "1", "ds-small", "middle")
    for level in LEVELS:
        share = float(posterior[row, level])
        picture.box(470, heights[level] - 12, max(170 * share, 1), 24, "ds-main-fill", 0.8)
        words = f"{share:.0%}" + (" · given" if level == given else "")
        picture.text(478 + 170 * share, heights[level] + 5, words, "ds-small")
    picture.save("neighbours")
    text = selection.pool.texts[row] if selection.pool else ""
    print(f"row {row}: given {given}, true {true}, {posterior[row].round(3)}\n{text}")


def _mended_row(selection: ds2fast.Selection, truth: IntArray) -> int:
    """Of the rows rightly mended by two levels or more the one whose confidence is nearest 0.8."""
    curation, given = selection.curation, selection.given_scores
    mended = curation.misrated & (curation.suggested == truth) & (np.abs(truth - given) >= 2)
    candidates = np.flatnonzero(mended)
    return int(candidates[np.abs(curation.confidence[candidates] - 0.8).argmin()])


def draw_transition(
    selection: ds2fast.Selection, planted: Sequence[Sequence[float]] | DoubleArray
) -> None:
    """T as estimated beside the one that the rater was made with."""
    if selection.transition is None:
        raise SystemExit("the selection has no T to draw")
    picture = Picture(720, 330, "T as estimated from neighbours, and the rater's own")
    found = selection.transition.transition_matrix
    for left, title, matrix in ((60, "estimated", found), (410, "planted", np.asarray(planted))):
        picture.text(left, 22, title, "ds-strong")
        picture.text(left, 42, "across: score given; down: true score", "ds-small")
        for level in LEVELS:
            picture.text(left + 23 + 46 * level, 66, str(level), "ds-small", "middle")
            picture.text(left - 10, 97 + 40 * level, str(level), "ds-small", "end")
        for i, j in np.ndindex(6, 6):
            value = float(matrix[i, j])
            picture.box(left + 46 * j, 74 + 40 * i, 44, 38, "ds-card")
            picture.box(left + 46 * j, 74 + 40 * i, 44, 38, "ds-main-fill", 0.85 * value)
            place = (left + 22 + 46 * j, 97 + 40 * i)
            picture.text(*place, f"{100 * value:.0f}", "ds-small", "middle")
    picture.save("transition")


def draw_scores(selection: ds2fast.Selection, truth: IntArray) -> None:
    """How many rows have each score: as given, curated, and in truth."""
    counted = [
        ("as given", "ds-quiet-fill", selection.given_scores),
        ("curated", "ds-main-fill", selection.curated_scores),
        ("true", "ds-other-fill", truth),
    ]
    picture = Picture(720, 270, "Rows with each score, as given, curated and true")
    counts = [np.bincount(scores[scores >= 0], minlength=6) for _, _, scores in counted]
    high = 180 / max(int(count.max()) for count in counts)
    for place, (name, look, _) in enumerate(counted):
        picture.box(70 + 130 * place, 10, 14, 14, look)
        picture.text(90 + 130 * place, 22, name)
    picture.line((50, 235), (700, 235), "ds-grid")
    for level in LEVELS:
        left = 60 + 108 * level
        for place, (_, look, _) in enumerate(counted):
            count = int(counts[place][level])
            picture.box(left + 32 * place, 235 - high * count, 29, high * count, look)
            picture.text(
                left + 14 + 32 * place, 229 - high * count, str(count), "ds-tiny", "middle"
            )
        picture.text(left + 46, 258, str(level), "", "middle")
    picture.save("scores")


def draw_dual_sort(selection: ds2fast.Selection) -> None:
    """Every row by what it ranks by and by its rarity; the selected ones stand out."""
    picture = Picture(720, 330, "Rows by ranking score and rarity, the selected ones marked")
    chosen: BoolArray = np.zeros(len(selection.keys), dtype=bool)
    chosen[selection.indices] = True
    rarest = float(selection.long_tail.max())
    across = 60 + selection.keys / 5.0 * 630
    up = 290 - selection.long_tail / rarest * 240
    for level in LEVELS:
        place = 60 + level * 126
        picture.line((place, 40), (place, 292), "ds-grid")
        picture.text(place, 312, str(level), "ds-small", "middle")
    picture.text(60, 20, "up: rarer (long-tail score); right: higher ranking score", "ds-small")
    for look, rows in (("ds-quiet", ~chosen), ("ds-main", chosen)):
        points = sorted(set(zip(across[rows].round(), up[rows].round(), strict=True)))
        picture.dots([(float(x), float(y)) for x, y in points], look)
    cut = selection.cut
    print(f"cut at {cut.key:g}: above {cut.above}, at it {cut.at_cut} of {cut.candidates}")
    picture.save("dual-sort")


if __name__ == "__main__":
    sys.exit(main())
