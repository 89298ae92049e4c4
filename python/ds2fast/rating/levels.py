"""From Overall, 1..10, to the levels 0..5 that the method counts (paper, section on rating)."""

from __future__ import annotations

LOWEST, HIGHEST = 4, 9
NUM_LEVELS = HIGHEST - LOWEST + 1


def level_of(overall: int) -> int:
    """`clip(overall, 4, 9) - 4`.

    Examples
    --------
    >>> [level_of(overall) for overall in range(1, 11)]
    [0, 0, 0, 0, 1, 2, 3, 4, 5, 5]
    """
    return min(max(overall, LOWEST), HIGHEST) - LOWEST
