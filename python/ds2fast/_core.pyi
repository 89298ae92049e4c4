from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
RowArray = npt.NDArray[np.float32] | npt.NDArray[np.float16]
DoubleArray = npt.NDArray[np.float64]
LevelArray = npt.NDArray[np.int8]
IdArray = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.int64]
BinArray = npt.NDArray[np.uint8]
Report = Callable[[int, int], None]
CodeArrays = tuple[npt.NDArray[np.int8], IdArray, FloatArray, FloatArray, FloatArray]
ListArrays = tuple[npt.NDArray[np.uint32], FloatArray]

__version__: str

def compiler() -> str: ...
def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
def row_norms(
    embeddings: RowArray, threads: int, progress: Report | None = None
) -> DoubleArray: ...
def exact_knn(
    embeddings: RowArray,
    norms: DoubleArray,
    k: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[IdArray, FloatArray]: ...
def code_depth(depth: int) -> int: ...
def find_copies(
    embeddings: RowArray, norms: DoubleArray, k: int, progress: Report | None = None
) -> tuple[IdArray, IdArray]: ...
def fill_in_copies(
    embeddings: RowArray,
    norms: DoubleArray,
    rest: IdArray,
    ids: IdArray,
    similarities: FloatArray,
) -> None: ...
def encode_rows(
    embeddings: RowArray,
    norms: DoubleArray,
    order: IdArray,
    out: CodeArrays,
    threads: int,
    progress: Report | None = None,
) -> None: ...
def reorder_rows(
    codes: CodeArrays,
    order: IdArray,
    progress: Report | None = None,
) -> None: ...
def leader_tree(
    codes: CodeArrays,
    leaf_rows: int,
    least_rows: int,
    fan_out: int,
    seed: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[IdArray, IntArray]: ...
def join_leaves(
    codes: CodeArrays,
    order: IdArray,
    bounds: IntArray,
    lists: ListArrays,
    out: ListArrays,
    by_place: bool,
    threads: int,
    progress: Report | None = None,
) -> None: ...
def descend(
    codes: CodeArrays,
    lists: ListArrays,
    first: int,
    num_heard: int,
    out: ListArrays,
    threads: int,
    progress: Report | None = None,
) -> int: ...
def rank_lists(
    embeddings: RowArray,
    norms: DoubleArray,
    order: IdArray,
    codes: CodeArrays,
    lists: ListArrays,
    places: IdArray,
    k: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[IdArray, DoubleArray]: ...
def exact_neighbours(
    embeddings: RowArray,
    norms: DoubleArray,
    order: IdArray,
    codes: CodeArrays,
    places: IdArray,
    k: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[IdArray, DoubleArray]: ...
def exact_within(
    rows: RowArray,
    norms: DoubleArray,
    first_id: int,
    k: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[IdArray, DoubleArray]: ...
def exact_between(
    left_rows: RowArray,
    left_norms: DoubleArray,
    left_first_id: int,
    left_floors: DoubleArray | None,
    right_rows: RowArray,
    right_norms: DoubleArray,
    right_first_id: int,
    right_floors: DoubleArray | None,
    k: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[tuple[IdArray, DoubleArray], tuple[IdArray, DoubleArray]]: ...
def merge_nearest(
    x_ids: IdArray,
    x_similarities: DoubleArray,
    y_ids: IdArray,
    y_similarities: DoubleArray,
    ids: IdArray,
    similarities: DoubleArray,
    threads: int,
) -> None: ...
def native_precisions() -> list[str]: ...

class Encoder:
    def __init__(
        self,
        words: FloatArray,
        positions: FloatArray,
        token_type: FloatArray,
        norm: tuple[FloatArray, FloatArray],
        distances: FloatArray,
        *,
        num_heads: int,
        inner: int,
        epsilon: float,
        activation: str,
        pooling: str,
        precision: str,
    ) -> None: ...
    def add_layer(
        self,
        linears: list[tuple[FloatArray, FloatArray]],
        norms: list[tuple[FloatArray, FloatArray]],
    ) -> None: ...
    def encode(
        self, ids: IdArray, offsets: IntArray, threads: int, progress: Report | None = None
    ) -> FloatArray: ...
    @property
    def is_native(self) -> bool: ...

def long_tail_scores(
    similarities: FloatArray, k: int, threads: int, progress: Report | None = None
) -> FloatArray: ...
def dual_sort(scores: DoubleArray, long_tail: DoubleArray, count: int) -> IntArray: ...
def walk_down(
    order: IntArray,
    count: int,
    *,
    codes: IntArray,
    quotas: IntArray,
    caps: IntArray,
    indices: IdArray,
    similarities: FloatArray,
    least: float,
    embeddings: RowArray,
    norms: DoubleArray,
    threads: int,
) -> tuple[LevelArray, IntArray, FloatArray, int]: ...
def agreement_counts(
    levels: LevelArray,
    indices: IdArray,
    num_levels: int,
    threads: int,
    progress: Report | None = None,
) -> IntArray: ...
def solve_em(
    counts: IntArray, progress: Report | None = None
) -> tuple[DoubleArray, DoubleArray, int, bool]: ...
def solve_moments(
    counts: IntArray, progress: Report | None = None
) -> tuple[DoubleArray, DoubleArray, int, bool]: ...
def solve_panel(
    patterns: LevelArray,
    counts: DoubleArray,
    gold: IdArray,
    num_levels: int,
    progress: Report | None = None,
) -> tuple[DoubleArray, DoubleArray, float, int, bool]: ...
def refine_panel(
    patterns: LevelArray,
    counts: DoubleArray,
    gold: IdArray,
    matrices: DoubleArray,
    prior: DoubleArray,
    progress: Report | None = None,
) -> tuple[DoubleArray, DoubleArray, float, int, bool]: ...
def moment_loss(counts: IntArray, transition: DoubleArray, prior: DoubleArray) -> float: ...
def independent_neighbours(
    levels: LevelArray,
    indices: IdArray,
    similarities: FloatArray,
    width: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[IdArray, FloatArray, BinArray]: ...
def sharing_counts(
    levels: LevelArray,
    ids: IdArray,
    bins: BinArray,
    is_copy: BinArray,
    num_levels: int,
    num_bins: int,
    threads: int,
    progress: Report | None = None,
) -> IntArray: ...
def pair_counts(
    levels: LevelArray,
    ids: IdArray,
    bins: BinArray,
    is_copy: BinArray,
    num_levels: int,
    num_bins: int,
    threads: int,
    progress: Report | None = None,
) -> IntArray: ...
def solve_sharing(
    counts: IntArray,
    shown: IdArray,
    pattern_weights: DoubleArray,
    gold: IdArray,
    num_rows: float,
    fit_own: bool,
    progress: Report | None = None,
) -> tuple[DoubleArray, DoubleArray, float, DoubleArray, float, int, bool]: ...
def resample_sharing(
    levels: LevelArray,
    ids: IdArray,
    bins: BinArray,
    is_copy: BinArray,
    num_bins: int,
    transition: DoubleArray,
    prior: DoubleArray,
    own: float,
    shares: DoubleArray,
    shown: IdArray,
    pattern_weights: DoubleArray,
    gold: IdArray,
    fit_own: bool,
    resamples: int,
    seed: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[DoubleArray, DoubleArray, DoubleArray]: ...
def solve_alpha(
    counts: IntArray, emission: DoubleArray, transition: DoubleArray, prior: DoubleArray
) -> DoubleArray: ...
def simifeat_votes(
    levels: LevelArray,
    indices: IdArray,
    similarities: FloatArray,
    error_rates: DoubleArray,
    num_counted: int,
    rounds: int,
    seed: int,
    threads: int,
    progress: Report | None = None,
) -> tuple[IdArray, IdArray, IdArray]: ...
def neighbour_beliefs(
    codes: IdArray,
    ids: IdArray,
    bins: BinArray,
    messages: DoubleArray,
    prior: DoubleArray,
    threads: int,
    progress: Report | None = None,
) -> DoubleArray: ...
def fit_weights(
    codes: IdArray,
    ids: IdArray,
    bins: BinArray,
    messages: DoubleArray,
    prior: DoubleArray,
    emission: DoubleArray,
    rows: IdArray,
    threads: int,
    progress: Report | None = None,
) -> tuple[DoubleArray, float, int]: ...
def gather_mean(
    table: FloatArray,
    row_of_token: IdArray,
    weights: FloatArray,
    ids: IdArray,
    offsets: IntArray,
    fallback: FloatArray,
    threads: int,
    progress: Report | None = None,
) -> FloatArray: ...

class WordTable:
    def __init__(self) -> None: ...
    def add(self, words: list[bytes], ids: list[list[int]]) -> None: ...
    def look_up(
        self,
        texts: list[str | bytes],
        most_tokens: int,
        unknown: int,
        literals: list[str],
        threads: int,
    ) -> tuple[list[bytes], IdArray, IntArray, npt.NDArray[np.bool_]]: ...
    def clear(self) -> None: ...
    @property
    def nbytes(self) -> int: ...
