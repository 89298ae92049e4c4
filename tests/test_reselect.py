"""Selecting again from a finished run gives what selecting anew would have given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import ds2fast
from ds2fast.choice import Fate
from ds2fast.results import FloatArray
from ds2fast_cli.commands import program

NUM_ROWS, SOURCES = 240, ("web", "book", "code")


@pytest.fixture(scope="module")
def vectors() -> FloatArray:
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(24, 16)), 10, axis=0)
    return (centres + 0.2 * rng.normal(size=centres.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    levels = np.repeat(rng.integers(0, 6, size=24), 10)
    noisy = np.where(rng.random(NUM_ROWS) < 0.3, rng.integers(0, 6, size=NUM_ROWS), levels)
    lines = [
        json.dumps({"text": f"text {row}", "score": int(score), "source": SOURCES[row % 3]})
        for row, score in enumerate(noisy)
    ]
    path = tmp_path_factory.mktemp("data") / "pool.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def saved(out: Path, data: Any, vectors: FloatArray, **arguments: Any) -> ds2fast.Selection:
    selection = ds2fast.select(data, embeddings=vectors, **arguments)
    selection.save(out)
    return selection


def same(first: ds2fast.Selection, second: ds2fast.Selection) -> None:
    assert first.indices.tolist() == second.indices.tolist()
    assert np.array_equal(first.keys, second.keys)
    assert np.array_equal(first.long_tail, second.long_tail)
    assert first.trust == second.trust
    assert str(first.verdict) == str(second.verdict)
    assert first.choice is not None
    assert second.choice is not None
    assert first.choice.fates.tolist() == second.choice.fates.tolist()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"n": 60},
        {"fraction": 0.5},
        {"k": 5, "n": 30},
        {"trust": 0.25, "n": 30},
        {"method": "simifeat", "n": 30},
        {"method": "simifeat", "min_confidence": 0.9, "seed": 3, "n": 30},
        {"groups": "source", "group_shares": {"web": 0.5}, "n": 30},
        {"groups": "source", "group_caps": 4, "n": 30},
        {"min_score": 3.0, "n": 100},
        {"max_rarity": 0.9, "n": 30},
    ],
)
def test_reselecting_equals_selecting(
    changed: dict[str, Any], data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    saved(tmp_path / "out", data, vectors, n=20)
    anew = {"n": 20, **changed}
    if "fraction" in changed:
        del anew["n"]
    same(
        ds2fast.reselect(tmp_path / "out", **changed),
        ds2fast.select(data, embeddings=vectors, **anew),
    )


def test_what_is_not_given_is_as_it_was(data: Path, vectors: FloatArray, tmp_path: Path) -> None:
    before: dict[str, Any] = {
        "method": "simifeat", "min_confidence": 0.7, "trust": 0.9, "k": 7, "seed": 5,
        "groups": "source", "group_caps": 8, "min_score": 1.0, "max_rarity": 0.95,
    }  # fmt: skip
    saved(tmp_path / "out", data, vectors, n=20, **before)
    same(
        ds2fast.reselect(tmp_path / "out", n=22),
        ds2fast.select(data, embeddings=vectors, n=22, **before),
    )


def test_the_runs_rules_go_where_they_are_not_wanted(
    data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    rules: dict[str, Any] = {"groups": "source", "group_caps": 4, "min_score": 3.0}
    saved(tmp_path / "out", data, vectors, n=12, **rules)
    plain = ds2fast.select(data, embeddings=vectors, n=12)
    without = ds2fast.select(data, embeddings=vectors, n=12, min_score=3.0)
    same(ds2fast.reselect(tmp_path / "out", keep_rules=False), plain)
    same(ds2fast.reselect(tmp_path / "out", groups=None), without)
    same(ds2fast.reselect(tmp_path / "out", groups=None, min_score=None), plain)


def test_a_run_made_from_a_run_can_be_gone_on_from(
    data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    saved(tmp_path / "first", data, vectors, n=20, min_score=2.0)
    ds2fast.reselect(tmp_path / "first", n=40).save(tmp_path / "second")
    same(
        ds2fast.reselect(tmp_path / "second"),
        ds2fast.select(data, embeddings=vectors, n=40, min_score=2.0),
    )


def test_what_an_evaluation_repeats_stays_left_out(
    data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    words = " ".join(f"word{number}" for number in range(20))
    rows[0]["text"] = f"so {words} it is"
    pool, test = tmp_path / "pool.jsonl", tmp_path / "test.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    test.write_text(json.dumps({"text": words}) + "\n")
    first = saved(tmp_path / "out", pool, vectors, n=20, exclude=test)
    again = ds2fast.reselect(tmp_path / "out", n=200)
    for selection in (first, again):
        assert selection.choice is not None
        assert np.flatnonzero(selection.choice.fates == Fate.EXCLUDED).tolist() == [0]
    anew = ds2fast.reselect(tmp_path / "out", n=200, keep_rules=False, exclude=test)
    assert anew.choice is not None
    assert np.flatnonzero(anew.choice.fates == Fate.EXCLUDED).tolist() == [0]
    freed = ds2fast.reselect(tmp_path / "out", n=200, exclude=None)
    assert freed.choice is not None
    assert not (freed.choice.fates == Fate.EXCLUDED).any()


def test_groups_may_come_as_an_array(data: Path, vectors: FloatArray, tmp_path: Path) -> None:
    saved(tmp_path / "out", data, vectors, n=20)
    groups = np.arange(NUM_ROWS) % 4
    same(
        ds2fast.reselect(tmp_path / "out", groups=groups),
        ds2fast.select(data, embeddings=vectors, n=20, groups=groups),
    )


def test_other_groups_take_the_place_of_those_that_had_shares(
    data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    saved(tmp_path / "out", data, vectors, n=20, groups="source", group_shares={"web": 0.9})
    saved(tmp_path / "capped", data, vectors, n=20, groups="source", group_caps=8)
    groups = np.arange(NUM_ROWS) % 4
    same(
        ds2fast.reselect(tmp_path / "out", groups=groups),
        ds2fast.select(data, embeddings=vectors, n=20, groups=groups),
    )
    same(
        ds2fast.reselect(tmp_path / "capped", groups=groups),
        ds2fast.select(data, embeddings=vectors, n=20, groups=groups, group_caps=8),
    )


def test_settings_of_the_first_run_stay_in_the_record(vectors: FloatArray, tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "score": row % 24 / 24} for row in range(NUM_ROWS)]
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    edges = [0.3, 0.6]
    saved(tmp_path / "first", pool, vectors, n=20, edges=edges, max_unrated=0.5)
    second = ds2fast.reselect(tmp_path / "first", n=30)
    second.save(tmp_path / "second")
    again = ds2fast.reselect(tmp_path / "second")
    for selection in (second, again):
        assert list(selection.settings["edges"]) == edges
        assert selection.settings["max_unrated"] == 0.5
    same(again, ds2fast.select(pool, embeddings=vectors, n=30, edges=edges))


@pytest.mark.parametrize("name", ["exclude_ngram", "exclude_similarity"])
def test_what_tells_repeats_has_no_effect_on_those_found_before(
    name: str, data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    saved(tmp_path / "out", data, vectors, n=20, exclude=["so many words"])
    changed: dict[str, Any] = {name: 1}
    with pytest.raises(ds2fast.InputError, match=f"^{name}: expected beside exclude="):
        ds2fast.reselect(tmp_path / "out", **changed)


def test_what_is_excluded_now_can_only_be_told_by_words(
    data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    saved(tmp_path / "out", data, vectors, n=20)
    with pytest.raises(ds2fast.InputError, match=r"^exclude_ngram: expected a number of words"):
        ds2fast.reselect(tmp_path / "out", exclude=["so many words"], exclude_ngram=None)
    with pytest.raises(ds2fast.InputError, match=r"^exclude: expected other rows than those of"):
        ds2fast.reselect(tmp_path / "out", exclude=data)


def test_a_curation_that_was_given_is_not_kept(
    data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    first = ds2fast.select(data, embeddings=vectors, n=20)
    saved(tmp_path / "out", data, vectors, n=20, curation=first.curation)
    with pytest.raises(ds2fast.InputError, match="run: expected one that found its own curation"):
        ds2fast.reselect(tmp_path / "out", n=10)


def test_a_wider_k_than_the_graphs_is_refused(
    data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    width = saved(tmp_path / "out", data, vectors, n=20).graph.k
    with pytest.raises(ds2fast.InputError, match=f"k: expected at most .* {width} neighbours"):
        ds2fast.reselect(tmp_path / "out", k=width + 1)


def test_changed_rows_are_refused(data: Path, vectors: FloatArray, tmp_path: Path) -> None:
    copy = tmp_path / "pool.jsonl"
    copy.write_bytes(data.read_bytes())
    saved(tmp_path / "out", copy, vectors, n=20)
    copy.write_bytes(data.read_bytes().replace(b"text 17", b"text 71", 1))
    with pytest.raises(ds2fast.InputFileError, match=r"pool\.jsonl"):
        ds2fast.reselect(tmp_path / "out")


def test_rows_that_were_moved_are_named(data: Path, vectors: FloatArray, tmp_path: Path) -> None:
    lines = data.read_bytes().splitlines(keepends=True)
    parts = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    parts[0].write_bytes(b"".join(lines[:100]))
    parts[1].write_bytes(b"".join(lines[100:]))
    saved(tmp_path / "out", parts, vectors, n=20)
    (tmp_path / "now").mkdir()
    moved = [part.rename(tmp_path / "now" / part.name) for part in parts]
    with pytest.raises(ds2fast.InputFileError, match=r"one\.jsonl.*select --from OUT FILE"):
        ds2fast.reselect(tmp_path / "out", n=30)
    again = ds2fast.reselect(tmp_path / "out", n=30, data=moved)
    same(again, ds2fast.select(data, embeddings=vectors, n=30))
    assert again.selected == [json.loads(lines[row]) for row in again.indices]
    again.save(tmp_path / "again")  # which now knows where they lie
    assert len(ds2fast.reselect(tmp_path / "again", n=7)) == 7


# --- The command line -----------------------------------------------------------------------------


def run_cli(*words: object) -> Any:
    return CliRunner().invoke(program, [str(word) for word in words])


def test_select_from_a_run(data: Path, vectors: FloatArray, tmp_path: Path) -> None:
    saved(tmp_path / "out", data, vectors, n=20, min_score=2.0)
    words = ("select", "--from", tmp_path / "out", "-n", 30, "--no-report", "-o")
    done = run_cli(*words, tmp_path / "kept")
    assert done.exit_code == 0, done.output
    fresh = run_cli(*words, tmp_path / "fresh", "--fresh-rules", "--groups", "source", "--cap", "9")
    assert fresh.exit_code == 0, fresh.output
    kept = ds2fast.select(data, embeddings=vectors, n=30, min_score=2.0)
    capped = ds2fast.select(data, embeddings=vectors, n=30, groups="source", group_caps=9)
    for folder, expected in (("kept", kept), ("fresh", capped)):
        found = (tmp_path / folder / "selected.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in found] == expected.selected


def test_select_from_a_run_whose_rows_were_moved(
    data: Path, vectors: FloatArray, tmp_path: Path
) -> None:
    before, now = tmp_path / "pool.jsonl", tmp_path / "now.jsonl"
    before.write_bytes(data.read_bytes())
    saved(tmp_path / "out", before, vectors, n=20)
    before.rename(now)
    words = ("select", "--from", tmp_path / "out", "-n", 30, "--no-report", "-o", tmp_path / "new")
    lost = run_cli(*words)
    assert (lost.exit_code, "select --from OUT FILE" in lost.stderr) == (2, True)
    other = run_cli(*words, tmp_path / "out" / "selected.jsonl")
    assert other.exit_code == 2
    assert "selected.jsonl to hold what" in other.stderr
    stream = run_cli(*words, "-")
    assert (stream.exit_code, "a file on disk, got -" in stream.stderr) == (2, True)
    done = run_cli(*words, now)
    assert done.exit_code == 0, done.output
    found = (tmp_path / "new" / "selected.jsonl").read_text().splitlines()
    expected = ds2fast.select(data, embeddings=vectors, n=30)
    assert [json.loads(line) for line in found] == expected.selected


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--from", "out", "--model", "x"), "--model has no effect beside --from"),
        (("--from", "out", "--scores", "x"), "--scores has no effect beside --from"),
        (("--from", "out", "--rate-with", "x"), "--rate-with has no effect beside --from"),
        (("data.jsonl", "--fresh-rules"), "--fresh-rules has no effect without --from"),
        (("-n", "3"), "Missing argument 'DATA'"),
        (("data.jsonl", "--exclude-ngram", "5"), "--exclude-ngram has no effect beside nothing"),
        (("data.jsonl", "--share", "web"), "expected NAME=SHARE"),
        (("data.jsonl", "--cap", "web=3", "--cap", "4"), "NAME=CAP"),
        (("data.jsonl", "--cap", "many"), "expected a number"),
        (("data.jsonl", "--cap", "web=3", "--cap", "web=4"), "expected each group once"),
        (("data.jsonl", "--share", "a=.5", "--share", "a=.2"), "expected each group once"),
    ],
)
def test_options_without_effect_are_refused(words: tuple[str, ...], match: str) -> None:
    done = run_cli("select", *words, "-o", "somewhere")
    assert done.exit_code == 2
    assert match in done.output
