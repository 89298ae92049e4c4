"""How long to wait after trouble: twice as long each time, up to half a minute."""

from __future__ import annotations

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
MOST_DOUBLINGS = 10  # beyond any use, and no overflow


def pause_after(times: int) -> float:
    """Seconds to wait after trouble for the `times`-th time, from 1.

    Examples
    --------
    >>> [pause_after(times) for times in (1, 2, 3, 100)]
    [0.5, 1.0, 2.0, 30.0]
    """
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(times - 1, MOST_DOUBLINGS))
