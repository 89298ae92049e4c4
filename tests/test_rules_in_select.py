"""Rules from `select`'s arguments to its result; what cannot be is told before any long work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import ds2fast
from ds2fast.choice import Fate
from ds2fast.results import IntArray
from ds2fast.stages import Stages
from ds2fast_cli.commands import program
from encoder_fixtures import WORDS
from planted import plant
from static_fixtures import make_table, write_static

POOL = plant(240)
UNRATED_ROW = 7
SCORES = np.where(np.arange(240) == UNRATED_ROW, -1, POOL.scores)
HIGHEST = int(SCORES.max())
GIVEN: dict[str, Any] = {"scores": SCORES, "embeddings": POOL.rows, "k": 5, "progress": False}


def select(**arguments: Any) -> ds2fast.Selection:
    return ds2fast.select(**GIVEN | {"n": 20, "num_levels": HIGHEST + 1} | arguments)


def rows_with(selection: ds2fast.Selection, fate: Fate) -> IntArray:
    assert selection.choice is not None
    return np.flatnonzero(selection.choice.fates == fate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_score": HIGHEST + 1}, "min_score: expected at most the highest level"),
        ({"min_score": float("nan")}, "min_score: expected a finite number"),
        ({"groups": np.arange(240) % 3, "group_caps": 0}, "group_caps: expected room"),
        ({"groups": np.arange(240) % 3, "group_caps": 0.01}, "group_caps: expected room"),
        ({"groups": np.arange(240) % 3, "group_shares": {"3": 0.5}}, "group_shares: expected gro"),
        ({"groups": np.zeros((240, 2))}, "groups: expected one label a row"),
        ({"data": [f"row {row}" for row in range(240)], "exclude": ["row 3"],
          "exclude_ngram": None}, "exclude_ngram: expected a number of words"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_before_the_work(
    arguments: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: Any) -> None:
        pytest.fail("the work began")

    monkeypatch.setattr(Stages, "vectors", begin)
    monkeypatch.setattr(Stages, "graph", begin)
    with pytest.raises(ds2fast.InputError, match=f"^{message}"):
        select(**arguments)


def test_rows_are_not_excluded_from_themselves(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(f'{{"text": "row {row}", "score": {row % 3}}}\n' for row in range(9)))
    rows, pool = [f"row {row}" for row in range(240)], ds2fast.read(path)
    for data, exclude in ((rows, rows), (pool, pool), (path, str(path))):
        with pytest.raises(ds2fast.InputError, match=r"^exclude: expected other rows"):
            ds2fast.select(data, n=3, exclude=exclude, embeddings=np.eye(9), k=2)


def test_a_missing_file_to_exclude_is_told_before_the_encoder_is_looked_for() -> None:
    with pytest.raises(ds2fast.InputFileError, match=r"^exclude: expected a file"):
        ds2fast.select(["a", "b"], n=1, exclude="none.jsonl", model="no such model")


def test_the_highest_level_can_be_asked_for() -> None:
    selection = select(min_score=HIGHEST, trust=0.0)
    assert (selection.given_scores[selection.indices] == HIGHEST).all()


def test_a_group_for_each_row_selects_as_no_groups_do() -> None:
    alone = select()
    assert select(groups=list(range(240))).indices.tolist() == alone.indices.tolist()
    again = select(groups=list(range(240)), n=5).top(20)
    assert again.indices.tolist() == alone.indices.tolist()


@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")  # scores that say nothing
def test_near_copies_by_vectors_and_repeats_of_an_evaluation_go(tmp_path: Path) -> None:
    model = write_static(tmp_path / "model", {"embeddings": make_table()})
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 8)) for _ in range(120)]
    rows = [{"text": text, "score": int(random.integers(0, 4))} for text in texts]
    found = ds2fast.select(
        rows, n=10, model=model, cache_dir=False, progress=False, precision="fp32",
        max_similarity=0.9, exclude=[{"text": ""}, {"text": texts[3]}], exclude_ngram=None,
    )  # fmt: skip
    unit = ds2fast.embed(texts, model=model, cache_dir=False, progress=False).vectors
    cosines = unit.astype(np.float64) @ unit.T.astype(np.float64)
    assert rows_with(found, Fate.EXCLUDED).tolist() == np.flatnonzero(cosines[3] >= 0.9).tolist()
    chosen = cosines[np.ix_(found.indices, found.indices)]
    assert (chosen[~np.eye(len(chosen), dtype=bool)] < 0.9).all()


def test_top_names_the_n_that_cannot_be() -> None:
    for selection in (select(), select(min_score=1.0, groups=np.arange(240) % 3)):
        with pytest.raises(ds2fast.InputError, match=r"^n: expected at most .* \(239\), got 240$"):
            selection.top(240)
        with pytest.raises(ds2fast.InputError, match=r"^n: expected at least 1, got 0$"):
            selection.top(0)


def test_top_keeps_what_was_asked_for() -> None:
    small = select(min_score=1.0)
    ranked = small.top(None)
    assert len(ranked) < ranked.settings["n"] == 239
    assert ranked.top(20).indices.tolist() == small.indices.tolist()


def test_the_scores_as_given_may_reach_no_row_that_the_rules_leave(tmp_path: Path) -> None:
    first = select(trust=1.0, method="simifeat", n=5)
    raised = (first.keys == HIGHEST) & (SCORES < HIGHEST)
    assert raised.sum() >= 5  # corrected upwards: these alone are left
    words = ("this is row number {} of the pool", "an entirely other sentence with number {} in it")
    rows = [
        {"text": words[int(raised[row])].format(row),
         "score": None if row == UNRATED_ROW else int(SCORES[row])}
        for row in range(240)
    ]  # fmt: skip
    evaluation = [row for row, is_raised in zip(rows, raised, strict=True) if not is_raised]
    found = select(
        data=rows,
        scores="score",
        exclude=evaluation,
        min_score=HIGHEST,
        trust=1.0,
        method="simifeat",
        n=5,
        num_levels=None,
    )
    assert raised[found.indices].all()
    assert found.ranked_as_given().tolist() == []
    assert found.decided.by_correction == 5
    assert "of the best by given scores none" in str(found)
    found.save(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["selection"]["same_as_given"] == 0


def test_weak_evidence_is_warned_of_where_select_was_called() -> None:
    random = np.random.default_rng(0)
    noise: dict[str, Any] = {"scores": random.integers(0, 4, 200), "num_levels": 4}
    with pytest.warns(ds2fast.WeakEvidenceWarning) as told:
        ds2fast.select(embeddings=random.normal(size=(200, 8)), n=10, **noise)
    assert told[0].filename == __file__


def run_select(folder: Path, *options: object) -> Result:
    """`ds2fast select` over a pool whose vectors are given."""
    rows = [{"text": f"row {row} of the pool has its very own number {row}",
             "score": int(POOL.scores[row])} for row in range(240)]  # fmt: skip
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.save(folder / "vectors.npy", POOL.rows)
    words = ["select", folder / "pool.jsonl", "--embeddings", folder / "vectors.npy", "-n", 20,
             "-o", folder / "out", "--no-report", *options]  # fmt: skip
    return CliRunner().invoke(program, [str(word) for word in words])


def test_several_files_to_exclude_count_together(tmp_path: Path) -> None:
    files = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    for row, file in zip((3, 8), files, strict=True):
        asked = f"row {row} of the pool has its very own number {row}"
        file.write_text(json.dumps({"prompt": asked}) + "\n")
    done = run_select(tmp_path, "--exclude", files[0], "--exclude", files[1])
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    told = manifest["rules"]["excluded"]
    assert (told["name"], told["by_words"]) == ("first.jsonl + second.jsonl", 2)
    alike = ds2fast.select(tmp_path / "pool.jsonl", n=20, embeddings=POOL.rows, exclude=files)
    assert rows_with(alike, Fate.EXCLUDED).tolist() == [3, 8]
    fates = pq.read_table(tmp_path / "out" / "scores.parquet").column("fate").to_pylist()
    assert [row for row, fate in enumerate(fates) if fate == "excluded"] == [3, 8]


SINGLE = {
    "--groups": "text", "--max-similarity": "0.9", "--min-score": "1", "--max-rarity": "0.9",
    "--exclude-ngram": "9", "--exclude-similarity": "0.9",
}  # fmt: skip


@pytest.mark.parametrize("option", SINGLE)
def test_a_single_rule_given_twice_is_refused(option: str, tmp_path: Path) -> None:
    done = run_select(tmp_path, option, SINGLE[option], option, SINGLE[option])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': expected it once, got it 2 times" in done.stderr


def test_a_missing_file_of_gold_scores_is_told_as_such(tmp_path: Path) -> None:
    done = run_select(tmp_path, "--gold", tmp_path / "missing.jsonl")
    assert done.exit_code == 2
    assert "gold: expected a field of the rows or a file (--gold), but there is no" in done.stderr
    done = run_select(tmp_path, "--gold", "missing")
    assert "expected a field of the rows, got 'missing'" in done.stderr
