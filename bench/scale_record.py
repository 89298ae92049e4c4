"""Figures of one part of the scale bench, in a file that is whole after every one of them.

A run that is cut off goes on where it stopped. Ratios are of one run on one machine, with one
build of the package: a file of another is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ds2fast.io.atomic import atomic_file

Entry = dict[str, Any]
"""What was measured: `key` says of what, `problem` why there is no figure (None: there are)."""


@dataclass
class Record:
    """Entries by key, in the order they came.

    Attributes
    ----------
    path : Path
        The file, which need not be there yet.
    about : dict
        Machine, build and versions; a file of others is refused.
    """

    path: Path
    about: dict[str, Any]
    entries: list[Entry] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, part: str, about: Mapping[str, Any], *, anew: bool) -> Record:
        """The record of a part in a folder, with what an earlier run left there."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"scale-{part}.json"
        record = cls(path, json.loads(json.dumps({"benchmark": f"scale {part}", **about})))
        if path.exists() and not anew:
            record.entries = record._kept(read_record(path))
        return record

    def _kept(self, found: dict[str, Any]) -> list[Entry]:
        entries: list[Entry] = found.pop("entries")
        for name, value in self.about.items():
            if found.get(name) != value:
                raise SystemExit(
                    f"{self.path}: holds figures of {name} {found.get(name)!r}, these are of "
                    f"{value!r}; start with --anew, or name another folder with --out"
                )
        # What failed is tried again, what took too long is not: it would again.
        return [one for one in entries if one["problem"] is None or one.get("too_long")]

    def find(self, **key: Any) -> Entry | None:
        """The entry of this key."""
        return next((one for one in self.entries if one["key"] == key), None)

    def matching(self, **part: Any) -> list[Entry]:
        """Entries whose key holds all this."""
        wanted = part.items()
        return [
            one
            for one in self.entries
            if all(one["key"].get(name) == value for name, value in wanted)
        ]

    def add(self, key: dict[str, Any], figures: Mapping[str, Any]) -> Entry:
        """Keep figures, in place of earlier ones of this key, and write the file."""
        entry: Entry = {"key": key, "problem": None, **figures}
        self.entries = [one for one in self.entries if one["key"] != key] + [entry]
        with atomic_file(self.path) as file:
            whole = self.about | {"entries": self.entries}
            file.write(json.dumps(whole, indent=1).encode() + b"\n")
        return entry


def read_record(path: Path) -> dict[str, Any]:
    """The whole of a file; an end with its name where it is none of ours."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: expected a file of this bench: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("entries"), list):
        raise SystemExit(f"{path}: expected a file of this bench, with entries")
    return found
