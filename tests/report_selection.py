"""A selection whose every text tries to run, to load and to break out of its element."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np

import ds2fast

NUM_ROWS, CLUSTERS, LEVELS, NUM_SELECTED = 600, 30, 4, 90
HOSTILE = (
    "<script>window.ran = 1</script></p></li></ol></textarea></script>"
    '"\'><img src="http://example.invalid/a.png" onerror="window.ran = 2">'
    "<svg onload=window.ran=3> {{ 7 * 7 }} &lt;b&gt; \x1b[31m\u202e"
)


def hostile_selection(**arguments: Any) -> ds2fast.Selection:
    """600 rows in 30 clusters of one true score each; every sixth score is wrong."""
    rng = np.random.default_rng(5)
    cluster = np.arange(NUM_ROWS) % CLUSTERS
    rows = rng.normal(size=(CLUSTERS, 16))[cluster] + 0.1 * rng.normal(size=(NUM_ROWS, 16))
    scores = cluster % LEVELS
    wrong = rng.permutation(NUM_ROWS)[: NUM_ROWS // 6]
    scores[wrong] = (scores[wrong] + rng.integers(1, LEVELS, len(wrong))) % LEVELS
    pool = [
        {"text": f"word{i} {HOSTILE}", "source": f"{HOSTILE} {i % 3}", "score": int(score)}
        for i, score in enumerate(scores)
    ]
    return ds2fast.select(
        pool, embeddings=rows, n=NUM_SELECTED, num_levels=LEVELS, progress=False, **arguments
    )


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the words of each table."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.script = self.words = ""
        self._within = ""
        self._in_cell = False
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"th", "td"}:
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._within = ""
        if tag in {"th", "td"}:
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.script += data
        else:
            self.words += data
        if self._in_cell:
            self.tables[-1][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def table(self, *heads: str) -> list[list[str]]:
        """The rows below the heads of the first table that begins with these."""
        for table in self.tables:
            if [cell.strip() for cell in table[0][: len(heads)]] == list(heads):
                return [[cell.strip() for cell in row] for row in table[1:]]
        raise LookupError(f"no table begins with {heads}")
