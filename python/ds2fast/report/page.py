"""The page: figures, pictures and samples of a selection, put into one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast.io.unicode import visible
from ds2fast.io.write import write_manifest
from ds2fast.manifest import manifest_of
from ds2fast.report.extra import check_extra
from ds2fast.report.facts import SHOWN_SOURCES, Facts, digits_apart, quartiles
from ds2fast.report.map import draw_map
from ds2fast.report.samples import rarest_selected, surest_corrections
from ds2fast.report.texts import in_one_line

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

SHOWN_MANIFEST = 60_000
SHOWN_NAME = 80
SEEN_APART = 0.005
"""Levels by which figures with two decimals differ."""

_HERE = Path(__file__).parent


def report_html(
    selection: Selection,
    *,
    title: str | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> bytes:
    """A page that says what was selected and why: one file, below 2 MB, that loads nothing.

    All of it can be read without script, which only filters the two lists of rows. Texts of the
    pool are shown, cut, and never run: the page forbids any script but its own.

    Parameters
    ----------
    selection : Selection
        What was selected.
    title : str, optional
        Heading; by default the name of the pool's file.
    manifest : mapping, optional
        What to tell of how it was made; by default it is made of the selection.

    Returns
    -------
    bytes
        HTML in UTF-8.

    Raises
    ------
    MissingExtraError
        jinja2 or matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from ds2fast.pipeline import select
    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(rng.normal(size=(20, 8)), 10, axis=0)
    >>> rows = centres + 0.1 * rng.normal(size=(200, 8))
    >>> ratings = np.repeat(np.arange(20) % 5, 10)
    >>> selection = select(scores=ratings, embeddings=rows, n=40, num_levels=5)
    >>> report_html(selection, title="Two hundred rows")[:15]
    b'<!doctype html>'
    """
    check_extra()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.jinja").render(_context(selection, title, manifest))
    return page.encode("utf-8", errors="replace")


def _seen(value: object) -> object:
    """Words of users without what nobody sees, wherever they stand; what is markup stays."""
    return visible(value) if type(value) is str else value


def _context(
    selection: Selection, title: str | None, manifest: Mapping[str, Any] | None
) -> dict[str, Any]:
    """All that the template names."""
    from markupsafe import Markup

    facts = Facts(selection)
    corrections = surest_corrections(selection)
    script = (_HERE / "filter.js").read_text(encoding="utf-8")
    return {
        "title": in_one_line(_default_title(selection) if title is None else title, 120),
        "style": Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_hash": _hash_of(script),
        "selection": selection,
        "estimate": selection.transition,
        "decided": selection.decided,
        "headlines": facts.headlines(),
        "comparison": facts.comparison(),
        "flow": facts.flow(),
        "num_rated": len(facts.rated),
        "digits_apart": digits_apart,
        "fates": _fates(selection),
        "sources": _sources(selection),
        "map": draw_map(selection),
        "corrections": corrections,
        "cautious": any(abs(row.expected - row.suggested) >= SEEN_APART for row in corrections),
        "rarest": rarest_selected(selection),
        "manifest": _manifest(manifest_of(selection) if manifest is None else manifest),
        **{name: _figure(kinds) for name, kinds in _distributions(facts).items()},
        "pictures": {name: Markup(svg) for name, svg in _pictures(facts).items()},
    }


def _pictures(facts: Facts) -> dict[str, str]:
    from ds2fast.report.figures import bars_of_levels, distributions

    flow = facts.flow()
    shares = {
        "as given": np.array(flow.given) / max(sum(flow.given), 1),
        "curated": np.array(flow.curated) / max(sum(flow.curated), 1),
        "selected, curated": np.array(flow.selected_curated) / len(facts.selection),
    }
    kinds = _distributions(facts)
    pictures = {
        "levels": bars_of_levels(shares),
        "rarity": distributions("rarity", kinds["rarity"], "long-tail score"),
    }
    if kinds["lengths"]:
        label = "characters of text"
        pictures["lengths"] = distributions("lengths", kinds["lengths"], label, by_factor=True)
    return pictures


def _distributions(facts: Facts) -> dict[str, dict[str, Any]]:
    """Values by set of rows, of each picture."""
    sets = {
        "pool": facts.rated,
        "selection": facts.selection.indices,
        "random": facts.controls["random"],
    }
    lengths = facts.lengths
    return {
        "rarity": {name: facts.selection.long_tail[rows] for name, rows in sets.items()},
        "lengths": {name: lengths[rows] for name, rows in sets.items()}
        if lengths is not None
        else {},
    }


def _figure(kinds: Mapping[str, Any]) -> dict[str, list[float]]:
    """The table behind a picture of distributions."""
    return {name: quartiles(values) for name, values in kinds.items()}


def _default_title(selection: Selection) -> str:
    rows = f"{len(selection):,} row{'s' * (len(selection) != 1)}"
    files = () if selection.pool is None else selection.pool.files
    if not files:
        return rows
    name = Path(files[0].path).name if len(files) == 1 else f"{len(files)} files"
    return f"{rows} of {name}"


def _fates(selection: Selection) -> dict[str, int]:
    """Rows by what became of them, in words."""
    if selection.choice is None:
        rated = int((selection.given_scores >= 0).sum())
        found = {
            "selected": len(selection),
            "below": rated - len(selection),
            "unrated": len(selection.given_scores) - rated,
        }
    else:
        found = selection.choice.counts()
    return {_FATES.get(fate, fate): rows for fate, rows in found.items() if rows}


_FATES = {
    "selected": "selected",
    "below": "below the cut",
    "unrated": "without a score or text, never selected",
    "excluded": "left out: repeat a row of the evaluation file",
    "low_score": "left out: score below the least one asked for",
    "too_rare": "left out: rarer than was allowed",
    "group_full": "left out: their group was full",
    "duplicate": "left out: nearly the same as a selected row",
}


def _sources(selection: Selection) -> dict[str, Any]:
    """The largest sources, and what the others come to."""
    found = selection.decided.sources
    names = [in_one_line(source.name, SHOWN_NAME) or "(none)" for source in found[:SHOWN_SOURCES]]
    rest = found[SHOWN_SOURCES:]
    return {
        "shown": list(zip(names, found, strict=False)),
        "rest": len(rest),
        "rest_rows": sum(source.rows for source in rest),
        "rest_selected": sum(source.selected for source in rest),
        "rows": max(sum(source.rows for source in found), 1),
    }


def _manifest(whole: Mapping[str, Any]) -> str:
    """How the selection was made, as in `manifest.json`; lists of sources are on the page."""
    manifest = dict(whole)
    made = dict(manifest["selection"])
    made["decided"] = {key: value for key, value in made["decided"].items() if key != "sources"}
    manifest["selection"] = made
    text = BytesIO()
    write_manifest(text, manifest)
    words = text.getvalue().decode("utf-8", errors="replace")
    return words if len(words) <= SHOWN_MANIFEST else words[:SHOWN_MANIFEST] + "\n… (cut)"


def _hash_of(script: str) -> str:
    """What the page's policy knows its own script by."""
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
