"""The command line as a user runs it: exit codes, what goes to stdout, stderr and files."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import ds2fast
from ds2fast.audit import Labels, write_gold
from ds2fast.errors import InputError, InputFileError, ModelNotFoundError, OutputError
from ds2fast.evidence import WeakEvidenceWarning
from ds2fast.graph_search import EXACT_UP_TO
from ds2fast.io.scores import map_scores
from ds2fast_cli.commands import program
from ds2fast_cli.exits import exit_code
from ds2fast_cli.options import DEFAULT_MODEL
from planted import Planted, noisy_rater, plant
from waiting import PATIENCE

PROGRAM = (sys.executable, "-m", "ds2fast_cli")

TOPICS = ("bread", "planets", "SQL joins", "roses", "chess", "violins")


def write_pool(path: Path, *, rows: int = 60) -> list[str]:
    lines = [
        json.dumps(
            {
                "instruction": f"Explain {TOPICS[i % 6]} to me, question {i}.",
                "output": f"Here is what {TOPICS[i % 6]} means. " * (1 + i % 3),
                "score": (i % 6 + (i % 7 == 0)) % 6,
            }
        )
        for i in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return lines


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


@pytest.mark.encoder
def test_select_writes_rows_scores_and_manifest(tmp_path: Path, encoder_dir: Path) -> None:
    lines = write_pool(tmp_path / "pool.jsonl")
    out = tmp_path / "out"
    result = run(
        "select", tmp_path / "pool.jsonl", "-n", 10, "-o", out, "--model", encoder_dir,
        "--cache-dir", tmp_path / "cache",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "Transition matrix T" in result.stderr
    assert "selected 10 rows" in result.stderr
    chosen = (out / "selected.jsonl").read_text().splitlines()
    assert len(chosen) == 10
    assert set(chosen) <= set(lines)
    assert pq.read_table(out / "scores.parquet").num_rows == 60
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["encoder"]["weights_sha256"].startswith("53aa5117")
    assert manifest["input"]["path"] == str(tmp_path / "pool.jsonl")


@pytest.mark.encoder
def test_quiet_json_prints_json_alone(tmp_path: Path, encoder_dir: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    result = run(
        "select", tmp_path / "pool.jsonl", "--fraction", 0.5, "-o", tmp_path / "out", "-q",
        "--json", "--model", encoder_dir, "--cache-dir", tmp_path / "cache",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    printed = json.loads(result.stdout)
    assert printed["selection"]["rows"] == 30
    assert printed == json.loads((tmp_path / "out" / "manifest.json").read_text())


@pytest.mark.encoder
def test_diagnose_prints_findings_and_tells_of_the_pool(tmp_path: Path, encoder_dir: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    arguments = (tmp_path / "pool.jsonl", "--model", encoder_dir, "--cache-dir", tmp_path / "cache")
    result = run("diagnose", *arguments)
    assert result.exit_code == 0, result.stderr
    assert "Transition matrix T" in result.stdout
    assert "by chance" in result.stdout
    rendered = "Explain bread to me"  # the pool is described with a row of it
    assert rendered in result.stderr
    assert rendered not in result.stdout
    assert "Transition matrix T" not in result.stderr
    quiet = run("diagnose", *arguments, "-q")
    assert quiet.stderr == ""
    assert "Transition matrix T" in quiet.stdout
    assert rendered not in quiet.stdout


@pytest.mark.encoder
def test_diagnose_as_json_says_what_was_judged(tmp_path: Path, encoder_dir: Path) -> None:
    lines = write_pool(tmp_path / "pool.jsonl")
    unrated = json.dumps({"instruction": "Explain kites to me.", "output": "No.", "score": None})
    (tmp_path / "pool.jsonl").write_text("\n".join([*lines, unrated]) + "\n")
    result = run("diagnose", tmp_path / "pool.jsonl", "--model", encoder_dir, "--json", "-q")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["counts"] == {"rows": 61, "rated": 60, "unrated": 1}
    assert found["pool"]["path"] == str(tmp_path / "pool.jsonl")
    assert found["encoder"]["weights_sha256"].startswith("53aa5117")
    matrix = np.array(found["transition"]["transition_matrix"])
    assert matrix.shape == (6, 6)
    assert np.allclose(matrix.sum(axis=1), 1)
    assert found["warnings"] == []


def write_noise(path: Path) -> None:
    """Rows whose scores have nothing to do with their texts: neighbours agree by chance."""
    scores = np.random.default_rng(0).integers(0, 2, 400)
    rows = [{"text": f"{TOPICS[i % 6]} {i}", "score": int(score)} for i, score in enumerate(scores)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.encoder
@pytest.mark.parametrize("command", ["select", "diagnose"])
@pytest.mark.parametrize("flags", [(), ("-q",), ("-q", "--json")])
def test_warnings_reach_stderr_once(
    tmp_path: Path, encoder_dir: Path, command: str, flags: tuple[str, ...]
) -> None:
    write_noise(tmp_path / "pool.jsonl")
    out = ("-n", 5, "-o", tmp_path / "out") if command == "select" else ()
    result = run(command, tmp_path / "pool.jsonl", *out, "--model", encoder_dir, *flags)
    assert result.exit_code == 0, result.stderr
    warnings = [line for line in result.stderr.splitlines() if line.startswith("WARNING: ")]
    assert len(warnings) == 1
    assert "by chance" in warnings[0]
    assert WeakEvidenceWarning.__name__ not in result.stderr
    if flags == ("-q",):
        assert result.stderr.splitlines() == warnings


@pytest.mark.encoder
def test_doctor_finds_the_encoder(encoder_dir: Path) -> None:
    result = run("doctor", "--model", encoder_dir)
    assert result.exit_code == 0
    assert f"encoder      {encoder_dir}: found" in result.stdout
    assert "weights 53aa5117" in result.stdout
    assert "SIMD level" in result.stdout


def test_doctor_says_what_is_missing() -> None:
    result = run("doctor", "--model", "./nowhere", "--json")
    assert result.exit_code == 0
    encoder = json.loads(result.stdout)["encoder"]
    assert encoder["found"] is False
    assert f"expected a directory at {Path('nowhere').absolute()}" in encoder["problem"]


def test_bench_prints_ratios() -> None:
    result = run("bench", "-n", 300, "-d", 16, "--threads", 2, "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert (measured["rows"], measured["dimensions"], measured["threads"]) == (300, 16, 2)
    assert all(one["ratio"] > 0 for one in measured["stages"])
    table = run("bench", "-n", 300, "-d", 16).stdout
    assert all(one["stage"] in table for one in measured["stages"])


@pytest.mark.parametrize(("option", "value", "least"), [("-n", 5, 100), ("-d", 1, 2)])
def test_bench_names_the_option_that_it_refuses(option: str, value: int, least: int) -> None:
    said = error_of(run("bench", option, value), 2)
    assert f"Invalid value for '{option}'" in said
    assert f"{value} is not in the range x>={least}" in said


def test_bench_names_the_threads_that_it_refuses() -> None:
    assert "error: threads: expected 1 to" in error_of(run("bench", "--threads", 0), 2)


def error_of(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr


@pytest.mark.encoder
@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ('{"text": "a", "score": 1}\n{broken\n', ("-n", 1), "line 2"),
        ('{"a": 1, "score": 1}\n', ("-n", 1), "fields seen"),
        ('{"text": "a"}\n{"text": "b"}\n', ("-n", 1), "'score'"),
        ('{"text": "a", "score": "good"}\n', ("-n", 1), "got 'good' in line 1"),
        ('{"text": "a", "score": 1}\n{"text": "b", "score": 2}\n', ("-n", 1), "k: expected fewer"),
        ("", ("-n", 1), "at least one row"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    tmp_path: Path, encoder_dir: Path, content: str, arguments: tuple[Any, ...], message: str
) -> None:
    (tmp_path / "pool.jsonl").write_text(content)
    out = tmp_path / "out"
    result = run("select", tmp_path / "pool.jsonl", "-o", out, "--model", encoder_dir, *arguments)
    assert message in error_of(result, 2)
    assert not out.exists()


@pytest.mark.encoder
def test_a_missing_file_is_named(tmp_path: Path, encoder_dir: Path) -> None:
    result = run("select", tmp_path / "no.jsonl", "-n", 1, "-o", tmp_path / "o",
                 "--model", encoder_dir)  # fmt: skip
    assert str(tmp_path / "no.jsonl") in error_of(result, 2)


def test_a_missing_model_says_where_it_was_looked_for(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    result = run("select", tmp_path / "pool.jsonl", "-n", 1, "-o", tmp_path / "o",
                 "--model", tmp_path / "no_model")  # fmt: skip
    assert f"expected a directory at {tmp_path / 'no_model'}" in error_of(result, 2)


# --- What was seen of the scores, and how they are curated ---------------------------------------


def write_rated(folder: Path, *, scale: tuple[int, ...] = (0, 1, 2, 3)) -> Planted:
    """A pool with scores, second scores, true ones and a second rater's, and its vectors."""
    pool = plant(900, own=0.2)
    second, gold, other = pool.repeat(300), pool.know(250), pool.rate(noisy_rater(4, 0.8), 5)
    rows = [
        {
            "text": f"Question {n} about {TOPICS[n % 6]}.",
            "score": scale[score],
            "again": None if second[n] < 0 else scale[second[n]],
            "truth": None if gold[n] < 0 else scale[gold[n]],
            "other": scale[other[n]],
        }
        for n, score in enumerate(pool.scores)
    ]
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.save(folder / "rows.npy", pool.rows)
    return pool


