"""`ds2fast rate`, and `select --rate-with`, as a user runs them: against a real server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ds2fast.rating import silence
from ds2fast.rating.job import prepare_rating
from ds2fast.rating.prompt import CRITERIA
from ds2fast.rating.settings import check_rating
from ds2fast.rating.store import ReplyStore
from ds2fast.rating.stored import StoredReply
from ds2fast_cli.commands import program
from rating_pools import made_up_rows, texts_of
from rating_process import RunningServer, rating_server
from rating_secret import made_up_key, places_of
from rating_truth import true_level

NUM_ROWS = 60


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2FAST_RATINGS_DIR", str(tmp_path / "ratings"))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with rating_server() as running:
        yield running


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_pool(tmp_path / "pool.jsonl")


def write_pool(path: Path, rows: int = NUM_ROWS, **more: Any) -> Path:
    lines = [json.dumps({**row, **more}) for row in made_up_rows(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def invoke(*arguments: Any) -> Result:
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


def rate(server: RunningServer, *arguments: Any) -> Result:
    return invoke("rate", *arguments, "--model", "judge", "--base-url", server.base_url)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def manifest_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_name(f"{path.stem}.manifest.json").read_text())
    return found


def requests_of(server: RunningServer) -> int:
    return int(server.stats()["requests"])


def true_levels(number: int = NUM_ROWS) -> list[int]:
    return [true_level(text) for text in texts_of(made_up_rows(number))]


# --- Rating ---------------------------------------------------------------------------------------


def test_rate_writes_the_rows_with_their_scores(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rated.jsonl"
    result = rate(server, pool, "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert [row["score"] for row in rows_of(out)] == true_levels()
    for line, given in zip(
        out.read_text().splitlines(), pool.read_text().splitlines(), strict=True
    ):
        assert line.startswith(given[:-1] + ",")  # as it came, with the columns behind
    assert f"{NUM_ROWS} of {NUM_ROWS} rows rated into 'score'" in result.stderr
    assert f"written to {out}" in result.stderr
    assert f"next: ds2fast select {out} --fraction 0.1 -o out" in result.stderr
    manifest = manifest_of(out)
    assert manifest["complete"] is True
    assert manifest["raters"][0]["requests"] == NUM_ROWS


def test_quiet_json_prints_the_manifest_alone(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rated.jsonl"
    result = rate(server, pool, "-o", out, "-q", "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert json.loads(result.stdout) == manifest_of(out)


def test_a_limit_first_and_then_the_rest(server: RunningServer, pool: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "rated.jsonl", requests_of(server)
    first = rate(server, pool, "-o", out, "--limit", 25)
    assert first.exit_code == 0, first.output
    assert "without --limit the same command asks for the rest" in first.stderr
    assert "next:" not in first.stderr
    assert requests_of(server) - before == 25
    scores = [row["score"] for row in rows_of(out)]
    assert sum(score is None for score in scores) == NUM_ROWS - 25
    assert all(score in (None, true) for score, true in zip(scores, true_levels(), strict=True))
    assert manifest_of(out)["complete"] is False
    # The unfinished file is replaced without --overwrite, and nothing is asked twice.
    second = rate(server, pool, "-o", out)
    assert second.exit_code == 0, second.output
    assert requests_of(server) - before == NUM_ROWS
    assert [row["score"] for row in rows_of(out)] == true_levels()
    assert "25 replies were kept from before" in second.stderr
    # The finished one is not.
    content = out.read_bytes()
    third = rate(server, pool, "-o", out)
    assert third.exit_code == 2
    assert "--overwrite" in third.stderr
    assert out.read_bytes() == content
    fourth = rate(server, pool, "-o", out, "--overwrite")
    assert fourth.exit_code == 0, fourth.output
    assert f"nothing was asked: all {NUM_ROWS} replies were kept" in fourth.stderr
    assert requests_of(server) - before == NUM_ROWS
    assert out.read_bytes() == content


def test_max_cost_stops_and_the_file_says_so(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rated.jsonl"
    # Every request costs at most 256 dollars of completion, and its prompt nothing.
    result = rate(server, pool, "-o", out, "--price", 0, 1e6, "--max-cost", 600)
    assert result.exit_code == 0, result.output
    record = manifest_of(out)
    assert record["complete"] is False
    assert record["raters"][0]["cost"] <= 600
    assert 0 < record["raters"][0]["rated"] < NUM_ROWS
    assert "stopped: the next request might exceed max_cost" in result.stderr


def test_several_models_write_a_column_each(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rated.jsonl"
    result = rate(server, pool, "-o", out, "--model", "org/second.1")
    assert result.exit_code == 0, result.output
    for row, level in zip(rows_of(out), true_levels(), strict=True):
        assert row["score_judge"] == row["score_second-1"] == level
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("next: ")]
    words = shlex.split(line)
    assert words[words.index("--scores") + 1 :][:3] == ["score_second-1", "--scores", "score_judge"]


def test_repeats_are_columns_that_select_is_told_of(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    out, before = tmp_path / "rated.jsonl", requests_of(server)
    result = rate(server, pool, "-o", out, "--repeat", 3, "--sample", 10, "--field", "level")
    assert result.exit_code == 0, result.output
    assert requests_of(server) - before == NUM_ROWS + 2 * 10
    rows = rows_of(out)
    assert sum(row["level_repeat_1"] is not None for row in rows) == 10
    assert sum(row["level_repeat_2"] is not None for row in rows) == 10
    assert [row["level"] for row in rows] == true_levels()
    assert "--scores level --repeats level_repeat_1 --repeats level_repeat_2" in result.stderr
    assert manifest_of(out)["raters"][0]["temperature"] == 1.0


def test_a_prompt_of_ones_own_is_used_and_recorded(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Judge the sample. Answer with JSON: overall, from 1 to 10.")
    out = tmp_path / "rated.jsonl"
    result = rate(server, pool, "-o", out, "--prompt", prompt)
    assert result.exit_code == 0, result.output
    assert [row["score"] for row in rows_of(out)] == true_levels()
    assert manifest_of(out)["raters"][0]["prompt"] == prompt.read_text()


# --- Estimates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", [None, "rated.jsonl"])
def test_an_estimate_is_printed_and_sends_and_writes_nothing(
    output: str | None, server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    before = requests_of(server)
    out = () if output is None else ("-o", tmp_path / output)
    result = rate(server, pool, "--estimate", "--price", 1, 2, *out)
    assert result.exit_code == 0, result.output
    assert f"{NUM_ROWS} rows, {NUM_ROWS} distinct samples" in result.stdout
    assert f"  {NUM_ROWS} requests" in result.stdout
    assert "$" in result.stdout
    assert "What is" in result.stderr  # a row, to be looked at before it is paid for
    assert requests_of(server) == before
    assert list(tmp_path.iterdir()) == [pool]


def test_an_estimate_as_json(server: RunningServer, pool: Path) -> None:
    result = rate(server, pool, "--estimate", "--json", "-q", "--price", 1, 2, "--limit", 10)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert (found["requests"], found["rows"], found["samples"]) == (10, NUM_ROWS, NUM_ROWS)
    assert found["cost"] == pytest.approx(
        (found["prompt_tokens"] + 2 * found["completion_tokens"]) / 1e6
    )
    assert found["raters"][0]["model"] == "judge"


def test_an_estimate_of_openai_needs_no_key(pool: Path) -> None:
    result = invoke("rate", pool, "--model", "gpt-4o-mini", "--estimate", "-q")
    assert result.exit_code == 0, result.output
    assert "prices of 2026-06" in result.stdout


# --- Refusals, before anything is sent ------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "-o names the file"),
        (["-o", "rated.csv"], "expected a file of .jsonl"),
        (["-o", "pool.jsonl", "--overwrite"], "output"),
        (["-o", "taken.jsonl"], "--overwrite"),
        (["-o", "missing/deeper/rated.jsonl"], "output"),
        (["-o", "rated.jsonl", "--field", "question"], "--field"),
        (["-o", "rated.jsonl", "--field", "a.b"], "field: expected"),
        (["-o", "rated.jsonl", "--repeat", "2"], "sample: expected beside"),
        (["-o", "rated.jsonl", "--repeat", "2", "--sample", "61"], "at most the number"),
        (["-o", "rated.jsonl", "--max-cost", "1"], "--price"),
        (["-o", "rated.jsonl", "--prompt", "missing.txt"], "missing.txt"),
        (["-o", "rated.jsonl", "--prompt", "taken.jsonl"], "overall"),
        (["-o", "rated.jsonl", "--api-key-file", "missing.key"], "api_key_file: cannot read"),
        (["-o", "rated.jsonl", "--tokenizer", "./missing.json"], "tokenizer"),
        (["-o", "rated.jsonl", "--text", "nothing"], "nothing"),
        (["-o", "rated.jsonl", "--concurrency", "0"], "concurrency"),
        (["-o", "rated.jsonl", "--model", "judge"], "each model once"),
        (["-o", "rated.jsonl", "--store", "pool.jsonl"], "pool.jsonl"),
    ],
)
def test_wrong_use_is_told_before_anything_is_sent(
    arguments: Sequence[str],
    message: str,
    server: RunningServer,
    pool: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.jsonl").write_text("mine\n")
    before, content = requests_of(server), pool.read_bytes()
    result = rate(server, pool, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert requests_of(server) == before
    assert pool.read_bytes() == content
    assert (tmp_path / "taken.jsonl").read_text() == "mine\n"
    assert not (tmp_path / "rated.jsonl").exists()


def test_data_that_is_not_there_is_told(server: RunningServer, tmp_path: Path) -> None:
    result = rate(server, tmp_path / "missing.jsonl", "-o", tmp_path / "rated.jsonl")
    assert result.exit_code == 2
    assert "missing.jsonl" in result.stderr


def test_openai_without_a_key_is_told(pool: Path, tmp_path: Path) -> None:
    result = invoke("rate", pool, "--model", "gpt-4o-mini", "-o", tmp_path / "rated.jsonl")
    assert result.exit_code == 2
    assert "OPENAI_API_KEY" in result.stderr
    assert "--base-url" in result.stderr


def test_a_pool_that_has_scores_is_rated_into_another_field(
    server: RunningServer, tmp_path: Path
) -> None:
    pool, before = write_pool(tmp_path / "pool.jsonl", score=3), requests_of(server)
    out = tmp_path / "rated.jsonl"
    refused = rate(server, pool, "-o", out)
    assert refused.exit_code == 2
    assert "row 0 has 'score'" in refused.stderr
    assert requests_of(server) == before
    result = rate(server, pool, "-o", out, "--field", "mine")
    assert result.exit_code == 0, result.output
    assert [(row["score"], row["mine"]) for row in rows_of(out)] == [
        (3, level) for level in true_levels()
    ]


# --- Servers that fail, and replies that are worth nothing ----------------------------------------


def test_a_server_that_is_not_there_fails(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "FIRST_PATIENCE", 0.1)
    with rating_server() as gone:
        pass
    result = rate(gone, pool, "-o", tmp_path / "rated.jsonl")
    assert result.exit_code == 1, result.output
    assert "error: no connection" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "rated.jsonl").exists()


def test_an_alarm_fails_and_writes_no_rows_unless_it_is_to_go_on(
    pool: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rated.jsonl"
    with rating_server("--fault", "refusal", "--share", "1") as refusing:
        result = rate(refusing, pool, "-o", out)
        assert result.exit_code == 1, result.output
        assert "replies failed" in result.stderr
        assert "--keep-going" in result.stderr
        assert "Traceback" not in result.output
        assert not out.exists()
        kept = rate(refusing, pool, "-o", out, "--keep-going")
    assert kept.exit_code == 0, kept.output
    assert {row["score"] for row in rows_of(out)} == {None}
    reasons = [row["score_unrated"] for row in rows_of(out)]  # refusals come in several forms
    assert all("3 tries" in reason for reason in reasons)
    assert f"{NUM_ROWS} rows are unrated" in kept.stderr


def test_failures_are_asked_again_when_told(
    pool: Path, tmp_path: Path, server: RunningServer
) -> None:
    out, store = tmp_path / "rated.jsonl", tmp_path / "replies.sqlite"
    given = (pool, "-o", out, "--store", store, "--overwrite")
    with rating_server("--fault", "refusal", "--share", "1") as refusing:
        # The address is part of the rater, so the same one has to answer well the next time.
        assert rate(refusing, *given, "--keep-going").exit_code == 0
        before = requests_of(refusing)
        assert rate(refusing, *given, "--keep-going").exit_code == 0
        assert requests_of(refusing) == before
        again = rate(refusing, *given, "--keep-going", "--retry-failed")
        assert again.exit_code == 0, again.output
        assert requests_of(refusing) - before == 3 * NUM_ROWS  # three tries each


# --- Secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_file", [False, True])
@pytest.mark.parametrize("is_right", [False, True])
def test_the_key_is_sent_and_stands_nowhere(
    by_file: bool, is_right: bool, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, wanted = made_up_key(1), made_up_key(1 if is_right else 2)
    given: list[Any] = []
    if by_file:
        path = tmp_path / "key.txt"
        path.write_text(key + "\n")
        given = ["--api-key-file", path]
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with rating_server("--require-key", wanted) as asked:
        result = rate(asked, pool, "-o", tmp_path / "rated.jsonl", *given, "--json")
    assert result.exit_code == (0 if is_right else 1), result.output
    if not is_right:  # the server repeats the key that it refuses
        assert "error: the key was refused" in result.stderr
    if by_file:
        path.unlink()
    found, searched = places_of(key, tmp_path, [result.stdout, result.stderr])
    assert found == []
    assert searched > 3


# --- select --rate-with ---------------------------------------------------------------------------


def write_vectors(path: Path, rows: int = NUM_ROWS) -> Path:
    vectors = np.random.default_rng(0).normal(size=(rows, 16)).astype(np.float32)
    np.save(path, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return path


def select(server: RunningServer, pool: Path, out: Path, *arguments: Any) -> Result:
    vectors = write_vectors(pool.with_name("vectors.npy"))
    return invoke(
        "select", pool, "-n", 10, "-o", out, "--embeddings", vectors, "--base-url",
        server.base_url, "--rate-with", "judge", *arguments,
    )  # fmt: skip


def test_select_rates_first_and_writes_both(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = select(server, pool, out)
    assert result.exit_code == 0, result.output
    assert [row["score"] for row in rows_of(out / "rated.jsonl")] == true_levels()
    chosen = rows_of(out / "selected.jsonl")
    assert len(chosen) == 10
    questions = {row["question"] for row in made_up_rows(NUM_ROWS)}
    assert {row["question"] for row in chosen} <= questions
    assert "levels 0..5" in result.stderr
    assert (out / "manifest.json").exists()


def keep_replies(server: RunningServer, pool: Path, model: str) -> list[int]:
    """Keep replies of a model that is one above the truth for every other row; their levels."""
    job = prepare_rating(
        pool,
        check_rating(model=model),
        base_url=server.base_url,
        api_key_file=None,
        text=None,
        prompt=None,
        tokenizer=None,
    )
    (rater,) = job.raters
    levels = [min(level + row % 2, 5) for row, level in enumerate(true_levels())]
    with ReplyStore(job.store_of(rater)) as store:
        store.write(
            store.rater_id(rater.identity()),
            [
                StoredReply(
                    job.samples.keys[place], 0, dict.fromkeys(CRITERIA, 4 + levels[row]),
                    None, None, "{}", 9, 9, 1, 1.0,
                )
                for row, place in enumerate(job.samples.of_row)
            ],
        )  # fmt: skip
    return levels


def test_select_with_several_models(server: RunningServer, pool: Path, tmp_path: Path) -> None:
    out, levels = tmp_path / "out", keep_replies(server, pool, "second")
    result = select(server, pool, out, "--rate-with", "second")
    assert result.exit_code == 0, result.output
    rows = rows_of(out / "rated.jsonl")
    assert [row["score_judge"] for row in rows] == true_levels()
    assert [row["score_second"] for row in rows] == levels
    assert len(rows_of(out / "selected.jsonl")) == 10


def test_what_was_paid_is_kept_where_the_selection_is_refused(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    # Both answer the same to all rows: as raters they are one.
    result = select(server, pool, tmp_path / "out", "--rate-with", "third")
    assert result.exit_code == 2
    assert "one of them is a copy" in result.stderr
    before = requests_of(server)
    again = rate(server, pool, "-o", tmp_path / "rated.jsonl", "--model", "third")
    assert again.exit_code == 0, again.output
    assert requests_of(server) == before


def test_select_refuses_vectors_of_other_rows_before_anything_is_sent(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    write_vectors(tmp_path / "others.npy", NUM_ROWS - 1)
    before = requests_of(server)
    result = select(server, pool, tmp_path / "out", "--embeddings", tmp_path / "others.npy")
    assert result.exit_code == 2, result.output
    assert "embeddings: expected one row a text (60), got 59" in result.stderr
    assert requests_of(server) == before


def test_select_refuses_to_exclude_the_rows_themselves_before_anything_is_sent(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    before = requests_of(server)
    result = select(server, pool, tmp_path / "out", "--exclude", pool)
    assert result.exit_code == 2, result.output
    assert "exclude: expected other rows than those of data" in result.stderr
    assert requests_of(server) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scores", "score"], "--scores has no effect beside --rate-with"),
        (["--num-levels", "6"], "--num-levels has no effect"),
        (["--repeats", "again"], "--repeats has no effect"),
        (["--max-cost", "1"], "--price"),
        (["-n", "61"], "n: expected at most"),
        (["--fraction", "0.5"], "fraction"),
        (["--seed", "-1"], "seed"),
        (["--groups", "nowhere"], "groups: expected a field of the rows, got 'nowhere'"),
        (["--groups", "question", "--share", "x=0.5"], "group_shares: expected groups of the rows"),
        (["--groups", "question", "--cap", "0"], "group_caps: expected room for a rated row"),
        (["--exclude", __file__], "exclude: expected a file of .jsonl"),
    ],
)
def test_select_refuses_before_anything_is_sent(
    arguments: Sequence[str], message: str, server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    before = requests_of(server)
    result = select(server, pool, tmp_path / "out", *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert requests_of(server) == before
    assert not (tmp_path / "out").exists()


def test_select_refuses_a_place_that_is_taken(
    server: RunningServer, pool: Path, tmp_path: Path
) -> None:
    out, before = tmp_path / "out", requests_of(server)
    assert select(server, pool, out).exit_code == 0
    asked = requests_of(server)
    assert asked - before == NUM_ROWS
    again = select(server, pool, out)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert requests_of(server) == asked


def test_options_of_rating_need_rating(pool: Path, tmp_path: Path) -> None:
    for option in (
        ["--base-url", "http://localhost:1/v1"],
        ["--concurrency", "5"],
        ["--keep-going"],
    ):
        result = invoke("select", pool, "-n", 10, "-o", tmp_path / "out", *option)
        assert result.exit_code == 2
        assert f"{option[0]} has no effect beside" in result.stderr
