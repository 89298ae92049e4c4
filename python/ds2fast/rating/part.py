"""One rater's part of a rating: what is kept is read, what is missing is asked for, under a bar."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ds2fast.errors import InputError, RatingAlarm, ServerError
from ds2fast.progress import Reporter
from ds2fast.rating.alarms import Alarms
from ds2fast.rating.budget import Budget
from ds2fast.rating.client import ChatClient
from ds2fast.rating.drive import drive
from ds2fast.rating.gather import gather
from ds2fast.rating.job import RatingJob
from ds2fast.rating.queue import AttemptQueue
from ds2fast.rating.rater import Rater
from ds2fast.rating.request import RequestForm
from ds2fast.rating.result import RaterScores
from ds2fast.rating.run import GRACE, Ending, RatingRun, Watched
from ds2fast.rating.settings import RatingSettings
from ds2fast.rating.store import ReplyStore, StoredReply
from ds2fast.rating.tally import Tally
from ds2fast.rating.tasks import plan_tasks
from ds2fast.rating.words import describe_state, short_name

SILENT = 3.0  # seconds without an answer that the bar tells of


def rate_with(
    job: RatingJob, rater: Rater, field: str, reporter: Reporter, *, keep_going: bool
) -> tuple[RaterScores, str]:
    """Get what is missing of one rater, then gather what it gave to the rows.

    Returns
    -------
    scores : RaterScores
        What the rater gave to each row.
    ending : str
        "done", or why not all was asked for.
    """
    with ReplyStore(job.store_of(rater)) as store:
        part = _Part(job, rater, store, keep_going=keep_going)
        ending = part.ask(reporter)
        return part.gathered(field), ending


class _Part:
    """One rater, its store, and what is wanted of it."""

    def __init__(
        self, job: RatingJob, rater: Rater, store: ReplyStore, *, keep_going: bool
    ) -> None:
        self._job, self._rater, self._store, self._keep_going = job, rater, store, keep_going
        self._number = store.rater_id(rater.identity())
        self._replies = dict(store.replies(self._number))
        self._plan = plan_tasks(job.samples, self._replies, job.settings)
        self._tally = Tally()
        self._form: dict[str, Any] | None = None
        self._alarms = Alarms(watches_repeats=job.settings.repeat > 1)
        self._alarms.see_all(self._standing())

    def _standing(self) -> list[StoredReply]:
        """Replies of this rating that were had before, but for those that are to be asked again."""
        keys = ((self._job.samples.keys[place], turn) for place, turn in self._plan.wanted)
        found = [self._replies[key] for key in keys if key in self._replies]
        if self._job.settings.retry_failed:
            return [reply for reply in found if reply.is_rated]
        return found

    def ask(self, reporter: Reporter) -> str:
        """Ask for what is missing; the ending in words."""
        self._check_alarms(at_end=not self._plan.missing, before=True)
        if not self._plan.missing:
            return "done"
        run = self._new_run()
        self._drive(run, reporter)
        self._form = asdict(run.form)
        _raise_for(run, self._store.path)
        if run.ending is Ending.COST:
            self._check_cost(run)
            return run.reason
        self._check_alarms(at_end=True)
        keys = ((self._job.samples.keys[place], turn) for place, turn in self._plan.wanted)
        if any(key not in self._replies for key in keys):
            return f"limit={self._job.settings.limit}"
        return "done"

    def gathered(self, field: str) -> RaterScores:
        """What the rater gave to each row."""
        return gather(
            self._job,
            self._rater,
            field,
            self._replies,
            tally=self._tally,
            cost=self._tally.cost(self._job.price_of(self._rater)),
            kept=self._plan.num_kept,
            store=os.fspath(self._store.path),
            form=self._form,
        )

    def _new_run(self) -> RatingRun:
        settings, prompt = self._job.settings, self._rater.prompt
        counter = self._job.counter_of(self._rater, self._replies)
        price = self._job.price_of(self._rater)
        budget = Budget(price, settings.max_cost, settings.max_reply_tokens, counter)
        return RatingRun(
            _open_client(self._rater, settings),
            prompt,
            AttemptQueue(self._plan.tasks(prompt, counter)),
            self._write,
            Watched(self._tally, budget, self._alarms, self._keep_going),
            concurrency=settings.concurrency,
            max_tries=settings.max_tries,
        )

    def _write(self, batch: Sequence[StoredReply]) -> None:
        self._store.write(self._number, batch)
        self._replies.update(((reply.sample, reply.turn), reply) for reply in batch)

    def _drive(self, run: RatingRun, reporter: Reporter) -> None:
        """Run to the end under a bar that is named after the model."""
        stage, start = f"rating with {short_name(self._rater.model)}", time.monotonic()
        total, price = len(self._plan.missing), self._job.price_of(self._rater)

        def watch() -> None:
            detail = describe_state(self._tally, price, time.monotonic() - start)
            if run.silent_seconds > SILENT:
                detail = f"no answer for {run.silent_seconds:.0f} s, {detail}"
            reporter.update(stage, self._tally.replies, total, unit="reply", detail=detail)

        def stopping() -> None:
            reporter.say(
                f"stopping: {run.num_in_flight} requests in flight are awaited for up to "
                f"{GRACE:.0f} s; Ctrl-C again gives them up"
            )

        with reporter.stage(stage, unit="reply"):
            try:
                drive(run, watch, stopping)
            except KeyboardInterrupt as stop:
                stop.add_note(
                    f"{run.num_kept} replies of this run are kept in {self._store.path}; the same "
                    "command goes on from there"
                )
                raise

    def _check_alarms(self, *, at_end: bool, before: bool = False) -> None:
        """Raise an alarm over all replies that were had."""
        reason = None if self._keep_going else self._alarms.raised(at_end=at_end)
        if reason is not None:
            asked = "nothing was asked now, " if before else ""
            raise RatingAlarm(
                _alarm_words(reason, f"{asked}all replies are kept in {self._store.path}")
            )

    def _check_cost(self, run: RatingRun) -> None:
        """Refuse a cost that no request can be had for."""
        if not self._tally.requests:
            raise InputError(
                f"max_cost: expected enough for one request, got {self._job.settings.max_cost:g}: "
                f"{run.reason}"
            )


def _open_client(rater: Rater, settings: RatingSettings) -> ChatClient:
    form = RequestForm(
        temperature=rater.temperature,
        max_reply_tokens=settings.max_reply_tokens,
        length_name="max_completion_tokens" if rater.endpoint.is_openai else "max_tokens",
        reply_format="json_object" if rater.prompt.schema is None else "json_schema",
        logprobs=rater.logprobs,
    )
    return ChatClient(
        rater.endpoint,
        rater.model,
        form,
        schema=rater.prompt.schema,
        timeout=settings.timeout,
        concurrency=settings.concurrency,
    )


def _raise_for(run: RatingRun, store: os.PathLike[str]) -> None:
    """Raise what ended a run, if anything was wrong."""
    kept = f"{run.num_kept} replies of this run are kept in {store}"
    if run.ending is Ending.ALARM:
        raise RatingAlarm(_alarm_words(run.reason, kept))
    if run.ending is Ending.SERVER:
        goes_on = f"; {kept}, and the next run goes on from there" if run.num_kept else ""
        raise ServerError(f"{run.reason}{goes_on}")


def _alarm_words(reason: str, kept: str) -> str:
    return (
        f"{reason}; {kept}. See to the prompt, the model or the server; keep_going=True "
        "(--keep-going) goes on and uses them all the same, retry_failed=True "
        "(ds2fast rate --retry-failed) asks again for what failed"
    )
