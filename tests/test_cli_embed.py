"""`ds2fast embed`, `distill`, and vectors given to `select` and `diagnose`, as a user runs them."""

from __future__ import annotations

import errno
import gzip
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import ds2fast
from ds2fast import _core
from ds2fast.advice import speed
from ds2fast.embedding import DEFAULT_MODEL, PrecisionGate
from ds2fast.embedding.distill import DEFAULT_DIMS, MAX_TEXTS
from ds2fast.embedding.engine import Backend, LongText, Precision
from ds2fast.engines import ENGINES
from ds2fast.graph_search import GRAPH_METHODS
from ds2fast_cli import options
from ds2fast_cli.commands import program
from encoder_fixtures import WORDS, TinyEncoder, cosines, make_tiny_encoder
from static_fixtures import make_table, write_static
from waiting import PATIENCE

TEXTS = [" ".join(words) for words in itertools.product(WORDS[2:6], WORDS[:2], WORDS[6:16])]


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEncoder:
    return make_tiny_encoder(tmp_path / "encoder")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2FAST_CACHE_DIR", str(tmp_path / "cache"))


def write_texts(path: Path, texts: list[str], **more: list[Any]) -> Path:
    rows = [
        {"text": text, **{name: values[i] for name, values in more.items()}}
        for i, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


def run_well(*arguments: Any) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def error_of(result: Result, code: int = 2) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr


# --- embed ----------------------------------------------------------------------------------------


def test_vectors_come_in_the_order_of_the_rows(tmp_path: Path, tiny: TinyEncoder) -> None:
    texts = ["a frog sat", "the old river", "a frog sat", "sun", "the blue stone is cold"]
    data = write_texts(tmp_path / "pool.jsonl", texts)
    result = run_well("embed", data, "-o", tmp_path / "v.npy", "--model", tiny.directory)
    assert result.stdout == ""
    vectors = np.load(tmp_path / "v.npy", allow_pickle=False)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 32)
    assert (cosines(vectors, tiny.expect(texts)) > 0.99999).all()
    assert vectors[0].tobytes() == vectors[2].tobytes()
    said = " ".join(result.stderr.split())
    assert "5 rows; text from text" in said
    assert "in fp32 (native): 4 texts are too few" in said
    assert "4 distinct texts were embedded now, the vectors of 0 were kept" in said
    assert f"written to {tmp_path / 'v.npy'}: float32, 5 rows of 32" in said


def test_what_was_embedded_is_kept_and_json_stands_alone(tmp_path: Path, tiny: TinyEncoder) -> None:
    more = ("--model", tiny.directory, "-q", "--json")
    long = " ".join(["frog"] * 30)  # the encoder takes 16 tokens
    first = write_texts(tmp_path / "first.jsonl", [*TEXTS[:10], long])
    second = write_texts(tmp_path / "second.jsonl", [*TEXTS[:25], long])
    one = run_well("embed", first, "-o", tmp_path / "one.npy", *more)
    two = run_well("embed", second, "-o", tmp_path / "two.npy", *more)
    again = run_well("embed", second, "-o", tmp_path / "again.npy", *more)
    assert one.stderr == two.stderr == ""
    records = [json.loads(result.stdout) for result in (one, two, again)]
    runs = [record["embedding_run"] for record in records]
    assert [(run["num_run"], run["num_kept"]) for run in runs] == [(11, 0), (15, 11), (0, 26)]
    assert records[1]["encoder"] == records[2]["encoder"]  # nothing of one run alone is in it
    assert (records[1]["rows"], records[1]["dimensions"]) == (26, 32)
    encoder = records[1]["encoder"]
    assert (encoder["precision"], encoder["backend"], encoder["truncated"]) == ("fp32", "native", 1)
    assert records[1]["input"]["path"] == str(second)
    assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "again.npy").read_bytes()


