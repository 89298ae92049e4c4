"""The files that a trainer is given, and their text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ds2fast.trainers.copies import Copy

Setting = tuple[str, Any, str]
"""Name and value of a line of a config, and what is said about it (`""`: nothing)."""

OUTPUT_NOTE = "beside this folder, where --overwrite refuses others' files; one for each training"


@dataclass(frozen=True)
class TrainerFiles:
    """What lies beside the selected rows for a trainer.

    Attributes
    ----------
    files : mapping of str to bytes
        The files' names and contents; none where the trainer can take none of the rows.
    notes : tuple of str
        What the trainer does not take as it stands, each with the number of rows.
    warnings : tuple of str
        Those of the notes that tell of rows that it drops or stops at, or that the copy lacks.
    copy : Copy or None
        Where the trainer cannot take the rows as they are: how they are written anew, in files
        that the config names.
    """

    files: Mapping[str, bytes]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    copy: Copy | None = None


def control_beside(file: str) -> str:
    """Name of a control that lies beside a file of selected rows, and holds rows as it does.

    Examples
    --------
    >>> control_beside("selected.trl.jsonl")
    'control_random.trl.jsonl'
    """
    return file.replace("selected", "control_random", 1)


def config_text(head: Iterable[str], settings: Iterable[Setting]) -> bytes:
    r"""A config as YAML whose values are written as JSON, which YAML takes.

    Examples
    --------
    >>> config_text(["how to run it"], [("a", True, ""), ("sets", [{"b": 1, "c": "x"}], "two")])
    b'# how to run it\na: true\nsets:  # two\n  - b: 1\n    c: "x"\n'
    """
    lines = [f"# {line}" for line in head]
    for name, value, said in settings:
        comment = f"  # {said}" if said else ""
        if isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value):
            lines.append(f"{name}:{comment}")
            lines.extend(line for entry in value for line in _entry(entry))
        else:
            lines.append(f"{name}: {_json(value)}{comment}")
    return ("\n".join(lines) + "\n").encode()


def _entry(entry: Mapping[str, Any]) -> Iterable[str]:
    for number, (name, value) in enumerate(entry.items()):
        yield f"{'    ' if number else '  - '}{name}: {_json(value)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def json_text(value: Any) -> bytes:
    """Indented JSON, as people read it."""
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()
