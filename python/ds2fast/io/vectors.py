"""Vectors in a .npy file: float32 (N, d) in the order of the rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputFileError, OutputError
from ds2fast.io.atomic import atomic_file
from ds2fast.io.place import Sources, check_place
from ds2fast.results import FloatArray

_MAGIC = np.lib.format.MAGIC_PREFIX
_ARCHIVE = b"PK"  # how a zip archive begins, and so a .npz


def check_vectors_output(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    source: Sources = None,
) -> Path:
    """Refuse a file that vectors must not go to; call it before long work. Changes nothing.

    Parameters
    ----------
    path : path-like
        Where the vectors are to go; its folder has to be there.
    overwrite : bool
        Whether a .npy file that is there may be replaced. Any other file never is.
    source : path-like, optional
        The file that is read: it must not be the one that would be replaced.

    Raises
    ------
    OutputError
        The file is there and may not be replaced; its folder is missing or cannot be written to.

    Examples
    --------
    >>> check_vectors_output("vectors.npy").name
    'vectors.npy'
    """
    target = check_place(path, source=source)
    try:
        if target.exists():
            _refuse_present(target, overwrite)
    except OSError as error:
        raise OutputError(f"output: cannot write {target}: {error.strerror or error}") from error
    return target


def _refuse_present(target: Path, overwrite: bool) -> None:
    with target.open("rb") as file:
        is_ours = file.read(len(_MAGIC)) == _MAGIC
    if not is_ours:
        raise OutputError(f"output: {target} is there and is no .npy file; name another file")
    if not overwrite:
        raise OutputError(f"output: {target} is there already; --overwrite replaces it")


def save_vectors(path: Path, vectors: FloatArray) -> None:
    """Write vectors under a temporary name, sync, rename.

    Raises
    ------
    OutputError
        The operating system refused; what was there is unchanged.
    """
    with atomic_file(path) as file:
        np.lib.format.write_array(file, vectors, allow_pickle=False)


def load_vectors(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """The array in a .npy file, read from disk as it is needed.

    Raises
    ------
    InputFileError
        A file that is missing, or is no .npy file; of a .npz archive that is said.

    Examples
    --------
    >>> from pathlib import Path
    >>> save_vectors(Path("vectors.npy"), np.eye(2, 3, dtype=np.float32))
    >>> load_vectors("vectors.npy").shape
    (2, 3)
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, ValueError) and _is_archive(path):
            raise InputFileError(
                f"embeddings: expected a .npy file of one array, {os.fspath(path)} is an .npz "
                "archive; take the vectors out of it: numpy.save('vectors.npy', "
                "numpy.load(...)[name])"
            ) from error
        raise InputFileError(
            f"embeddings: expected a .npy file of vectors, could not read {os.fspath(path)}: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error


def _is_archive(path: str | os.PathLike[str]) -> bool:
    with Path(path).open("rb") as file:
        return file.read(len(_ARCHIVE)) == _ARCHIVE
