"""Rows that repeat evaluation rows: by words, by similarity, both; what cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ds2fast.errors import Ds2fastError, InputError, InputFileError, InputTypeError
from ds2fast.exclusion import (
    Repeats,
    check_excluding,
    exclude_repeats,
    nearest_rows,
    read_excluding,
    refuse_same_rows,
)
from ds2fast.io.read import read

QUESTION = "How many of the nine blue marbles are left when Anna gives four of them to Ben?"
EVALUATION = [{"question": "What is the boiling point of water?", "answer": "100 degrees."},
              {"question": QUESTION, "answer": "Five."}]  # fmt: skip
TEXTS = [
    f"###user: {QUESTION.upper()}\n###assistant: I think that 6 are left.",
    "###user: Name a fruit.\n###assistant: A pear.",
    "###user: At what temperature does water boil?\n###assistant: At 100 degrees Celsius.",
]
VECTORS = np.array([[0.0, 2.0], [1.0, -1.0], [3.0, 0.3]])


def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    assert list(texts) == read(EVALUATION, scores=None).texts
    return np.array([[1, 0], [0.8, 0.6]], dtype=np.float32)


def test_words_and_similarity() -> None:
    found = exclude_repeats(TEXTS, EVALUATION, vectors=VECTORS, embed=embed)
    assert found.rows.tolist() == [True, False, True]
    assert found.because.tolist() == [1, -1, 0]
    assert found.how.tolist() == [Repeats.NGRAM, Repeats.NOT, Repeats.SIMILARITY]
    assert (found.name, found.num_rows) == ("the evaluation rows", 2)
    assert found.similarity is not None
    expected = [0.6, np.sqrt(0.5), 1 / np.sqrt(1.01)]  # to rows 1, 0 and 0
    np.testing.assert_allclose(found.similarity, expected, rtol=1e-6)


def test_each_way_alone() -> None:
    by_words = exclude_repeats(TEXTS, EVALUATION, similarity=None, vectors=VECTORS, embed=embed)
    assert by_words.because.tolist() == [1, -1, -1]
    assert by_words.similarity is None
    by_vectors = exclude_repeats(
        TEXTS, EVALUATION, ngram=None, similarity=0.98, vectors=VECTORS, embed=embed
    )
    assert by_vectors.because.tolist() == [-1, -1, 0]


def test_without_vectors_similarity_is_not_looked_at() -> None:
    assert exclude_repeats(TEXTS, EVALUATION).similarity is None
    assert exclude_repeats(TEXTS, EVALUATION, vectors=VECTORS).similarity is None


def test_files_and_pools(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in EVALUATION))
    for data in (path, str(path), read(path, scores=None)):
        found = exclude_repeats(TEXTS, data)
        assert found.because.tolist() == [1, -1, -1]
        assert found.name == "eval.jsonl"


def test_rows_of_several_files_are_counted_on(tmp_path: Path) -> None:
    paths = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    for path, row in zip(paths, EVALUATION, strict=True):
        path.write_text(json.dumps(row) + "\n")
    found = exclude_repeats(TEXTS, paths)
    assert (found.name, found.because[0]) == ("first.jsonl + second.jsonl", 1)


def test_texts_are_read_once_and_in_order() -> None:
    asked: list[int] = []

    class Counted(Sequence[str]):
        def __len__(self) -> int:
            return len(TEXTS)

        def __getitem__(self, index: Any) -> Any:
            asked.append(index)
            return TEXTS[index]

    assert exclude_repeats(Counted(), EVALUATION).because.tolist() == [1, -1, -1]
    assert asked[:3] == [0, 1, 2]
    assert asked[3:] in ([], [3])  # the end of an iteration by index


def test_nearest_rows_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    vectors, others = random.normal(size=(50, 5)), random.normal(size=(33, 5))
    others[20] = 3.0 * others[4]  # as near: the smaller index counts
    others[7] = 0.0
    units = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
             for rows in (vectors, others)]  # fmt: skip
    cosines = units[0] @ units[1].T
    cosines[:, 20] = -1.0
    for rows in (4096, 8, 1):
        monkeypatch.setattr("ds2fast.exclusion._ROWS_AT_ONCE", rows)
        nearest, found = nearest_rows(vectors, others)
        # Rounded to float32 the copy may be a bit nearer than the row itself.
        assert np.where(nearest == 20, 4, nearest).tolist() == cosines.argmax(axis=1).tolist()
        np.testing.assert_allclose(found, cosines.max(axis=1), atol=1e-6)


BAD: list[tuple[dict[str, Any], type[Ds2fastError], str]] = [
    ({"ngram": 0}, InputError, "ngram: expected at least 1, got 0"),
    ({"ngram": 2.5}, InputTypeError, "ngram: expected an integer, got 2.5"),
    ({"similarity": 1.5}, InputError, "similarity: expected a share in (0, 1], got 1.5"),
    ({"vectors": np.zeros((2, 2))}, InputError,
     "vectors: expected one a text, shape (3, d), got (2, 2)"),
    ({"vectors": VECTORS, "embed": lambda _: np.zeros((2, 3))}, InputError,
     "embed: expected vectors of shape (2, 2), got (2, 3)"),
    ({"vectors": VECTORS, "embed": lambda _: np.zeros((1, 2))}, InputError,
     "embed: expected vectors of shape (2, 2), got (1, 2)"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "error", "message"), BAD)
def test_what_cannot_be_used_is_named(
    changed: dict[str, Any], error: type[Ds2fastError], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        exclude_repeats(TEXTS, EVALUATION, **changed)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"no\.jsonl"):
        exclude_repeats(TEXTS, tmp_path / "no.jsonl")


def test_a_row_without_text_is_near_to_none() -> None:
    found = exclude_repeats(
        ["one", "two"],
        [{"text": ""}, {"text": "deux"}],
        vectors=np.eye(2),
        embed=lambda _: np.eye(2),  # as if no text had a vector like that of "one"
    )
    assert found.because.tolist() == [-1, 1]


def test_the_rows_of_the_pool_themselves_are_refused(tmp_path: Path) -> None:
    path, copy = tmp_path / "pool.jsonl", tmp_path / "copy.jsonl"
    for file in (path, copy):
        file.write_text('{"text": "one"}\n{"text": "two"}\n')
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "one"}\n')
    pool = read(path, scores=None)
    refuse_same_rows(pool, read(other, scores=None))
    refuse_same_rows(read([{"text": "one"}], scores=None), read([{"text": "one"}], scores=None))
    for same in (pool, read(copy, scores=None), read([other, copy], scores=None)):
        with pytest.raises(InputError, match="exclude: expected other rows than those of data"):
            refuse_same_rows(pool, same)


def test_files_to_exclude_are_named_by_the_argument(tmp_path: Path) -> None:
    with pytest.raises(
        InputFileError, match=r"^exclude: expected a file, but .*no\.jsonl does not"
    ):
        check_excluding(tmp_path / "no.jsonl")
    with pytest.raises(InputError, match=r"^exclude: expected at least one row, got none$"):
        read_excluding([])


def test_rows_to_exclude_are_read_like_the_pools_where_they_are_alike() -> None:
    rows = [{"q": "one", "a": "1", "text": "something else"}]
    assert list(read_excluding(rows, "{q} is {a}").texts) == ["one is 1"]
    assert list(read_excluding(rows).texts) == ["something else"]
    assert list(read_excluding([{"text": "one"}], "{q} is {a}").texts) == ["one"]
    assert list(read_excluding([{"b": "one"}], "{q} is {a}").texts) == ["one"]
    with pytest.raises(InputError, match=r"^exclude: expected rows with a text, got 1 without any"):
        read_excluding([{"b": 1}], "{q} is {a}")


ASKED = "Differentiate between an imbroglio and a quagmire."
LEAKED = f"###user: {ASKED}\n###assistant: An imbroglio is a confused affair.\n"


@pytest.mark.parametrize(
    "row",
    [
        {"question": ASKED, "answer": "dunno"},
        {"messages": [{"role": "system", "content": "Be brief."},
                      {"role": "user", "content": ASKED}]},
        {"prompt": ASKED},
        {"input": ASKED, "target": "dunno"},
        {"question": ASKED, "choices": ["a brawl", "a bog"]},
    ],
)  # fmt: skip
def test_a_leaked_question_is_found_whatever_its_answer(row: dict[str, Any]) -> None:
    texts = ["###user: Name a fruit.\n###assistant: A pear.\n", LEAKED]
    assert exclude_repeats(texts, [{"text": "other"}, row]).because.tolist() == [-1, 1]
    pool = read([{"text": "other"}, {"answer": "", "question": ASKED}], scores=None)
    assert exclude_repeats(texts, pool).because.tolist() == [-1, 1]


def test_a_stock_question_and_a_system_prompt_exclude_nothing() -> None:
    def ask(number: int) -> dict[str, Any]:
        told = {"role": "system", "content": "You answer questions with a single word."}
        asked = {"role": "user", "content": ASKED}
        said = {"role": "assistant", "content": f"word{number}"}
        return {"messages": [told, asked, said]}

    prompt = "###system: You answer questions with a single word.\n###user: Name a fruit.\n"
    texts = [LEAKED, prompt]
    assert exclude_repeats(texts, [ask(0)]).because.tolist() == [0, -1]
    assert exclude_repeats(texts, [ask(n) for n in range(5)]).because.tolist() == [0, -1]
    assert exclude_repeats(texts, [ask(n) for n in range(6)]).because.tolist() == [-1, -1]
