"""The part `rival`: `ds2fast select` beside a competent script (`scale_rival.py`), end to end.

Both read the same JSON lines and write the best rows. True levels are planted on the vectors of
the static model that both use, and the scores are these with errors: so the true mean of what is
selected is known. Run as a script it writes such a pool.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ds2fast import embed, read
from ds2fast.io.atomic import atomic_file
from ds2fast.results import IntArray
from knn_cases import Measuring
from knn_processes import RunFailedError, figures_in
from scale_child import Child, failure
from scale_record import Entry, Record
from scale_rows import say
from scale_stages import pool_file, timed_select

SCRIPT = Path(__file__).with_name("scale_rival.py")
OURS: dict[str, tuple[str, ...]] = {
    "ds2fast select": (),
    "ds2fast select, static model unchecked": ("--precision", "fp32"),
}
"""Ours by name, with its options. By default some of the texts are encoded by the static model's
teacher too, where that is at hand, and the user told how far the two differ."""

SEARCHES = ("exact", "hnsw")
FRACTION = 0.1
NOISE = ("cluster", "ordinal", 0.3)


@dataclass(frozen=True)
class RivalBench:
    """What the runs share; `own` is the share of rows whose true level no neighbour tells."""

    folder: Path
    shared: Path
    model: Path
    child: Child
    rivals_python: str
    rows: int
    own: float

    def key(self, way: str) -> dict[str, Any]:
        """Of an entry."""
        threads = self.child.threads
        return {"rows": self.rows, "own": self.own, "threads": threads, "way": way}

    def measure(self, record: Record) -> None:
        """Ours and the script, with either search, but what is on record."""
        for way in (*OURS, *SEARCHES):
            if record.find(**self.key(way)) is None:
                pool, true = self.planted()
                say(f"end to end: {self.key(way)}")
                record.add(self.key(way), self.run(way, pool, true))

    def planted(self) -> tuple[Path, IntArray]:
        """The pool with planted scores, and the true levels; made where they are not there."""
        path = self.folder / f"planted-{self.rows}-own-{self.own:g}.jsonl"
        kept = path.with_suffix(".npy")
        if not (path.exists() and kept.exists()):
            pool = pool_file(self.folder, self.rows, self.shared)
            say(f"planting scores on {self.rows} rows")
            command = [sys.executable, __file__, str(pool), str(path), str(self.model)]
            self.child.run([*command, str(self.shared), str(self.own)])
        return path, np.load(kept)

    def run(self, way: str, pool: Path, true: IntArray) -> dict[str, Any]:
        """Seconds, memory, and the true mean of what was selected."""
        with tempfile.TemporaryDirectory(prefix="bench-scale-", dir=self.folder) as name:
            out = Path(name) / "out"
            try:
                if way in OURS:
                    return self._ours(OURS[way], pool, out, true)
                return self._script(way, pool, out, true)
            except RunFailedError as error:
                return failure(error)

    def _ours(
        self, further: tuple[str, ...], pool: Path, out: Path, true: IntArray
    ) -> dict[str, Any]:
        # What the script does not do is left out.
        options = ("--no-report", "--no-controls", *further)
        figures = timed_select(self.child, pool, out, self.model, FRACTION, options)
        chosen = ids_in(out / "selected.jsonl")
        return figures | {"true_means": {"ours": float(true[chosen].mean())}}

    def _script(self, search: str, pool: Path, out: Path, true: IntArray) -> dict[str, Any]:
        command = [self.rivals_python, str(SCRIPT), str(pool), str(out), "--model", str(self.model)]
        command += ["--fraction", str(FRACTION), "--neighbours", search]
        started = time.perf_counter()
        figures = figures_in(self.child.run([*command, "--threads", str(self.child.threads)]))
        seconds = time.perf_counter() - started
        selected: dict[str, list[int]] = figures.pop("selected")
        written = ids_in(out)
        if written != next(iter(selected.values())):
            raise RunFailedError(f"{out}: expected the rows that it said it selected")
        means = {name: float(true[chosen].mean()) for name, chosen in selected.items()}
        return {"seconds": seconds, "true_means": means, **figures}


def ids_in(path: Path) -> list[int]:
    """Of the rows of a file, in its order."""
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()]


def main() -> None:
    pool, out, model, shared, own = sys.argv[1:]
    plant = Measuring.load(Path(shared)).plant
    texts = read(pool, scores=None).texts
    vectors = embed(texts, model=model, cache_dir=False, progress=False).vectors
    true, scores, _ = plant.plant(vectors, *NOISE, seed=0, own=float(own))
    with atomic_file(Path(out).with_suffix(".npy")) as file:
        np.save(file, true)
    with atomic_file(out) as file, Path(pool).open("rb") as lines:
        for place, line in enumerate(lines):
            row = orjson.loads(line) | {"id": place, "score": int(scores[place])}
            file.write(orjson.dumps(row) + b"\n")


# --- What is said ---------------------------------------------------------------------------------


def describe(entries: list[Entry]) -> str:
    """A line a way: seconds by those of either of ours, memory, what each ranking is worth."""
    ours = [one for one in entries if one["key"]["way"] in OURS and one["problem"] is None]
    head = (
        f"{'way':<40}{'seconds':>9}{'ours is':>18}{'peak MiB':>10}  true mean of the selected rows"
    )
    return "\n".join([head, *(_line(one, ours) for one in entries)])


def _line(entry: Entry, ours: list[Entry]) -> str:
    way = entry["key"]["way"]
    name = way if way in OURS else f"script, neighbours {way}"
    if entry["problem"] is not None:
        return f"{name:<40}{'-':>9}  {entry['problem']}"
    ratios = [f"{entry['seconds'] / one['seconds']:.2f} x" for one in ours if way not in OURS]
    means = ", ".join(f"{how} {mean:.3f}" for how, mean in entry["true_means"].items())
    stages = ", ".join(f"{stage} {took:.1f}" for stage, took in entry["stages"].items())
    figures = f"{entry['seconds']:>9.2f}{' / '.join(ratios):>18}{entry['peak_mib']:>10.0f}"
    return f"{name:<40}{figures}  {means}\n{'':<40}({stages})"


if __name__ == "__main__":
    main()
