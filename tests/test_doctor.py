"""`ds2fast doctor` looks only on this machine, and says what it saw in lines that fit a page."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

import ds2fast
from ds2fast import _core, doctor
from ds2fast.advice.budget import advise, as_duration, choose, estimate_times, fastest
from ds2fast.advice.cores import physical_cores, thread_counts
from ds2fast.advice.speed import Speed, made_up_texts, tokens_per_second
from ds2fast.doctor import describe_examination, examine
from ds2fast_cli.commands import program
from encoder_fixtures import make_tiny_encoder
from static_fixtures import make_table, write_static

NAME = "tiny-org/tiny-encoder"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return cache


def fill(cache: Path, name: str = NAME) -> Path:
    """A snapshot of a whole encoder, laid out as the hub's library does."""
    repository = cache / f"models--{name.replace('/', '--')}"
    make_tiny_encoder(repository / "snapshots" / REVISION)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION)
    return repository / "snapshots" / REVISION


def test_an_encoder_in_the_cache_is_found(hub_cache: Path) -> None:
    snapshot = fill(hub_cache)
    encoder = examine(NAME)["encoder"]
    assert encoder["found"] is True
    assert encoder["revision"] == snapshot.name
    assert encoder["max_tokens"] == 16  # as make_tiny_encoder writes it


def test_an_encoder_that_is_not_here_is_not_downloaded(hub_cache: Path) -> None:
    encoder = examine(NAME)["encoder"]
    assert encoder["found"] is False
    assert encoder["problem"] == (
        "not on this machine; `select` would try to download it; --model also takes a directory"
    )
    assert list(hub_cache.iterdir()) == []


def test_a_part_of_an_encoder_is_not_completed(hub_cache: Path) -> None:
    snapshot = fill(hub_cache)
    (snapshot / "model.safetensors").unlink()
    problem = examine(NAME)["encoder"]["problem"]
    assert "only a part of it" in problem
    assert str(snapshot) in problem


def test_offline_says_what_forbids_the_download(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids" in examine(NAME)["encoder"]["problem"]


def test_a_directory_is_looked_into(tmp_path: Path) -> None:
    directory = make_tiny_encoder(tmp_path / "encoder").directory
    assert examine(str(directory))["encoder"]["found"] is True
    shutil.rmtree(directory)
    assert "nothing there" in examine(str(directory))["encoder"]["problem"]


def test_no_line_is_wider_than_a_page(hub_cache: Path) -> None:
    for model in (NAME, "./nowhere", "one/name/too/many"):
        said = describe_examination(examine(model))
        assert "not usable" in said
        assert max(len(line) for line in said.splitlines()) <= 100


def test_the_machine_is_described() -> None:
    findings = examine("./nowhere")
    said = describe_examination(findings)
    build = ds2fast.build_info()
    for word in (ds2fast.__version__, build["simd_level"], f"{build['threads']} threads", "GiB"):
        assert word in said
    unknown = describe_examination({**findings, "memory_gib": None})
    assert "memory unknown" in unknown


# --- Models found ---------------------------------------------------------------------------------


def test_models_in_the_cache_are_listed_and_others_are_not(hub_cache: Path) -> None:
    fill(hub_cache, "org/whole")
    (fill(hub_cache, "org/part") / "model.safetensors").unlink()
    (fill(hub_cache, "org/writes-prose") / "modules.json").unlink()
    (hub_cache / "datasets--org--rows").mkdir()
    (hub_cache / "models--one--name--too--many").mkdir()
    (hub_cache / "notes.txt").write_text("mine")
    findings = examine("./nowhere")
    found = [(one["name"], one["complete"]) for one in findings["cached_models"]]
    assert found == [("org/part", False), ("org/whole", True)]
    said = describe_examination(findings)
    assert "org/part: not usable, a part of it is missing" in said
    assert "org/whole: here" in said
    assert "prose" not in said


def test_the_default_model_is_looked_for_too(hub_cache: Path) -> None:
    name = ds2fast.DEFAULT_MODEL
    assert f"{name} (the default): not here" in describe_examination(examine("./nowhere"))
    fill(hub_cache, name)
    assert f"{name} (the default): here" in describe_examination(examine("./nowhere"))


def test_precisions_are_those_that_auto_tries(hub_cache: Path) -> None:
    fill(hub_cache)
    encoder = examine(NAME)["encoder"]
    native = _core.native_precisions()
    assert encoder["backend"] == "native"
    assert encoder["precisions"] == [one for one in ("int8", "bf16") if one in native] + ["fp32"]


def test_a_static_model_is_found(tmp_path: Path) -> None:
    directory = write_static(tmp_path / "static", {"embeddings": make_table()})
    findings = examine(str(directory))
    assert (findings["encoder"]["backend"], findings["encoder"]["precisions"]) == (
        "static",
        ["fp32"],
    )
    assert "a static model has one precision" in describe_examination(findings)


def test_the_cache_is_weighed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert examine("./nowhere", cache_dir=cache)["cache"] == {"folder": cache, "bytes": 0}
    (cache / "vectors").mkdir(parents=True)
    (cache / "vectors" / "a.bin").write_bytes(bytes(3 << 20))
    (cache / "b").write_bytes(bytes(1 << 20))
    findings = examine("./nowhere", cache_dir=cache)
    assert findings["cache"]["bytes"] == 4 << 20
    assert f"{cache}: 4 MiB" in describe_examination(findings)


# --- Estimates ------------------------------------------------------------------------------------

SPEEDS = [
    Speed("int8", 1, 3000.0),
    Speed("int8", 2, 6000.0),
    Speed("fp32", 1, 1000.0),
    Speed("fp32", 2, 2000.0),
    Speed("static", 1, 700_000.0),
    Speed("static", 2, 600_000.0),
]
# 300 000 rows of 140 tokens are 42 million tokens; distilling runs 720 000 in fp32: 360 seconds.
TIMES = estimate_times(SPEEDS, 300_000, 140, distilling_tokens=720_000)


def test_times_follow_from_the_fastest_threads() -> None:
    found = [(one.precision, one.threads, one.seconds, one.preparation) for one in TIMES]
    assert found == [
        ("fp32", 2, 21_000.0, 0.0),
        ("int8", 2, 7_000.0, 0.0),
        ("static", 1, 60.0, 360.0),
    ]


def test_of_equal_speeds_the_fewest_threads_are_taken() -> None:
    speeds = [Speed("fp32", 4, 5.0), Speed("fp32", 2, 5.0), Speed("fp32", 8, 4.0)]
    assert fastest(speeds).threads == 2


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        (21_000, "fp32"),  # the most exact that ends in time
        (20_999, "int8"),
        (7_000, "int8"),
        (6_999, "static"),
        (420, "static"),  # with the distilling
        (419, None),
        (None, "int8"),  # without a budget the fastest precision
    ],
)
def test_the_most_exact_way_within_the_budget_is_chosen(
    budget: float | None, chosen: str | None
) -> None:
    found = choose(TIMES, budget)
    assert (None if found is None else found.precision) == chosen


