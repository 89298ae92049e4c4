"""Embeddings of any type, order and place in memory; and what is not copied."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ds2fast import _core
from ds2fast.graph import KnnGraph
from ds2fast.graph_search import search_memory
from ds2fast.knn import knn_graph
from ds2fast.results import FloatArray
from ds2fast.vector_rows import as_embedding_rows
from graph_checks import assert_same_bytes, random_rows

ROWS = random_rows(500, 37)


@pytest.fixture(scope="module")
def expected() -> KnnGraph:
    return knn_graph(ROWS, 9, progress=False)


def _read_only() -> FloatArray:
    rows = ROWS.copy()
    rows.flags.writeable = False
    return rows


def _every_other_row() -> FloatArray:
    rows = np.full((1000, 37), np.nan, dtype=np.float32)
    rows[::2] = ROWS
    return rows[::2]


def _columns_of_a_wider_matrix() -> FloatArray:
    return np.pad(ROWS, [(0, 0), (5, 6)], constant_values=np.nan)[:, 5:42]


def _unaligned() -> FloatArray:
    # A memory map of a file whose header has any length ends up like this.
    return np.frombuffer(b"\0" + ROWS.tobytes(), dtype=np.float32, offset=1).reshape(ROWS.shape)


LAYOUTS: dict[str, Callable[[], Any]] = {
    "Fortran order": lambda: np.asfortranarray(ROWS),
    "read-only": _read_only,
    "every other row": _every_other_row,
    "columns of a wider matrix": _columns_of_a_wider_matrix,
    "backwards": lambda: ROWS[::-1, ::-1].copy()[::-1, ::-1],
    "unaligned": _unaligned,
    "foreign byte order": lambda: ROWS.astype(ROWS.dtype.newbyteorder()),
    "float64": lambda: ROWS.astype(np.float64),
    "long double": lambda: ROWS.astype(np.longdouble),
    "lists": ROWS.tolist,
    "a subclass": lambda: ROWS.view(np.memmap),
    "a memory view": lambda: ROWS.data,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_of_the_same_values_gives_the_same_bytes(
    name: str, expected: KnnGraph
) -> None:
    assert_same_bytes(knn_graph(LAYOUTS[name](), 9, progress=False), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_memory_maps(tmp_path: Path, dtype: type[np.floating]) -> None:
    np.save(tmp_path / "rows.npy", ROWS.astype(dtype))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    plain = ROWS.astype(dtype).astype(np.float32)
    assert_same_bytes(knn_graph(mapped, 9, progress=False), knn_graph(plain, 9, progress=False))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_integers(dtype: type[np.integer]) -> None:
    codes = np.random.default_rng(0).integers(1, 100, (200, 8))
    assert_same_bytes(
        knn_graph(codes.astype(dtype), 9, progress=False),
        knn_graph(codes.astype(np.float32), 9, progress=False),
    )


def test_a_broadcast_row_is_many_equal_rows() -> None:
    graph = knn_graph(np.broadcast_to(ROWS[0], (60, 37)), 3, progress=False)
    assert graph.indices[0].tolist() == [1, 2, 3]
    assert graph.indices[59].tolist() == [0, 1, 2]
    assert (graph.similarities == 1).all()


def test_results_are_arrays_of_their_own() -> None:
    graph = knn_graph(ROWS, 9, progress=False)
    again = knn_graph(ROWS, 9, progress=False)
    assert not np.shares_memory(graph.indices, again.indices)
    assert not np.shares_memory(graph.similarities, ROWS)
    assert not graph.indices.flags.writeable  # a result stays what it is
    assert not graph.similarities.flags.writeable


# --- Copies ---------------------------------------------------------------------------------------


IN_PLACE: dict[str, Callable[[], npt.NDArray[Any]]] = {
    "float32": lambda: ROWS,
    "read-only": _read_only,
    "float16": lambda: ROWS.astype(np.float16),
    "every other row": _every_other_row,
    "columns of a wider matrix": _columns_of_a_wider_matrix,
    "rows backwards": lambda: ROWS[::-1].copy()[::-1],
    "one column": lambda: np.asfortranarray(ROWS)[:, :1],
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_rows_whose_values_lie_side_by_side_are_read_in_place(name: str) -> None:
    rows = IN_PLACE[name]()
    assert as_embedding_rows(rows) is rows


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_memory_map_is_read_in_place(tmp_path: Path, dtype: type[np.floating]) -> None:
    np.save(tmp_path / "rows.npy", ROWS.astype(dtype))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert np.shares_memory(as_embedding_rows(mapped), mapped)


@pytest.mark.parametrize("name", ["Fortran order", "float64", "backwards", "unaligned"])
def test_anything_else_is_converted_to_float32_rows(name: str) -> None:
    rows = as_embedding_rows(LAYOUTS[name]())
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, ROWS)


def peak_of_search(rows: Any) -> int:
    """Most bytes that NumPy held at once during a search, beyond what it held before."""
    tracemalloc.start()
    try:
        knn_graph(rows, 5, progress=False)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_search_copies_its_input_at_most_once() -> None:
    rows = random_rows(4000, 256)
    results = 4000 * (5 * 8 + 8)  # ids, similarities, norms
    some = 64 * 1024
    assert peak_of_search(rows) < results + some
    assert peak_of_search(rows.astype(np.float16)) < results + some
    assert peak_of_search(rows.astype(np.float64)) < rows.nbytes + results + some
    assert peak_of_search(np.asfortranarray(rows)) < rows.nbytes + results + some


MEASURE_PEAK = """
import resource, sys
from pathlib import Path
import numpy as np
from ds2fast.knn import knn_graph

def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = Path("/proc/self/status").read_text()  # Linux's ru_maxrss starts at the parent's peak
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

rows, k = np.load(sys.argv[1]), int(sys.argv[2])
knn_graph(rows[:1000], k, threads=2, progress=False)
before = peak()
knn_graph(rows, k, threads=2, progress=False)
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("kind", "num_rows", "depth", "k"),
    [
        ("float32", 40_000, 256, 10),
        ("float16", 40_000, 256, 10),
        ("float32", 60_000, 64, 1),
        ("float32", 20_000, 64, 100),  # results that take more than codes do
    ],
)
def test_a_search_takes_the_memory_that_its_docstring_says(
    tmp_path: Path, kind: str, num_rows: int, depth: int, k: int
) -> None:
    np.save(tmp_path / "rows.npy", random_rows(num_rows, depth).astype(kind))
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE_PEAK, str(tmp_path / "rows.npy"), str(k)],
        capture_output=True,
        text=True,
        check=True,
    )
    some_megabytes = 4 * 2**20
    documented = search_memory(num_rows, depth, k)
    assert documented / 2 < int(measured.stdout) < documented + some_megabytes


def test_the_input_is_not_written_to() -> None:
    rows = random_rows(700, 20) * np.float32(3)
    before = rows.tobytes()
    knn_graph(rows, 5, threads=3, progress=False)
    assert rows.tobytes() == before


def test_the_bindings_read_in_place() -> None:
    rows = _read_only()
    tracemalloc.start()
    try:
        _core.row_norms(rows, 1)
        assert tracemalloc.get_traced_memory()[1] < rows.nbytes / 2
    finally:
        tracemalloc.stop()