@pytest.mark.parametrize("form", ["pool.json", "pool.jsonl.gz", "pool.parquet"])
def test_every_format_is_read_without_scores(tmp_path: Path, tiny: TinyEncoder, form: str) -> None:
    rows = [{"body": text} for text in TEXTS[:6]]
    path = tmp_path / form
    if form.endswith(".json"):
        path.write_text(json.dumps(rows))
    elif form.endswith(".gz"):
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    run_well("embed", path, "--text", "body", "-o", tmp_path / "v.npy", "--model", tiny.directory)
    assert (cosines(np.load(tmp_path / "v.npy"), tiny.expect(TEXTS[:6])) > 0.99999).all()


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_precision_that_is_asked_for_is_used(
    tmp_path: Path, tiny: TinyEncoder, precision: str
) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS[:8])
    arguments = ("-o", tmp_path / "v.npy", "--model", tiny.directory, "--precision", precision)
    said = " ".join(run_well("embed", data, *arguments).stderr.split())
    assert f"in {precision} (native): it was asked for" in said
    found = np.load(tmp_path / "v.npy")
    assert (cosines(found, tiny.expect(TEXTS[:8])) > 0.99).all()
    exact = tiny.expect(TEXTS[:8])
    assert np.abs(found - exact).max() > 1e-5  # it is another arithmetic than fp32


def test_long_texts_are_cut_or_averaged_as_asked(tmp_path: Path, tiny: TinyEncoder) -> None:
    ahead, behind = " ".join(["frog"] * 14), " ".join(["river"] * 14)  # 16 tokens with their frame
    data = write_texts(tmp_path / "pool.jsonl", [f"{ahead} {behind}", ahead])
    model = ("--model", tiny.directory)
    cut = run_well("embed", data, "-o", tmp_path / "cut.npy", *model).stderr
    assert "1 text was cut at 16 tokens" in cut
    vectors = np.load(tmp_path / "cut.npy")
    assert vectors[0].tobytes() == vectors[1].tobytes()
    arguments = ("-o", tmp_path / "mean.npy", *model, "--long-text", "chunk-mean")
    assert "beyond 16 tokens are the mean of their" in run_well("embed", data, *arguments).stderr
    pieces = tiny.expect([ahead, behind]).sum(axis=0)
    assert cosines(np.load(tmp_path / "mean.npy")[:1], pieces[None])[0] > 0.99999


