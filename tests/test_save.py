"""A selection as files: what they say, what they replace, and what an interruption leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ds2fast.errors import InputError, InputFileError, OutputError, TrainerWarning
from ds2fast.graph import KnnGraph
from ds2fast.io.output import check_output_dir, check_replaceable, made_directory
from ds2fast.io.read import read
from ds2fast.io.staging import Staging
from ds2fast.io.write import write_manifest
from ds2fast.outcome import Selection
from ds2fast.pipeline import select
from ds2fast.pool import Pool
from ds2fast.results import Curation
from ds2fast.run.state import read_state
from ds2fast.save import save_selection
from planted import plant

LINES = [f'{{"text": "row {n}",  "score": {score}}}' for n, score in enumerate((1, 4, "null", 3))]
CONTROLS = ["control_longest.jsonl", "control_random.jsonl", "control_top_given.jsonl"]
RESULTS = [*CONTROLS, "manifest.json", "run.npz", "scores.parquet", "selected.jsonl"]


def make_pool(folder: Path) -> Pool:
    (folder / "pool.jsonl").write_text("\n".join(LINES))
    return read(folder / "pool.jsonl")


def make_selection(pool: Pool | None, rows: tuple[int, ...] = (0, 1)) -> Selection:
    """Row 0 was corrected from 1 to 4 and is the best, row 3 from 3 to 2, row 2 is unrated."""
    curation = Curation(
        scores=np.array([4, 4, -1, 2]),
        misrated=np.array([True, False, False, True]),
        suggested=np.array([4, 4, -1, 2]),
        confidence=np.array([0.834, 0.1, np.nan, 0.5]),
        error_probability=np.array([0.9, 0.2, np.nan, 0.75]),
        method="simifeat", min_confidence=0.5, k=2, rounds=51, seed=0,
    )  # fmt: skip
    graph = KnnGraph.from_arrays(
        np.array([[1], [0], [3], [2]], np.int32), np.full((4, 1), 0.5, np.float32)
    )
    return Selection(
        indices=np.array(rows),
        given_scores=np.array([1, 4, -1, 3]),
        keys=np.array([4.0, 4.0, -1.0, 2.0]),
        long_tail=np.array([0.4, 0.3, 0.2, 0.1], np.float32),
        graph=graph,
        transition=None,
        curation=curation,
        pool=pool,
        settings={"n": len(rows)},
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def manifest_in(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert isinstance(manifest, dict)
    return manifest


def check_results(folder: Path, rows: tuple[int, ...] = (0, 1)) -> None:
    assert files(folder) == RESULTS
    expected = "".join(LINES[row] + "\n" for row in rows)
    assert (folder / "selected.jsonl").read_text() == expected
    manifest = manifest_in(folder)
    assert manifest["complete"] is True
    assert manifest["files"] == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in RESULTS
        if name != "manifest.json"
    }


# --- what the files say ------------------------------------------------------------------------


def test_every_column_of_the_scores(tmp_path: Path) -> None:
    save_selection(make_selection(make_pool(tmp_path)), tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "scores.parquet")
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert table.to_pydict() == {
        "index": [0, 1, 2, 3],
        "raw_score": [1.0, 4.0, nan, 3.0],
        "given_score": [1, 4, -1, 3],
        "curated_score": [4, 4, -1, 2],
        "misrated": [True, False, False, True],
        "error_probability": [0.9, 0.2, nan, 0.75],
        "suggested_score": [4, 4, -1, 2],
        "confidence": [0.834, 0.1, nan, 0.5],
        "expected_score": [4.0, 4.0, -1.0, 2.0],
        "rank_key": [4.0, 4.0, -1.0, 2.0],
        "long_tail": pytest.approx([0.4, 0.3, 0.2, 0.1]),
        "rank": [0, 1, -1, -1],
        "selected": [True, True, False, False],
        "fate": ["selected", "selected", "unrated", "below"],
        "reason": [
            "selected at rank 0; corrected 1 to 4 (confidence 0.83) because of row 1",
            "selected at rank 1",
            "unrated",
            "below the cut; corrected 3 to 2 (confidence 0.50)",
        ],
    }


def test_the_manifest_and_the_columns_say_how_rows_were_ranked(tmp_path: Path) -> None:
    pool = plant(900, own=0.2)
    selection = select(
        scores=pool.scores, embeddings=pool.rows, repeats=pool.repeat(300), n=150, trust=0.5
    )
    selection.save(tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert selection.curation.expected is not None
    assert table["expected_score"] == selection.curation.expected.tolist()
    half = pool.scores + 0.5 * (selection.curation.expected - pool.scores)
    assert table["rank_key"] == (np.round(4 * half) / 4).tolist()
    ranked = sorted(zip(table["rank"], table["rank_key"], strict=True))
    keys = [key for rank, key in ranked if rank >= 0]
    assert keys == sorted(keys, reverse=True)
    manifest = manifest_in(tmp_path / "out")
    assert manifest["verdict"] == {
        "word": selection.verdict.word,
        "causes": list(selection.verdict.causes),
    }
    assert manifest["transition"]["verdict"]["word"] == "verified"
    assert manifest["transition"]["signal"] == ["repeats"]
    assert manifest["transition"]["signal_rows"] == 300
    assert manifest["transition"]["bands"] is None
    assert len(manifest["transition"]["sharing"]["shares"]) == 8
    assert (manifest["settings"]["solver"], manifest["settings"]["method"]) == (
        "sharing",
        "posterior",
    )
    chosen = manifest["selection"]
    decided = chosen["decided"]
    assert chosen["trust"] == 0.5
    assert chosen["cut_key"] == keys[-1]
    assert chosen["above_cut"] == sum(key > keys[-1] for key in keys)
    assert decided["by_score"] + decided["by_correction"] + decided["by_rarity"] == 150
    # Rows that the scores as given would have selected too.
    same = np.isin(selection.indices, selection.ranked_as_given()).sum()
    assert chosen["same_as_given"] == same
    assert decided["by_correction"] == 150 - same
    assert decided["overlap_given"] == pytest.approx(same / 150)


def test_the_manifest_names_the_input(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    expected = hashlib.sha256((tmp_path / "pool.jsonl").read_bytes()).hexdigest()
    save_selection(make_selection(pool), tmp_path / "out")
    check_results(tmp_path / "out")
    told = manifest_in(tmp_path / "out")["input"]
    path = str(tmp_path / "pool.jsonl")
    assert (told["path"], told["sha256"]) == (path, expected)
    assert told["files"] == [{"path": path, "sha256": expected}]
    assert told["read"] == {"text": None, "scores": "score", "num_levels": 5, "edges": None}
    assert (told["rows"], told["rated"], told["unrated"]) == (4, 3, 1)


def test_names_that_are_no_unicode_cost_no_selection(tmp_path: Path) -> None:
    """Such names come from other systems; they are spelt out in what is written."""
    source = tmp_path / os.fsdecode(b"caf\xe9.jsonl")
    (tmp_path / "pool.jsonl").write_text("\n".join(LINES))
    (tmp_path / "pool.jsonl").rename(source)
    groups = ("a\ud800", "b", "b", "b")
    save_selection(replace(make_selection(read(source)), groups=groups), tmp_path / "out")
    check_results(tmp_path / "out")
    assert Path(manifest_in(tmp_path / "out")["input"]["path"]).name == "caf\\udce9.jsonl"
    found = pq.read_table(tmp_path / "out" / "scores.parquet")["group"].to_pylist()
    assert found == ["a\\ud800", "b", "b", "b"]
    assert read_state(tmp_path / "out" / "run.npz").groups == tuple(found)


def test_an_input_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    (tmp_path / "pool.jsonl").write_text("\n".join(reversed(LINES)) + "\n")
    with pytest.raises(InputFileError, match="changed"):
        save_selection(selection, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "scores"),
    [
        ({}, [1, 4, None, 5]),
        ({}, [10, 4, None, 3]),
        ({}, [3, 7, None, 8]),
        ({"num_levels": 8}, [3, 7, None, 4]),
        ({}, [0.5, 7.25, None, 3.0]),
        ({"edges": [0.5, 2]}, [0.25, 7, None, 1.5]),
        ({"edges": [0.5, 2], "num_levels": 3}, [0, 1, None, 2]),
        ({"text": "other", "scores": "mark"}, [0, 1, None, 2]),
    ],
)
def test_the_manifest_says_how_to_read_the_input_again(
    arguments: dict[str, Any], scores: list[float | None], tmp_path: Path
) -> None:
    field = arguments.get("scores", "score")
    rows = [{"text": f"row {n}", "other": f"{n}", field: s} for n, s in enumerate(scores)]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pool = read(tmp_path / "pool.jsonl", **arguments)
    save_selection(make_selection(pool), tmp_path / "out")
    told = manifest_in(tmp_path / "out")["input"]
    again = read(told["files"][0]["path"], **told["read"])
    assert again.num_levels == pool.num_levels
    np.testing.assert_array_equal(again.scores, pool.scores)
    assert list(again.texts) == list(pool.texts)


def test_scores_that_came_after_reading_are_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text("\n".join(f'{{"text": "row {n}"}}' for n in range(4)))
    levels = np.array([1, 4, -1, 3])
    raw = np.where(levels < 0, np.nan, levels)
    unrated = read(tmp_path / "pool.jsonl", scores=None)
    rated = replace(unrated, scores=levels, raw_scores=raw, num_levels=6)  # as a rating's pool
    save_selection(make_selection(rated), tmp_path / "out")
    told = manifest_in(tmp_path / "out")["input"]
    assert told["read"] == {"text": None, "scores": None, "num_levels": None, "edges": None}
    assert list(read(told["files"][0]["path"], **told["read"]).texts) == list(rated.texts)


# --- rows as Parquet, controls, what trainers need ------------------------------------------------


def test_controls_are_as_many_rows_and_the_manifest_compares_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    save_selection(make_selection(make_pool(tmp_path)), out)
    # Of the rated rows 0, 1 and 3 the texts are equally long; 4 and 3 are the best given scores.
    assert (out / "control_top_given.jsonl").read_text() == f"{LINES[1]}\n{LINES[3]}\n"
    for name in ("random", "longest"):
        lines = (out / f"control_{name}.jsonl").read_text().splitlines()
        assert len(set(lines)) == 2
        assert set(lines) <= {LINES[row] for row in (0, 1, 3)}
    told = manifest_in(out)
    assert told["controls"]["top_given"] == {
        "file": "control_top_given.jsonl",
        "rows": 2,
        "mean_given_score": 3.5,
        "mean_curated_score": 3.0,
        "mean_long_tail": pytest.approx(0.2),
    }
    assert told["selection"]["mean_given_score"] == 2.5
    assert told["selection"]["mean_curated_score"] == 4.0
    assert told["selection"]["mean_long_tail"] == pytest.approx(0.35)


def test_without_controls_those_of_an_earlier_save_go(tmp_path: Path) -> None:
    out = tmp_path / "out"
    selection = make_selection(make_pool(tmp_path))
    save_selection(selection, out)
    save_selection(selection, out, overwrite=True, controls=False)
    assert files(out) == [name for name in RESULTS if name not in CONTROLS]
    assert manifest_in(out)["controls"] == {}


def test_rows_as_parquet_and_as_lines_replace_each_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    selection = make_selection(make_pool(tmp_path))
    save_selection(selection, out)
    check_output_dir(out, overwrite=True)
    save_selection(selection, out, overwrite=True, rows="parquet")
    assert files(out) == sorted(name.replace(".jsonl", ".parquet") for name in RESULTS)
    rows = [{"text": "row 0", "score": 1}, {"text": "row 1", "score": 4}]
    assert pq.read_table(out / "selected.parquet").to_pylist() == rows
    assert manifest_in(out)["controls"]["random"]["file"] == "control_random.parquet"
    check_output_dir(out, overwrite=True)
    save_selection(selection, out, overwrite=True)
    check_results(out)


def test_all_parquet_files_have_the_types_of_all_rows_in_them(tmp_path: Path) -> None:
    marks = [1, 2, None, 0.5]
    rows = [{"text": f"row {n}", "score": s, "mark": m} for n, (s, m) in enumerate(
        zip([1, 4, None, 3], marks, strict=True))]  # fmt: skip
    save_selection(make_selection(read(rows)), tmp_path / "out", rows="parquet")
    selected = pq.read_table(tmp_path / "out" / "selected.parquet")
    assert selected.schema.field("mark").type == pa.float64()  # for row 3 is in a control
    assert selected["mark"].to_pylist() == [1.0, 2.0]
    assert pq.read_schema(tmp_path / "out" / "control_top_given.parquet").equals(selected.schema)


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (["a", 1], r"values of one type in the field 'mark', got others .*; rows='jsonl' \(--form"),
        ([{}, {}], r"types that Parquet can hold, got struct<> in the field 'mark' .*; rows='json"),
    ],
)
def test_rows_that_parquet_cannot_hold_are_refused_before_anything_is_written(
    marks: list[Any], message: str, tmp_path: Path
) -> None:
    rows = [{"text": f"row {n}", "score": 1 + n % 2, "mark": marks[n % 2]} for n in range(4)]
    with pytest.raises(InputError, match=message):
        save_selection(make_selection(read(rows)), tmp_path / "out", rows="parquet")
    assert not (tmp_path / "out").exists()


def test_a_format_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows: expected 'jsonl' or 'parquet', got 'csv'"):
        save_selection(make_selection(make_pool(tmp_path)), tmp_path / "o", rows="csv")  # type: ignore[arg-type]
    assert not (tmp_path / "o").exists()


def test_what_a_trainer_needs_lies_beside_and_is_told(tmp_path: Path) -> None:
    rows = [{"instruction": f"{n}?", "output": f"{n}.", "score": s} for n, s in enumerate(
        [1, 4, None, 3])]  # fmt: skip
    selection, out = make_selection(read(rows)), tmp_path / "out"
    save_selection(selection, out, trainers=["llama-factory"])
    made = ["dataset_info.json", "llama-factory.yaml"]
    assert files(out) == sorted([*RESULTS, *made])
    told = manifest_in(out)
    assert sorted(told["trainers"]["llama-factory"]["files"]) == made
    assert set(made) < set(told["files"])
    entries = json.loads((out / "dataset_info.json").read_text())
    assert "selected.jsonl" in {entry["file_name"] for entry in entries.values()}
    check_output_dir(out, overwrite=True)
    save_selection(selection, out, overwrite=True)
    assert files(out) == RESULTS


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_rows_that_a_trainer_does_not_take_lie_beside_as_a_copy(kind: Any, tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": f"{n}.", "score": s} for n, s in enumerate(
        [1, 4, None, 3])]  # fmt: skip
    selection, out = make_selection(read(rows), rows=(1, 0)), tmp_path / "out"
    save_selection(selection, out, trainers=["trl"], rows=kind)
    sets = ["control_longest", "control_random", "control_top_given", "selected"]
    copies = [f"{of}.trl.jsonl" for of in sets]
    others = ["manifest.json", "run.npz", "scores.parquet", "trl.yaml"]
    assert files(out) == sorted([*(f"{of}.{kind}" for of in sets), *copies, *others])
    written = (out / "selected.trl.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": said}]}
        for n, said in ((1, "1."), (0, "0."))
    ]
    told = manifest_in(out)
    assert sorted(told["trainers"]["trl"]["files"]) == [*copies, "trl.yaml"]
    assert {name: told["files"][name] for name in copies} == {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in copies
    }
    check_output_dir(out, overwrite=True)
    with pytest.raises(OutputError, match=r"the input .*selected\.trl\.jsonl is the file"):
        check_output_dir(out, overwrite=True, source=out / "selected.trl.jsonl")
    save_selection(selection, out, overwrite=True)
    assert files(out) == RESULTS
    (out / "selected.trl.jsonl").write_text("theirs")
    with pytest.raises(OutputError, match=r"selected\.trl\.jsonl is not of ds2fast; move it away"):
        save_selection(selection, out, trainers=["trl"], overwrite=True)
    save_selection(selection, out, overwrite=True)
    assert (out / "selected.trl.jsonl").read_text() == "theirs"


def test_rows_that_a_trainer_loses_are_warned_of(tmp_path: Path) -> None:
    rows = [
        {"conversations": [{"from": "human", "value": f"{n}?"}, *answer], "score": n}
        for n, answer in enumerate([[], *[[{"from": "gpt", "value": "So"}]] * 3])
    ]
    selection, out = make_selection(read(rows), rows=(3, 0)), tmp_path / "out"
    with pytest.warns(TrainerWarning) as met:
        selection.save(out, trainers=["trl"])
    told = [str(one.message) for one in met]
    assert [one.filename for one in met] == [__file__] * len(told)
    assert told == manifest_in(out)["trainers"]["trl"]["notes"]
    assert "selected.trl.jsonl holds a copy of 1 of 2 rows" in told[0]
    assert "1 of 2 rows (first: row 0) have no turn in which an assistant says" in told[1]
    # The best two by the scores as given have an answer.
    assert told[-1].startswith("trl: the copies differ in size")
    assert "(selected.trl.jsonl 1, " in told[-1]
    assert "control_top_given.trl.jsonl 2 rows)" in told[-1]
    whole = make_selection(read(rows), rows=(3, 1))
    whole.save(tmp_path / "whole", trainers=["trl"], controls=False)  # a warning is an error here


@pytest.mark.parametrize("rows", [None, [{"text": f"{n}", "score": n % 2} for n in range(4)]])
def test_a_trainer_that_is_not_known_or_has_no_rows(rows: Any, tmp_path: Path) -> None:
    selection = make_selection(None if rows is None else read(rows))
    with pytest.raises(InputError, match="trainer"):
        save_selection(selection, tmp_path / "out", trainers=["none such"])
    assert not (tmp_path / "out").exists()


def test_rules_and_what_they_did_are_in_the_manifest(tmp_path: Path) -> None:
    pool = plant(300)
    labels = ["even", "odd"] * 150
    selection = select(
        scores=pool.scores, embeddings=pool.rows, n=30, groups=labels, group_caps={"odd": 10},
        min_score=1, trust=0,
    )  # fmt: skip
    selection.save(tmp_path / "out")
    told = manifest_in(tmp_path / "out")
    assert told["rules"] == {
        "groups": {"names": ["even", "odd"], "quotas": None, "caps": [30, 10]},
        "max_similarity": None,
        "min_score": 1.0,
        "max_rarity": None,
        "excluded": None,
    }
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert table["group"] == labels
    low = sum(score < 1 for score in pool.scores.tolist())
    assert told["selection"]["asked"] == told["selection"]["rows"] == 30
    assert told["selection"]["fates"]["selected"] == 30
    assert told["selection"]["fates"]["low_score"] == table["fate"].count("low_score") == low
    assert sum(told["selection"]["fates"].values()) == 300
    assert told["settings"]["limits"]["group_caps"] == {"odd": 10}


# --- what is replaced --------------------------------------------------------------------------


def test_a_new_an_empty_and_a_deep_directory(tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "deep" / "new", str(tmp_path / "text")):
        assert check_output_dir(place) == Path(place)
        save_selection(selection, place)
        check_results(Path(place))


def test_results_of_ours_need_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "out"
    selection = make_selection(make_pool(tmp_path))
    save_selection(selection, out)
    before = contents(out)
    for attempt in (check_output_dir, lambda place: save_selection(selection, place)):
        with pytest.raises(OutputError, match=r"results already; overwrite=True \(--overwrite\)"):
            attempt(out)
    assert contents(out) == before
    check_output_dir(out, overwrite=True)
    assert contents(out) == before
    save_selection(make_selection(selection.pool, (1,)), out, overwrite=True)
    check_results(out, (1,))


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_the_input_is_never_overwritten(link: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    save_selection(make_selection(make_pool(tmp_path)), out)
    source = out / "selected.jsonl"
    source.write_text("\n".join(LINES))
    if link is not None:
        link(source, tmp_path / "alias.jsonl")
        source = tmp_path / "alias.jsonl"
    pool = read(source)
    before = contents(out)
    expected = r"the input .*(alias|selected)\.jsonl is the file .*out/selected\.jsonl"
    with pytest.raises(OutputError, match=expected):
        check_output_dir(out, overwrite=True, source=source)
    with pytest.raises(OutputError, match=expected):
        save_selection(make_selection(pool), out, overwrite=True)
    assert contents(out) == before
    check_output_dir(out, overwrite=True, source=tmp_path / "pool.jsonl")
    check_output_dir(out, overwrite=True, source=tmp_path / "missing.jsonl")


def test_a_relative_input_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_selection(make_selection(make_pool(tmp_path)), tmp_path / "out")
    (tmp_path / "out" / "selected.jsonl").write_text("\n".join(LINES))
    monkeypatch.chdir(tmp_path / "out")
    pool = read("selected.jsonl")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="the input"):
        save_selection(make_selection(pool), "out", overwrite=True)


def test_results_that_are_not_written_again_go(tmp_path: Path) -> None:
    out = tmp_path / "out"
    save_selection(make_selection(make_pool(tmp_path)), out)
    (out / "report.html").write_text("of the old selection")
    save_selection(make_selection(None), out, overwrite=True)  # from arrays: it has no rows
    assert files(out) == ["manifest.json", "run.npz", "scores.parquet"]
    assert sorted(manifest_in(out)["files"]) == ["run.npz", "scores.parquet"]


@pytest.mark.parametrize("name", ["notes.txt", ".git", ".notes.txt.0123456789ab.tmp"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_refused_before_the_work(
    name: str, overwrite: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("theirs")
    with pytest.raises(OutputError, match="hold only results of ds2fast, but it holds"):
        check_output_dir(tmp_path, overwrite=overwrite)
    assert contents(tmp_path) == {name: b"theirs"}


def test_files_of_others_that_appear_during_the_work_are_left_alone(tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    out = tmp_path / "out"
    check_output_dir(out)
    out.mkdir()
    (out / "notes.txt").write_text("theirs")
    save_selection(selection, out)
    assert (out / "notes.txt").read_text() == "theirs"
    (out / "notes.txt").unlink()
    check_results(out)


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "._selected.jsonl", ".nfs00000a1b"])
def test_clutter_of_desktops_does_not_count(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("clutter")
    check_output_dir(out)
    save_selection(make_selection(make_pool(tmp_path)), out)
    assert (out / name).read_text() == "clutter"
    assert files(out) == sorted([*RESULTS, name])


@pytest.mark.parametrize("manifest", [None, "{}", "[]", "no json", '{"made_by": "others"}'])
def test_our_names_without_our_manifest_are_refused(manifest: str | None, tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    out = tmp_path / "out"
    out.mkdir()
    (out / "selected.jsonl").write_text("theirs")
    (out / ".scores.parquet.0123456789ab.tmp").touch()
    if manifest is not None:
        (out / "manifest.json").write_text(manifest)
    before = contents(out)
    with pytest.raises(OutputError, match=r"but no manifest\.json of ds2fast beside it"):
        check_output_dir(out, overwrite=True)
    with pytest.raises(OutputError, match=r"but no manifest\.json of ds2fast beside it"):
        save_selection(selection, out, overwrite=True)
    assert contents(out) == before


@pytest.mark.parametrize("name", ["axolotl.yaml", "dataset_info.json"])
def test_a_file_of_a_users_with_the_name_of_a_trainers_stays(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    selection = make_selection(make_pool(tmp_path))
    save_selection(selection, out)
    (out / name).write_text("theirs")
    with pytest.raises(OutputError, match=rf"{name} is not of ds2fast; move it away"):
        check_output_dir(out, overwrite=True)
    save_selection(selection, out, overwrite=True)  # it came during the work, and is in no way
    assert (out / name).read_text() == "theirs"
    with pytest.raises(OutputError, match=rf"{name} is not of ds2fast; move it away"):
        stage(out, {name: b"ours"})
    assert (out / name).read_text() == "theirs"


def stage(out: Path, written: dict[str, bytes]) -> None:
    """Write results of other content than a selection's, as a save does."""
    check_replaceable(out, overwrite=True, written=list(written))
    with made_directory(out), Staging(out) as staging:
        for name, content in written.items():
            with staging.open(name) as file:
                file.write(content)
        files = dict(staging.sha256)
        with staging.open("manifest.json") as file:
            write_manifest(file, {"complete": True, "files": files})
        staging.publish()


