"""What the experiments have in common: their arguments, the measuring data, tables and JSON lines.

Modules of `bench/` are found beside this folder; import this one first.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BENCH = Path(__file__).resolve().parent.parent
if str(BENCH) not in sys.path:
    sys.path.insert(0, str(BENCH))

ENCODER = BENCH.parent / ".cache" / "encoder"
END_OF_TEXT = "<|endoftext|>"  # one source of the data ends its answers with it

Figures = dict[str, float]


@dataclass(frozen=True)
class Row:
    """One instruction of the measuring data and its answer."""

    source: str
    prompt: str
    answer: str

    @property
    def text(self) -> str:
        """As ds2fast renders a row."""
        return f"###user: {self.prompt}\n###assistant: {self.answer}\n"


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """What every experiment can be told; `main` adds what is its own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shared", type=Path, required=True, help="folder of the measuring data")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--threads", type=int, default=1)
    return parser


def load_rows(shared: Path) -> list[Row]:
    """All rows of the data, each a prompt and an answer."""
    with gzip.open(shared / "data" / "instructions.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [row_of(json.loads(line)) for line in lines]


def row_of(record: Mapping[str, object]) -> Row:
    messages = record["messages"]
    if not isinstance(messages, list) or len(messages) < 2:
        raise ValueError(f"messages: expected a prompt and an answer, got {messages!r}")
    answer = str(messages[-1]["content"]).replace(END_OF_TEXT, "").strip()
    prompt = "\n".join(str(message["content"]) for message in messages[:-1])
    return Row(str(record["source"]), prompt, answer)


# --- What is printed ------------------------------------------------------------------------------


def means(runs: Sequence[Figures]) -> Figures:
    """Mean of each figure over the runs."""
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


def spreads(runs: Sequence[Figures]) -> Figures:
    """Half of the range of each figure over the runs."""
    return {name: float(np.ptp([run[name] for run in runs]) / 2) for name in runs[0]}


def table(rows: Mapping[str, Figures], *, digits: int = 3) -> str:
    """One line a row; its columns are the first row's figures, with '-' where one has none."""
    names = list(next(iter(rows.values())))
    widths = [max(len(name), 8) for name in names]
    first = max(len(row) for row in rows)
    heads = "  ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    lines = [f"{'':{first}}  {heads}"]
    for row, figures in rows.items():
        cells = (
            f"{_cell(figures.get(name), digits):>{width}}"
            for name, width in zip(names, widths, strict=True)
        )
        lines.append(f"{row:{first}}  {'  '.join(cells)}")
    return "\n".join(lines)


def _cell(value: float | None, digits: int) -> str:
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.{digits}f}"


def finish(experiment: str, settings: Mapping[str, object], results: Mapping[str, object]) -> None:
    """The last line: all figures as JSON."""
    print(json.dumps({"experiment": experiment, "settings": settings, "results": results}))
