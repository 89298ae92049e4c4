"""One writer at a time: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class WriterLock:
    """An exclusive lock on a file that is made for nothing else and is never removed.

    The kernel lets go of it when the process ends, killed or not; nothing stale can be left.
    It does not reach across machines that share a file system without locks.

    Parameters
    ----------
    path : Path
        The lock's file; its folder must exist.
    work : str
        What a run does that holds the lock, for the message to another.
    """

    def __init__(self, path: Path, work: str = "writing") -> None:
        self._path = path
        self._work = work
        self._descriptor: int | None = None
        self._owner = 0

    def acquire(self) -> str | None:
        """Take the lock without waiting: None where it was taken, else in words why not."""
        self._owner = os.getpid()
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return f"another run is {self._work} there"
        except OSError as error:
            self.release()
            return f"{self._path} cannot be locked ({error.strerror or error})"
        return None

    def has_name(self) -> bool:
        """Whether the file that is locked is still the one of that name: a folder may be removed.

        Only who asks this after `acquire` may use a lock whose file others remove.
        """
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with suppress(OSError):
            # A forked child shares the lock: the owner's release is not to wait for the child's
            # end, and the child's is not to take the lock from its owner.
            if os.getpid() == self._owner:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