def select_rated(folder: Path, *options: Any) -> dict[str, Any]:
    """The manifest of a selection of 100 rows, which `folder / "out"` holds."""
    result = run("select", folder / "pool.jsonl", "-n", 100, "-o", folder / "out", "--overwrite",
                 "--embeddings", folder / "rows.npy", "-q", "--json", *options)  # fmt: skip
    assert result.exit_code == 0, result.output
    manifest = json.loads(result.stdout)
    assert isinstance(manifest, dict)
    return manifest


def test_repeats_and_gold_are_fields(tmp_path: Path) -> None:
    pool = write_rated(tmp_path)
    manifest = select_rated(tmp_path, "--repeats", "again", "--gold", "truth")
    transition = manifest["transition"]
    assert transition["solver"] == "sharing"
    assert transition["signal"] == ["repeats", "gold"]
    assert transition["signal_rows"] == int(((pool.repeat(300) >= 0) | (pool.know(250) >= 0)).sum())
    assert (manifest["settings"]["repeated_rows"], manifest["settings"]["gold_rows"]) == (300, 250)
    by_name = ds2fast.select(
        tmp_path / "pool.jsonl", embeddings=pool.rows, n=100, repeats="again", gold="truth"
    )
    assert by_name.transition is not None
    assert transition["own"] == pytest.approx(by_name.transition.own)
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert [i for _, i in sorted((r, i) for i, r in enumerate(table["rank"]) if r >= 0)] == (
        by_name.indices.tolist()
    )


