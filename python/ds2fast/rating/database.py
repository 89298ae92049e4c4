"""The SQLite file that replies are kept in: made, checked and opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ds2fast.errors import InputFileError, OutputError
from ds2fast.io.atomic import TEMPORARY_NAME, atomic_file

APPLICATION_ID = int.from_bytes(b"DS2R", "big")
VERSION = 1

# A reply has criteria or a reason, never both: no failure can be read as a number.
_SCHEMA = f"""
PRAGMA journal_mode = MEMORY;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
BEGIN;
CREATE TABLE rater (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL UNIQUE
);
CREATE TABLE reply (
    rater INTEGER NOT NULL REFERENCES rater (id),
    sample BLOB NOT NULL,
    turn INTEGER NOT NULL,
    criteria TEXT,
    expected REAL,
    reason TEXT,
    content TEXT,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (rater, sample, turn),
    CHECK ((criteria IS NULL) <> (reason IS NULL)),
    CHECK (expected IS NULL OR criteria IS NOT NULL)
);
COMMIT;
PRAGMA journal_mode = WAL;
"""

_MAGIC = b"SQLite format 3\0"
_HEADER = 100  # bytes; the version of the schema is at 60, the application's id at 68
_BUSY_SECONDS = 30.0


def make_database(path: Path) -> None:
    """Make an empty file of replies that its owner alone may read; it takes its name when whole.

    Raises
    ------
    OutputError
        The operating system refused, or a log lies there whose file is gone.
    """
    _remove_empty_log(path)
    with atomic_file(path) as file, _told(path, "cannot make"):
        os.fchmod(file.fileno(), 0o600)
        with closing(sqlite3.connect(file.name, isolation_level=None)) as database:
            database.executescript(_SCHEMA)


def _remove_empty_log(path: Path) -> None:
    """Refuse the log of a file that is gone: SQLite would play it into the new one."""
    log = path.with_name(f"{path.name}-wal")
    try:
        if log.exists() and log.stat().st_size:
            raise OutputError(
                f"ratings: cannot make {path}: {log} holds the last replies of a file that is "
                "gone; bring that back or remove this one"
            )
        log.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"ratings: cannot make {path}: {error.strerror or error}") from error


def open_database(path: Path, *, writable: bool) -> sqlite3.Connection:
    """Open a file of replies; one that is not ours, newer or damaged is not changed.

    Raises
    ------
    InputFileError
        It cannot be read, is another kind of file, of a newer version, or damaged.
    OutputError
        It is to be written, and cannot be.
    """
    check_kind(path)
    with read_from(path):
        reader = _connect(path, "ro")
        if not writable:
            return reader
        with closing(reader):
            _check_pages(path, reader)
    with written_to(path):
        writer = _connect(path, "rw")
        try:
            _prepare(path, writer)
        except BaseException:  # also Ctrl-C: the file is let go
            writer.close()
            raise
        return writer


def check_kind(path: Path) -> None:
    """Refuse a file that is no file of replies of this version.

    Raises
    ------
    InputFileError
        Anything else than a file that `make_database` made.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise InputFileError(
            f"ratings: expected a file of replies that can be read, got {path}: "
            f"{error.strerror or error}"
        ) from error
    ours = header.startswith(_MAGIC) and _number(header, 68) == APPLICATION_ID
    if len(header) < _HEADER or not ours:
        raise InputFileError(
            f"ratings: expected a file of replies that ds2fast made, {path} is another kind of "
            "file; name another one"
        )
    if _number(header, 60) != VERSION:
        raise InputFileError(
            f"ratings: expected replies in version {VERSION}, {path} has version "
            f"{_number(header, 60)}; a newer ds2fast made it, which can read it"
        )


def _number(header: bytes, place: int) -> int:
    return int.from_bytes(header[place : place + 4], "big")


def remove_leftovers(path: Path) -> None:
    """Remove what a process left that was killed while it made the file."""
    for entry in path.parent.iterdir():
        unfinished = TEMPORARY_NAME.fullmatch(entry.name)
        if unfinished is not None and unfinished.group(1) == path.name:
            entry.unlink(missing_ok=True)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _check_pages(path: Path, database: sqlite3.Connection) -> None:
    """Read all pages: what is damaged anywhere is told before anything is written or asked."""
    fault = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if fault != "ok":
        raise damaged(path, " ".join(fault.split()))


def _prepare(path: Path, database: sqlite3.Connection) -> None:
    mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise OutputError(
            f"ratings: expected a file system on which SQLite can keep a write-ahead log, that of "
            f"{path} gives the mode {mode!r}; name a file on another one"
        )
    # What was committed outlives a power cut, also on macOS, whose plain sync does not reach the
    # disk.
    for setting in ("synchronous = FULL", "fullfsync = ON", "foreign_keys = ON"):
        database.execute(f"PRAGMA {setting}")


def damaged(path: Path, fault: object) -> InputFileError:
    """The error for a file that is not what was written."""
    return InputFileError(
        f"ratings: expected whole replies, {path} is damaged ({fault}); it was left as it is: "
        "name another file or bring back a copy of it"
    )


@contextmanager
def read_from(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file that is read into an `InputFileError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputFileError(f"ratings: cannot read {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, error) from error


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file that is written into an `OutputError`."""
    with _told(path, "cannot keep replies in"):
        yield


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(
            f"ratings: {what} {path}: {error}; what was kept before can still be read"
        ) from error
