"""Read rows, texts and scores out of files or data in memory."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.fields import MISSING, Field, Row
from ds2fast.io.lines import WordRows, number_of
from ds2fast.io.rows import Rows, fields_seen
from ds2fast.io.schema import TextRenderer
from ds2fast.io.scores import ScoreLevels, map_scores
from ds2fast.io.source import Source, open_source
from ds2fast.io.texts import TextKeeper
from ds2fast.memory.amount import as_memory
from ds2fast.pool import Pool, empty_texts


def read(
    data: Any,
    *,
    text: str | None = None,
    scores: Any = "score",
    id: str | None = None,
    num_levels: int | None = None,
    edges: npt.ArrayLike | None = None,
    max_memory: int | str | None = None,
) -> Pool:
    r"""Read a pool of instruction rows.

    Parameters
    ----------
    data : path, list or table
        A file (`.jsonl`, `.json` with lines, one array or one object, `.csv` with the fields'
        names in its first line, all also `.gz` and `.zst`; `.parquet`); a pattern such as
        `"data/*.jsonl"`, whose files are taken in the order of their names; a list of these; `"-"`
        for JSON lines from standard input, packed or not. Or a list of dicts or of strings, an
        Arrow table, a data frame that Arrow can read (pandas, polars), or a Hugging Face `Dataset`.
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
    max_memory : int or str, optional
        Most memory that the process may hold, in bytes or as "4GiB": where it is below that, a
        sixteenth of it takes the place of the 256 MiB of texts below.

    Returns
    -------
    Pool
        Lines of a `.jsonl` file are kept byte for byte, without line ends (`\n` or `\r\n`) and
        without a byte order mark; empty lines are passed over. A path such as `meta.score`
        reaches nested data. Values of a CSV file are strings; where scores are asked for, those
        that spell a number are one, and an empty one is null.

    Raises
    ------
    InputFileError
        A file that is missing, a directory or unreadable.
    InputError
        Broken or empty data, no text, no scores; the message names the file and line or the row.
    InputTypeError
        An argument of a type that cannot be used.
    OutputError
        The folder of temporary files (`TMPDIR`) is full.

    Notes
    -----
    Memory does not grow with the size of the rows. Those of a `.jsonl` file stay in it, and are
    read from it again when they are needed: the file must not change until then. Others that no
    plain file of lines has (packed, from standard input, CSV, Parquet) are in memory up to 64 MiB
    and in a temporary file beyond. Texts are in memory up to 256 MiB; where they are larger none
    is, and each is rendered again when it is read. So reading N rows takes, beside the program
    itself, at most some

        256 MiB + 64 MiB + N · 0.4 kB + 8 · (the largest row)

    `select` adds what does not depend on the size of the texts: the encoder, 4 bytes for each token
    that it reads, vectors and graph. A JSON array, and data that were in memory before, are held
    whole.

    Examples
    --------
    >>> pool = read([{"question": "2+2?", "answer": "4", "score": 5}, {"text": "Hm", "score": 1}])
    >>> pool.texts
    ['###user: 2+2?\n###assistant: 4\n', 'Hm']
    >>> pool.scores.tolist(), pool.score_mapping
    ([5, 1], 'scores 1..5 taken as they are')
    """
    start = time.perf_counter()
    memory = None if max_memory is None else as_memory(max_memory)
    renderer = TextRenderer(text)
    score_field = Field(scores) if isinstance(scores, str) else None
    id_field = Field(_check_id(id)) if id is not None else None
    given = (
        None
        if scores is None or score_field
        else map_scores(scores, num_levels=num_levels, edges=edges)
    )
    source = open_source(data)
    texts, scored, ids = _gather(source, renderer, score_field, id_field, memory)
    lengths = np.array(texts.lengths, np.int64)
    if not len(lengths):
        raise InputError(f"{source.name}: expected at least one row, got none")
    rows = source.rows
    schema = renderer.schema(fields_seen=lambda: fields_seen(rows), num_rows=len(lengths))
    if score_field is not None:
        column = _found(rows, "scores", score_field, scored)
        label = f"scores={scores!r}"
        given = map_scores(
            column, num_levels=num_levels, label=label, place=source.place, edges=edges
        )
    _check_length(given, len(lengths))
    files = source.files
    return Pool(
        rows=rows,
        texts=texts.texts(rows, renderer),
        schema=schema,
        empty=empty_texts(lengths),
        lengths=lengths,
        scores=given.levels if given else None,
        raw_scores=given.raw if given else None,
        num_levels=given.num_levels if given else None,
        score_mapping=given.mapping if given else None,
        score_values=given.values if given else None,
        score_edges=given.edges if given else None,
        ids=None if id_field is None else _found(rows, "id", id_field, ids),
        path=files[0].path if len(files) == 1 else None,
        files=files,
        file_sha256=source.sha256,
        text_option=text,
        score_option=scores if isinstance(scores, str) else None,
        read_seconds=time.perf_counter() - start,
    )


def _check_id(name: Any) -> str:
    if not isinstance(name, str):
        raise InputTypeError(f"id: expected a field name or None, got {type(name).__name__}")
    return name


def _gather(
    source: Source,
    renderer: TextRenderer,
    score: Field | None,
    id: Field | None,
    max_memory: int | None,
) -> tuple[TextKeeper, list[Any], list[Any]]:
    """One pass over the rows: their texts, and the values of two fields."""
    texts = TextKeeper(max_memory)
    scores: list[Any] = []
    ids: list[Any] = []
    wanted = renderer.columns.union(*(field.columns for field in (score, id) if field is not None))
    for part in source.parts:
        is_words = isinstance(part.rows, WordRows)
        for row in part.parse(wanted):
            texts.add(renderer.render(len(texts.lengths), row, source.place))
            if score is not None:
                value = _value(score, row)
                scores.append(number_of(value) if is_words else value)
            if id is not None:
                ids.append(_value(id, row))
    return texts, scores, ids


def _value(field: Field, row: Row | str) -> Any:
    return MISSING if isinstance(row, str) else field.of(row)


def _found(rows: Rows, argument: str, field: Field, values: list[Any]) -> list[Any]:
    if all(value is MISSING for value in values):
        hint = (
            "; scores= (--scores) names another field, ds2fast rate has an LLM give scores"
            if argument == "scores"
            else ""
        )
        raise InputError(
            f"{argument}: expected a field of the rows, got {field.name!r}, which none of the "
            f"{len(values)} rows has; fields seen: {fields_seen(rows)}{hint}"
        )
    return [None if value is MISSING else value for value in values]


def _check_length(given: ScoreLevels | None, num_rows: int) -> None:
    if given is not None and len(given.levels) != num_rows:
        raise InputError(
            f"scores: expected one score for each of {num_rows} rows, got {len(given.levels)}"
        )