@pytest.mark.parametrize("scale", [(0, 1, 2, 3), (4, 6, 8, 10)])
def test_gold_may_be_a_file_of_labels(tmp_path: Path, scale: tuple[int, ...]) -> None:
    write_rated(tmp_path, scale=scale)
    pool = ds2fast.read(tmp_path / "pool.jsonl")
    given = np.array([np.nan if one is None else one for one in pool.column("truth")])
    levels = map_scores(given).levels
    write_gold(tmp_path / "gold.jsonl", Labels(levels, given, 0, True), pool)
    by_file = select_rated(tmp_path, "--gold", tmp_path / "gold.jsonl")
    by_field = select_rated(tmp_path, "--gold", "truth")
    assert by_file["settings"]["gold_rows"] == 250
    assert by_file["transition"] == by_field["transition"]


def test_scores_given_twice_are_two_raters(tmp_path: Path) -> None:
    write_rated(tmp_path)
    manifest = select_rated(tmp_path, "--scores", "score", "--scores", "other")
    assert manifest["settings"]["raters"] == 2
    assert manifest["transition"]["signal"] == ["raters"]
    assert np.array(manifest["transition"]["rater_matrices"]).shape == (2, 4, 4)
    # Of two the second is the better one.
    right = [np.trace(matrix) for matrix in manifest["transition"]["rater_matrices"]]
    assert right[1] > right[0]


