"""Replies on their way to disk: whatever came while one transaction ran goes into the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ds2fast.rating.store import StoredReply


class GroupCommit:
    """Writes replies in the order in which they came, in transactions as small as the disk allows.

    Parameters
    ----------
    write : callable(replies)
        Writes replies for good; it runs in a thread of its own, one call at a time.
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
                await asyncio.to_thread(self._write, batch)
                self._kept(batch)
            if self._is_closed:
                return
