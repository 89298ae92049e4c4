"""`rate`: have a pool rated by an LLM (DS2's first stage)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from ds2fast.progress import Progress, Reporter
from ds2fast.rating.alarms import Alarms, RatingAlarm
from ds2fast.rating.budget import Budget
from ds2fast.rating.client import ChatClient, check_extra
from ds2fast.rating.drive import drive
from ds2fast.rating.gather import gather
from ds2fast.rating.job import RatingJob, prepare_rating
from ds2fast.rating.prices import Price
from ds2fast.rating.queue import AttemptQueue
from ds2fast.rating.rater import Rater
from ds2fast.rating.request import RequestForm
from ds2fast.rating.result import RaterScores, Ratings
from ds2fast.rating.run import GRACE, Ending, RatingRun, ServerError, Watched
from ds2fast.rating.settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_REPLY_TOKENS,
    DEFAULT_SAMPLE_TOKENS,
    DEFAULT_TIMEOUT,
    DEFAULT_TRIES,
    RatingSettings,
    check_rating,
)
from ds2fast.rating.store import ReplyStore
from ds2fast.rating.tally import Tally
from ds2fast.rating.tasks import Replies, TaskPlan, plan_tasks
from ds2fast.rating.words import describe_state


def rate(
    data: Any,
    *,
    model: str | Sequence[str],
    base_url: str | None = None,
    api_key_file: str | os.PathLike[str] | None = None,
    text: str | None = None,
    prompt: str | os.PathLike[str] | None = None,
    field: str = "score",
    temperature: float | None = None,
    repeat: int = 1,
    sample: int | None = None,
    logprobs: bool = False,
    max_sample_tokens: int = DEFAULT_SAMPLE_TOKENS,
    max_reply_tokens: int = DEFAULT_REPLY_TOKENS,
    concurrency: int = DEFAULT_CONCURRENCY,
    timeout: float = DEFAULT_TIMEOUT,
    max_tries: int = DEFAULT_TRIES,
    limit: int | None = None,
    max_cost: float | None = None,
    price: tuple[float, float] | None = None,
    retry_failed: bool = False,
    keep_going: bool = False,
    store: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: Progress = None,
) -> Ratings:
    """Have an LLM rate every sample of a pool; paper, section on rating.

    Each sample is rated for rarity, complexity, informativeness and overall, 1..10; overall becomes
    the level `clip(overall, 4, 9) - 4`, 0..5. A reply that cannot be read without doubt is asked
    for again, and then *unrated* with its reason, never a number. Every reply is on disk before the
    next request takes its place: a run that was stopped, however, goes on where it was. Rows of
    equal texts are rated once. Samples are asked for in an order drawn by `seed`: a run that is
    stopped has rated a sample of the pool.

    Parameters
    ----------
    data : path, list, table or Pool
        As `ds2fast.read` takes it.
    model : str or sequence of str
        Model that rates, by its name at the endpoint; several give a column each.
    base_url : str, optional
        Any endpoint that speaks OpenAI's protocol; by default `OPENAI_BASE_URL`, else OpenAI's.
    api_key_file : path, optional
        File with the key; by default it is `OPENAI_API_KEY`. Keys are never stored or shown.
    text : str, optional
        As `ds2fast.read` takes it.
    prompt : path, optional
        File with a prompt of your own, which must ask for JSON with `overall`, 1..10.
    field : str
        Name of the column of scores; others begin with it.
    temperature : float, optional
        How freely the model draws; 0, and 1 with `repeat`.
    repeat, sample : int
        Rate `sample` of the samples `repeat` times in all: what `select` takes as `repeats=`.
    logprobs : bool
        Ask for log probabilities, and give the expected level beside the level.
    max_sample_tokens : int
        Longer samples (counted by rules) are sent without their middle, and are counted.
    max_reply_tokens : int
        Tokens that a reply may have; models that think aloud need thousands.
    concurrency : int
        The most requests in flight; fewer are where the server objects or slows down.
    timeout : float
        Seconds that a request may take.
    max_tries : int
        Requests for one reply; refusals for being one too many are bounded by themselves.
    limit : int, optional
        Samples to ask for in this run.
    max_cost : float, optional
        US dollars that this run may cost for each model; it stops before it could exceed them.
    price : (float, float), optional
        US dollars for a million prompt tokens and a million completion tokens.
    retry_failed : bool
        Ask again for replies that failed in an earlier run.
    keep_going : bool
        Go on where replies seem worth no money; see `RatingAlarm` below.
    store : path, optional
        File that keeps the replies; by default one for each rater in `DS2FAST_RATINGS_DIR` or the
        user's folder for data.
    tokenizer : str or path, optional
        What counts tokens beforehand: a `tokenizer.json`, a directory or a Hugging Face id.
    seed : int
        Seed of the order, and so of which samples are repeated.
    progress : None, bool or callable
        As for `select`; the stage is named after the model and counts replies.

    Returns
    -------
    Ratings
        `.scores` (N,) or (N, R), `.repeats`, `.reasons`, `.save(path)`.

    Raises
    ------
    RatingAlarm
        More than 5 % of the replies failed, more than 60 % of the scores are one level, or all
        replies, or all repeats, are the same. What came is kept.
    ServerError
        The server cannot be reached, refuses the key or the model, or refuses all for ten minutes.
        What came is kept.
    InputError, InputTypeError, InputFileError
        An argument that cannot be used; the message names it.
    OutputError
        Another run is rating into the same store, or it cannot be written.
    MissingExtraError
        The extra `rate` is not installed.

    Examples
    --------
    >>> import ds2fast
    >>> rows = [{"question": "2+2?", "answer": "4"}, {"question": "Why?", "answer": "Because."}]
    >>> ratings = ds2fast.rate(rows, model="judge", base_url=server, keep_going=True)
    >>> ratings.scores.shape, ratings.reasons
    ((2,), [None, None])
    """
    start = time.perf_counter()
    settings = check_rating(
        model=model,
        field=field,
        temperature=temperature,
        repeat=repeat,
        sample=sample,
        logprobs=logprobs,
        max_sample_tokens=max_sample_tokens,
        max_reply_tokens=max_reply_tokens,
        concurrency=concurrency,
        timeout=timeout,
        max_tries=max_tries,
        limit=limit,
        max_cost=max_cost,
        price=price,
        retry_failed=retry_failed,
        store=store,
        seed=seed,
    )
    with Reporter.of(progress) as reporter:
        check_extra()
        job = prepare_rating(
            data,
            settings,
            base_url=base_url,
            api_key_file=api_key_file,
            text=text,
            prompt=prompt,
            tokenizer=tokenizer,
        )
        pairs = zip(job.raters, job.fields, strict=True)
        done = [
            _rate_with(job, rater, name, reporter, keep_going=keep_going) for rater, name in pairs
        ]
    ratings = Ratings(
        pool=job.pool,
        raters=tuple(scores for scores, _ in done),
        settings=_settings_record(settings),
        endings=tuple(ending for _, ending in done),
        num_cut=job.samples.num_cut,
        seconds=time.perf_counter() - start,
    )
    return ratings


def _rate_with(
    job: RatingJob, rater: Rater, field: str, reporter: Reporter, *, keep_going: bool
) -> tuple[RaterScores, str]:
    """Get what is missing of one rater, then gather what it gave to the rows."""
    settings, price = job.settings, job.price_of(rater)
    with ReplyStore(job.store_of(rater)) as store:
        number = store.rater_id(rater.identity())
        replies = dict(store.replies(number))
        plan = plan_tasks(job.samples, replies, settings)
        alarms = Alarms(watches_repeats=settings.repeat > 1)
        alarms.see_all(_known(plan, replies, lasting=not settings.retry_failed))
        if not keep_going:
            _refuse(alarms, store.path, at_end=not plan.missing)
        tally, ending = Tally(), "done"
        if plan.missing:
            counter = job.counter_of(rater, replies)
            budget = Budget(price, settings.max_cost, settings.max_reply_tokens, counter)
            watched = Watched(tally, budget, alarms, keep_going)
            queue = AttemptQueue(plan.tasks(rater.prompt, counter))
            run = RatingRun(
                _open_client(rater, settings),
                rater.prompt,
                queue,
                lambda batch: store.write(number, batch),
                watched,
                concurrency=settings.concurrency,
                max_tries=settings.max_tries,
            )
            _drive(run, reporter, rater.model, len(plan.missing), tally, price)
            _raise_for(run, store.path)
            if run.ending is Ending.COST:
                ending = run.reason
            elif not keep_going:
                _refuse(alarms, store.path, at_end=True)
            replies = dict(store.replies(number))
        if ending == "done" and settings.limit is not None and _lacking(plan, replies):
            ending = f"limit={settings.limit}"
        path = os.fspath(store.path)
    scores = gather(
        job,
        rater,
        field,
        replies,
        tally=tally,
        cost=tally.cost(price),
        kept=plan.num_kept,
        store=path,
    )
    return scores, ending


def _known(plan: TaskPlan, replies: Replies, *, lasting: bool) -> list[Any]:
    """Replies of this plan that were had before; failed ones that are asked for again are not."""
    keys = ((plan.samples.keys[place], turn) for place, turn in plan.wanted)
    found = [replies[key] for key in keys if key in replies]
    return found if lasting else [reply for reply in found if reply.is_rated]


def _lacking(plan: TaskPlan, replies: Replies) -> bool:
    return any((plan.samples.keys[place], turn) not in replies for place, turn in plan.wanted)


def _open_client(rater: Rater, settings: RatingSettings) -> ChatClient:
    form = RequestForm(
        temperature=rater.temperature,
        max_reply_tokens=settings.max_reply_tokens,
        length_name="max_completion_tokens" if rater.endpoint.is_openai else "max_tokens",
        reply_format="json_object" if rater.prompt.schema is None else "json_schema",
        logprobs=rater.logprobs,
    )
    schema, timeout = rater.prompt.schema, settings.timeout
    return ChatClient(rater.endpoint, rater.model, form, schema=schema, timeout=timeout)


def _drive(
    run: RatingRun,
    reporter: Reporter,
    model: str,
    total: int,
    tally: Tally,
    price: Price | None,
) -> None:
    """Run to the end under a bar that is named after the model."""
    stage, start = f"rating with {model}", time.monotonic()

    def watch() -> None:
        detail = describe_state(tally, price, time.monotonic() - start)
        reporter.update(stage, tally.replies, total, unit="reply", detail=detail)

    def stopping() -> None:
        reporter.say(
            f"stopping: {run.num_in_flight} requests in flight are awaited for up to {GRACE:.0f} s;"
            " Ctrl-C again gives them up"
        )

    with reporter.stage(stage, unit="reply"):
        drive(run, watch, stopping)


def _raise_for(run: RatingRun, store: os.PathLike[str]) -> None:
    """Raise what ended a run, if anything was wrong."""
    kept = f"the {run.num_kept} replies of this run are kept in {store}"
    if not run.num_kept:
        kept = "no reply was had"
    if run.ending is Ending.ALARM:
        raise RatingAlarm(_alarm_words(run.reason, kept))
    if run.ending is Ending.SERVER:
        raise ServerError(f"{run.reason}; {kept}, the next run goes on from there")


def _refuse(alarms: Alarms, store: os.PathLike[str], *, at_end: bool) -> None:
    """Raise an alarm over all replies that were had."""
    reason = alarms.raised(at_end=at_end)
    if reason is not None:
        raise RatingAlarm(_alarm_words(reason, f"all replies are kept in {store}"))


def _alarm_words(reason: str, kept: str) -> str:
    return (
        f"{reason}; {kept}; look at them, at the prompt and at the model: keep_going=True "
        "(--keep-going) goes on and uses them all the same, retry_failed=True (--retry-failed) "
        "asks again for what failed"
    )


def _settings_record(settings: RatingSettings) -> Mapping[str, Any]:
    """The settings for the manifest; what each rater is asked stands with the rater."""
    record = asdict(settings)
    del record["models"], record["store"]
    return MappingProxyType(record)
