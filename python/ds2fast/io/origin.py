"""What a file of vectors was made from: a small JSON beside it ties each row to its text."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ds2fast.embedding.hashes import hash_texts
from ds2fast.errors import InputError, InputFileError, OutputError
from ds2fast.io.atomic import atomic_file
from ds2fast.io.output import MADE_BY
from ds2fast.io.vectors import save_vectors
from ds2fast.io.write import write_manifest
from ds2fast.results import FloatArray

_KIND = "vectors"


@dataclass(frozen=True)
class Origin:
    """What `embed` wrote of a file of vectors.

    Attributes
    ----------
    vectors : Path
        The file of vectors.
    texts_sha256 : str
        Digest of the texts in order, see `digest_texts`.
    rows, dimensions : int
        Shape of the vectors.
    model : str
        The encoder that made them.
    """

    vectors: Path
    texts_sha256: str
    rows: int
    dimensions: int
    model: str

    def check_texts(self, texts: Sequence[str]) -> None:
        """Refuse texts that are not those of the vectors, one by one.

        Raises
        ------
        InputError
            These are other texts, or the same in another order.
        """
        if len(texts) != self.rows:
            raise InputError(
                f"embeddings: expected one row a text ({len(texts)}), got {self.rows} in "
                f"{self.vectors}: these vectors are of other texts"
            )
        found = digest_texts(texts)
        if found != self.texts_sha256:
            raise InputError(
                f"embeddings: expected vectors of the texts that were read (digest {found[:12]}), "
                f"got in {self.vectors} those of digest {self.texts_sha256[:12]}: these vectors "
                "are of other texts or in another order; embed these, or name the --text that the "
                "vectors were made with"
            )


def origin_place(vectors: str | os.PathLike[str]) -> Path:
    """Where the origin of a file of vectors lies.

    Examples
    --------
    >>> origin_place("vectors.npy").name
    'vectors.npy.json'
    """
    return Path(f"{os.fspath(vectors)}.json")


def digest_texts(texts: Sequence[str]) -> str:
    """SHA-256 of the hashes of the texts in their order.

    Examples
    --------
    >>> digest_texts(["a", "b"]) == digest_texts(["b", "a"])
    False
    """
    return hashlib.sha256(hash_texts(texts).tobytes()).hexdigest()


def check_origin_output(vectors: str | os.PathLike[str]) -> None:
    """Refuse to replace a file beside the vectors that `embed` did not write.

    Raises
    ------
    OutputError
        Something else has the name.
    """
    place = origin_place(vectors)
    if not os.path.lexists(place):
        return
    try:
        _read_ours(place)
    except (OSError, ValueError):
        raise OutputError(
            f"output: {place} is there, where the vectors' origin is to be written, and is none "
            "of ours; name another file"
        ) from None


def save_with_origin(
    path: Path, vectors: FloatArray, texts: Sequence[str], encoder: Mapping[str, Any]
) -> None:
    """Write vectors, and beside them what they were made from.

    Each takes its name when it is whole, the vectors first: should it end between the two, the
    hash in the old origin tells that it is not of these vectors.

    Parameters
    ----------
    path : Path
        Where the vectors go.
    vectors : (N, d) float32
        A row for each text.
    texts : sequence of str
        As they were embedded.
    encoder : mapping
        What made the vectors, as in a manifest.

    Raises
    ------
    OutputError
        The operating system refused, or the file beside is none of ours.
    """
    check_origin_output(path)
    save_vectors(path, vectors)
    rows, dimensions = vectors.shape
    record = {
        "kind": _KIND,
        "vectors": path.name,
        "vectors_sha256": _file_sha256(path),
        "rows": rows,
        "dimensions": dimensions,
        "texts_sha256": digest_texts(texts),
        "encoder": encoder,
        "version": version("ds2fast"),
    }
    with atomic_file(origin_place(path)) as file:
        write_manifest(file, record)


def load_origin(path: str | os.PathLike[str], shape: tuple[int, ...]) -> Origin | None:
    """What is written of a file of vectors of this shape; None where nothing is.

    Raises
    ------
    InputFileError
        It cannot be read, or is of other vectors than those that are in the file now.
    """
    place, vectors = origin_place(path), Path(path)
    try:
        found = _read_ours(place)
        origin = Origin(
            vectors,
            str(found["texts_sha256"]),
            int(found["rows"]),
            int(found["dimensions"]),
            str(found["encoder"]["name"]),
        )
        written = found["vectors_sha256"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputFileError(
            f"embeddings: expected in {place} what `ds2fast embed` writes beside vectors, got "
            f"something else ({error}); move it away to use {vectors} on trust"
        ) from error
    if shape != (origin.rows, origin.dimensions) or _file_sha256(vectors) != written:
        raise InputFileError(
            f"embeddings: expected in {vectors} the {origin.rows} x {origin.dimensions} vectors "
            f"that {place} was written for, got others; run `ds2fast embed` again, or delete "
            f"{place} to use them on trust"
        )
    return origin


def _read_ours(place: Path) -> dict[str, Any]:
    found = json.loads(place.read_bytes())
    if not isinstance(found, dict) or (found.get("made_by"), found.get("kind")) != (MADE_BY, _KIND):
        raise ValueError("it does not say that ds2fast made it")
    return found


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