def test_an_output_that_is_taken_is_told_before_anything_else(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS[:3])
    np.save(tmp_path / "v.npy", np.eye(2))
    (tmp_path / "thesis.tex").write_text("mine")
    taken = [
        ("v.npy", (), "is there already; --overwrite replaces it"),
        ("thesis.tex", ("--overwrite",), "is no .npy file"),
        ("pool.jsonl", ("--overwrite",), "the input"),
        ("", ("--overwrite",), "got the directory"),
        ("none/v.npy", (), "expected a folder at"),
    ]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name, more, message in taken:
        # Neither is the model there.
        result = run("embed", data, "-o", tmp_path / name, "--model", "./nowhere", *more)
        assert message in error_of(result)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_overwrite_replaces_vectors(tmp_path: Path, tiny: TinyEncoder) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS[:3])
    np.save(tmp_path / "v.npy", np.eye(2))
    arguments = ("-o", tmp_path / "v.npy", "--overwrite", "--model", tiny.directory)
    run_well("embed", data, *arguments)
    assert np.load(tmp_path / "v.npy").shape == (3, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--precision", "fp16"), "Invalid value for '--precision'"),
        (("--backend", "torch"), "Invalid value for '--backend'"),
        (("--long-text", "drop"), "Invalid value for '--long-text'"),
        (("--threads", "0"), "error: threads: expected 1 to"),
        (("--backend", "onnxruntime", "--precision", "bf16"), "error: precision: expected 'auto'"),
        (("--model", "./nowhere"), "expected a directory at"),
    ],
)
def test_what_cannot_run_is_told_before_the_data_are_read(
    tmp_path: Path, tiny: TinyEncoder, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "broken.jsonl").write_text("{")
    given = ("embed", tmp_path / "broken.jsonl", "-o", tmp_path / "v.npy")
    assert message in error_of(run(*given, "--model", tiny.directory, *arguments))
    assert not (tmp_path / "v.npy").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--precision", "int8"), "precision: expected 'auto' or 'fp32' with the static model"),
        (("--long-text", "chunk-mean"), "long_text: expected 'truncate' with the static model"),
        (("--backend", "native"), "backend: expected 'auto' with the static model"),
    ],
)
def test_what_a_static_model_lacks_is_told_before_the_data_are_read(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    model = write_static(tmp_path / "static", {"embeddings": make_table()})
    (tmp_path / "broken.jsonl").write_text("{")
    given = ("embed", tmp_path / "broken.jsonl", "-o", tmp_path / "v.npy", "--model", model)
    assert message in error_of(run(*given, *arguments))


def test_a_disk_that_refuses_is_a_failure_and_leaves_what_was_there(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS[:3])
    arguments = ("embed", data, "-o", tmp_path / "v.npy", "--model", tiny.directory)
    run_well(*arguments)
    before = (tmp_path / "v.npy").read_bytes()

    def is_full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", is_full)
    assert "No space left on device" in error_of(run(*arguments, "--overwrite"), 1)
    assert (tmp_path / "v.npy").read_bytes() == before
    assert not list(tmp_path.glob(".v.npy*"))


@pytest.mark.encoder
def test_ctrl_c_keeps_what_is_finished_and_a_rerun_goes_on(
    tmp_path: Path, encoder_dir: Path
) -> None:
    # Some batches of 8192 tokens, the most that one thread takes at once.
    texts = [f"{number} " + "frog toad river " * 100 for number in range(128)]
    data = write_texts(tmp_path / "pool.jsonl", texts)
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from ds2fast_cli import run; run()"
    arguments = [
        sys.executable, "-c", code, "embed", str(data), "--model", str(encoder_dir), "-q",
        "--json", "--threads", "1", "--precision", "int8",
    ]  # fmt: skip
    output, cache = tmp_path / "v.npy", tmp_path / "cache"
    interrupted = subprocess.Popen(
        [*arguments, "-o", output, "--cache-dir", cache],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while not any(file.stat().st_size > 32 * 384 for file in cache.rglob("vectors.bin")):
            assert time.monotonic() < deadline
            assert interrupted.poll() is None
            time.sleep(0.02)
        interrupted.send_signal(signal.SIGINT)
        said = interrupted.communicate(timeout=PATIENCE)
    finally:
        interrupted.kill()
        interrupted.wait()
    assert said == ("", "stopped\n")
    assert interrupted.returncode == 130
    assert not output.exists()
    assert not list(tmp_path.glob(".v.npy*"))

    def finish(place: Path, kept_in: Path) -> dict[str, Any]:
        done = subprocess.run(
            [*arguments, "-o", place, "--cache-dir", kept_in],
            capture_output=True, text=True, timeout=PATIENCE, check=True,
        )  # fmt: skip
        record = json.loads(done.stdout)
        assert isinstance(record, dict)
        return record

    resumed = finish(output, cache)["embedding_run"]
    assert resumed["num_kept"] > 0
    assert resumed["num_kept"] + resumed["num_run"] == 128
    assert resumed["num_run"] > 0
    finish(tmp_path / "whole.npy", tmp_path / "other")
    assert output.read_bytes() == (tmp_path / "whole.npy").read_bytes()


# --- Vectors given to select and diagnose ---------------------------------------------------------

SCORES = [i * 7 % 5 for i in range(len(TEXTS))]


def test_vectors_of_embed_select_what_texts_select(tmp_path: Path, tiny: TinyEncoder) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS, score=SCORES)
    model = ("--model", tiny.directory)
    run_well("embed", data, "-o", tmp_path / "v.npy", *model, "-q")
    run_well("select", data, "-n", 12, "-o", tmp_path / "by_text", *model, "-q")
    by_vectors = run_well("select", data, "-n", 12, "-o", tmp_path / "by_vectors", "-q", "--json",
                          "--embeddings", tmp_path / "v.npy")  # fmt: skip
    for name in ("selected.jsonl", "scores.parquet"):
        ours, theirs = tmp_path / "by_vectors" / name, tmp_path / "by_text" / name
        assert ours.read_bytes() == theirs.read_bytes()
    manifest = json.loads(by_vectors.stdout)
    assert manifest["encoder"] is None
    assert manifest["settings"]["embeddings_given"] is True
    found = run_well("diagnose", data, "--embeddings", tmp_path / "v.npy", "--json", "-q")
    assert json.loads(found.stdout)["encoder"] is None
    assert json.loads(found.stdout)["transition"] == manifest["transition"]


def digest(texts: list[str]) -> str:
    """SHA-256 of the 16-byte BLAKE2b of each text, one after the other."""
    each = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    return hashlib.sha256(b"".join(each)).hexdigest()


def test_what_vectors_were_made_from_lies_beside_them(tmp_path: Path, tiny: TinyEncoder) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS[:8])
    run_well("embed", data, "-o", tmp_path / "v.npy", "--model", tiny.directory, "-q",
             "--precision", "int8", "--long-text", "chunk-mean")  # fmt: skip
    origin = json.loads((tmp_path / "v.npy.json").read_text())
    assert origin["made_by"] == "ds2fast"
    assert (origin["rows"], origin["dimensions"]) == (8, 32)
    assert origin["texts_sha256"] == digest(TEXTS[:8])
    assert origin["version"] == ds2fast.__version__
    encoder = origin["encoder"]
    weights = (tiny.directory / "model.safetensors").read_bytes()
    assert encoder["name"] == str(tiny.directory)
    assert encoder["revision"] is None
    assert encoder["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert (encoder["precision"], encoder["backend"]) == ("int8", "native")
    assert encoder["long_text"] == "chunk-mean"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cache", "encoder", "pool.jsonl", "v.npy", "v.npy.json",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["select", "diagnose"])
def test_vectors_of_other_texts_or_in_another_order_are_refused(
    tmp_path: Path, tiny: TinyEncoder, command: str
) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS, score=SCORES)
    run_well("embed", data, "-o", tmp_path / "v.npy", "--model", tiny.directory, "-q")
    out = ("-n", 5, "-o", tmp_path / "out") if command == "select" else ()
    given = (*out, "--embeddings", tmp_path / "v.npy", "--text", "text")
    swapped = [TEXTS[1], TEXTS[0], *TEXTS[2:]]
    for texts in (swapped, [*TEXTS[:-1], "another"]):
        other = write_texts(tmp_path / "other.jsonl", texts, score=SCORES)
        said = error_of(run(command, other, *given, "-q"))
        assert "these vectors are of other texts or in another order" in said
        assert f"got in {tmp_path / 'v.npy'} those of digest {digest(TEXTS)[:12]}" in said
        assert f"digest {digest(texts)[:12]}" in said
    fewer = write_texts(tmp_path / "fewer.jsonl", TEXTS[1:], score=SCORES[1:])
    assert "expected one row a text (79), got 80" in error_of(run(command, fewer, *given, "-q"))
    assert not (tmp_path / "out").exists()
    assert "that they are of these texts is checked" in run_well(command, data, *given).stderr
    (tmp_path / "v.npy.json").unlink()
    assert (
        "is taken on trust"
        in run_well(command, data, *given, *(("--overwrite",) if out else ())).stderr
    )


