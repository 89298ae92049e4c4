"""Which files of an output directory are results of ours: nothing else is ever removed there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ds2fast.io.atomic import TEMPORARY_NAME

MANIFEST = "manifest.json"
MADE_BY = "ds2fast"

_SETS = ("selected", *(f"control_{name}" for name in ("random", "longest", "top_given")))
_TRAINERS = ("llama-factory", "axolotl", "trl")

RESULTS = (
    *(f"{name}.{kind}" for name in _SETS for kind in ("jsonl", "parquet")),
    "scores.parquet",
    "run.npz",
    MANIFEST,
    "report.html",
)
"""Names of results: a file of this name beside a manifest of ours is ours."""

TRAINER_FILES = (
    "dataset_info.json",
    *(f"{trainer}.yaml" for trainer in _TRAINERS),
    *(f"{name}.{trainer}.jsonl" for name in _SETS for trainer in _TRAINERS),
)
"""Names that users give files too: ours only as long as they are what the manifest lists."""

RATINGS = ("rated.jsonl", "rated.manifest.json")
"""What `select --rate-with` leaves beside a selection; it was paid for, and is never removed."""

# What desktops and network file systems put into a folder by themselves.
_CLUTTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|[Dd]esktop\.ini|\.directory|\.nfs[0-9a-f]+")


def read_manifest(path: Path) -> dict[str, Any] | None:
    """A manifest of ours; None where it is missing, broken, or of others.

    Examples
    --------
    >>> read_manifest(Path("missing.json")) is None
    True
    """
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY
    return manifest if ours else None


def is_ours(file: Path, manifest: Mapping[str, Any] | None) -> bool:
    """Whether a file is a result of ours, by the manifest that lies beside it.

    Parameters
    ----------
    file : Path
        A file of an output directory.
    manifest : mapping or None
        What `read_manifest` found there.

    Examples
    --------
    >>> is_ours(Path("scores.parquet"), None)
    False
    >>> is_ours(Path("scores.parquet"), {"made_by": "ds2fast"})
    True
    """
    if manifest is None:
        return False
    return file.name in RESULTS or _is_as_listed(file, manifest)


def listed_hashes(manifest: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """Names that a manifest lists, each with the hashes that the file may have.

    While results are replaced a file may still be the earlier one: the manifest then lists both.

    Examples
    --------
    >>> listed_hashes({"files": {"trl.yaml": "new"}, "earlier": {"trl.yaml": ["old"]}})
    {'trl.yaml': ['new', 'old']}
    """
    found: dict[str, set[str]] = {}
    for part in ("files", "earlier"):
        listed = {} if manifest is None else manifest.get(part)
        for name, hashes in listed.items() if isinstance(listed, dict) else ():
            some = hashes if isinstance(hashes, list) else [hashes]
            found.setdefault(name, set()).update(value for value in some if isinstance(value, str))
    return {name: sorted(hashes) for name, hashes in found.items()}


def _is_as_listed(file: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest lists a file, and the file is still what it was."""
    hashes = listed_hashes(manifest).get(file.name)
    if hashes is None or file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() in hashes


def is_harmless(file: Path) -> bool:
    """Whether a file that is no result may lie beside results: nobody takes it for theirs.

    That is what a killed save left, the clutter of desktops, and ratings beside the selection.

    Examples
    --------
    >>> is_harmless(Path(".DS_Store")), is_harmless(Path("notes.txt"))
    (True, False)
    """
    if file.name in RATINGS:
        return read_manifest(file.with_name(RATINGS[1])) is not None
    return is_leftover(file.name) or _CLUTTER.fullmatch(file.name) is not None


def is_leftover(name: str) -> bool:
    """Whether a file has a name that only a killed save of ours can have left.

    Examples
    --------
    >>> is_leftover(".scores.parquet.0123456789ab.tmp"), is_leftover("scores.parquet")
    (True, False)
    """
    unfinished = TEMPORARY_NAME.fullmatch(name)
    known = (*RESULTS, *TRAINER_FILES, *RATINGS)
    return unfinished is not None and unfinished.group(1) in known
