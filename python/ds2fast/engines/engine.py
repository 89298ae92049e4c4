"""What runs the two long stages: texts to vectors, vectors to neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, Self

import numpy.typing as npt

from ds2fast.cache_dir import CacheDir
from ds2fast.graph import KnnGraph
from ds2fast.progress import Progress, Reporter
from ds2fast.results import Embeddings

ENGINES: Final = ("local", "ray")


class Engine(Protocol):
    """Runs the two long stages; all others run in this process. Use it as a context manager.

    Every engine gives the same bytes.
    """

    def embed(self, texts: Sequence[str], **arguments: Any) -> Embeddings:
        """Vectors of texts; `arguments` are those of `ds2fast.embed`."""

    def graph(
        self,
        vectors: npt.ArrayLike,
        k: int = 10,
        *,
        method: str = "auto",
        recall: float = 0.98,
        seed: int = 0,
        threads: int | None = None,
        max_memory: int | str | None = None,
        cache_dir: CacheDir = False,
        progress: Progress | Reporter = None,
    ) -> KnnGraph:
        """The neighbours of every row; the arguments are those of `ds2fast.knn_graph`."""

    def __enter__(self) -> Self:
        """Itself, ready to run."""

    def __exit__(self, *_: object) -> None:
        """End the use of it."""
