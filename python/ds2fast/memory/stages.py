"""What each stage takes: bytes in memory, bytes on disk, seconds.

The numbers a row were measured on 100 000 to 1 000 000 rows of some 900 characters, on two idle
cores with AVX-512 and VNNI; times on others are longer.
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

_RECORD = 28  # bytes of a record of the store, beside its vector

_TEXT_SECONDS = 2e-5  # a text, while it is read, hashed and looked up
_STATIC_SECONDS = 1e-7  # a token and thread
_ENCODER_RATE = 2e11  # multiplications a second and thread, in int8 or bf16
_FLOAT32_RATE = 1e11
_EMBEDDED_SHARE = 0.5  # of an encoder's weights that are tables, and multiply nothing
_EXACT_RATE = 3e11  # products of two numbers a second and thread
_APPROXIMATE_SECONDS = 3.5e-9  # a row, a neighbour, a column and a thread
_LIST_COLUMNS = 256  # that would take as long as it takes to keep a list
_LATER_SECONDS = 3e-6  # a row, for each stage behind the graph


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
    way : str
        How it goes about it, where there is a choice.
    is_done : bool
        Whether it is over when the plan is made.
    """

    name: str
    memory: int
    disk: int
    seconds: float
    way: str = ""
    is_done: bool = False


def plan_stages(load: Load, held: int, layout: Layout) -> tuple[StagePlan, ...]:
    """The stages in their order; `held` bytes are there already, those of the rows included."""
    base = held + LIBRARIES
    stages = [StagePlan("read", held, 0, 0.0, is_done=True)]
    if load.encoder is not None:
        memory, disk = _embedding_bytes(load, load.encoder, layout)
        stages.append(StagePlan("embedding", base + memory, disk, _embedding_seconds(load)))
    base += 0 if layout.vectors_on_disk else load.vector_bytes
    if not load.has_graph:
        memory, disk = _graph_bytes(load, layout)
        way = "exact" if load.is_exact else "approximate"
        stages.append(StagePlan("graph", base + memory, disk, _graph_seconds(load), way))
        base += _RESULT * load.num_rows * load.neighbours
    return (*stages, *_later_stages(load, base))


def _later_stages(load: Load, base: int) -> Iterator[StagePlan]:
    """The stages behind the graph, which take so many bytes and seconds a row."""
    rest = [("transition", _TRANSITION)]
    if load.selects:
        levels = _LEVELS * load.levels
        rest += [
            ("curation", _CURATION + levels),
            ("choice", _CHOICE + levels),
            ("save", _SAVE + levels),
        ]
    for name, a_row in rest:
        memory = base + a_row * load.num_rows + (_MAPPED * load.width if name == "choice" else 0)
        yield StagePlan(name, memory, 0, _LATER_SECONDS * load.num_rows)


def graph_share(load: Load, limit: int, held: int, layout: Layout) -> int:
    """Bytes that a search may take where a run holds at most `limit`."""
    vectors = 0 if layout.vectors_on_disk else load.vector_bytes
    return limit - held - LIBRARIES - vectors


def store_bytes(load: Load) -> int:
    """Bytes that the cache folder keeps of the vectors of all texts."""
    return (load.vector_bytes + _RECORD * load.num_rows) * load.has_store


def num_kept(load: Load) -> int:
    """How many vectors of the encoder the cache folder has; of which texts, is not looked up."""
    return load.kept // (4 * load.width + _RECORD)


def _embedding_bytes(load: Load, encoder: EncoderLoad, layout: Layout) -> tuple[int, int]:
    rows = load.num_rows
    memory = encoder.weight_bytes + (_HASHED + _INDEXED * load.has_store) * rows
    # A static model reads the texts of a batch as it runs; nodes are sent what is tokenised.
    keeps_tokens = not encoder.is_static or load.engine != "local"
    files = load.vector_bytes + 4 * load.tokens * keeps_tokens
    kept = store_bytes(load)
    # The comparison with another encoder is over when the vectors come.
    if layout.vectors_on_disk:
        return memory + encoder.teacher_bytes, kept + files
    return memory + max(files, encoder.teacher_bytes), kept


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
    by_texts = _TEXT_SECONDS * load.num_rows
    if load.encoder.is_static:
        compared = _products(load.encoder.teacher_bytes) * load.exact_tokens / _FLOAT32_RATE
        return by_texts + (_STATIC_SECONDS * load.tokens + compared) / load.threads
    fast = load.tokens / _ENCODER_RATE if load.exact_tokens < load.tokens else 0.0
    products = _products(load.encoder.weight_bytes)
    return by_texts + products * (fast + load.exact_tokens / _FLOAT32_RATE) / load.threads


def _products(weight_bytes: int) -> float:
    """Of a token, by the size of an encoder's weights."""
    return weight_bytes / 4 * _EMBEDDED_SHARE


def _graph_seconds(load: Load) -> float:
    if load.is_exact:
        pairs = load.num_rows**2 / 2
        return pairs * load.width / (_EXACT_RATE * load.threads)
    columns = (load.width + _LIST_COLUMNS) * load.neighbours
    return _APPROXIMATE_SECONDS * load.num_rows * columns / load.threads
