"""What a rating is asked with and what comes of it: settings, columns, manifest, words."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ds2fast
from ds2fast.errors import InputError, InputTypeError
from ds2fast.rating.endpoint import Endpoint
from ds2fast.rating.levels import level_of
from ds2fast.rating.prices import Price
from ds2fast.rating.prompt import DEFAULT_PROMPT, Prompt
from ds2fast.rating.rater import Rater, column_names, output_columns
from ds2fast.rating.request import RequestForm
from ds2fast.rating.result import RaterScores, Ratings
from ds2fast.rating.settings import check_rating
from ds2fast.rating.tally import Tally
from ds2fast.rating.words import describe_state, dollars, short_count
from ds2fast.ratings import Scale, read_ratings

KEY = "sk-0123456789abcdef"
ENDPOINT = Endpoint("https://host/v1", KEY)
RATER = Rater("org/judge-7B", ENDPOINT, DEFAULT_PROMPT, 0.0, False)
FORM = asdict(RequestForm(0.0, 256))
ROWS = [{"text": name} for name in ("a", "b", "c", "d")]


# --- Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "model: expected the name of a model"),
        ({"model": []}, "model: expected"),
        ({"model": ["a", " "]}, "model: expected"),
        ({"model": ["a", "a"]}, "model: expected each model once"),
        ({"field": ""}, "field: expected"),
        ({"field": "a.b"}, "field: expected a name without dots"),
        ({"field": "{a}"}, "field: expected"),
        ({"repeat": 3}, r"sample: expected beside repeat= \(--repeat\).* rated 3 times"),
        ({"sample": 10}, r"repeat: expected beside sample= \(--sample\).* these 10 "),
        ({"repeat": 0}, "repeat"),
        ({"repeat": 101, "sample": 1}, "repeat"),
        ({"repeat": 2, "sample": 0}, "sample"),
        ({"temperature": -0.1}, "temperature: expected 0 to 2"),
        ({"temperature": 2.1}, "temperature: expected 0 to 2"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": 0, "repeat": 2, "sample": 5}, "temperature: expected above 0 with repeat"),
        ({"max_sample_tokens": 63}, "max_sample_tokens"),
        ({"max_reply_tokens": 15}, "max_reply_tokens"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1001}, "concurrency"),
        ({"timeout": 0}, "timeout: expected a number above 0"),
        ({"timeout": math.inf}, "timeout"),
        ({"max_tries": 0}, "max_tries"),
        ({"limit": 0}, "limit"),
        ({"max_cost": 0}, "max_cost: expected a number above 0"),
        ({"max_cost": -1}, "max_cost"),
        ({"price": (1.0, -1.0)}, "price: expected two numbers of at least 0"),
        ({"price": (1.0, math.nan)}, "price"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_rating(**{"model": "judge", **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {"field": 3},
        {"logprobs": 1},
        {"retry_failed": "yes"},
        {"repeat": 2.0, "sample": 5},
        {"temperature": "0"},
        {"concurrency": True},
        {"timeout": "10"},
        {"limit": 1.5},
        {"price": "12"},
        {"price": (1.0,)},
        {"price": 1.0},
        {"store": 5},
        {"seed": "0"},
    ],
)
def test_a_value_of_another_type_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(InputTypeError, match=f"^{next(iter(settings))}: expected"):
        check_rating(**{"model": "judge", **settings})


def test_the_temperature_is_zero_and_one_with_repeats_unless_it_is_given() -> None:
    assert check_rating(model="judge").temperature == 0.0
    assert check_rating(model="judge", repeat=3, sample=5).temperature == 1.0
    assert check_rating(model="judge", temperature=0.3).temperature == 0.3
    assert check_rating(model="judge", repeat=3, sample=5, temperature=0.5).temperature == 0.5


def test_a_price_of_nothing_is_one() -> None:
    assert check_rating(model="judge", price=(0, 0)).price == Price(0.0, 0.0)
    assert check_rating(model="judge", price=[1, 2]).price == Price(1.0, 2.0)


# --- Who rates, and the columns' names ------------------------------------------------------------


def test_an_identity_has_all_that_shapes_replies_and_no_secret() -> None:
    told = json.dumps(RATER.identity())
    assert RATER.identity()["endpoint"] == "https://host/v1"
    assert KEY not in told
    others = [
        Rater("org/judge-8B", ENDPOINT, DEFAULT_PROMPT, 0.0, False),
        Rater("org/judge-7B", Endpoint("https://host/v2", KEY), DEFAULT_PROMPT, 0.0, False),
        Rater("org/judge-7B", ENDPOINT, Prompt("Rate it.", ("overall",), "x"), 0.0, False),
        Rater("org/judge-7B", ENDPOINT, DEFAULT_PROMPT, 0.1, False),
        Rater("org/judge-7B", ENDPOINT, DEFAULT_PROMPT, 0.0, True),
    ]
    assert len({json.dumps(rater.identity()) for rater in [RATER, *others]}) == 6
    same = Rater(
        "org/judge-7B", Endpoint("https://host/v1/", "new-key"), DEFAULT_PROMPT, 0.0, False
    )
    assert same.identity() == RATER.identity()  # with another key it is the same rater


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["a/b.c:d"], ["s"]),
        (["gpt-4.1", "org/llama 3"], ["s_gpt-4-1", "s_llama-3"]),
        (["x/m", "y/m", "z/m"], ["s_m", "s_m_2", "s_m_3"]),
        (["m_2", "x/m", "y/m"], ["s_m_2", "s_m", "s_m_3"]),
        (["x/m", "y/m", "m_2"], ["s_m", "s_m_2", "s_m_2_2"]),
        (["模型", "…"], ["s_model", "s_model_2"]),
    ],
)
def test_every_model_has_a_column_of_its_own(models: list[str], names: list[str]) -> None:
    assert column_names(models, "s") == names


def test_all_columns_are_known_beforehand() -> None:
    found = output_columns(["x/a", "x/b"], "s", DEFAULT_PROMPT.criteria, repeat=3, logprobs=True)
    ends = ["", "_unrated", "_expected", "_repeat_1", "_repeat_2"]
    ends += ["_rarity", "_complexity", "_informativeness", "_overall"]
    assert sorted(found) == sorted(f"s_{model}{end}" for model in "ab" for end in ends)


# --- Columns, manifest, pool ----------------------------------------------------------------------


def scores_of(overall: list[int], **changed: Any) -> RaterScores:
    """A rater's scores of four rows from its overalls, −1 where unrated."""
    values = np.array(overall, dtype=np.int64)
    levels = [-1 if value < 0 else level_of(value) for value in overall]
    given: dict[str, Any] = {
        "model": RATER.model,
        "endpoint": RATER.endpoint.name,
        "identity": RATER.identity(),
        "form": FORM,
        "field": "score",
        "scores": np.array(levels, dtype=np.int64),
        "criteria": {"rarity": values, "overall": values},
        "expected": None,
        "repeats": np.full((len(overall), 0), -1, dtype=np.int64),
        "reasons": [None if value > 0 else "refusal" for value in overall],
        "pending": np.zeros(len(overall), dtype=bool),
        "tally": Tally(rated=3, failed=1, requests=5, prompt_tokens=1000, completion_tokens=80),
        "cost": 0.5,
        "spent": {"replies": 6, "failed": 1, "requests": 7, "cost": 0.75},
        "kept": 2,
        "store": "here.sqlite",
    }
    return RaterScores(**{**given, **changed})