def test_an_origin_that_is_not_of_these_vectors_is_told(tmp_path: Path, tiny: TinyEncoder) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS, score=SCORES)
    arguments = ("embed", data, "-o", tmp_path / "v.npy", "--model", tiny.directory, "-q")
    run_well(*arguments)
    given = ("diagnose", tmp_path / "not_read.jsonl", "--embeddings", tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", np.load(tmp_path / "v.npy")[::-1])
    assert "80 x 32 vectors" in error_of(run(*given))
    for content in (
        "{",
        "[]",
        '{"made_by": "ds2fast"}',
        '{"made_by": "ds2fast", "kind": "vectors"}',
    ):
        (tmp_path / "v.npy.json").write_text(content)
        assert f"expected in {tmp_path / 'v.npy.json'} what" in error_of(run(*given))
    (tmp_path / "v.npy.json").write_text("mine")
    assert "is none of ours" in error_of(run(*arguments, "--overwrite"))
    assert (tmp_path / "v.npy.json").read_text() == "mine"
    (tmp_path / "v.npy.json").unlink()
    run_well(*arguments, "--overwrite")
    run_well(*arguments, "--overwrite")
    run_well("diagnose", data, "--embeddings", tmp_path / "v.npy")


@pytest.mark.parametrize(
    "option",
    [
        ("--model", DEFAULT_MODEL),  # given, though it is the default
        ("--precision", "auto"),
        ("--gate-cosine", "0.9"),
        ("--gate-overlap", "0.9"),
        ("--long-text", "truncate"),
        ("--cache-dir", "cache"),
        ("--no-cache",),
    ],
)
def test_options_without_effect_beside_vectors_are_refused(option: tuple[str, ...]) -> None:
    for command in (("select", "-n", 5, "-o", "out"), ("diagnose",)):
        said = error_of(run(*command, "pool.jsonl", "--embeddings", "v.npy", *option))
        assert f"{option[0]} has no effect beside --embeddings: no encoder runs" in said


def test_options_that_contradict_each_other_are_refused() -> None:
    for command in (("select", "-n", 5), ("embed",), ("distill",)):
        both = ("--no-cache", "--cache-dir", "cache")
        said = error_of(run(*command, "pool.jsonl", "-o", "out", *both))
        assert "--no-cache has no effect beside --cache-dir" in said
    said = error_of(run("embed", "a", "-o", "b", "--precision", "int8", "--gate-overlap", "0.9"))
    assert "--gate-overlap has no effect beside a --precision that is not auto" in said
    assert "Invalid value for '--gate-cosine'" in error_of(run("diagnose", "a", "--gate-cosine", 2))


def test_nothing_is_kept_where_that_is_asked_for(tmp_path: Path, tiny: TinyEncoder) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS, score=SCORES)
    more = ("--model", tiny.directory, "--no-cache", "-q")
    run_well("embed", data, "-o", tmp_path / "v.npy", *more)
    run_well("select", data, "-n", 5, "-o", tmp_path / "out", *more)
    run_well("diagnose", data, *more)
    run_well("distill", tiny.directory, "-o", tmp_path / "made", "--dims", 8, "--texts", data,
             "--sample", 30, "--no-cache", "-q")  # fmt: skip
    assert not (tmp_path / "cache").exists()


