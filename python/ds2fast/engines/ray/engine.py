"""The two long stages on a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy.typing as npt

from ds2fast.embedding.encode import embed_by
from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.exact import exact_graph
from ds2fast.engines.ray.model import ray_opener
from ds2fast.engines.ray.presence import watched
from ds2fast.engines.ray.rounds import RayRunner
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.graph_search import GraphSearch, check_search
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
        When it is entered: no cluster is there, or a node of it cannot run ds2fast. Later: the
        cluster is gone (told from the main thread alone; in others a call may wait until Ray ends
        it), or has no node to search for neighbours on.
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

        The driver keeps the vectors, chooses the precision and plans the batches; tasks on the
        nodes tokenise and encode. Every node needs the model: an id that it can resolve,
        or the folder at the same place.
        """
        opener = ray_opener(self._cluster)
        return watched(self._cluster.presence, lambda: embed_by(opener, texts, **arguments))

    def graph(
        self,
        vectors: npt.ArrayLike,
        k: int = 10,
        **arguments: Any,
    ) -> KnnGraph:
        """The neighbours of every row; the arguments are those of `ds2fast.knn_graph`.

        Pairs of blocks, or the rounds of an approximate search, run on the nodes. The driver keeps
        the lists: in memory, or for an approximate search on disk, where `max_memory` asks for it.
        """
        search = check_search(vectors, k, **arguments)
        return watched(self._cluster.presence, lambda: self._search(search))

    def _search(self, search: GraphSearch) -> KnnGraph:
        found = None
        if not search.is_exact:
            found = search.approximate(RayRunner(self._cluster, search.threads))
        return exact_graph(self._cluster, search) if found is None else found

    @property
    def _cluster(self) -> Cluster:
        if self._joined is None:
            raise InputError("engine: expected it open (use `with`), got one that is not")
        return self._joined
