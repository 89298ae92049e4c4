"""From the replies to samples to the columns of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ds2fast.checks import UNRATED
from ds2fast.rating.job import RatingJob
from ds2fast.rating.levels import level_of
from ds2fast.rating.notes import NO_TEXT, NOT_ASKED
from ds2fast.rating.rater import Rater
from ds2fast.rating.result import RaterScores
from ds2fast.rating.store import StoredReply
from ds2fast.rating.tally import Tally
from ds2fast.rating.tasks import Replies
from ds2fast.results import BoolArray, DoubleArray, IntArray

COMMON = 0.01  # share of the replies that must have a criterion that was not asked for


def gather(
    job: RatingJob,
    rater: Rater,
    field: str,
    replies: Replies,
    *,
    tally: Tally,
    cost: float | None,
    kept: int,
    store: str,
    form: Mapping[str, Any] | None = None,
) -> RaterScores:
    """What a rater gave to each row; see `RaterScores`.

    Only turns that this rating wants are read: a store may hold more, of another run.
    """
    keys = job.samples.keys
    first = [replies.get((key, 0)) for key in keys]
    overall = np.array([_overall(reply) for reply in first] + [UNRATED], dtype=np.int64)
    of_row = job.samples.of_row  # −1, the last place, where a row has no text
    return RaterScores(
        model=rater.model,
        endpoint=rater.endpoint.name,
        identity=rater.identity(),
        form=form,
        field=field,
        scores=_levels(overall)[of_row],
        criteria=_criteria(first, rater, of_row),
        expected=_expected(first, of_row) if rater.logprobs else None,
        repeats=_repeats(job, replies)[of_row],
        reasons=_reasons(first, of_row),
        pending=_pending(job, replies)[of_row],
        tally=tally,
        cost=cost,
        spent=_spent(job, rater, replies),
        kept=kept,
        store=store,
    )


def _overall(reply: StoredReply | None) -> int:
    return UNRATED if reply is None or reply.criteria is None else reply.criteria["overall"]


def _levels(overall: IntArray) -> IntArray:
    found = [UNRATED if value == UNRATED else level_of(value) for value in overall.tolist()]
    return np.array(found, dtype=np.int64)


def _criteria(
    first: list[StoredReply | None], rater: Rater, of_row: IntArray
) -> dict[str, IntArray]:
    """Each criterion of the prompt, and others that replies to a prompt of the user's own have.

    A model may make one up now and then: what fewer than 1 % of the replies have is passed over.
    """
    given = [reply.criteria for reply in first if reply is not None and reply.criteria is not None]
    had = Counter(name for criteria in given for name in criteria)
    names = dict.fromkeys(rater.prompt.criteria)
    names |= dict.fromkeys(name for name, count in had.items() if count >= COMMON * len(given))
    columns = {}
    for name in names:
        values = [UNRATED] * (len(first) + 1)
        for place, reply in enumerate(first):
            if reply is not None and reply.criteria is not None:
                values[place] = reply.criteria.get(name, UNRATED)
        columns[name.replace(" ", "_")] = np.array(values, dtype=np.int64)[of_row]
    return columns


def _expected(first: list[StoredReply | None], of_row: IntArray) -> DoubleArray:
    found = [None if reply is None else reply.expected for reply in first]
    values = [np.nan if value is None else value for value in found]
    return np.array([*values, np.nan], dtype=np.float64)[of_row]


def _repeats(job: RatingJob, replies: Replies) -> IntArray:
    """(S + 1, K−1) levels of the repeats of the samples that were drawn for it."""
    settings, samples = job.settings, job.samples
    found = np.full((len(samples) + 1, settings.repeat - 1), UNRATED, dtype=np.int64)
    for place in job.repeated:
        for turn in range(1, settings.repeat):
            overall = _overall(replies.get((samples.keys[place], turn)))
            if overall != UNRATED:
                found[place, turn - 1] = level_of(overall)
    return found


def _reasons(first: list[StoredReply | None], of_row: IntArray) -> list[str | None]:
    reasons = [NOT_ASKED if reply is None else reply.reason for reply in first]
    return [NO_TEXT if place < 0 else reasons[place] for place in of_row.tolist()]


def _pending(job: RatingJob, replies: Replies) -> BoolArray:
    """(S + 1,) samples of which any wanted reply was not asked for; no text is never asked for."""
    settings, samples = job.settings, job.samples
    found = np.array([(key, 0) not in replies for key in samples.keys] + [False])
    for place in job.repeated:
        turns = ((samples.keys[place], turn) for turn in range(settings.repeat))
        found[place] = any(turn not in replies for turn in turns)
    return found


def _spent(job: RatingJob, rater: Rater, replies: Replies) -> dict[str, Any]:
    """What all replies of this rating took, whenever they were had."""
    samples, settings, price = job.samples, job.settings, job.price_of(rater)
    turns = dict.fromkeys(job.repeated, settings.repeat)
    keys = (
        (key, turn) for place, key in enumerate(samples.keys) for turn in range(turns.get(place, 1))
    )
    had = [replies[key] for key in keys if key in replies]
    prompt = sum(reply.prompt_tokens for reply in had)
    completion = sum(reply.completion_tokens for reply in had)
    cost = None
    if price is not None:
        cost = price.cost(prompt_tokens=prompt, completion_tokens=completion)
    return {
        "replies": len(had),
        "failed": sum(not reply.is_rated for reply in had),
        "requests": sum(reply.requests for reply in had),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cost": cost,
    }
