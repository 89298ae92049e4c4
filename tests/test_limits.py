"""What limits a selection is checked before data are read, and each error names its argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.limits import check_limits, check_rules


def limits(**given: Any) -> Any:
    return check_limits(has_groups=True, has_exclude=True, **given)


def test_all_limits_are_kept_as_given() -> None:
    found = limits(
        group_shares={"web": 0.25, 7: 0.75},
        group_caps={"web": 3, "book": 0.5},
        max_similarity=1,
        min_score=-1,
        max_rarity=0.99,
        exclude_ngram=None,
        exclude_similarity=0.8,
    )
    assert found.record() == {
        "group_shares": {"web": 0.25, "7": 0.75},
        "group_caps": {"web": 3, "book": 0.5},
        "max_similarity": 1.0,
        "min_score": -1.0,
        "max_rarity": 0.99,
        "exclude_ngram": None,
        "exclude_similarity": 0.8,
    }


def test_a_whole_number_caps_rows_and_a_float_a_share() -> None:
    assert isinstance(limits(group_caps=1).group_caps, int)
    assert isinstance(limits(group_caps=1.0).group_caps, float)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"group_shares": {"a": 0.6, "b": 0.5}}, r"group_shares: expected .* sum to 1"),
        ({"group_shares": {"a": -0.1}}, r"group_shares\['a'\]: expected 0 to 1, got -0.1"),
        ({"group_shares": {}}, "group_shares: expected a mapping"),
        ({"group_caps": -1}, "group_caps: expected at least 0"),
        ({"group_caps": 1.5}, "group_caps: expected rows, or a share"),
        ({"group_caps": {"a": 2.5}}, r"group_caps\['a'\]: expected rows, or a share"),
        ({"min_score": float("nan")}, "min_score: expected a finite number"),
        ({"min_score": float("inf")}, "min_score: expected a finite number"),
        ({"group_caps": {}}, "group_caps: expected a cap"),
        ({"max_similarity": 0}, "max_similarity: expected a share"),
        ({"max_similarity": 1.01}, "max_similarity: expected a share"),
        ({"max_rarity": 0.0}, "max_rarity: expected a share"),
        ({"exclude_ngram": 0}, "exclude_ngram: expected at least 1"),
        ({"exclude_similarity": 2}, "exclude_similarity: expected a share"),
        ({"exclude_ngram": None, "exclude_similarity": None}, "at least one of the two"),
    ],
)
def test_bad_limits_are_refused(given: dict[str, Any], match: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=match):
        limits(**given)


def test_words_are_no_limits() -> None:
    with pytest.raises(InputTypeError, match="min_score: expected a number"):
        limits(min_score="high")
    with pytest.raises(InputTypeError, match="group_shares: expected a mapping"):
        limits(group_shares=[("a", 0.5)])


@pytest.mark.parametrize("name", ["group_shares", "group_caps"])
def test_shares_and_caps_need_groups(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: expected beside groups="):
        check_limits(has_groups=False, has_exclude=False, **{name: {"a": 0.5}})  # type: ignore[arg-type]  # one of two names


def test_a_missing_file_to_exclude_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"^exclude: expected a file, but .* does not exist"):
        check_rules(exclude=tmp_path / "none.jsonl")


def test_a_pattern_of_files_to_exclude_is_taken(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"text": "a"}\n')
    check_rules(exclude=str(tmp_path / "*.jsonl"))
    with pytest.raises(InputFileError, match=r"^exclude: .* the pattern .* matches none"):
        check_rules(exclude=str(tmp_path / "*.csv"))