def test_the_gate_of_the_command_line_is_used_and_kept(tmp_path: Path, tiny: TinyEncoder) -> None:
    texts = [" ".join(words) for words in itertools.product(WORDS[2:], WORDS[2:], WORDS[:12])][
        :2100
    ]
    assert len(set(texts)) == 2100
    data = write_texts(tmp_path / "pool.jsonl", texts, score=[i % 5 for i in range(2100)])
    gate = (
        "--gate-cosine",
        "0.5",
        "--gate-overlap",
        "1",
        "--model",
        tiny.directory,
        "--json",
        "-q",
    )
    printed = [
        run_well("embed", data, "-o", tmp_path / "v.npy", *gate),
        run_well("diagnose", data, *gate),
        run_well("select", data, "-n", 5, "-o", tmp_path / "out", *gate),
    ]
    for result in printed:
        encoder = json.loads(result.stdout)["encoder"]
        assert encoder["gate"] == {"sample": 1000, "cosine": 0.5, "overlap": 1.0}
        if "int8" in _core.native_precisions():
            assert "(at least 0.5)" in encoder["reason"]
            assert "(at least 1)" in encoder["reason"]


@pytest.mark.parametrize("command", ["select", "diagnose"])
def test_vectors_of_other_rows_are_refused(tmp_path: Path, command: str) -> None:
    data = write_texts(tmp_path / "pool.jsonl", TEXTS, score=SCORES)
    np.save(tmp_path / "v.npy", np.ones((50, 3)))
    out = ("-n", 5, "-o", tmp_path / "out") if command == "select" else ()
    result = run(command, data, *out, "--embeddings", tmp_path / "v.npy", "-q")
    assert "embeddings: expected one row a score (80), got 50" in error_of(result)
    assert not (tmp_path / "out").exists()


