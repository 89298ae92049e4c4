"""Rows of an evaluation: texts of rows in any form, and what in them is a question."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ds2fast.errors import InputError
from ds2fast.evaluation import EvaluationRows, read_evaluation
from ds2fast.io.read import read

ASKED = {"role": "user", "content": "ask"}
SAID = {"role": "assistant", "content": "say"}
TOLD = {"role": "system", "content": "be kind"}

KNOWN: list[tuple[Any, list[str]]] = [
    ({"messages": [TOLD, ASKED, SAID, {"role": "User", "content": "more"}]}, ["ask", "more"]),
    ({"conversations": [{"from": "human", "value": "ask"}, {"from": "gpt", "value": "say"}]},
     ["ask"]),
    ({"prompt": "ask", "completion": "say"}, ["ask"]),
    ({"instruction": "ask", "input": "this", "output": "say", "system": "be kind"}, ["ask\nthis"]),
    ({"question": "ask", "answer": "say"}, ["ask"]),
    ({"prompt": "ask", "chosen": "say", "rejected": "shout"}, ["ask"]),
    ({"text": "ask"}, []),
    ("ask", []),
]  # fmt: skip

STRANGE: list[tuple[Any, str, list[str]]] = [
    ({"prompt": "ask"}, "ask", ["ask"]),
    ({"input": "ask", "target": "say"}, "ask\nsay", ["ask"]),
    ({"question": "ask", "choices": ["one", "two"], "id": 3}, "ask\none\ntwo", ["ask"]),
    ({"turns": ["first", " ", "second"], "Answers": {"text": ["say"]}}, "first\nsecond\nsay",
     ["first", "second"]),
    ({"meta": {"context": "here"}, "text": None, "query": "ask"}, "here\nask", ["here", "ask"]),
]  # fmt: skip


@pytest.mark.parametrize(("row", "questions"), KNOWN)
def test_rows_of_known_forms_are_as_read(row: Any, questions: list[str]) -> None:
    assert list(read_evaluation([row]).texts) == list(read([row], scores=None).texts)
    assert EvaluationRows().questions_of(row) == questions


@pytest.mark.parametrize(("row", "text", "questions"), STRANGE)
def test_of_other_rows_all_strings_are_taken(row: Any, text: str, questions: list[str]) -> None:
    assert list(read_evaluation([row]).texts) == [text]
    assert EvaluationRows().questions_of(row) == questions


def test_rows_without_a_form_stand_beside_others(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    rows: list[Any] = [{"prompt": "ask"}, {"text": "known"}, {"number": 1}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pool = read_evaluation(path)
    assert list(pool.texts) == ["ask", "known", ""]
    assert (pool.empty.count, pool.path, len(pool.files)) == (1, path, 1)


def test_all_columns_of_a_table_are_read(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"query": ["ask"], "choices": [["one", "two"]]}), tmp_path / "e.parquet"
    )
    assert list(read_evaluation(tmp_path / "e.parquet").texts) == ["ask\none\ntwo"]


def test_the_texts_option_counts_where_it_gives_a_text() -> None:
    rows = [{"q": "ask", "a": "say", "text": "other"}, {"text": "known"}, {"prompt": "ask"}]
    assert list(read_evaluation(rows, "{q} is {a}").texts) == ["ask is say", "known", "ask"]
    reader = EvaluationRows("{q} is {answer}")
    assert reader.questions_of({"q": "ask", "answer": "say", "note": "no"}) == ["ask"]
    dialogue = EvaluationRows("talk")
    assert dialogue.questions_of({"talk": [TOLD, ASKED, SAID]}) == ["ask"]
    assert dialogue.questions_of({"question": "ask", "answer": "say"}) == ["ask"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": 1}, {"b": " "}], "expected rows with a text, got 2 without any; fields seen: a, b"),
        ([], "expected at least one row, got none"),
    ],
)
def test_rows_without_any_string_are_refused(rows: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^data: {re.escape(message)}$"):
        read_evaluation(rows)