def ratings_of(*raters: RaterScores, **changed: Any) -> Ratings:
    given: dict[str, Any] = {
        "pool": ds2fast.read(ROWS, scores=None),
        "raters": raters,
        "settings": {"seed": 0},
        "endings": ("done",) * len(raters),
        "num_cut": 0,
        "seconds": 1.5,
    }
    return Ratings(**{**given, **changed})


OVERALL = [7, -1, 10, 3]


def test_columns_hold_null_where_there_is_nothing() -> None:
    expected = np.array([3.14159, np.nan, 5.0, np.nan])
    repeats = np.array([[3, -1], [-1, -1], [-1, 5], [-1, -1]])
    found = scores_of(OVERALL, expected=expected, repeats=repeats).columns()
    assert found == {
        "score": [3, None, 5, 0],
        "score_expected": [3.1416, None, 5.0, None],
        "score_repeat_1": [3, None, None, None],
        "score_repeat_2": [None, None, 5, None],
        "score_rarity": [7, None, 10, 3],
        "score_overall": [7, None, 10, 3],
        "score_unrated": [None, "refusal", None, None],
    }
    json.dumps(found)  # plain numbers, not NumPy's


def test_a_criterion_that_a_model_makes_up_replaces_no_column_of_ours() -> None:
    ones = np.ones(4, dtype=np.int64)
    criteria = {"overall": np.array(OVERALL), "expected": ones, "unrated": ones, "repeat_1": ones}
    found = scores_of(
        OVERALL,
        criteria=criteria,
        expected=np.array([2.5, np.nan, 5.0, 0.5]),
        repeats=np.array([[4], [-1], [-1], [-1]]),
    ).columns()
    assert found["score_expected"] == [2.5, None, 5.0, 0.5]
    assert found["score_unrated"] == [None, "refusal", None, None]
    assert found["score_repeat_1"] == [4, None, None, None]


