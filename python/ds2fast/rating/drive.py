"""A run on a loop of its own, while progress and Ctrl-C stay with the caller's thread."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ds2fast.rating.run import RatingRun

INTERVAL = 0.1  # seconds between two looks at a run


class _LoopThread(threading.Thread):
    """Runs a run on a new loop: the caller's thread may have a loop already, as in a notebook."""

    def __init__(self, run: RatingRun) -> None:
        super().__init__(name="ds2fast-rating", daemon=True)
        self._run = run
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None
        self.began, self.ended = threading.Event(), threading.Event()

    def run(self) -> None:
        """Run to the end; an error is kept for the caller."""
        try:
            asyncio.run(self._main())
        except BaseException as error:  # raised again by `finish`, in the caller's thread
            self.error = error
        finally:
            self.began.set()
            self.ended.set()

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self.began.set()
        await self._run.run()

    def stop(self) -> None:
        """Have the run send no more."""
        self._call(self._run.stop)

    def cancel(self) -> None:
        """Have the run give up what is in flight."""
        self.began.wait()
        if self._task is not None:
            self._call(self._task.cancel)
        self.join()

    def finish(self) -> None:
        """Wait for the end, and raise what the run raised."""
        self.join()
        if self.error is not None:
            raise self.error

    def _call(self, function: Callable[[], object]) -> None:
        self.began.wait()
        if self._loop is not None and not self.ended.is_set():
            try:
                self._loop.call_soon_threadsafe(function)
            except RuntimeError:  # the loop was closed just now: the run is over
                return


def drive(run: RatingRun, watch: Callable[[], None], stopping: Callable[[], None]) -> None:
    """Run `run` to its end.

    Parameters
    ----------
    run : RatingRun
        What is run.
    watch : callable
        Called ten times a second, in the caller's thread.
    stopping : callable
        Called when Ctrl-C has stopped the run and requests in flight are awaited.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C was pressed; requests in flight were awaited, unless it was pressed again.
    """
    with _old_objects_passed_over(), _ctrl_c_raised():
        _drive(_LoopThread(run), watch, stopping)


@contextmanager
def _old_objects_passed_over() -> Iterator[None]:
    """Have garbage looked for among new objects only.

    A pool of a million rows and all modules would else be gone through again and again for what
    requests leave behind: a tenth of the time at least.
    """
    if gc.get_freeze_count():  # somebody else's: it is not ours to undo
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _ctrl_c_raised() -> Iterator[None]:
    """Have Ctrl-C raise also where the caller's thread runs a loop.

    `asyncio.run` puts the signal by until its loop goes on, which is when the rating is over.
    """
    if not _has_running_loop() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _has_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _drive(thread: _LoopThread, watch: Callable[[], None], stopping: Callable[[], None]) -> None:
    try:
        thread.start()
        _watch(thread, watch)
    except KeyboardInterrupt:
        thread.stop()
        stopping()
        try:
            _watch(thread, watch)
        except KeyboardInterrupt:
            thread.cancel()
        raise KeyboardInterrupt from thread.error  # a full disk is to be seen even so
    except BaseException:  # what watches failed: nothing may run on unseen
        thread.cancel()
        raise
    thread.finish()


def _watch(thread: _LoopThread, watch: Callable[[], None]) -> None:
    while not thread.ended.wait(INTERVAL):
        watch()
    watch()
