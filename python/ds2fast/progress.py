"""Progress of long work: a bar on a terminal, a callable of the user's, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ds2fast.closing import Closing
from ds2fast.errors import InputTypeError

ProgressCallback = Callable[[str, int, int], None]
"""`callable(stage, done, total)`; called at most some twenty times a second and once at the end."""

Progress = None | bool | ProgressCallback
"""None shows bars where stderr is a terminal, True always, False never; a callable is called.

A stage that takes less than half a second gets no bar.
"""

_INTERVAL = 0.05  # seconds between two reports of one stage
_BAR_DELAY = 0.5  # seconds that a stage must take before it gets a bar
_SCALED_FROM = 10_000  # totals above are written as 12.3k


class Reporter(Closing):
    """Sends `(stage, done, total)` to where the user wants it; use it as a context manager."""

    def __init__(self, progress: Progress = None) -> None:
        if progress is not None and not isinstance(progress, bool) and not callable(progress):
            raise InputTypeError(
                "progress: expected None, a bool or a callable(stage, done, total), "
                f"got {type(progress).__name__}"
            )
        self._callback = progress if callable(progress) else None
        self._is_quiet = progress is False or callable(progress)
        self._shows_bar = progress is True or (progress is None and _stderr_is_terminal())
        self._bar: Any = None
        self._stage: str | None = None
        self._note = ""
        self._finished: str | None = None
        self._entered: tuple[str | None, float] = (None, 0.0)
        self._last: tuple[str | None, float] = (None, 0.0)

    @classmethod
    def of(cls, progress: Progress | Reporter) -> Reporter:
        """Pass a reporter through, or make one: the pipeline's stages share its reporter."""
        return progress if isinstance(progress, Reporter) else cls(progress)

    def update(
        self, stage: str, done: int, total: int, *, unit: str = "it", detail: str = ""
    ) -> None:
        """Report that `done` of `total` units of `stage` are finished; `detail` ends the bar."""
        if self._is_too_soon(stage, done >= total):
            return
        if self._callback is not None:
            self._callback(stage, done, total)
        elif self._shows_bar:
            self._draw(stage, done, total, unit, detail)

    def say(self, words: str) -> None:
        """Tell a line above the bar; also where there is none, but not who wants no progress."""
        if not self._is_quiet and sys.stderr is not None:
            from tqdm import tqdm

            tqdm.write(words, file=sys.stderr)

    def _is_too_soon(self, stage: str, is_end: bool) -> bool:
        """Whether this stage reported just before, and goes on."""
        now = time.monotonic()
        if stage == self._last[0] and not is_end and now - self._last[1] < _INTERVAL:
            return True
        self._last = (stage, now)
        return False

    @contextmanager
    def stage(
        self, stage: str, *, unit: str = "it", note: str = ""
    ) -> Iterator[Callable[[int, int], None] | None]:
        """A `report(done, total)` for one stage of work, or None where nobody listens.

        `note` stands behind the stage's name on its bar: what it is going to take, say.
        """
        if self._callback is None and not self._shows_bar:
            yield None
            return
        self._entered, self._finished = (stage, time.time()), None
        self._note = note
        try:
            yield lambda done, total: self.update(stage, done, total, unit=unit)
        finally:
            self.close()

    def _draw(self, stage: str, done: int, total: int, unit: str, detail: str = "") -> None:
        if stage == self._finished and done >= total:
            return  # the end was shown already
        self._finished = None
        if stage != self._stage:
            self.close()
            self._bar = self._new_bar(stage, total, unit)
            self._stage = stage
        if detail:
            self._bar.set_postfix_str(detail, refresh=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close()
            self._finished = stage

    def _new_bar(self, stage: str, total: int, unit: str) -> Any:
        """A bar whose clock began when the stage did: kernels tell their total some time later."""
        from tqdm import tqdm

        bar = tqdm(
            total=total,
            desc=f"{stage} ({self._note})" if self._note else stage,
            unit=unit,
            unit_scale=total > _SCALED_FROM,
            file=sys.stderr,
            delay=_BAR_DELAY,
            dynamic_ncols=True,
            leave=True,
        )
        if stage == self._entered[0]:
            bar.start_t = bar.last_print_t = self._entered[1]
        return bar

    def close(self) -> None:
        """Finish the bar that is drawn, if any."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None
        self._stage = None


def _stderr_is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()  # None in a process without a console
