"""The stages in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from ds2fast.closing import Closing
from ds2fast.embedding import embed
from ds2fast.graph import KnnGraph
from ds2fast.knn import knn_graph
from ds2fast.results import Embeddings


class LocalEngine(Closing):
    """Runs the stages in this process, in its own threads.

    Examples
    --------
    >>> with LocalEngine() as engine:
    ...     graph = engine.graph([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], 1)
    >>> graph.indices.ravel().tolist()
    [1, 0, 1]
    """

    def embed(self, texts: Sequence[str], **arguments: Any) -> Embeddings:
        """Vectors of texts, by `ds2fast.embed`."""
        return embed(texts, **arguments)

    def graph(self, vectors: npt.ArrayLike, k: int = 10, **arguments: Any) -> KnnGraph:
        """The neighbours of every row, by `ds2fast.knn_graph`."""
        return knn_graph(vectors, k, **arguments)

    def close(self) -> None:
        """Nothing is open."""