def test_methods_and_solvers_are_options(tmp_path: Path) -> None:
    write_rated(tmp_path)
    manifest = select_rated(tmp_path, "--solver", "em", "--method", "simifeat")
    assert manifest["transition"]["solver"] == "em"
    assert manifest["curation"]["method"] == "simifeat"
    assert manifest["curation"]["min_confidence"] == 0.5
    default = select_rated(tmp_path)
    assert default["transition"]["solver"] == "sharing"
    assert default["curation"]["method"] == "posterior"
    assert default["curation"]["min_confidence"] == 0.0
    paper = select_rated(tmp_path, "--preset", "paper")
    assert paper["transition"]["solver"] == "moments"
    assert paper["curation"]["method"] == "simifeat"


def test_trust_0_selects_by_the_scores_as_given(tmp_path: Path) -> None:
    write_rated(tmp_path)
    manifest = select_rated(tmp_path, "--trust", 0)
    assert manifest["selection"]["trust"] == 0.0
    assert manifest["selection"]["same_as_given"] == 100
    assert select_rated(tmp_path)["selection"]["trust"] == 1.0
    table = pq.read_table(tmp_path / "out" / "scores.parquet").to_pydict()
    assert table["rank_key"] != table["given_score"]


def test_a_file_of_others_that_comes_during_the_work_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rated(tmp_path)
    select = ds2fast.select
    theirs = tmp_path / "out" / ".ipynb_checkpoints" / "theirs"

    def slowly(*arguments: Any, **settings: Any) -> ds2fast.Selection:
        theirs.parent.mkdir(parents=True)
        theirs.write_text("kept")
        return select(*arguments, **settings)

    monkeypatch.setattr(ds2fast, "select", slowly)
    assert select_rated(tmp_path)["selection"]["rows"] == 100
    assert theirs.read_text() == "kept"


