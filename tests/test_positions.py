"""Places on a map, against a singular value decomposition and against known neighbourhoods."""

from __future__ import annotations

import numpy as np
import pytest

import ds2fast
from ds2fast.positions import CHUNK_ROWS, graph_plane, principal_plane


def _by_svd(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> list[list[float]]:
    centred = rows - rows.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    plane: list[list[float]] = (centred @ (axes * signs[:, None]).T).tolist()
    return plane


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_plane_is_that_of_the_decomposition(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(1)
    rows = (rng.normal(size=(300, 12)) * np.linspace(3.0, 0.3, 12) + 1.0).astype(dtype)
    plane = principal_plane(rows)
    assert plane.dtype == np.float32
    # float32 sums over 300 rows of size about 5: relative error some 1e-6, far below 1e-3.
    np.testing.assert_allclose(plane, _by_svd(rows.astype(np.float64)), atol=1e-3)


@pytest.mark.parametrize("width", [65, 200])
def test_wide_rows_lie_as_by_the_decomposition(width: int) -> None:
    rng = np.random.default_rng(5)
    clusters = 4.0 * rng.normal(size=(5, width))  # four directions stand out
    rows = clusters[rng.integers(0, 5, size=600)] * [1.5] + rng.normal(size=(600, width))
    plane, expected = principal_plane(rows), np.array(_by_svd(rows))
    for axis in range(2):
        assert np.corrcoef(plane[:, axis], expected[:, axis])[0, 1] > 0.999


def test_pieces_make_no_difference() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(CHUNK_ROWS + 7, 4)).astype(np.float32) * [4, 2, 1, 1]
    plane = principal_plane(rows.astype(np.float32))
    spread = plane.std(axis=0)
    np.testing.assert_allclose(spread, [4.0, 2.0], rtol=0.05)
    assert np.abs(plane.mean(axis=0)).max() < 1e-3
    assert np.array_equal(plane, principal_plane(rows.astype(np.float32)))


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0], [3.0]], [[2.0, 2.0]] * 3])
def test_what_has_no_second_axis(rows: list[list[float]]) -> None:
    plane = principal_plane(rows)
    assert plane.shape == (len(rows), 2)
    assert np.isfinite(plane).all()
    assert not plane[:, 1].any()


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3)])
def test_no_rows_are_refused(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with pytest.raises(ds2fast.InputError, match=r"vectors: expected shape \(N, d\)"):
        principal_plane(rows)


def test_graph_plane_keeps_clusters_together() -> None:
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(6), 40)
    rows = rng.normal(size=(6, 20))[cluster] + 0.3 * rng.normal(size=(240, 20))
    graph = ds2fast.knn_graph(rows.astype(np.float32), 8, progress=False)
    plane = graph_plane(graph)
    assert plane.shape == (240, 2)
    assert np.abs(plane).max() <= 1.0
    apart = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    same = cluster[:, None] == cluster[None]
    assert apart[same].mean() < 0.5 * apart[~same].mean()
    assert np.array_equal(plane, graph_plane(graph))


def test_graph_plane_of_two_rows() -> None:
    plane = graph_plane(ds2fast.KnnGraph.from_arrays([[1], [0]], [[0.5], [0.5]]))
    assert plane.shape == (2, 2)
    assert np.isfinite(plane).all()
