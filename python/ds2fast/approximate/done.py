"""Which steps of a search are finished, with what came of them; without a folder none is kept."""

from __future__ import annotations

from typing import Any

from ds2fast.work import WorkFolder


class Done:
    """Steps of a search in a work folder, or nothing.

    Parameters
    ----------
    work : WorkFolder or None
        Where steps are kept.
    """

    def __init__(self, work: WorkFolder | None) -> None:
        self._work = work

    def value(self, step: str) -> Any:
        """What came of a step; None where it is not finished."""
        if self._work is None or not self._work.is_finished(step):
            return None
        return self._work.value(step)

    def finish(self, step: str, value: Any, *arrays: Any) -> None:
        """Keep what came of a step, once its arrays are on disk."""
        if self._work is not None and not self._work.is_finished(step):
            self._work.note(step, value)
            self._work.finish(step, *arrays)