def test_one_rater_gives_a_vector_and_several_a_matrix() -> None:
    one = ratings_of(scores_of(OVERALL))
    assert one.scores.tolist() == [3, -1, 5, 0]
    assert one.repeats is None
    assert len(one) == 4
    second = scores_of([-1, -1, 4, 5], field="other", reasons=["no JSON", "cut", None, None])
    two = ratings_of(scores_of(OVERALL), second)
    assert two.scores.tolist() == [[3, -1], [-1, -1], [5, 0], [0, 1]]
    assert two.reasons[2:] == [None, None]
    assert "no JSON" in str(two.reasons[0])
    assert "refusal" in str(two.reasons[1])
    assert "cut" in str(two.reasons[1])
    assert {"score", "other"} <= two.fields().keys()


def test_a_rating_with_pending_rows_is_not_complete() -> None:
    pending = np.array([False, True, False, False])
    assert ratings_of(scores_of(OVERALL)).is_complete
    assert not ratings_of(scores_of(OVERALL), scores_of(OVERALL, pending=pending)).is_complete


def test_the_pool_takes_the_scores_as_its_own() -> None:
    pool = ratings_of(scores_of(OVERALL)).to_pool()
    assert pool.scores is not None
    assert pool.raw_scores is not None
    assert pool.scores.tolist() == [3, -1, 5, 0]
    np.testing.assert_array_equal(pool.raw_scores, [3, np.nan, 5, 0])
    assert pool.num_levels == 6
    assert "1 row unrated" in str(pool.score_mapping)
    with pytest.raises(InputError, match="to_pool: expected one rater, got 2"):
        ratings_of(scores_of(OVERALL), scores_of(OVERALL)).to_pool()


def test_repeats_are_read_on_the_scale_of_the_pools_scores() -> None:
    repeats = np.array([[3, -1], [-1, -1], [4, 5], [1, -1]])
    ratings = ratings_of(scores_of(OVERALL, repeats=repeats))
    read = read_ratings(ratings.to_pool(), "score", ratings.repeats, None, Scale())
    assert read.ratings[:, 0].tolist() == [3, -1, 5, 0]
    assert read.repeats is not None
    assert read.repeats.tolist() == repeats.tolist()


def test_the_manifest_tells_how_it_was_made_and_no_secret() -> None:
    repeats = np.array([[3, -1], [-1, -1], [-1, 5], [-1, -1]])
    manifest = ratings_of(scores_of(OVERALL, repeats=repeats), num_cut=2).manifest()
    (rater,) = manifest["raters"]
    assert rater["model"] == "org/judge-7B"
    assert rater["prompt"] == DEFAULT_PROMPT.system
    assert (rater["rated"], rater["unrated"], rater["repeated_rows"]) == (3, 1, 2)
    assert rater["levels"] == {"0": 1, "3": 1, "5": 1}
    assert (rater["replies"], rater["requests"], rater["cost"]) == (6, 7, 0.75)  # whenever had
    now = rater["this_run"]
    assert (now["replies"], now["requests"], now["kept_before"], now["cost"]) == (4, 5, 2, 0.5)
    assert rater["options"] == FORM
    assert manifest["input"]["cut_samples"] == 2
    assert KEY not in json.dumps(manifest)


def test_a_temperature_that_the_server_does_not_take_is_told() -> None:
    words = "the server takes no temperature: it drew as it always does, not at 0"
    assert words not in ratings_of(scores_of(OVERALL)).describe()
    assert words not in ratings_of(scores_of(OVERALL, form=None)).describe()  # nothing was asked
    without = ratings_of(scores_of(OVERALL, form={**FORM, "temperature": None}))
    assert words in without.describe()
    (rater,) = without.manifest()["raters"]
    assert rater["options"]["temperature"] is None
    assert rater["temperature"] == 0.0  # what was wished, by which replies are kept
    (unasked,) = ratings_of(scores_of(OVERALL, form=None)).manifest()["raters"]
    assert unasked["options"] is None