def test_files_that_hold_no_vectors_are_told_before_the_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text("{")
    (tmp_path / "text.npy").write_text("no vectors")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "many.npz", np.eye(3))
    np.save(tmp_path / "flat.npy", np.ones(9))
    np.save(tmp_path / "words.npy", np.array([["a", "b"], ["c", "d"]]))
    np.save(tmp_path / "objects.npy", np.array([[{}], [{}]], dtype=object), allow_pickle=True)
    whole = (tmp_path / "whole.npy", np.ones((400, 8)))
    np.save(*whole)
    (tmp_path / "torn.npy").write_bytes(whole[0].read_bytes()[:-100])
    expected = dict.fromkeys(
        ["none.npy", "text.npy", "empty.npy", "objects.npy", "torn.npy"],
        "embeddings: expected a .npy file of vectors, could not read",
    )
    expected["many.npz"] = f"{tmp_path / 'many.npz'} is an .npz archive; take the vectors out"
    expected["flat.npy"] = "embeddings: expected shape (N, d)"
    expected["words.npy"] = "embeddings: expected an array of real numbers"
    for name, message in expected.items():
        result = run("diagnose", tmp_path / "broken.jsonl", "--embeddings", tmp_path / name)
        assert message in error_of(result), name


# --- distill --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_a_fitted_model_says_what_it_keeps_and_is_used(
    tmp_path: Path, tiny: TinyEncoder, seed: int
) -> None:
    texts = [" ".join(words) for words in itertools.product(WORDS, WORDS[2:], WORDS[:4])]
    random.Random(seed).shuffle(texts)
    data = write_texts(tmp_path / "pool.jsonl", texts)
    made = tmp_path / "static"
    result = run_well("distill", tiny.directory, "-o", made, "--texts", data, "--sample", 600,
                      "--dims", 8)  # fmt: skip
    assert result.stdout == ""
    facts = json.loads((made / "config.json").read_text())["ds2fast"]
    assert (facts["fitted_texts"], facts["overlap_rows"]) == (600, 120)
    said = " ".join(result.stderr.split())
    assert "into a vector of 8 for each token, fitted to 600 texts" in said
    assert (
        f"among 120 texts, held out of a fit to the others, it keeps {facts['overlap_at_10']:.3f}"
        in said
    )
    assert f"use it with: --model {made}" in said
    used = run_well("embed", data, "-o", tmp_path / "v.npy", "--model", made)
    assert "(static): a static model; on 1000 of these texts it has" in " ".join(
        used.stderr.split()
    )
    assert np.load(tmp_path / "v.npy").shape == (len(texts), 8)


def test_the_order_of_rows_changes_no_byte_of_a_model(tmp_path: Path, tiny: TinyEncoder) -> None:
    tables = set()
    for name, texts in (("a", TEXTS), ("b", [*TEXTS[::-1], *TEXTS[:20], ""])):
        data = write_texts(tmp_path / f"{name}.jsonl", texts)
        result = run_well("distill", tiny.directory, "-o", tmp_path / name, "--texts", data,
                          "--sample", 30, "--dims", 4, "-q", "--json")  # fmt: skip
        assert result.stderr == ""
        record = json.loads(result.stdout)
        assert (record["fitted_texts"], record["dimensions"]) == (30, 4)
        assert "overlap_at_10" not in record  # of so few texts it would say nothing
        tables.add((tmp_path / name / "model.safetensors").read_bytes())
    assert len(tables) == 1


