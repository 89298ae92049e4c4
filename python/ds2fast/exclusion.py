"""Rows that repeat a row of an evaluation file: by a run of words, or by similarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ds2fast.arguments import as_count, as_numbers, as_share
from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.evaluation import EvaluationRows, read_evaluation
from ds2fast.io.names import files_named
from ds2fast.ngrams import Runs
from ds2fast.pool import Pool
from ds2fast.results import BoolArray, FloatArray, FrozenArrays, IntArray

DEFAULT_NGRAM = 13
DEFAULT_SIMILARITY = 0.9

NO_FILE = "the evaluation rows"
"""What data from memory is called."""

Found = TypeVar("Found")

_ROWS_AT_ONCE = 4096  # a block of products takes 64 MiB


class Repeats(IntEnum):
    """How a row repeats an evaluation row: the values of `Exclusion.how`."""

    NOT = 0
    NGRAM = 1
    SIMILARITY = 2


@dataclass(frozen=True, eq=False, repr=False)
class Exclusion(FrozenArrays):
    """Rows of a pool that repeat rows of an evaluation file; `exclude_repeats` makes it.

    Attributes
    ----------
    rows : (N,) bool
        Rows that repeat one.
    because : (N,) int64
        The evaluation row that each repeats; −1 where none.
    how : (N,) int8
        `Repeats.NOT`, `.NGRAM` (shares a run of words) or `.SIMILARITY`.
    name : str
        The evaluation file's name (several are joined, and their rows counted on), or "the
        evaluation rows" for data from memory.
    num_rows : int
        Number of evaluation rows.
    similarity : (N,) float32 or None
        Cosine to the nearest evaluation row; None where none was measured.
    """

    rows: BoolArray
    because: IntArray
    how: npt.NDArray[np.int8]
    name: str
    num_rows: int
    similarity: FloatArray | None = None


def exclude_repeats(
    pool_texts: Sequence[str],
    data: Any,
    *,
    ngram: int | None = DEFAULT_NGRAM,
    similarity: float | None = DEFAULT_SIMILARITY,
    vectors: npt.ArrayLike | None = None,
    embed: Callable[[Sequence[str]], npt.ArrayLike] | None = None,
) -> Exclusion:
    """Find the rows of a pool that repeat a row of evaluation data.

    A row repeats an evaluation row with which it shares `ngram` words in a row, or to whose vector
    its own has a cosine of `similarity` or more.

    Parameters
    ----------
    pool_texts : sequence of str
        N rendered texts; read once, in order.
    data : path, list, table or Pool
        The evaluation rows, as `read` takes them. Of a row of no known form all strings are taken.
    ngram : int, optional
        Words in a row, in lower case and without all but letters and digits. Of an evaluation text
        of fewer words (6 at least) all of it counts, and of such a question in it too, whatever
        its answer. What more than 5 different evaluation texts and 1 % of them share is a template
        of theirs and does not count. None: not looked at.
    similarity : float, optional
        A cosine in (0, 1]. None: not looked at.
    vectors : (N, d) floats, optional
        The pool's vectors. Without them, or without `embed`, similarity is not looked at.
    embed : callable, optional
        Makes the vectors of texts as those of the pool were made.

    Returns
    -------
    Exclusion
        A row that shares words is told by these, whatever its similarity.

    Raises
    ------
    InputError, InputTypeError, InputFileError
        Data that cannot be read; a limit out of its range; vectors that are not one a text.

    Examples
    --------
    >>> question = "How many apples are left when Tom eats two of his seven apples for lunch?"
    >>> pool_texts = [f"{question} Five.", "How many pears has Tom?"]
    >>> exclude_repeats(pool_texts, [{"text": question}]).because.tolist()
    [0, -1]
    """
    length = None if ngram is None else as_count(ngram, "ngram")
    least = None if similarity is None else as_share(similarity, "similarity")
    rows = None if vectors is None else _check_vectors(vectors, len(pool_texts))
    evaluation = data if isinstance(data, Pool) else read_evaluation(data)
    because = np.full(len(pool_texts), -1, dtype=np.int64)
    how = np.full(len(pool_texts), Repeats.NOT, dtype=np.int8)
    if length is not None:
        questions = map(EvaluationRows(evaluation.text_option).questions_of, evaluation.rows)
        because = Runs(evaluation.texts, length, questions).found_in(pool_texts)
        how[because >= 0] = Repeats.NGRAM
    cosines = None
    if least is not None and rows is not None and embed is not None:
        others = np.array(embed(evaluation.texts))
        if others.shape != (expected := (len(evaluation), rows.shape[1])):
            raise InputError(f"embed: expected vectors of shape {expected}, got {others.shape}")
        others[evaluation.lengths == 0] = 0.0  # nothing is near to no text
        nearest, cosines = nearest_rows(rows, others)
        is_near = (cosines >= np.float32(least)) & (how == Repeats.NOT)
        because[is_near] = nearest[is_near]
        how[is_near] = Repeats.SIMILARITY
    return Exclusion(because >= 0, because, how, _name_of(evaluation), len(evaluation), cosines)


def check_excluding(exclude: Any, data: Any = None) -> None:
    """Refuse, before any file is read, files that cannot be and the very rows to select from."""
    if exclude is data:
        raise InputError("exclude: expected other rows than those of data, got the same")
    if not isinstance(exclude, Pool):
        _read_as_exclude(files_named, exclude)


def read_excluding(exclude: Any, text: str | None = None) -> Pool:
    """Rows that must not be repeated, with the pool's `text` where they have its fields.

    Errors are those of `read_evaluation`, named by the argument.
    """
    if isinstance(exclude, Pool):
        return exclude
    return _read_as_exclude(lambda data: read_evaluation(data, text), exclude)


def refuse_same_rows(pool: Pool, excluding: Pool) -> None:
    """Refuse to exclude the very rows that are to be selected from: next to none would be left."""
    hashes = {file.sha256 for file in pool.files}
    if excluding is pool or (hashes and hashes <= {file.sha256 for file in excluding.files}):
        raise InputError("exclude: expected other rows than those of data, got the same")


def _read_as_exclude(step: Callable[[Any], Found], exclude: Any) -> Found:
    """What `step` makes of the argument, which its errors name."""
    try:
        return step(exclude)
    except (InputError, InputFileError, InputTypeError) as error:
        words = str(error).removeprefix("data: ")
        raise type(error)(f"exclude: {words}") from error


def nearest_rows(
    vectors: npt.NDArray[np.floating], others: npt.NDArray[np.floating]
) -> tuple[IntArray, FloatArray]:
    """Of each vector the nearest of `others` by cosine, and the cosine.

    Parameters
    ----------
    vectors, others : (N, d) and (M, d) floats
        Of any norm; one of norm 0 has a cosine of 0 to all.

    Returns
    -------
    nearest : (N,) int64
        Ties go to the smaller index.
    cosines : (N,) float32

    Raises
    ------
    InputError
        Rows of another width.

    Examples
    --------
    >>> nearest, cosines = nearest_rows(np.array([[2.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> nearest.tolist(), cosines.tolist()
    ([1], [1.0])
    """
    if others.ndim != 2 or others.shape[1] != vectors.shape[1] or len(others) == 0:
        raise InputError(
            f"embed: expected vectors of shape (M, {vectors.shape[1]}), got {others.shape}"
        )
    nearest = np.zeros(len(vectors), dtype=np.int64)
    cosines = np.full(len(vectors), -np.inf, dtype=np.float32)
    for begin in range(0, len(others), _ROWS_AT_ONCE):
        part = _unit(others[begin : begin + _ROWS_AT_ONCE])
        for first in range(0, len(vectors), _ROWS_AT_ONCE):
            place = slice(first, first + _ROWS_AT_ONCE)
            products = _unit(vectors[place]) @ part.T
            best = products.argmax(axis=1)
            found = np.take_along_axis(products, best[:, None], axis=1)[:, 0]
            better = found > cosines[place]
            nearest[place][better] = best[better] + begin
            cosines[place][better] = found[better]
    return nearest, np.clip(cosines, -1.0, 1.0)


def _name_of(evaluation: Pool) -> str:
    names = [file.path.name for file in evaluation.files]
    return " + ".join(names) if names else NO_FILE


def _unit(rows: npt.NDArray[np.floating]) -> FloatArray:
    values = rows.astype(np.float32)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit: FloatArray = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return unit


def _check_vectors(vectors: npt.ArrayLike, num_rows: int) -> npt.NDArray[np.floating]:
    rows = as_numbers(vectors, "vectors")
    if rows.ndim != 2 or len(rows) != num_rows:
        raise InputError(f"vectors: expected one a text, shape ({num_rows}, d), got {rows.shape}")
    return rows