def test_rows_are_saved_as_they_came_with_the_columns_behind(tmp_path: Path) -> None:
    source = tmp_path / "pool.jsonl"
    lines = ['{"text":  "a"}', '{"text": "b" }', '{"text": "\\u00e4"}', '{"text": "d"}']
    source.write_text("\n".join(lines) + "\n")
    ratings = ratings_of(scores_of(OVERALL), pool=ds2fast.read(source, scores=None))
    ratings.save(tmp_path / "rated.jsonl")
    written = (tmp_path / "rated.jsonl").read_text().splitlines()
    for line, begin in zip(written, lines, strict=True):
        assert line.startswith(begin.rstrip(" }"))
    assert [json.loads(line)["score"] for line in written] == [3, None, 5, 0]
    again = ds2fast.read(tmp_path / "rated.jsonl")
    assert again.scores is not None
    assert again.scores.tolist() == [3, -1, 5, 0]


# --- Words ----------------------------------------------------------------------------------------


def test_a_rating_is_described_with_counts_reasons_and_the_store() -> None:
    ratings = ratings_of(scores_of(OVERALL, pending=np.array([False, False, False, True])))
    words = str(ratings)
    assert "org/judge-7B at https://host/v1: 3 of 4 rows rated into 'score', 1 not asked" in words
    assert "levels 0..5: 1, 0, 0, 1, 0, 1 rows" in words
    assert "5 requests for 4 replies" in words
    assert "1 x refusal" in words
    assert "here.sqlite" in words
    assert "$0.5000" in words
    assert KEY not in words


def test_how_a_rating_ended_and_what_was_cut_is_told() -> None:
    words = ratings_of(scores_of(OVERALL), endings=("limit=5",), num_cut=3).describe()
    assert "stopped: limit=5" in words
    assert "3 long samples were sent without the middle" in words


def test_agreement_of_repeats_is_told_where_both_are_known() -> None:
    # Of levels 3, unrated, 5: the repeats 3 and 3 are the same, 2 compares with nothing, and of 5
    # and 2 one is the same: three of four.
    repeats = np.array([[3, 3], [2, -1], [5, 2], [-1, -1]])
    words = ratings_of(scores_of(OVERALL, repeats=repeats)).describe()
    assert "3 rows rated 3 times: 75% are the level that they repeat" in words


def test_a_rating_that_asked_nothing_says_so() -> None:
    words = ratings_of(scores_of(OVERALL, tally=Tally(), kept=4, cost=None)).describe()
    assert "nothing was asked: all 4 replies were kept" in words


def test_only_the_commonest_reasons_are_listed() -> None:
    reasons = [f"reason {number}" for number in range(7) for _ in range(7 - number)]
    rows = [{"text": f"row {number}"} for number in range(28)]
    rated = scores_of([-1] * 28, reasons=reasons)
    words = ratings_of(rated, pool=ds2fast.read(rows, scores=None)).describe()
    assert "28 rows are unrated" in words
    assert "7 x reason 0" in words
    assert "3 x reason 4" in words
    assert "reason 5" not in words
    assert "and 2 other reasons" in words


def test_the_state_of_a_run_is_told_in_one_line() -> None:
    tally = Tally(rated=90, failed=2, requests=100, prompt_tokens=40_000, completion_tokens=2000)
    assert describe_state(tally, None, 10.0) == "2 failed, 42k tokens, 10 requests/s"
    assert describe_state(tally, Price(1.0, 5.0), 10.0).startswith("$0.0500, 2 failed, ")
    assert describe_state(Tally(), None, 0.0) == "0 failed, 0 tokens, 0 requests/s"


def test_counts_and_dollars_are_short() -> None:
    assert [short_count(number) for number in (0, 999, 1000, 999_400, 2_500_000, 7 * 10**9)] == [
        "0", "999", "1k", "999k", "2.5M", "7G",
    ]  # fmt: skip
    assert [dollars(amount) for amount in (0, 0.5, 1, 1234.567)] == [
        "$0.0000", "$0.5000", "$1.00", "$1234.57",
    ]  # fmt: skip
