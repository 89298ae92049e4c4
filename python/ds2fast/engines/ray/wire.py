"""Arrays as rows of an Arrow table: what goes to workers and comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ds2fast.embedding.tokenise import TokenTable
from ds2fast.io.scratch import Spool

if TYPE_CHECKING:
    import pyarrow as pa

Arrays = Mapping[str, npt.NDArray[Any]]

_DTYPES = {
    "ids": np.int32,
    "offsets": np.int64,
    "truncated": np.bool_,
    "firsts": np.int64,
    "vectors": np.float32,
    "shape": np.int64,
}


def pack(rows: Sequence[tuple[int, Arrays]]) -> pa.Table:
    """A table of numbered groups of arrays, each with the same names.

    Examples
    --------
    >>> table = pack([(7, {"ids": np.array([1, 2], np.int32)})])
    >>> [(number, arrays["ids"].tolist()) for number, arrays in unpack(table)]
    [(7, [1, 2])]
    """
    import pyarrow as pa

    columns: dict[str, Any] = {"number": pa.array([number for number, _ in rows], pa.int64())}
    for name, dtype in _DTYPES.items():
        if name in rows[0][1]:
            contents = [np.ascontiguousarray(arrays[name], dtype).tobytes() for _, arrays in rows]
            columns[name] = pa.array(contents, pa.large_binary())
    return pa.table(columns)


def unpack(table: pa.Table) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
    """The numbered groups of arrays of a table, each array flat."""
    for row in table.to_pylist():
        number = row.pop("number")
        yield number, {name: np.frombuffer(row[name], _DTYPES[name]) for name in row}


def token_arrays(table: TokenTable) -> Arrays:
    """The arrays of a table of tokens."""
    return {
        "ids": table.ids,
        "offsets": table.offsets,
        "truncated": table.truncated,
        "firsts": table.firsts,
    }


class TokenJoin:
    """Puts tables of tokens one behind the other, in the order of their numbers.

    Parameters
    ----------
    scratch : Path or None
        Folder of a file that holds the tokens; None is memory.

    Examples
    --------
    >>> two = TokenTable(np.array([5, 6], np.int32), np.array([0, 2]), np.array([False]))
    >>> one = TokenTable(np.array([7], np.int32), np.array([0, 1]), np.array([True]))
    >>> join = TokenJoin(None)
    >>> join.add(1, token_arrays(one))
    1
    >>> join.add(0, token_arrays(two))
    1
    >>> table = join.joined()
    >>> table.ids.tolist(), table.offsets.tolist()
    ([5, 6, 7], [0, 2, 3])
    """

    def __init__(self, scratch: Path | None) -> None:
        self._ids = Spool(np.int32, scratch)
        self._early: dict[int, Arrays] = {}
        self._next = 0
        self._columns: dict[str, list[npt.NDArray[Any]]] = {
            "lengths": [],
            "counts": [],
            "truncated": [],
        }

    def add(self, number: int, arrays: Arrays) -> int:
        """Add a table, of whatever number; gives the number of its texts."""
        self._early[number] = arrays
        while self._next in self._early:
            self._append(self._early.pop(self._next))
            self._next += 1
        return len(arrays["truncated"])

    def _append(self, arrays: Arrays) -> None:
        self._ids.add(arrays["ids"])
        self._columns["lengths"].append(np.diff(arrays["offsets"]))
        self._columns["counts"].append(np.diff(arrays["firsts"]))
        self._columns["truncated"].append(arrays["truncated"])

    def joined(self) -> TokenTable:
        """All tables; none is added after it."""
        columns = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        return TokenTable(
            self._ids.joined(),
            _bounds(columns["lengths"]),
            columns["truncated"],
            _bounds(columns["counts"]),
        )


def _bounds(counts: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