def test_advice_in_words() -> None:
    assert advise("MiniLM", TIMES, 7200, rows=300_000) == (
        "MiniLM in int8 with 2 threads (--threads 2; the default, --precision auto, tries it): "
        "about 117 minutes; should the check on a sample of the texts refuse it, a more exact one "
        "is taken (fp32: 5.8 hours); the static tier would take 60 seconds (and 6 minutes to make "
        "it) and often keeps about half of the neighbours"
    )
    assert advise("MiniLM", TIMES, 600, rows=300_000).startswith(
        "no precision of MiniLM ends within 10 minutes; its static tier (`ds2fast distill`) takes "
        "about 60 seconds"
    )
    assert advise("MiniLM", TIMES, 60, rows=300_000) == (
        "nothing here ends within 60 seconds: the fastest, the static tier of MiniLM, takes about "
        "60 seconds (and 6 minutes to make it)"
    )


def test_a_precision_is_named_only_where_auto_would_not_try_it() -> None:
    three = [*SPEEDS[:4], Speed("bf16", 2, 4000.0)]  # 42 million tokens: 10 500 s in bf16
    times = estimate_times(three, 300_000, 140)
    between = advise("MiniLM", times, 11_000, rows=300_000)
    assert (
        "in bf16 with 2 threads (--threads 2; the default, --precision auto, tries it after int8)"
        in between
    )
    assert between.endswith("a more exact one is taken (fp32: 5.8 hours)")
    quickest = advise("MiniLM", times, None, rows=2000)
    assert "auto, tries it): about" in quickest
    assert quickest.endswith("(bf16: 2.9 hours, fp32: 5.8 hours)")
    assert "--precision int8" not in quickest
    exact = advise("MiniLM", times, 30_000, rows=300_000)  # auto would take a faster one
    assert "(--precision fp32 --threads 2): about 5.8 hours" in exact
    alone = advise("MiniLM", estimate_times(SPEEDS[2:4], 300_000, 140), None, rows=300_000)
    assert alone == "MiniLM in fp32 with 2 threads (--threads 2): about 5.8 hours"