def test_what_a_trainer_is_given_as_a_copy_is_told(tmp_path: Path) -> None:
    write_rated(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    asked = [{"question": row["text"], "answer": "So", "score": row["score"]} for row in rows]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    arguments = ("select", tmp_path / "pool.jsonl", "--embeddings", tmp_path / "rows.npy")
    result = run(*arguments, "-n", 100, "-o", tmp_path / "out", "--no-report",
                 "--trainer", "trl", "--trainer", "axolotl")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "trl: selected.trl.jsonl holds a copy of 100 of 100 rows as messages" in result.stderr
    assert "axolotl: " not in result.stderr
    assert len((tmp_path / "out" / "selected.trl.jsonl").read_text().splitlines()) == 100
    assert set((tmp_path / "out" / "selected.jsonl").read_text().splitlines()) < {
        json.dumps(row) for row in asked
    }


@pytest.mark.parametrize("quiet", [True, False])
def test_rows_that_a_trainer_loses_are_warned_of_once(tmp_path: Path, *, quiet: bool) -> None:
    write_rated(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    chats = [[{"from": "human", "value": row["text"]}, {"from": "gpt", "value": "So"}]
             for row in rows]  # fmt: skip
    for chat in chats[::2]:
        del chat[1]
    written = [{"conversations": chat, "score": row["score"]}
               for chat, row in zip(chats, rows, strict=True)]  # fmt: skip
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    arguments = (tmp_path / "pool.jsonl", "--embeddings", tmp_path / "rows.npy", "--no-report")
    result = run("select", *arguments, "-n", 100, "-o", tmp_path / "out", "--trainer", "trl",
                 *["-q"] * quiet)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["trainers"]["trl"]["notes"]
    assert any("so a copy for trl cannot hold them" in note for note in notes)
    for note in notes:
        assert result.stderr.count(note) == 1
        assert f"WARNING: {note}\n" in result.stderr
    assert ("450 rows have no answer, the first is row 0" in result.stderr) is not quiet


def test_too_many_unrated_rows_are_refused_unless_allowed(tmp_path: Path) -> None:
    write_rated(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    for row in rows[:225]:
        row["score"] = None
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = (tmp_path / "pool.jsonl", "--embeddings", tmp_path / "rows.npy", "-q")
    result = run("select", *arguments, "-n", 100, "-o", tmp_path / "out")
    message = error_of(result, 2)
    assert "max_unrated: expected at most 0.2 of the rows unrated" in message
    assert "got 225 of 900, 0.25;" in message
    assert "--max-unrated" in message
    assert not (tmp_path / "out").exists()
    manifest = select_rated(tmp_path, "--max-unrated", 0.25)
    assert manifest["settings"]["max_unrated"] == 0.25
    assert manifest["input"]["unrated"] == 225
    assert run("diagnose", *arguments).exit_code == 0


def test_bands_are_printed_where_they_are_asked_for(tmp_path: Path) -> None:
    write_rated(tmp_path)
    arguments = (tmp_path / "pool.jsonl", "--embeddings", tmp_path / "rows.npy", "-q", "--json")
    result = run("diagnose", *arguments, "--bootstrap", 20)
    assert result.exit_code == 0, result.output
    transition = json.loads(result.stdout)["transition"]
    assert transition["bands"]["resamples"] == 20
    lower, upper = (np.array(transition["bands"][name]) for name in ("lower", "upper"))
    assert (lower <= transition["transition_matrix"]).all()
    assert (transition["transition_matrix"] <= upper).all()
    without = json.loads(run("diagnose", *arguments).stdout)["transition"]
    assert without["bands"] is None
    words = run("diagnose", *arguments[:-1], "--bootstrap", 20)
    assert "95 % bands of T's diagonal (20 resamples)" in words.stdout


# --- The order of checks --------------------------------------------------------------------------

WRONG_ARGUMENTS = [
    (("-n", 0), "n: expected at least 1"),
    ((), "n, fraction: expected just one"),
    (("-n", 1, "--fraction", 0.5), "n, fraction: expected just one"),
    (("--fraction", 2), "fraction: expected"),
    (("-n", 1, "-k", 1), "k: expected at least 2"),
    (("-n", 1, "--preset", "paper", "-k", 9), "k: expected 10"),
    (("-n", 1, "--min-confidence", 1.5), "min_confidence: expected"),
    (("-n", 1, "--num-levels", 1), "num_levels: expected 2"),
    (("-n", 1, "--seed", -1), "seed: expected"),
    (("-n", 1, "--trust", 1.5), "trust: expected 0 to 1"),
    (("-n", 1, "--max-unrated", 1.5), "max_unrated: expected 0 to 1"),
    (("-n", 1, "--preset", "paper", "--solver", "em"), "solver: expected 'moments'"),
    (("-n", 1, "--preset", "paper", "--method", "posterior"), "method: expected 'simifeat'"),
    (("-n", 1, "--threads", 0), "threads: expected"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_ARGUMENTS)
def test_arguments_are_checked_before_anything_is_looked_for(
    tmp_path: Path, arguments: tuple[Any, ...], message: str
) -> None:
    # Neither the data nor the encoder nor a place for the results is there.
    (tmp_path / "out").write_text("a file")
    result = run("select", tmp_path / "no.jsonl", "-o", tmp_path / "out",
                 "--model", tmp_path / "no_model", *arguments)  # fmt: skip
    assert f"error: {message}" in error_of(result, 2)


def test_diagnose_checks_its_arguments_first_too(tmp_path: Path) -> None:
    result = run("diagnose", tmp_path / "no.jsonl", "--model", tmp_path / "no_model", "-k", 1)
    assert "error: k: expected at least 2" in error_of(result, 2)
    result = run("diagnose", tmp_path / "no.jsonl", "--model", "./nowhere", "--bootstrap", -1)
    assert "error: bootstrap: expected at least 0" in error_of(result, 2)


def test_the_output_is_checked_before_the_encoder(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    result = run("select", tmp_path / "pool.jsonl", "-n", 1, "-o", tmp_path / "out",
                 "--overwrite", "--model", "./nowhere")  # fmt: skip
    assert "notes.txt" in error_of(result, 2)


def test_the_input_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text('{"made_by": "ds2fast"}')
    lines = write_pool(out / "selected.jsonl")
    result = run("select", out / "selected.jsonl", "-n", 1, "-o", out, "--overwrite",
                 "--model", "./nowhere")  # fmt: skip
    assert str(out / "selected.jsonl") in error_of(result, 2)
    assert (out / "selected.jsonl").read_text().splitlines() == lines


def test_the_encoder_is_looked_for_before_the_data_are_read(tmp_path: Path) -> None:
    arguments = ("-n", 1, "-o", tmp_path / "o", "--model", tmp_path / "no_model")
    (tmp_path / "broken.jsonl").write_text("{")
    assert "no_model" in error_of(run("select", tmp_path / "broken.jsonl", *arguments), 2)
    # A file that is not there is told first: the encoder might have to be downloaded.
    assert "no.jsonl" in error_of(run("select", tmp_path / "no.jsonl", *arguments), 2)


# --- Exit codes -----------------------------------------------------------------------------------


def test_wrong_use_of_options_is_exit_code_2() -> None:
    assert run("select", "x.jsonl", "-o", "out", "--no-such-option").exit_code == 2
    assert run("select", "x.jsonl").exit_code == 2


def test_an_address_without_its_engine_is_told_by_the_options() -> None:
    result = run("select", "x.jsonl", "-n", 5, "-o", "out", "--address", "auto")
    assert "--address names a Ray cluster: expected --engine ray" in error_of(result, 2)


def test_help_says_up_to_which_pool_the_graph_is_exact() -> None:
    words = " ".join(run("select", "--help").stdout.split())
    assert f"N²·d = {EXACT_UP_TO:.1e}".replace("e+", "e") in words
    assert "300 000 rows of 384 numbers or 370 000 of 256" in words
    for rows, width in ((300_000, 384), (370_000, 256)):
        assert abs(rows**2 * width / EXACT_UP_TO - 1) < 0.02


def caused(error: Exception, cause: Exception | None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("n"), 2),
        (InputFileError("no such file"), 2),
        (OutputError("holds other files"), 2),
        (caused(OutputError("cannot write"), OSError(errno.ENOSPC, "full")), 1),
        (ModelNotFoundError("no such directory"), 2),
        (caused(ModelNotFoundError("hub"), TimeoutError("no answer")), 1),
        (PermissionError("no"), 1),
        (ZeroDivisionError("a bug"), None),
    ],
)
def test_whose_fault_an_error_is(error: Exception, code: int | None) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("offline", "code", "message"), [("0", 1, "could not be reached"), ("1", 2, "HF_HUB_OFFLINE")]
)
def test_a_hub_out_of_reach_is_a_failure_and_a_forbidden_one_is_not(
    tmp_path: Path, offline: str, code: int, message: str
) -> None:
    write_pool(tmp_path / "pool.jsonl")
    done = subprocess.run(
        [*PROGRAM, "select", tmp_path / "pool.jsonl", "-n", "1", "-o", tmp_path / "out",
         "--model", "some-org/some-model"],
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": offline,
             "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.encoder
def test_a_full_disk_is_a_failure(
    tmp_path: Path, encoder_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pool(tmp_path / "pool.jsonl")
    arguments = (tmp_path / "pool.jsonl", "--model", encoder_dir, "--cache-dir", tmp_path / "cache")
    assert run("diagnose", *arguments).exit_code == 0  # fills the cache

    def is_full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", is_full)
    result = run("select", *arguments, "-n", 5, "-o", tmp_path / "out")
    assert "No space left on device" in error_of(result, 1)
    assert not list(tmp_path.rglob("selected.jsonl"))


def test_help_tells_the_exit_codes_and_comes_without_numpy() -> None:
    code = "import sys; sys.argv[1:] = ['--help']\n"
    code += "from ds2fast_cli import run\n"
    code += "try: run()\n"
    code += "except SystemExit as end: assert not end.code\n"
    code += "print('numpy' in sys.modules, 'ds2fast' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    *said, last = done.stdout.splitlines()
    assert last == "False False"
    codes = [line.split()[0] for line in said[said.index("  Exit codes:") + 1 :]]
    assert codes == ["0", "1", "2", "130", "141"]


def test_version_and_help() -> None:
    assert ds2fast.__version__ in run("--version").stdout
    for command in ("select", "diagnose", "embed", "distill", "doctor", "bench"):
        assert command in run("--help").stdout
        assert f"Usage: program {command}" in run(command, "-h").stdout


def test_the_model_by_default_is_that_of_the_package() -> None:
    assert DEFAULT_MODEL == ds2fast.DEFAULT_MODEL


# --- The process ----------------------------------------------------------------------------------


def test_a_closed_pipe_ends_the_program_quietly() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        done = subprocess.run(
            [*PROGRAM, "doctor", "--model", "./nowhere"],
            stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 141


def test_ctrl_c_amid_imports_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(600)\n"
    )
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from ds2fast_cli import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stderr == "stopped\n"
    assert done.returncode == 130


def read_terminal(master: int, *, until: str | None = None) -> str:
    """What is written to a terminal until a word comes, or until all have closed it."""
    said = b""
    deadline = time.monotonic() + PATIENCE
    while until is None or until.encode() not in said:
        assert time.monotonic() < deadline, said
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(master, 4096)
        except OSError:  # how Linux tells the end
            chunk = b""
        if not chunk:
            assert until is None, said
            break
        said += chunk
    return said.decode()


@pytest.mark.encoder
def test_ctrl_c_while_embedding_ends_within_seconds(tmp_path: Path, encoder_dir: Path) -> None:
    rows = [{"text": f"{TOPICS[i % 6]} {i} " * 90, "score": i % 5} for i in range(1500)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from ds2fast_cli import run; run()"  # a shell may have us ignore the signal
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (40, 100))  # there are bars only where they have room
    process = subprocess.Popen(
        [sys.executable, "-c", code, "select", tmp_path / "pool.jsonl", "-n", "5",
         "-o", tmp_path / "out", "--model", encoder_dir, "--cache-dir", tmp_path / "cache"],
        stdout=subprocess.PIPE, stderr=slave, text=True,
    )  # fmt: skip
    os.close(slave)
    try:
        read_terminal(master, until="embedding: ")
        process.send_signal(signal.SIGINT)
        said = read_terminal(master)
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    # Of what takes a minute or more a part was embedded, however late the signal was heard.
    assert max(map(int, re.findall(r"embedding: +(\d+)%", said)), default=0) < 50
    assert process.returncode == 130
    assert said.endswith("stopped\r\n")
    assert "Traceback" not in said
    assert output == ""
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.encoder
def test_the_installed_program_runs(tmp_path: Path, encoder_dir: Path) -> None:
    write_pool(tmp_path / "pool.jsonl")
    installed = Path(sys.executable).parent / "ds2fast"
    done = subprocess.run(
        [installed, "select", tmp_path / "pool.jsonl", "-n", "5", "-o", tmp_path / "out",
         "--model", encoder_dir],
        env={**os.environ, "DS2FAST_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "selected.jsonl").read_text().count("\n") == 5
