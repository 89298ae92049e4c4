"""What each stage takes: bytes in memory, bytes on disk, seconds.

The numbers a row were measured on 100 000 to 1 000 000 rows of some 900 characters, on cores with
AVX-512 and VNNI; times on others are longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ds2fast.approximate import approximate_memory
from ds2fast.blocks.layout import blocks_memory
from ds2fast.graph_search import search_memory
from ds2fast.memory.load import EncoderLoad, Load

_MIB = 1 << 20

LIBRARIES = 120 * _MIB
"""What the libraries take beyond what a run holds when it is planned, buffers of threads too."""

_HASHED = 120  # bytes a text while distinct texts are told by their hashes
_INDEXED = 380  # and while they are looked up in a store
_TRANSITION, _CURATION, _CHOICE, _SAVE = 120, 160, 220, 600  # a row
_LEVELS = 24  # a row and a level, in the curation
_MAPPED = 8 * 10_000 + 4 * 16_384  # bytes a number of a vector, while rows get places on a map
_LEAST_BLOCK = 16_384  # rows of the smallest blocks that a search on disk is planned with
_LISTS = 28  # bytes a row and neighbour of its files: two sets of lists, and the result
_NORMS = 16  # bytes a row that it holds
_CODED = 24  # bytes a row of files beside codes and lists of an approximate search
_RESULT = 8  # bytes a row and neighbour of a graph
_DRIVER = 16  # and of the lists that a driver keeps, while the graph is made of them
_DRIVER_FILES = 12  # and of those lists in files
_SENT = 256 * _MIB  # of rows that are on their way to nodes

_READ_SECONDS = 14e-6  # a row
_STATIC_SECONDS = 0.8e-6  # a token and thread
_ENCODER_RATE = 2e11  # multiplications a second and thread, in int8 or bf16; fp32 has half of it
_EMBEDDED_SHARE = 0.5  # of an encoder's weights that are tables, and multiply nothing
_EXACT_RATE = 3e11  # products of two numbers a second and thread
_APPROXIMATE_SECONDS = 6e-8  # a row, a number and a thread
_TRANSITION_SECONDS, _CURATION_SECONDS, _CHOICE_SECONDS, _SAVE_SECONDS = 2e-6, 4e-6, 8e-6, 1e-5


@dataclass(frozen=True)
class Layout:
    """What lies on disk instead of in memory."""

    vectors_on_disk: bool = False
    graph_on_disk: bool = False

    def describe(self) -> str:
        """What goes to disk, in words.

        Examples
        --------
        >>> Layout(vectors_on_disk=True, graph_on_disk=True).describe()
        'vectors and graph'
        """
        named = (("vectors", self.vectors_on_disk), ("graph", self.graph_on_disk))
        return " and ".join(word for word, is_there in named if is_there) or "nothing"


@dataclass(frozen=True)
class StagePlan:
    """What one stage takes.

    Attributes
    ----------
    name : str
    memory : int
        Most bytes that the process holds while it runs, all that is held before it included.
    disk : int
        Bytes of files that it makes in the cache folder.
    seconds : float
        About how long it takes.
    """

    name: str
    memory: int
    disk: int
    seconds: float


def plan_stages(load: Load, held: int, layout: Layout) -> tuple[StagePlan, ...]:
    """The stages in their order; `held` bytes are there already, those of the rows included."""
    base = held + LIBRARIES
    stages = [StagePlan("read", held, 0, _READ_SECONDS * load.num_rows)]
    if load.encoder is not None:
        memory, disk = _embedding_bytes(load, load.encoder, layout)
        stages.append(StagePlan("embedding", base + memory, disk, _embedding_seconds(load)))
    base += 0 if layout.vectors_on_disk else load.vector_bytes
    if not load.has_graph:
        memory, disk = _graph_bytes(load, layout)
        stages.append(StagePlan("graph", base + memory, disk, _graph_seconds(load)))
    base += 8 * load.num_rows * load.neighbours
    return (*stages, *_later_stages(load, base))


def _later_stages(load: Load, base: int) -> Iterator[StagePlan]:
    """The stages behind the graph, which take so many bytes and seconds a row."""
    rest = [("transition", _TRANSITION, _TRANSITION_SECONDS)]
    if load.selects:
        levels = _LEVELS * load.levels
        rest += [
            ("curation", _CURATION + levels, _CURATION_SECONDS),
            ("choice", _CHOICE + levels, _CHOICE_SECONDS),
            ("save", _SAVE + levels, _SAVE_SECONDS),
        ]
    for name, a_row, seconds in rest:
        memory = base + a_row * load.num_rows + (_MAPPED * load.width if name == "choice" else 0)
        yield StagePlan(name, memory, 0, seconds * load.num_rows)


def graph_share(load: Load, limit: int, held: int, layout: Layout) -> int:
    """Bytes that a search may take where a run holds at most `limit`."""
    vectors = 0 if layout.vectors_on_disk else load.vector_bytes
    return limit - held - LIBRARIES - vectors


def _embedding_bytes(load: Load, encoder: EncoderLoad, layout: Layout) -> tuple[int, int]:
    rows = load.num_rows
    memory = encoder.weight_bytes + (_HASHED + _INDEXED * load.has_store) * rows
    files = load.vector_bytes + 4 * load.tokens
    kept = (load.vector_bytes + 28 * rows) * load.has_store
    return (memory, kept + files) if layout.vectors_on_disk else (memory + files, kept)


def _graph_bytes(load: Load, layout: Layout) -> tuple[int, int]:
    if not load.is_exact:
        shape = (load.num_rows, load.width, load.neighbours)
        needed = approximate_memory(*shape)
        if not layout.graph_on_disk:
            return needed, 0
        held = approximate_memory(*shape, on_disk=True)
        return held, needed - held + _CODED * load.num_rows
    if load.engine == "ray":
        return _driver_bytes(load, layout)
    needed = search_memory(load.num_rows, load.width, load.neighbours)
    if not layout.graph_on_disk:
        return needed, 0
    pairs = load.neighbours * load.num_rows
    blocks = blocks_memory(load.num_rows, load.width, load.neighbours, _LEAST_BLOCK)
    return max(blocks, _RESULT * pairs) + _NORMS * load.num_rows, _LISTS * pairs


def _driver_bytes(load: Load, layout: Layout) -> tuple[int, int]:
    """What the driver holds while nodes search: no codes, and one block, as it is sent."""
    pairs = load.neighbours * load.num_rows
    beside = _NORMS * load.num_rows + min(_SENT, 4 * load.num_rows * load.width)
    if not layout.graph_on_disk:
        return _DRIVER * pairs + beside, 0
    return _RESULT * pairs + beside, _DRIVER_FILES * pairs


def _embedding_seconds(load: Load) -> float:
    if load.encoder is None:
        return 0.0
    if load.encoder.is_static:
        return _STATIC_SECONDS * load.tokens / load.threads
    products = load.encoder.weight_bytes / 4 * _EMBEDDED_SHARE
    return products * load.tokens / (_ENCODER_RATE * load.threads)


def _graph_seconds(load: Load) -> float:
    if load.is_exact:
        pairs = load.num_rows**2 / 2
        return pairs * load.width / (_EXACT_RATE * load.threads)
    return _APPROXIMATE_SECONDS * load.num_rows * load.width / load.threads
