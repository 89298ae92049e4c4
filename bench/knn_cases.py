"""What `bench_knn.py` searches in: its cases, and the pool of each."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from ds2fast.results import FloatArray, IntArray

LARGE = 100_000
"""From so many rows on, rivals are timed on a share of the queries."""

SHARE_OF_LARGE = 0.1
SEED = 0

_BLOCK = 8192


@dataclass(frozen=True)
class Case:
    """One search: its name, the pool's shape, k and the threads."""

    name: str
    rows: int
    width: int
    k: int
    threads: int


PRESETS = {"real": (40_000, 384, 10), "wide": (100_000, 768, 20), "large": (300_000, 384, 10)}
"""Rows, width and k of the cases that have a name."""


def cases_of(arguments: Namespace) -> list[Case]:
    """The presets asked for, or else the grid; those that share a pool stand together."""
    if arguments.case:
        shapes = [(name, *PRESETS[name]) for name in arguments.case]
    else:
        shapes = [
            ("grid", rows, width, k)
            for rows in arguments.rows
            for width in arguments.widths
            for k in arguments.k
        ]
    return [Case(*shape, threads) for shape in shapes for threads in arguments.threads]


@dataclass(frozen=True)
class Measuring:
    """The measuring data: 40 000 real embeddings, and the module that stretches them."""

    embeddings: FloatArray
    plant: ModuleType

    @classmethod
    def load(cls, shared: Path) -> Measuring:
        """From the folder that holds `data/`; names what is missing there."""
        data = shared / "data"
        for path in (data / "plant.py", data / "instructions.minilm.f16.npy"):
            if not path.is_file():
                raise SystemExit(f"--shared: expected the measuring data, {path} is not there")
        rows = np.load(data / "instructions.minilm.f16.npy").astype(np.float32)
        return cls(with_unit_rows(rows), _load_module(data / "plant.py"))

    def pool(self, rows: int, width: int) -> tuple[FloatArray, str]:
        """Unit rows of that shape, and where they are from."""
        real_rows, real_width = self.embeddings.shape
        if width == real_width and rows == real_rows:
            return self.embeddings, "the real rows"
        if width == real_width and rows < real_rows:
            chosen = sample(real_rows, rows)
            return self.embeddings[chosen], f"real rows, drawn from the {real_rows}"
        stretched = self.plant.stretch(self.embeddings, rows, width, seed=SEED)
        return with_unit_rows(stretched), f"stretched from the {real_rows} real rows (plant.py)"


def with_unit_rows(rows: FloatArray) -> FloatArray:
    """The rows scaled to norm 1 in float64 and rounded once: their norms are 1 to 2^-24."""
    scaled = np.empty(rows.shape, dtype=np.float32)
    for begin in range(0, len(rows), _BLOCK):
        block = rows[begin : begin + _BLOCK].astype(np.float64)
        scaled[begin : begin + _BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return scaled


def sample(population: int, size: int) -> IntArray:
    """`size` of the numbers below `population`, ascending; always the same ones."""
    drawn = np.random.default_rng(SEED).choice(population, size, replace=False)
    return np.sort(drawn).astype(np.int64)


def _load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