def test_a_config_that_a_user_changed_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    stage(out, {"trl.yaml": b"ours", "scores.parquet": b"ours"})
    stage(out, {"trl.yaml": b"ours, too"})
    assert files(out) == ["manifest.json", "trl.yaml"]
    (out / "trl.yaml").write_text("epochs: 5")
    for attempt in (
        lambda: check_output_dir(out, overwrite=True),
        lambda: stage(out, {"trl.yaml": b""}),
    ):
        with pytest.raises(
            OutputError, match=r"trl\.yaml was changed since ds2fast wrote it; move"
        ):
            attempt()
    stage(out, {"scores.parquet": b"ours"})
    assert (out / "trl.yaml").read_text() == "epochs: 5"


def test_a_link_to_a_file_of_theirs_is_not_replaced(tmp_path: Path) -> None:
    """Even where that file holds what was written: a link is no file of ours."""
    out = tmp_path / "out"
    stage(out, {"trl.yaml": b"ours"})
    (out / "trl.yaml").rename(tmp_path / "mine.yaml")
    (out / "trl.yaml").symlink_to(tmp_path / "mine.yaml")
    with pytest.raises(OutputError, match=r"trl\.yaml was changed since"):
        stage(out, {"trl.yaml": b"ours, too"})
    stage(out, {"scores.parquet": b"ours"})
    assert (out / "trl.yaml").is_symlink()


