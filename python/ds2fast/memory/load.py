"""What a run has to do, as far as its memory and time depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.static import StaticFiles
from ds2fast.results import IntArray

CHARACTERS_A_TOKEN = 4
"""Of English text; less is usual elsewhere, and a cut makes the number smaller."""

ASSUMED_WIDTH = 1024
"""Numbers of a vector where an encoder does not tell: as many as those of large encoders have."""


@dataclass(frozen=True)
class EncoderLoad:
    """What an encoder takes.

    Attributes
    ----------
    width : int
        d, the numbers of a vector.
    weight_bytes : int
        Size of the weights' file.
    most_tokens : int or None
        Length at which texts are cut.
    is_static : bool
        Whether it is a table of vectors.
    tells_width : bool
        Whether the width is that of its files; else it is assumed.
    teacher_bytes : int
        Size of the weights of the encoder that a table is compared with; 0 without one.
    """

    width: int
    weight_bytes: int
    most_tokens: int | None
    is_static: bool
    tells_width: bool = True
    teacher_bytes: int = 0


@dataclass(frozen=True)
class Load:
    """What a run has to do.

    Attributes
    ----------
    num_rows : int
        N.
    width : int
        d; 0 where there are no vectors.
    neighbours : int
        Neighbours of each row in the graph.
    levels : int
        K.
    tokens : int
        About how many tokens all texts have; 0 where none are embedded.
    encoder : EncoderLoad or None
        What embeds them; None where vectors or a graph were given.
    has_store : bool
        Whether the vectors are kept in the cache folder, too.
    kept : int
        Bytes of this encoder's vectors that are there already.
    exact_tokens : int
        How many of the tokens run in float32: all, or those of a comparison.
    has_graph : bool
        Whether the graph was given.
    is_exact : bool
        Whether the search is.
    threads : int
        Threads of all stages.
    selects : bool
        Whether rows are chosen and saved after the estimate.
    engine : {"local", "ray"}
        Where the long stages run; with "ray" this process is the driver, and keeps the results.
    """

    num_rows: int
    width: int
    neighbours: int
    levels: int
    tokens: int = 0
    encoder: EncoderLoad | None = None
    has_store: bool = False
    kept: int = 0
    exact_tokens: int = 0
    has_graph: bool = False
    is_exact: bool = True
    threads: int = 1
    selects: bool = True
    engine: str = "local"

    @property
    def vector_bytes(self) -> int:
        """Bytes of the vectors that are made; 0 where they were given."""
        return 0 if self.encoder is None else 4 * self.num_rows * self.width


def encoder_load(files: EncoderFiles | StaticFiles) -> EncoderLoad:
    """What an encoder takes by its files; `ASSUMED_WIDTH` where they do not tell its width."""
    width = _width(files)
    return EncoderLoad(
        width or ASSUMED_WIDTH,
        files.weights.stat().st_size,
        files.max_tokens,
        isinstance(files, StaticFiles),
        tells_width=width is not None,
    )


def count_tokens(lengths: Sequence[int] | IntArray, encoder: EncoderLoad) -> int:
    """About how many tokens of texts of so many characters are read.

    Examples
    --------
    >>> count_tokens([400, 8000], EncoderLoad(384, 0, 256, False))
    356
    """
    tokens = np.asarray(lengths) // CHARACTERS_A_TOKEN
    return int(np.minimum(tokens, encoder.most_tokens or np.inf).sum())


def _width(files: EncoderFiles | StaticFiles) -> int | None:
    if isinstance(files, StaticFiles):
        return _tensor_width(files.weights, files.tensor)
    if files.architecture is not None:
        return files.architecture.hidden_size
    found: Any = files.config.get("hidden_size", files.config.get("dim"))
    return found if isinstance(found, int) and found > 0 else None


def _tensor_width(weights: Path, name: str) -> int | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="numpy") as tensors:
            return int(tensors.get_slice(name).get_shape()[-1])
    except (OSError, SafetensorError, IndexError):
        return None
