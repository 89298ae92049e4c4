"""The two long stages on a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy.typing as npt

from ds2fast.embedding.encode import embed_by
from ds2fast.engines.local import LocalEngine
from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.exact import exact_graph
from ds2fast.engines.ray.model import ray_opener
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.progress import Progress, Reporter
from ds2fast.results import Embeddings


class RayEngine:
    """Runs the two long stages on a Ray cluster, and all else in this process, the driver.

    The results are those of the local engine, byte for byte. A task that is lost with its node
    runs again on another one.

    Parameters
    ----------
    address : str, optional
        As for `open_engine`.

    Raises
    ------
    InputError
        When it is entered: no cluster is there, or a node of it cannot run ds2fast.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._joined: Cluster | None = None

    def __enter__(self) -> Self:
        self._joined = Cluster(self._address)
        return self

    def __exit__(self, *_: object) -> None:
        if self._joined is not None:
            self._joined.close()
        self._joined = None

    def embed(self, texts: Sequence[str], **arguments: Any) -> Embeddings:
        """Vectors of texts; `arguments` are those of `ds2fast.embed`.

        The driver keeps the vectors, chooses the precision and plans the batches; an actor on each
        node's cores tokenises, or encodes. Every node needs the model: an id that it can resolve,
        or the folder at the same place.
        """
        return embed_by(ray_opener(self._cluster), texts, **arguments)

    def graph(
        self,
        vectors: npt.ArrayLike,
        k: int = 10,
        *,
        method: str = "auto",
        threads: int | None = None,
        progress: Progress | Reporter = None,
        **arguments: Any,
    ) -> KnnGraph:
        """The neighbours of every row; the arguments are those of `ds2fast.knn_graph`.

        An approximate graph is found by the driver.
        """
        if method == "approximate":
            return LocalEngine().graph(
                vectors, k, method=method, threads=threads, progress=progress, **arguments
            )
        return exact_graph(self._cluster, vectors, k, threads=threads, progress=progress)

    @property
    def _cluster(self) -> Cluster:
        if self._joined is None:
            raise InputError("engine: expected it open (use `with`), got one that is not")
        return self._joined
