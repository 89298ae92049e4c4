"""Too many rows that cannot be selected: which, and what helps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ds2fast
from ds2fast.settings import check_unrated

NUM_ROWS = 40


@pytest.mark.parametrize(
    ("textless", "scoreless", "told"),
    [
        (0, 10, "10 without a score, which are never selected: rate the rest, or pass"),
        (
            10,
            0,
            "10 without text, which are never selected: name the fields that hold the text "
            r"\(text=, --text\), or pass",
        ),
        (
            6,
            9,
            "6 without text and 9 without a score, which are never selected: name the fields that "
            r"hold the text \(text=, --text\), rate the rest, or pass",
        ),
    ],
)
def test_rows_without_text_and_without_score_are_told_apart(
    textless: int, scoreless: int, told: str
) -> None:
    pool: list[dict[str, Any]] = [
        {"text": f"text {row}", "score": row % 4} for row in range(NUM_ROWS)
    ]
    for row in pool[:textless]:
        row["text"] = ""
    for row in pool[NUM_ROWS - scoreless :]:
        row["score"] = None
    pool[0]["score"] = None if textless else 0  # with neither it counts once, as without text
    rows = np.random.default_rng(0).normal(size=(NUM_ROWS, 6))
    missing = textless + scoreless
    got = f"{missing} of 40, {missing / NUM_ROWS:g}"
    with pytest.raises(
        ds2fast.InputError,
        match=rf"^max_unrated: .* rows unrated, got {got}; {told} max_unrated=",
    ):
        ds2fast.select(pool, embeddings=rows, n=3, k=3, progress=False)


def test_as_many_as_are_allowed_are_no_error() -> None:
    check_unrated(0.25, 30, 40, num_textless=10)
    with pytest.raises(ds2fast.InputError, match=r"got 11 of 40, 0\.275; 11 without text, which"):
        check_unrated(0.25, 29, 40, num_textless=11)
