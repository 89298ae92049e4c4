"""Replies on disk: one that was written is never asked for again, nor lost.

A store is an SQLite file in WAL mode (`database.py` has its tables). What is promised:

- When `write` returns, its replies are on the disk, all of them; where it fails, or its process
  is killed before, none of them is, and what was written before is as it was.
- A reply holds the criteria or the reason why there are none, never both. A rated reply stays.
- One process writes, and holds a lock on the file beside the store; others may read along.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ds2fast.closing import Closing
from ds2fast.errors import InputError, InputFileError, InputTypeError, OutputError
from ds2fast.io.lock import WriterLock
from ds2fast.rating.database import (
    damaged,
    make_database,
    open_database,
    read_from,
    remove_leftovers,
    written_to,
)
from ds2fast.rating.folder import canonical, default_store, ratings_folder
from ds2fast.rating.stored import COLUMNS, StoredReply, as_reply, as_row

__all__ = ["NO_RATER", "ReplyStore", "StoredReply", "default_store", "ratings_folder"]

NO_RATER = 0
"""What a store that is only read gives for a rater that it does not know."""

_READ = f"SELECT {', '.join(COLUMNS)} FROM reply WHERE rater = ? ORDER BY rowid"
_WRITE = f"""
INSERT INTO reply (rater, {", ".join(COLUMNS)}) VALUES (?{", ?" * len(COLUMNS)})
ON CONFLICT (rater, sample, turn)
DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}
WHERE reply.criteria IS NULL
"""


class ReplyStore(Closing):
    """The replies of one or more raters, kept in a file.

    A context manager. Any thread may call it, one at a time.

    Parameters
    ----------
    path : Path
        The file. Only its owner may read what is made here; its folder is made where it is missing.
    create : bool
        Whether the file is made where it is missing.
    readonly : bool
        Read without the writer's lock, also while another run writes; a missing file is empty.

    Attributes
    ----------
    path : Path
        The file.

    Raises
    ------
    InputFileError
        A file that is not ours, newer or damaged, which is left as it is; or that is missing and
        `create` is False.
    OutputError
        Another run is rating there, or the file cannot be made or written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ds2fast.embedding.hashes import text_hash
    >>> frog = text_hash("a frog")
    >>> reply = StoredReply(frog, 0, {"overall": 7}, None, None, '{"overall": 7}', 90, 9, 1, 2.5)
    >>> with ReplyStore(Path("replies.sqlite")) as store:
    ...     rater = store.rater_id({"model": "m", "prompt": "Rate it."})
    ...     store.write(rater, [reply])
    ...     store.replies(rater)[frog, 0].criteria
    {'overall': 7}
    """

    def __init__(self, path: Path, *, create: bool = True, readonly: bool = False) -> None:
        self.path = Path(path)
        self._lock: WriterLock | None = None
        self._database: sqlite3.Connection | None = None
        self._is_open = True
        self._is_readonly = readonly
        try:
            if readonly:
                if os.path.lexists(self.path):
                    self._database = open_database(self.path, writable=False)
            else:
                self._open(create)
        except BaseException:  # also Ctrl-C: the lock is given back
            self.close()
            raise

    def rater_id(self, identity: Mapping[str, Any]) -> int:
        """The number of a rater in this file; a new one is kept, whole.

        Parameters
        ----------
        identity : mapping
            All that its replies depend on besides the sample, as JSON can hold it: model,
            endpoint, prompt, settings. It must hold no secret. The order does not matter.

        Returns
        -------
        int
            From 1. `NO_RATER` where the file is only read and does not know the rater.

        Raises
        ------
        InputTypeError, InputError
            No mapping, or values that JSON cannot hold.
        OutputError
            It cannot be kept.
        """
        text = canonical(identity)
        if not self._is_readonly:
            with written_to(self.path):
                self._opened().execute("INSERT OR IGNORE INTO rater (identity) VALUES (?)", (text,))
        found = self._rows("SELECT id FROM rater WHERE identity = ?", text)
        return int(found[0][0]) if found else NO_RATER

    def raters(self) -> dict[int, dict[str, Any]]:
        """The identity of each rater, by its number."""
        found = self._rows("SELECT id, identity FROM rater ORDER BY id")
        return {number: json.loads(identity) for number, identity in found}

    def replies(self, rater: int) -> dict[tuple[bytes, int], StoredReply]:
        """All replies of a rater, by sample and turn.

        Raises
        ------
        InputFileError
            The file is damaged.
        """
        found = self._rows(_READ, rater)
        try:
            replies = [as_reply(row) for row in found]
        except (InputTypeError, ValueError) as error:
            raise damaged(self.path, error) from error
        return {(reply.sample, reply.turn): reply for reply in replies}

    def write(self, rater: int, replies: Sequence[StoredReply]) -> None:
        """Keep replies; they are on the disk when this returns, all or none.

        A reply takes the place of a failed one of the same sample and turn. A rated one stays.

        Parameters
        ----------
        rater : int
            As `rater_id` gave it.
        replies : sequence of StoredReply
            Any number.

        Raises
        ------
        InputError
            A rater that the file does not know.
        OutputError
            A full disk, say: none of these replies is kept, those before are.
        """
        database = self._opened()
        rows = [(rater, *as_row(reply)) for reply in replies]
        with written_to(self.path):
            database.execute("BEGIN IMMEDIATE")
            try:
                database.executemany(_WRITE, rows)
                database.execute("COMMIT")
            except BaseException as error:  # also Ctrl-C: no transaction stays open
                with suppress(sqlite3.Error):  # a full disk may have rolled it back already
                    database.execute("ROLLBACK")
                if isinstance(error, sqlite3.IntegrityError):
                    raise InputError(
                        f"rater: expected a number that rater_id gave, got {rater}"
                    ) from error
                raise

    def close(self) -> None:
        """Let another run write."""
        self._is_open = False
        database, self._database = self._database, None
        lock, self._lock = self._lock, None
        try:
            if database is not None:
                database.close()
        finally:
            if lock is not None:
                lock.release()

    def _open(self, create: bool) -> None:
        # One file has one lock, also where links give it several names.
        file = Path(os.path.realpath(self.path))
        if not create and not file.exists():
            raise InputFileError(f"ratings: expected a file of replies, {self.path} is not there")
        lock = WriterLock(file.with_name(f"{file.name}.lock"), "rating")
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            refusal = lock.acquire()
            if refusal is not None:
                raise OutputError(
                    f"store: cannot keep replies in {self.path}: {refusal}; wait for it, or name "
                    "another file with store= (--store)"
                )
            self._lock = lock
            remove_leftovers(file)
        except OSError as error:
            raise OutputError(
                f"ratings: cannot keep replies in {self.path}: {error.strerror or error}"
            ) from error
        if not file.exists():
            make_database(file)
        self._database = open_database(file, writable=True)

    def _rows(self, query: str, *values: object) -> list[Any]:
        self._check_open()
        if self._database is None:  # only read, and not there
            return []
        with read_from(self.path):
            return self._database.execute(query, values).fetchall()

    def _opened(self) -> sqlite3.Connection:
        """The file, to write to."""
        self._check_open()
        if self._is_readonly or self._database is None:
            raise OutputError(f"ratings: expected a store to write, {self.path} is only read")
        return self._database

    def _check_open(self) -> None:
        if not self._is_open:
            raise InputError(f"store: expected one that is open, got {self.path} after close()")
