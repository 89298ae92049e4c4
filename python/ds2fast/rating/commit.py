"""Replies on their way to disk: whatever came while one transaction ran goes into the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from ds2fast.rating.store import StoredReply

QUICK = 0.005  # seconds that the loop may stand still
THREADED = 20  # writes in a thread after a slow one


class GroupCommit:
    """Writes replies in the order in which they came, in transactions as small as the disk allows.

    A quick disk is written to at once: to change threads and back would take longer than the write.
    While it is slow, writes run in a thread, and the loop goes on.

    Parameters
    ----------
    write : callable(replies)
        Writes replies for good; one call at a time.
    kept : callable(replies)
        Hears, on the loop, of replies that are on disk.
    """

    def __init__(
        self,
        write: Callable[[Sequence[StoredReply]], None],
        kept: Callable[[Sequence[StoredReply]], None],
    ) -> None:
        self._write = write
        self._kept = kept
        self._waiting: list[StoredReply] = []
        self._came = asyncio.Event()
        self._is_closed = False
        self._threaded = 0  # writes still to be made in a thread

    def add(self, reply: StoredReply) -> None:
        """Have a reply written; returns at once."""
        self._waiting.append(reply)
        self._came.set()

    def close(self) -> None:
        """Let `run` end when everything is written."""
        self._is_closed = True
        self._came.set()

    async def run(self) -> None:
        """Write until `close`; what `write` raises comes out here."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write_all(batch)
                self._kept(batch)
            if self._is_closed:
                return

    async def _write_all(self, batch: Sequence[StoredReply]) -> None:
        if self._threaded:
            self._threaded -= 1
            await asyncio.to_thread(self._write, batch)
            return
        began = time.monotonic()
        self._write(batch)
        if time.monotonic() - began > QUICK:
            self._threaded = THREADED