def test_rows_that_auto_compares_with_nothing() -> None:
    few = estimate_times(SPEEDS[:4], 1999, 140)  # a sample is 1 000 texts, and auto wants two
    said = advise("MiniLM", few, 60, rows=1999)
    assert "(--precision int8 --threads 2): about 47 seconds; so few rows are not compared" in said
    assert "(--threads 2): about 2 minutes" in advise("MiniLM", few, 600, rows=1999)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (59.6, "60 seconds"),
        (89, "89 seconds"),
        (90, "2 minutes"),
        (7_140, "119 minutes"),
        (7_200, "2.0 hours"),
        (13_000, "3.6 hours"),
        (200_000, "2.3 days"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert as_duration(seconds) == words


# --- Measuring ------------------------------------------------------------------------------------


def test_a_rate_is_all_tokens_by_all_seconds() -> None:
    now, calls = 0.0, []

    def run(count: int) -> int:  # 0.03 s a call and 0.01 s a text, each of 50 tokens
        nonlocal now
        calls.append(count)
        now += 0.03 + 0.01 * count
        return 50 * count

    rate = tokens_per_second(run, first=2, seconds=0.5, clock=lambda: now)
    # 0.05, 0.07 and 0.11 s; from then on calls are long enough: 0.11 s each.
    assert calls == [2, 4, 8, 8, 8, 8]
    assert rate == pytest.approx(50 * 38 / 0.56)


def test_made_up_texts_have_the_words_that_were_asked_for() -> None:
    texts = made_up_texts(140, 20)
    assert {len(text.split()) for text in texts} == {138}  # two tokens frame a text
    assert len(set(texts)) == 20
    assert texts == made_up_texts(140, 20)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity to be read")
def test_cores_are_counted_by_their_siblings(tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert physical_cores(tmp_path) == len(allowed)  # nothing is told
    for cpu in allowed:
        (tmp_path / f"cpu{cpu}" / "topology").mkdir(parents=True)
        place = tmp_path / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        place.write_text("0-999\n")
    assert physical_cores(tmp_path) == 1


def test_thread_counts_begin_with_one_and_end_with_all() -> None:
    counts = thread_counts()
    assert counts == sorted(set(counts))
    assert (counts[0], counts[-1]) == (1, ds2fast.build_info()["threads"])


@pytest.mark.parametrize("kind", ["encoder", "static"])
def test_measuring_runs_each_way_and_estimates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(doctor, "SECONDS_EACH", 0.02)
    if kind == "encoder":
        directory = make_tiny_encoder(tmp_path / kind).directory
    else:
        directory = write_static(tmp_path / kind, {"embeddings": make_table()})
    arguments = ["doctor", "--model", str(directory), "--measure", "--rows", "1000", "--json",
                 "--budget", "2h", "--cache-dir", str(tmp_path / "cache")]  # fmt: skip
    result = CliRunner().invoke(program, arguments)
    assert result.exit_code == 0, result.output
    assert "measuring for some" in result.stderr
    found = json.loads(result.stdout)
    ways = [*found["encoder"]["precisions"], *(["static"] if kind == "encoder" else [])]
    measured, estimate = found["measured"], found["estimate"]
    assert [(one["precision"], one["threads"]) for one in measured["speeds"]] == [
        (way, count) for way in ways for count in thread_counts()
    ]
    assert all(one["tokens_per_second"] > 0 for one in measured["speeds"])
    length = {"encoder": 16, "static": 140}[kind]  # the tiny encoder cuts there
    assert (measured["text_tokens"], estimate["tokens"]) == (length, length)
    for one in estimate["times"]:
        best = max(
            speed["tokens_per_second"]
            for speed in measured["speeds"]
            if speed["precision"] == one["precision"]
        )
        assert one["seconds"] == pytest.approx(1000 * length / best)
    assert estimate["recommended"] == "fp32"
    said = describe_examination(found)
    assert "advice (within 2.0 hours):" in said
    assert "for 1,000 rows" in said


def test_nothing_runs_unless_it_is_asked_for(tmp_path: Path) -> None:
    directory = make_tiny_encoder(tmp_path / "encoder").directory
    (directory / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")  # no tensors in it
    result = CliRunner().invoke(program, ["doctor", "--model", str(directory), "--json"])
    assert result.exit_code == 0, result.output
    assert "measured" not in json.loads(result.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "5"], "--rows needs --measure"),
        (["--measure", "--budget", "5m"], "--budget needs --rows"),
        (["--measure", "--rows", "0"], "Invalid value for '--rows'"),
        (["--tokens", "1"], "Invalid value for '--tokens'"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(program, ["doctor", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_model_that_is_missing_is_not_measured() -> None:
    arguments = ["doctor", "--model", "./nowhere", "--measure", "--rows", "5"]
    result = CliRunner().invoke(program, arguments)
    assert result.exit_code == 1
    assert "nothing there" in " ".join(result.stdout.split())  # wherever the lines end
    assert "nothing was measured" in result.stderr
