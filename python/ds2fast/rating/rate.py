"""`rate`: have a pool rated by an LLM (DS2's first stage)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from ds2fast.progress import Progress, Reporter
from ds2fast.rating.extra import check_extra
from ds2fast.rating.job import prepare_rating
from ds2fast.rating.result import Ratings
from ds2fast.rating.settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_REPLY_TOKENS,
    DEFAULT_SAMPLE_TOKENS,
    DEFAULT_TIMEOUT,
    DEFAULT_TRIES,
    RatingSettings,
    check_rating,
)


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
    price: Sequence[float] | None = None,
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
        US dollars that this run may cost for each model. It stops before it could exceed them, as
        far as tokens can be foretold: a quarter more prompt tokens than estimated are held back for
        each request, and a reply of full length.
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
        `.scores` (N,) or (N, R), `.repeats`, `.reasons`, `.save(path)`;
        `select(ratings.to_pool(), repeats=ratings.repeats)` goes on.

    Raises
    ------
    RatingAlarm
        More than 5 % of the replies failed, more than 60 % of the scores are one level, or all
        replies, or all repeats, are the same; of twenty replies or more (fifty repeats), or all of
        fewer failed. What came is kept.
    ServerError
        The server cannot be reached, refuses the key or the model, fails the first tries of twenty
        samples in a row, or refuses all for ten minutes. What came is kept.
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
    check_extra()
    from ds2fast.rating.part import rate_with  # asyncio and all: `import ds2fast` is quick

    with Reporter.of(progress) as reporter:
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
            rate_with(job, rater, name, reporter, keep_going=keep_going) for rater, name in pairs
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


def _settings_record(settings: RatingSettings) -> Mapping[str, Any]:
    """The settings for the manifest; what each rater is asked stands with the rater."""
    record = asdict(settings)
    del record["models"], record["store"]
    return MappingProxyType(record)
