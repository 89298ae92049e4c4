"""Rows of an evaluation: the text of each, and the questions in it, which count on their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ds2fast.errors import InputError
from ds2fast.io.fields import Place, Row, row_place
from ds2fast.io.forms import PREFERENCE, TEXT, form_of, turns_of, turns_of_pair
from ds2fast.io.rows import fields_seen
from ds2fast.io.schema import Schema, TextRenderer
from ds2fast.io.source import open_source
from ds2fast.io.turns import Turn, dialogue_turns
from ds2fast.pool import Pool, empty_texts

STRINGS = "all strings of the row"
"""The form of a row that has none of the known ones."""

ASKING = frozenset({"user", "human", "prompter"})
"""Roles, in lower case, whose turns are questions."""

ANSWERS = frozenset(
    {"answer", "answers", "choices", "completion", "label", "labels", "options", "output"}
    | {"outputs", "reference", "references", "response", "solution", "target", "targets"}
)
"""Fields of a row of no known form that ask nothing: short answers are in many texts."""


class EvaluationRows:
    r"""Gives the texts and the questions of an evaluation's rows.

    Parameters
    ----------
    text : str, optional
        A field or format string, as `read` takes it, that counts where it gives a row a text.

    Raises
    ------
    InputError, InputTypeError
        A `text` that cannot be used.

    Examples
    --------
    >>> rows = EvaluationRows()
    >>> rows.text_of({"input": "2+2?", "target": "4"}), rows.questions_of({"input": "2+2?"})
    ('2+2?\n4', ['2+2?'])
    """

    def __init__(self, text: str | None = None) -> None:
        self._renderer = None if text is None else TextRenderer(text)
        self._known = TextRenderer()

    def text_of(self, row: Row | str, number: int = 0, place: Place = row_place) -> str:
        """By `text`, by the row's form, or all its strings, one a line; `""` where it has none."""
        text = self._by_option(row, number, place) or self._known.text_of(number, row, place)
        return text or self._known.text_of(number, "\n".join(_strings(row)), place)

    def questions_of(self, row: Row | str) -> list[str]:
        """What a row asks: turns of its user, or strings but those of `ANSWERS`.

        A bare text asks nothing beside itself.
        """
        if isinstance(row, str):
            return []
        if self._renderer is not None and self._by_option(row):
            columns = self._renderer.columns
            return list(_asked({name: row[name] for name in row if name in columns}))
        form = form_of(row)[0]
        if form == TEXT:
            return []
        if not form:
            return list(_asked(row))
        return _asked_in(turns_of_pair(row, "chosen") if form == PREFERENCE else turns_of(row))

    def _by_option(self, row: Row | str, number: int = 0, place: Place = row_place) -> str:
        if self._renderer is not None:
            with suppress(InputError):  # a row of another form: its own is detected
                return self._renderer.text_of(number, row, place)
        return ""


def read_evaluation(data: Any, text: str | None = None) -> Pool:
    r"""Read the rows of an evaluation, which come in more forms than those to train on.

    Parameters
    ----------
    data : path, list or table
        As `read` takes it.
    text : str, optional
        As `read` takes it; rows to which it gives no text are taken by their form.

    Returns
    -------
    Pool
        Without scores. The text of a row of no known form is all its strings, one a line. All
        texts are in memory.

    Raises
    ------
    InputError, InputTypeError, InputFileError
        Data that cannot be read, or that have no string.

    Examples
    --------
    >>> read_evaluation([{"input": "2+2?", "target": "4"}, {"question": "?", "answer": "!"}]).texts
    ['2+2?\n4', '###user: ?\n###assistant: !\n']
    """
    reader, source = EvaluationRows(text), open_source(data)
    rows = (row for part in source.parts for row in part.parse(None))
    texts = [reader.text_of(row, number, source.place) for number, row in enumerate(rows)]
    if not texts:
        raise InputError(f"{source.name}: expected at least one row, got none")
    first = next((number for number, found in enumerate(texts) if found), None)
    if first is None:
        raise InputError(
            f"data: expected rows with a text, got {len(texts)} without any; "
            f"fields seen: {fields_seen(source.rows)}"
        )
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return Pool(
        rows=source.rows,
        texts=texts,
        schema=Schema({STRINGS: int((lengths > 0).sum())}, first, texts[first]),
        empty=empty_texts(lengths),
        lengths=lengths,
        path=source.files[0].path if len(source.files) == 1 else None,
        files=source.files,
        file_sha256=source.sha256,
        text_option=text,
    )


def _strings(value: Any) -> Iterator[str]:
    """All strings in a value, in their order, that are not blank."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def _asked(value: Any) -> Iterator[str]:
    """The strings in a value less those of answers and of turns that are no user's."""
    turns = dialogue_turns(value)
    if turns:
        yield from _asked_in(turns)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if str(name).lower() not in ANSWERS:
                yield from _asked(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _asked(item)
    else:
        yield from _strings(value)


def _asked_in(turns: list[Turn]) -> list[str]:
    return [turn.content for turn in turns if turn.role.lower() in ASKING]
