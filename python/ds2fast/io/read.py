"""Read rows, texts and scores out of files or data in memory."""

from __future__ import annotations

import time
from typing import Any

import numpy.typing as npt

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.fields import MISSING, Field
from ds2fast.io.rows import fields_seen
from ds2fast.io.schema import TextRenderer
from ds2fast.io.scores import ScoreLevels, map_scores
from ds2fast.io.source import Source, open_source
from ds2fast.pool import EmptyTexts, Pool


def read(
    data: Any,
    *,
    text: str | None = None,
    scores: Any = "score",
    id: str | None = None,
    num_levels: int | None = None,
    edges: npt.ArrayLike | None = None,
) -> Pool:
    r"""Read a pool of instruction rows.

    Parameters
    ----------
    data : path, list or table
        A file (`.jsonl`, `.json` with lines, one array or one object, both also `.gz`;
        `.parquet`), a list of dicts or of strings, an Arrow table, or a data frame that Arrow can
        read (pandas, polars).
    text : str, optional
        The field that holds the text, or a format string such as `"{question}\n{answer}"`. By
        default each row is rendered in the first of these forms that gives it a text: `messages`
        (role/content) · `conversations` (from/value; human is the user, gpt the assistant) ·
        `prompt`+`completion` · `instruction`+`input`+`output`/`response` (an input that is not
        blank follows the instruction on a new line) · `question`+`answer` · `text`. All but a
        bare `text` render as lines `###role: content`.
    scores : str, (N,) array-like or None
        A field's name, the scores themselves, or None for a pool without scores. See
        `ds2fast.io.scores.map_scores` for how scores become levels. A row without the field is
        unrated.
    id : str, optional
        The field that holds the rows' ids.
    num_levels : int, optional
        K, where the scores are levels 0..K−1 as they stand.
    edges : (K−1,) floats, optional
        Cut points, ascending: a score's level is the number of edges at or below it. Real-valued
        scores are cut at quantiles without them; within a level they still rank.

    Returns
    -------
    Pool
        Lines of a `.jsonl` file are kept byte for byte, without line ends (`\n` or `\r\n`) and
        without a byte order mark; empty lines are passed over. A path such as `meta.score`
        reaches nested data.

    Raises
    ------
    InputFileError
        A file that is missing, a directory or unreadable.
    InputError
        Broken or empty data, no text, no scores; the message names the file and line or the row.
    InputTypeError
        An argument of a type that cannot be used.

    Examples
    --------
    >>> pool = read([{"question": "2+2?", "answer": "4", "score": 5}, {"text": "Hm", "score": 1}])
    >>> pool.texts
    ['###user: 2+2?\n###assistant: 4\n', 'Hm']
    >>> pool.scores.tolist(), pool.score_mapping
    ([5, 1], 'scores 1..5 taken as they are')
    """
    start = time.perf_counter()
    renderer = TextRenderer(text)
    score_field = Field(scores) if isinstance(scores, str) else None
    id_field = Field(_check_id(id)) if id is not None else None
    given = (
        None
        if scores is None or score_field
        else map_scores(scores, num_levels=num_levels, edges=edges)
    )
    source = open_source(data)
    fields = [field for field in (score_field, id_field) if field is not None]
    texts, columns = _gather(source, renderer, fields)
    if not texts:
        raise InputError(f"{source.name}: expected at least one row, got none")
    schema = renderer.schema(fields_seen=lambda: fields_seen(source.rows), num_rows=len(texts))
    if score_field is not None:
        column = _found(source, "scores", score_field, columns[0])
        label = f"scores={scores!r}"
        given = map_scores(
            column, num_levels=num_levels, label=label, place=source.place, edges=edges
        )
    ids = None if id_field is None else _found(source, "id", id_field, columns[-1])
    _check_length(given, len(texts))
    return Pool(
        rows=source.rows,
        texts=texts,
        schema=schema,
        empty=_empty_texts(texts),
        scores=given.levels if given else None,
        raw_scores=given.raw if given else None,
        num_levels=given.num_levels if given else None,
        score_mapping=given.mapping if given else None,
        score_values=given.values if given else None,
        score_edges=given.edges if given else None,
        ids=ids,
        path=source.path,
        file_sha256=source.sha256(),
        read_seconds=time.perf_counter() - start,
    )


def _check_id(name: Any) -> str:
    if not isinstance(name, str):
        raise InputTypeError(f"id: expected a field name or None, got {type(name).__name__}")
    return name


def _gather(
    source: Source, renderer: TextRenderer, fields: list[Field]
) -> tuple[list[str], list[list[Any]]]:
    """One pass over the rows: their texts, and the values of each field."""
    texts: list[str] = []
    columns: list[list[Any]] = [[] for _ in fields]
    wanted = renderer.columns.union(*(field.columns for field in fields))
    for number, row in enumerate(source.parse(wanted)):
        texts.append(renderer.render(number, row, source.place))
        for field, column in zip(fields, columns, strict=True):
            column.append(MISSING if isinstance(row, str) else field.of(row))
    return texts, columns


def _found(source: Source, argument: str, field: Field, values: list[Any]) -> list[Any]:
    if all(value is MISSING for value in values):
        hint = (
            "; scores= (--scores) names another field, ds2fast rate has an LLM give scores"
            if argument == "scores"
            else ""
        )
        raise InputError(
            f"{argument}: expected a field of the rows, got {field.name!r}, which none of the "
            f"{len(values)} rows has; fields seen: {fields_seen(source.rows)}{hint}"
        )
    return [None if value is MISSING else value for value in values]


def _check_length(given: ScoreLevels | None, num_rows: int) -> None:
    if given is not None and len(given.levels) != num_rows:
        raise InputError(
            f"scores: expected one score for each of {num_rows} rows, got {len(given.levels)}"
        )


def _empty_texts(texts: list[str]) -> EmptyTexts:
    empty = [number for number, text in enumerate(texts) if not text]
    return EmptyTexts(len(empty), empty[0] if empty else None)
