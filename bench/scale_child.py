"""Processes of the scale bench: pinned, limited in time, and what a failure of one means."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from knn_processes import RunFailedError, environment_of, pinned_to, run_process

NUMBA_THREADS = "NUMBA_NUM_THREADS"


@dataclass(frozen=True)
class Child:
    """How processes run: threads (and so many CPUs), and the seconds that one may take."""

    threads: int
    limit_seconds: float

    def run(self, command: list[str]) -> str:
        """What it prints.

        Raises
        ------
        RunFailedError
            It ended badly, not in time, or not at all.
        """
        environment = environment_of(os.environ, self.threads, None)
        with pinned_to(self.threads):
            pinned = {**environment, NUMBA_THREADS: str(self.threads)}
            return run_process(command, pinned, self.limit_seconds)


def failure(error: RunFailedError) -> dict[str, Any]:
    """An entry's figures where there are none: why, and whether it took too long."""
    return {"problem": str(error), "too_long": str(error).startswith("took more than")}