def test_a_model_that_was_fitted_to_nothing_says_so_and_selects(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    made = tmp_path / "static"
    said = run_well("distill", tiny.directory, "-o", made, "--dims", 8).stderr
    assert "fitted to no texts: --texts keeps many more" in said
    data = write_texts(tmp_path / "pool.jsonl", TEXTS, score=SCORES)
    selected = run_well("select", data, "-n", 5, "-o", tmp_path / "out", "--model", made, "--json")
    encoder = json.loads(selected.stdout)["encoder"]
    assert (encoder["backend"], encoder["precision"]) == ("static", "fp32")
    assert "neighbours in common with" in encoder["reason"]
    run_well("diagnose", data, "--model", made)


def test_what_cannot_be_distilled_is_told(tmp_path: Path, tiny: TinyEncoder) -> None:
    static = write_static(tmp_path / "static", {"embeddings": make_table()})
    (tmp_path / "broken.jsonl").write_text("{")
    new = ("-o", tmp_path / "new")
    wrong: list[tuple[tuple[Any, ...], str]] = [
        ((tiny.directory, "-o", static), "expected a place where nothing is yet"),
        ((static, *new), "expected a sentence encoder, got a static one"),
        (("./nowhere", *new, "--texts", tmp_path / "broken.jsonl"), "expected a directory at"),
        ((tiny.directory, *new, "--texts", tmp_path / "none.jsonl"), "does not exist"),
        ((tiny.directory, *new, "--text", "body"), "--text needs --texts"),
        ((tiny.directory, *new, "--sample", 0), "Invalid value for '--sample'"),
        ((tiny.directory, *new, "--dims", 33), "dims: expected at most the encoder's width (32)"),
    ]
    for arguments, message in wrong:
        assert message in error_of(run("distill", *arguments, "-q")), arguments
    assert not (tmp_path / "new").exists()


# --- Help, and what commands and package must agree on --------------------------------------------


def test_choices_are_those_of_the_package() -> None:
    assert ("auto", *get_args(Precision)) == options.PRECISIONS
    assert ("auto", *get_args(Backend)) == options.BACKENDS
    assert get_args(LongText) == options.LONG_TEXTS
    assert (GRAPH_METHODS, ENGINES) == (options.GRAPH_METHODS, options.ENGINES)
    usual = PrecisionGate()
    for option in (options.GATE_COSINE, options.GATE_OVERLAP, options.PRECISION):
        [made] = click.command()(option(lambda **_: None)).params
        assert isinstance(made, click.Option)
        name = str(made.name).removeprefix("gate_")
        said = (f"[{getattr(usual, name)}]",) if name != "precision" else (
            f"{usual.sample:,}".replace(",", " "), f"{usual.overlap:.0%}".replace("%", " %"),
            f"mean cosine of {usual.cosine}",
        )  # fmt: skip
        assert all(words in str(made.help) for words in said)
    given = {option.name: option for option in program.commands["distill"].params}
    assert given["dims"].default == DEFAULT_DIMS
    assert given["sample"].default == speed.SAMPLE
    assert isinstance(given["sample"].type, click.IntRange)
    assert given["sample"].type.max == MAX_TEXTS


def test_help_of_each_command_comes_without_numpy() -> None:
    code = "import sys\nfrom ds2fast_cli.commands import program\n"
    code += "for name in ('embed', 'distill', 'doctor', 'select', 'diagnose'):\n"
    code += "    program([name, '--help'], standalone_mode=False)\n"
    code += "print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
    said = " ".join(done.stdout.split())
    for words in ("--precision [auto|fp32|bf16|int8]", "without 0.38", "--budget TIME",
                  "--embeddings PATH", "--long-text [truncate|chunk-mean]"):  # fmt: skip
        assert words in said


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("0.5m", 30)]
)
def test_times_are_read(written: str, seconds: float) -> None:
    command = program.commands["doctor"]
    budget = next(option for option in command.params if option.name == "budget")
    assert options.parse_duration(click.Context(command), budget, written) == seconds


@pytest.mark.parametrize("written", ["20", "0m", "m", "-5m", "1d", "1 h"])
def test_what_is_no_time_is_refused(written: str) -> None:
    result = run("doctor", "--measure", "--rows", 5, f"--budget={written}")
    assert "expected a time such as 90s, 20m or 1.5h" in error_of(result)
