"""`run.npz`: what a selection was made from, kept beside its results so that it can go on."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import orjson

from ds2fast.checks import MAX_LEVELS, UNRATED, check_graph
from ds2fast.errors import InputError, InputFileError
from ds2fast.exclusion import Exclusion
from ds2fast.given import Given
from ds2fast.graph import KnnGraph
from ds2fast.io.unicode import all_storable
from ds2fast.results import FloatArray, FrozenArrays, IntArray

if TYPE_CHECKING:
    from ds2fast.outcome import Selection

STATE = "run.npz"
FORMAT = 1
"""Version of the file's content; a reader refuses others."""

_KIND = "ds2fast run"
_BROKEN = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError)


@dataclass(frozen=True, eq=False, repr=False)
class State(FrozenArrays):
    """What a selection was made from.

    Attributes
    ----------
    graph : KnnGraph
        Neighbours of the N rows.
    given : Given
        Ratings, repeats and gold labels as levels.
    positions : (N, 2) float32 or None
        A place for each row on a map, where there were vectors.
    group_codes : (N,) int64 or None
        Group of each row, an index into `group_names`.
    group_names : tuple of str
        The groups' labels in words, ascending.
    excluded : Exclusion or None
        Rows that repeat an evaluation file: its vectors are not kept, so it cannot be found anew.
    """

    graph: KnnGraph
    given: Given
    positions: FloatArray | None = None
    group_codes: IntArray | None = None
    group_names: tuple[str, ...] = ()
    excluded: Exclusion | None = None

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The group of each of the N rows in words; None without groups."""
        if self.group_codes is None:
            return None
        return tuple(self.group_names[code] for code in self.group_codes.tolist())


def write_state(file: BinaryIO, selection: Selection) -> None:
    """Write what `selection` was made from, as an uncompressed `.npz` without pickles.

    Parameters
    ----------
    file : binary file
        Where to write; it can be sought in.
    selection : Selection
        Its graph, what was seen of its scores, positions and groups are kept.

    Examples
    --------
    >>> import io
    >>> from ds2fast.pipeline import select
    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(rng.normal(size=(20, 8)), 10, axis=0)
    >>> rows = centres + 0.1 * rng.normal(size=(200, 8))
    >>> ratings = np.repeat(np.arange(20) % 5, 10)
    >>> chosen = select(scores=ratings, embeddings=rows, n=40, num_levels=5)
    >>> file = io.BytesIO()
    >>> write_state(file, chosen)
    >>> file.seek(0)
    0
    >>> bool((read_state(file).given.scores == ratings).all())
    True
    """
    given = selection.given or _given_of(selection)
    graph = selection.graph
    codes, names = _coded(selection.groups)
    excluded = selection.rules.excluded
    header = {
        "kind": _KIND,
        "format": FORMAT,
        "graph_method": graph.method,
        "graph_recall": None if np.isnan(graph.recall) else graph.recall,
        "graph_recall_interval": graph.recall_interval,
        "num_levels": given.num_levels,
        "group_names": names,
        "excluded": None if excluded is None else [excluded.name, excluded.num_rows],
    }
    arrays: dict[str, Any] = {
        "header": np.frombuffer(orjson.dumps(all_storable(header)), dtype=np.uint8),
        "indices": graph.indices,
        "similarities": graph.similarities,
        "ratings": _small(given.ratings),
        "repeats": _small(given.repeats),
        "gold": _small(given.gold),
        "values": given.values,
        "positions": selection.positions,
        "groups": codes,
    }
    if excluded is not None:
        arrays |= {
            "excluded_rows": excluded.rows,
            "excluded_because": excluded.because,
            "excluded_how": excluded.how,
            "excluded_similarity": excluded.similarity,
        }
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})


def read_state(source: str | os.PathLike[str] | BinaryIO) -> State:
    """Read what `write_state` wrote.

    Parameters
    ----------
    source : path-like or binary file
        The file.

    Raises
    ------
    InputFileError
        It is missing, damaged, of another program or of another version of ds2fast.
    """
    if isinstance(source, str | os.PathLike):
        with _refused(os.fspath(source)), Path(source).open("rb") as file:
            return read_state(file)
    with _refused(str(getattr(source, "name", STATE))):
        arrays = _load(source)
        header = _header_of(arrays)
        state = _state_of(arrays, header)
        _check(state)
        return state


def _load(file: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    found = np.load(file, allow_pickle=False)
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise InputError("one array was found")
    with found:
        return {name: found[name] for name in found.files}


def _header_of(arrays: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, Any]:
    header = orjson.loads(arrays["header"].tobytes()) if "header" in arrays else None
    if not isinstance(header, dict) or header.get("kind") != _KIND:
        raise InputError("it was not written by ds2fast")
    if header.get("format") != FORMAT:
        raise InputError(
            f"it has format {header.get('format')!r}, and this version of ds2fast reads {FORMAT}"
        )
    return header


def _state_of(arrays: Mapping[str, npt.NDArray[Any]], header: Mapping[str, Any]) -> State:
    recall, interval = header["graph_recall"], header.get("graph_recall_interval")
    graph = KnnGraph(
        arrays["indices"],
        arrays["similarities"],
        method=header["graph_method"],
        recall=float("nan") if recall is None else float(recall),
        recall_interval=None if interval is None else (float(interval[0]), float(interval[1])),
    )
    given = Given(
        ratings=arrays["ratings"].astype(np.int64),
        num_levels=int(header["num_levels"]),
        repeats=_wide(arrays.get("repeats")),
        gold=_wide(arrays.get("gold")),
        values=arrays.get("values"),
    )
    return State(
        graph,
        given,
        arrays.get("positions"),
        _wide(arrays.get("groups")),
        tuple(header["group_names"]),
        _exclusion_of(arrays, header["excluded"]),
    )


def _exclusion_of(
    arrays: Mapping[str, npt.NDArray[Any]], told: tuple[str, int] | None
) -> Exclusion | None:
    if told is None:
        return None
    return Exclusion(
        rows=arrays["excluded_rows"],
        because=arrays["excluded_because"],
        how=arrays["excluded_how"],
        name=told[0],
        num_rows=told[1],
        similarity=arrays.get("excluded_similarity"),
    )


def _check(state: State) -> None:
    """Refuse arrays that do not fit each other: kernels read them without looking."""
    num_rows = check_graph(state.graph).num_rows
    if not np.isfinite(state.graph.similarities).all():
        raise InputError("similarities: expected finite values")
    given = state.given
    if given.ratings.ndim != 2 or given.ratings.shape[1] == 0:
        raise InputError(f"ratings: expected shape (N, R), got {given.ratings.shape}")
    if not 2 <= given.num_levels <= MAX_LEVELS:
        raise InputError(f"num_levels: expected 2 to {MAX_LEVELS}, got {given.num_levels}")
    levels = {"ratings": given.ratings, "repeats": given.repeats, "gold": given.gold}
    for name, table in levels.items():
        _check_codes(name, table, num_rows, given.num_levels, lowest=UNRATED)
    _check_codes("groups", state.group_codes, num_rows, len(state.group_names), lowest=0)
    _check_shape("values", given.values, (num_rows,))
    _check_shape("positions", state.positions, (num_rows, 2))
    if state.excluded is not None:
        for name in ("rows", "because", "how", "similarity"):
            _check_shape(f"excluded_{name}", getattr(state.excluded, name), (num_rows,))


def _check_shape(name: str, array: npt.NDArray[Any] | None, shape: tuple[int, ...]) -> None:
    if array is not None and array.shape != shape:
        raise InputError(f"{name}: expected shape {shape}, got {array.shape}")


def _check_codes(
    name: str, table: IntArray | None, num_rows: int, number: int, *, lowest: int
) -> None:
    if table is None:
        return
    if len(table) != num_rows:
        raise InputError(f"{name}: expected {num_rows} rows, got {len(table)}")
    if table.size and (table.min() < lowest or table.max() >= number):
        raise InputError(
            f"{name}: expected {lowest} to {number - 1}, got {table.min()} to {table.max()}"
        )


def _given_of(selection: Selection) -> Given:
    """What was given, of a selection that was put together without it."""
    highest = int(max(selection.given_scores.max(), selection.curation.scores.max()))
    num_levels = selection.settings.get("num_levels") or max(highest + 1, 2)
    return Given(selection.given_scores[:, None], int(num_levels))


def _coded(groups: tuple[str, ...] | None) -> tuple[IntArray | None, list[str]]:
    """Labels as numbers, and the labels, ascending."""
    if groups is None:
        return None, []
    names = sorted(set(groups))
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[group] for group in groups], dtype=np.int64), names


def _small(levels: IntArray | None) -> npt.NDArray[np.int8] | None:
    """Levels in a byte each: there are at most 64."""
    return None if levels is None else levels.astype(np.int8)


def _wide(levels: npt.NDArray[Any] | None) -> IntArray | None:
    return None if levels is None else levels.astype(np.int64)


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """Whatever a damaged or foreign file leads to is told of the file."""
    try:
        yield
    except InputFileError:
        raise
    except FileNotFoundError as error:
        raise InputFileError(f"run: expected the file {name}, which is missing") from error
    except _BROKEN as error:
        raise InputFileError(
            f"run: expected {name} as ds2fast wrote it beside a selection, but it is damaged, of "
            f"another version or of another program ({error}); select again"
        ) from error