def test_results_of_another_version_go_while_they_are_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "out"
    stage(out, {"of-a-later-version.bin": b"ours", "another.bin": b"ours"})
    check_output_dir(out, overwrite=True)
    with pytest.raises(OutputError, match=r"the input .*another\.bin is the file"):
        check_output_dir(out, overwrite=True, source=out / "another.bin")
    (out / "another.bin").write_bytes(b"theirs")
    with pytest.raises(OutputError, match=r"another\.bin was changed since ds2fast wrote it"):
        check_output_dir(out, overwrite=True)
    stage(out, {"scores.parquet": b"ours"})
    assert files(out) == ["another.bin", "manifest.json", "scores.parquet"]


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_configs_of_a_save_that_was_cut_short_are_known_again(
    renamed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    names = ("axolotl.yaml", "trl.yaml")
    stage(out, dict.fromkeys(names, b"the first"))
    for turn in (b"the second", b"the third"):  # cut short twice, so that three may be there
        with monkeypatch.context() as patched:
            stop_at_rename(renamed, patched)
            with pytest.raises(Stop):
                stage(out, dict.fromkeys(names, turn))
        kept = [(out / name).read_bytes() for name in names]
        before = b"the first" if turn == b"the second" or not renamed else b"the second"
        assert kept[:renamed] == [turn] * renamed
        assert set(kept[renamed:]) <= {before, b"the first"}
        check_output_dir(out, overwrite=True)
    stage(out, {"scores.parquet": b"ours"})
    assert files(out) == ["manifest.json", "scores.parquet"]


def stop_at_rename(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop a save when so many of its files, beside the mark, have their names."""
    done = -1
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal done
        if done == after:
            raise Stop
        done += 1
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)


def test_ratings_beside_a_selection_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    selection = make_selection(make_pool(tmp_path))
    save_selection(selection, out)
    (out / "rated.jsonl").write_text("paid for")
    with pytest.raises(OutputError, match=r"holds 'rated\.jsonl'"):
        check_output_dir(out, overwrite=True)  # whose it is cannot be told
    (out / "rated.manifest.json").write_text('{"made_by": "ds2fast"}')
    check_output_dir(out, overwrite=True)
    save_selection(selection, out, overwrite=True)
    assert files(out) == sorted([*RESULTS, "rated.jsonl", "rated.manifest.json"])
    assert (out / "rated.jsonl").read_text() == "paid for"


def test_none_of_several_inputs_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    save_selection(make_selection(make_pool(tmp_path)), out)
    for name in ("selected.jsonl", "control_random.jsonl"):
        sources = [tmp_path / "pool.jsonl", out / name]
        with pytest.raises(OutputError, match=rf"the input .*{name} is the file"):
            check_output_dir(out, overwrite=True, source=sources)
    check_output_dir(out, overwrite=True, source=[tmp_path / "pool.jsonl"])


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    selection = make_selection(make_pool(tmp_path))
    (tmp_path / "out").touch()
    for attempt in (check_output_dir, lambda place: save_selection(selection, place)):
        with pytest.raises(OutputError, match="expected a directory, got the file"):
            attempt(tmp_path / "out")
        with pytest.raises(OutputError, match=r"output directory: cannot write to .*Not a direct"):
            attempt(tmp_path / "out" / "deeper")


def test_a_directory_in_the_place_of_a_result(tmp_path: Path) -> None:
    out = tmp_path / "out"
    selection = make_selection(make_pool(tmp_path))
    save_selection(selection, out)
    (out / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"expected a file, got the directory 'report\.html'"):
        save_selection(selection, out, overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match=r"output directory: cannot write to .*Permission denied"):
        check_output_dir(tmp_path)


# --- what an interruption leaves ---------------------------------------------------------------

# A save without controls asks for the disk after each of four files, after the mark that it is not
# complete, after that mark has its name, before the manifest gets its name, and after.
SYNCS_BEFORE_THE_MARK = 5
SYNCS = 8
save = partial(save_selection, controls=False, overwrite=True)


class Stop(BaseException):
    """Stands for Ctrl-C."""


def stop_at(sync: int, monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> None:
    """Fail, or die where no error is given, when the disk is asked for the n-th time."""
    asked = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal asked
        asked += 1
        if asked == sync and error is None:
            os._exit(9)
        if asked == sync and error is not None:
            raise error
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Stop()])
@pytest.mark.parametrize("sync", range(1, SYNCS_BEFORE_THE_MARK + 1))
def test_a_failure_while_writing_changes_nothing(
    sync: int, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    pool = make_pool(tmp_path)
    save_selection(make_selection(pool), out)
    before = contents(out)
    with monkeypatch.context() as patched:
        stop_at(sync, patched, error)
        with pytest.raises((OutputError, Stop)) as caught:
            save(make_selection(pool, (1,)), out)
    assert contents(out) == before
    if isinstance(error, OSError):
        assert "No space left on device; what was there is unchanged" in str(caught.value)
    with monkeypatch.context() as patched:
        stop_at(sync, patched, error)
        with pytest.raises((OutputError, Stop)):
            save(make_selection(pool), tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()


def test_the_old_manifest_goes_first_and_the_new_one_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    pool = make_pool(tmp_path)
    save_selection(make_selection(pool), out)
    seen: list[tuple[str, bool]] = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        seen.append((target.name, manifest_in(out)["complete"]))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    save_selection(make_selection(pool, (1,)), out, overwrite=True)
    assert seen[0] == ("manifest.json", True)
    results = [name for name in RESULTS if name != "manifest.json"]
    assert sorted(seen[1:-1]) == [(name, False) for name in results]
    assert seen[-1] == ("manifest.json", False)
    check_results(out, (1,))


def test_a_rename_that_fails_is_told_and_can_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    pool = make_pool(tmp_path)
    save_selection(make_selection(pool), out)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == "scores.parquet":
            raise OSError(5, "Input/output error")
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        with pytest.raises(OutputError, match=r"Input/output error; .* not complete: save again"):
            save_selection(make_selection(pool, (1,)), out, overwrite=True)
    assert manifest_in(out)["complete"] is False
    assert files(out) == RESULTS
    save_selection(make_selection(pool, (1,)), out, overwrite=True)
    check_results(out, (1,))


def die_while_saving(source: str, folders: str) -> None:
    """What the process that is not ours runs: children that each die at another sync."""
    selection = make_selection(read(source), (1,))
    pa.array(np.zeros(1))  # what Arrow imports on its first array, the children need not
    for out in Path(folders).iterdir():
        child = os.fork()
        if child == 0:
            stop_at(int(out.name.split("-")[1]), pytest.MonkeyPatch(), None)
            save(selection, out)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Folders `old-SYNC` with results and empty `new-SYNC`, after saves that died there."""
    folder = tmp_path_factory.mktemp("killed")
    selection = make_selection(make_pool(folder))
    outs = folder / "outs"
    save_selection(selection, folder / "before")
    for sync in range(1, SYNCS + 1):
        shutil.copytree(folder / "before", outs / f"old-{sync}")
        (outs / f"new-{sync}").mkdir()
    source = str(folder / "pool.jsonl")
    code = f"import test_save; test_save.die_while_saving({source!r}, {str(outs)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
    return folder, contents(folder / "before")


@pytest.mark.parametrize("sync", range(1, SYNCS + 1))
def test_a_killed_save_is_seen_and_mended_by_the_next(
    sync: int, killed: tuple[Path, dict[str, bytes]]
) -> None:
    folder, before = killed
    pool = read(folder / "pool.jsonl")
    old, new = (folder / "outs" / f"{kind}-{sync}" for kind in ("old", "new"))
    if sync <= SYNCS_BEFORE_THE_MARK:
        assert {name: old.joinpath(name).read_bytes() for name in RESULTS} == before
        check_output_dir(new)  # what has only temporary names is nobody's loss
    else:
        assert manifest_in(old)["complete"] == manifest_in(new)["complete"] == (sync == SYNCS)
        holds = "results already" if sync == SYNCS else "a save that was cut short"
        with pytest.raises(OutputError, match=rf"holds {holds}; overwrite=True"):
            check_output_dir(new)
    for out in (old, new):
        check_output_dir(out, overwrite=True)
        save_selection(make_selection(pool, (1, 0)), out, overwrite=True)
        check_results(out, (1, 0))


def test_a_foreign_file_beside_what_a_killed_save_left_is_safe(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (out / ".scores.parquet.0123456789ab.tmp").write_text("half")
    shutil.copy(tmp_path / "pool.jsonl", out / "selected.jsonl")
    before = contents(out)
    with pytest.raises(OutputError, match=r"no manifest\.json of ds2fast"):
        save_selection(make_selection(pool), out, overwrite=True)
    assert contents(out) == before
