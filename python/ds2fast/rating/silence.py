"""How long a server has answered nothing, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass

from ds2fast.rating.outcome import Kind
from ds2fast.rating.pauses import pause_after

PATIENCE = 120.0  # seconds without a connection
FIRST_PATIENCE = 15.0  # the same where none was ever had
BUSY_PATIENCE = 600.0  # seconds in which a server refuses all, or asks to wait
MANY_FRESH = 20
"""Samples in a row that all fail at their first try, with nothing answered: it is the server."""

PATIENT = 8  # troubles in a row that may be chance, or the requests of one moment

_SILENT = {Kind.UNREACHABLE, Kind.BUSY, Kind.TIMEOUT}


@dataclass
class Silence:
    """Counts requests that were not answered since one last was; times are seconds of one clock.

    Attributes
    ----------
    is_first : bool
        Whether nothing was ever answered.
    """

    is_first: bool = True
    _fresh: int = 0
    _failing_since: float | None = None
    _since: float | None = None
    _troubles: int = 0
    _paused_at: float = float("-inf")

    def end(self) -> None:
        """Something was answered."""
        self.is_first, self._since, self._troubles = False, None, 0
        self._failing_since, self._fresh = None, 0

    def pause(self, kind: Kind, sent: float, now: float) -> float:
        """Seconds in which nothing is to be sent, after a request of `sent` had trouble.

        Each pause is twice as long as the last. What was in flight at its begin lengthens none.
        """
        if kind not in {Kind.UNREACHABLE, Kind.BUSY} or sent < self._paused_at:
            return 0.0
        self._troubles += 1
        if self._troubles <= PATIENT:
            return 0.0
        self._paused_at = now
        return pause_after(self._troubles - PATIENT)

    def too_long(self, kind: Kind, sent: float, now: float, *, is_fresh: bool) -> str | None:
        """Why it has lasted too long, in words; None where it has not.

        `is_fresh` tells of a sample's first trouble: one that fails again tells of itself. What
        was in flight together may fail in one moment, as behind a proxy that restarts: it is one.
        """
        if is_fresh and kind in {Kind.BROKEN, Kind.TIMEOUT}:
            if self._failing_since is None:
                self._failing_since, self._fresh = now, 1
            else:
                self._fresh += sent >= self._failing_since
        if self._fresh >= MANY_FRESH:
            return f"the first tries of {self._fresh} samples in a row failed"
        if kind not in _SILENT:
            return None
        if self._since is None:
            self._since = now
        patience = BUSY_PATIENCE
        if kind is Kind.UNREACHABLE:
            patience = FIRST_PATIENCE if self.is_first else PATIENCE
        lasted = now - self._since
        return f"for {lasted:.0f} s now" if lasted > patience else None

    def lasted(self, now: float) -> float:
        """Seconds since the first request that was not answered."""
        return 0.0 if self._since is None else now - self._since
