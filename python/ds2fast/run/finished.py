"""A finished selection in a folder: its figures, what it was made from, and its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy.typing as npt
import orjson

from ds2fast.errors import InputFileError
from ds2fast.exclusion import Exclusion
from ds2fast.given import Given
from ds2fast.graph import KnnGraph
from ds2fast.io.output import MADE_BY, MANIFEST
from ds2fast.pool import Pool
from ds2fast.results import FloatArray, ShortRepr
from ds2fast.run.rows import Files, read_rows, sha256_of
from ds2fast.run.state import STATE, State, read_state

SCORES = "scores.parquet"

_SECTIONS = ("input", "settings", "curation", "selection", "verdict", "files")
_OPTIONAL_SECTIONS = ("encoder", "embedding_run", "graph", "transition", "rules")
_ENTRIES = (
    ("selection", "trust", int | float),
    ("curation", "min_confidence", int | float | None),
    ("verdict", "word", str),
    ("input", "read", dict | None),
    ("input", "files", list | None),
)
_OF_A_FILE = ("path", "sha256")
_COLUMNS = (
    "index", "given_score", "curated_score", "misrated", "error_probability", "suggested_score",
    "confidence", "expected_score", "rank_key", "long_tail", "rank", "selected", "fate", "reason",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class FinishedRun(ShortRepr):
    """A selection that was saved; `FinishedRun.open` finds it again.

    The manifest is read at once; scores, state and rows when they are first asked for, each checked
    against the hash that was kept of it. All raise `InputFileError` where a file is missing,
    damaged or not the one that was written with the others.

    Attributes
    ----------
    directory : Path
        The folder of the results.
    manifest : mapping
        What `manifest.json` holds.
    """

    directory: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> FinishedRun:
        """Find the results in a folder.

        Raises
        ------
        InputFileError
            No folder, no manifest of ds2fast, or a save that was cut short.

        Examples
        --------
        >>> FinishedRun.open("nowhere")
        Traceback (most recent call last):
            ...
        ds2fast.errors.InputFileError: run: expected the folder of a selection, nowhere is missing
        """
        folder = Path(directory)
        if not folder.is_dir():
            what = "a file" if folder.exists() else "missing"
            raise InputFileError(f"run: expected the folder of a selection, {folder} is {what}")
        return cls(folder, _read_manifest(folder))

    def __len__(self) -> int:
        return len(self.scores["index"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """Arguments in force."""
        settings: Mapping[str, Any] = self.manifest["settings"]
        return settings

    @property
    def encoder(self) -> dict[str, Any] | None:
        """What identifies the encoder and how it ran, as in `Selection.encoder`; None without."""
        lasting = self.manifest.get("encoder")
        return (
            None if lasting is None else {**lasting, **(self.manifest.get("embedding_run") or {})}
        )

    @cached_property
    def scores(self) -> Mapping[str, Any]:
        """Columns of `scores.parquet`: arrays (N,), and words as lists."""
        columns = _read_columns(self._file(SCORES))
        missing = [name for name in _COLUMNS if name not in columns]
        if missing:
            raise _older(self.directory, f"its {SCORES} has no column {missing[0]!r}")
        return columns

    @cached_property
    def state(self) -> State:
        """What the selection was made from, out of `run.npz`."""
        state = read_state(self._file(STATE))
        if state.graph.num_rows != len(self):
            raise _damaged(self.directory / STATE, f"it is of {state.graph.num_rows} rows")
        return state

    @property
    def graph(self) -> KnnGraph:
        """The k-NN graph."""
        return self.state.graph

    @property
    def given(self) -> Given:
        """What was seen of the scores."""
        return self.state.given

    @property
    def positions(self) -> FloatArray | None:
        """(N, 2) float32: a place for each row on a map; None where there were no vectors."""
        return self.state.positions

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The group of each of the N rows; None without groups."""
        return self.state.groups

    @property
    def excluded(self) -> Exclusion | None:
        """Rows that repeat an evaluation file, as they were found; None where none was given."""
        return self.state.excluded

    def pool(self, data: Files | None = None) -> Pool:
        """The rows, read again from the files that they came from, which must not have changed.

        Parameters
        ----------
        data : path-like or list of them, optional
            Where these files lie now, in their order; by default where they were. They are checked
            by the hashes that were kept. `rows` and `pool()` then read them there too.

        Raises
        ------
        InputError
            The rows came from memory or from standard input, or there were none.
        InputFileError
            A file is missing, or is not as it was when the selection was made.
        """
        if data is not None:
            found = read_rows(self.directory, self.manifest["input"], len(self), data)
            vars(self)["_pool"] = found  # as the cached property would keep it
        return self._pool

    def rows(self, indices: npt.ArrayLike) -> list[Any]:
        """Rows as Python objects, in the order of `indices`; errors are those of `pool`."""
        return self.pool().take(indices)

    @cached_property
    def _pool(self) -> Pool:
        return read_rows(self.directory, self.manifest["input"], len(self), None)

    def _file(self, name: str) -> Path:
        """A file of the results, after a look at its hash."""
        path, kept = self.directory / name, self.manifest["files"].get(name)
        if kept is None:
            raise _older(self.directory, f"it has no {name}")
        try:
            found = sha256_of(path)
        except OSError as error:
            raise _damaged(path, error.strerror or str(error)) from error
        if found != kept:
            raise _damaged(path, f"it is not the one that {MANIFEST} was written with")
        return path


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputFileError(
            f"run: expected the folder of a selection, but {folder} holds no {MANIFEST}"
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(path, getattr(error, "strerror", None) or str(error)) from error
    if not isinstance(manifest, dict) or manifest.get("made_by") != MADE_BY:
        raise InputFileError(
            f"run: expected the folder of a selection, but {path} was not written by ds2fast"
        )
    if not manifest.get("complete", True):
        raise InputFileError(
            f"run: expected finished results, but the save in {folder} was cut short; select again"
        )
    wrong = next(_wrong_entries(manifest), None)
    if wrong is not None:
        raise _older(folder, f"its {MANIFEST} says nothing of {wrong!r}, or something else")
    return manifest


def _wrong_entries(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Names of what is missing, or is not what it should be, as far as anything reads it."""
    yield from (name for name in _SECTIONS if not isinstance(manifest.get(name), dict))
    for name in _OPTIONAL_SECTIONS:
        if not isinstance(manifest.get(name), dict | None):
            yield name
    for section, name, kind in _ENTRIES:
        if not isinstance(manifest[section].get(name), kind):
            yield f"{section}.{name}"
    for file in manifest["input"].get("files") or []:
        if not (isinstance(file, dict) and {type(file.get(key)) for key in _OF_A_FILE} == {str}):
            yield "input.files"


def _read_columns(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from error
    return {name: _values(table.column(name)) for name in table.column_names}


def _values(column: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.to_pylist()
    return column.to_numpy()


def _damaged(path: Path, cause: str) -> InputFileError:
    return InputFileError(
        f"run: expected {path} as ds2fast wrote it, but it is damaged or was replaced ({cause}); "
        "select again"
    )


def _older(folder: Path, what: str) -> InputFileError:
    return InputFileError(
        f"run: expected the folder of a selection, but {folder} was written by another version of "
        f"ds2fast, or holds something else ({what}); select again"
    )
