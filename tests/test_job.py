"""embed() over a store: nothing runs twice, whatever stops it, and the bytes stay the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from ds2fast.embedding import PrecisionGate, embed, resolve_encoder
from ds2fast.embedding.distill import distill
from ds2fast.embedding.export import export_encoder
from ds2fast.embedding.optimise import fuse
from ds2fast.embedding.transformer import TransformerModel
from ds2fast.errors import OutputError
from ds2fast.results import Embeddings
from embed_child import FULL, engines
from encoder_fixtures import WORDS, TinyEncoder, make_tiny_encoder
from waiting import PATIENCE

CHILD = str(Path(__file__).with_name("embed_child.py"))
TEXTS = [
    f"{a} {b} {'stone ' * (number % 9)}" for number, (a, b) in enumerate(product(WORDS, WORDS))
]
TEXTS = TEXTS[:160]
HEADER, RECORD = 4096, 28 + 4 * 32


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEncoder:
    return make_tiny_encoder(tmp_path / "tiny")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Texts that ran, by precision; batches are of some 5 texts."""
    counts: Counter[str] = Counter()

    def count(precision: str, texts: int) -> None:
        counts[precision] += texts

    monkeypatch.setattr(TransformerModel, "open", engines(count, 5))
    return counts


def stores(cache: Path) -> list[Path]:
    return sorted((cache / "vectors").glob("*/vectors.bin"))


def plans(cache: Path) -> list[Path]:
    return sorted((cache / "vectors").glob("*/plans/*"))


# What was embedded once


@pytest.mark.parametrize(
    ("backend", "precision"), [("native", "fp32"), ("native", "int8"), ("onnxruntime", "fp32")]
)
def test_second_call_runs_nothing(
    tiny: TinyEncoder, tmp_path: Path, ran: Counter[str], backend: Any, precision: Any
) -> None:
    def call() -> Embeddings:
        return embed(
            TEXTS,
            model=tiny.directory,
            cache_dir=tmp_path,
            backend=backend,
            precision=precision,
        )

    first = call()
    assert (first.num_run, ran.total()) == (160, 160)
    assert not plans(tmp_path)
    again = call()
    assert (again.num_run, ran.total()) == (0, 160)
    assert again.vectors.tobytes() == first.vectors.tobytes()
    assert again.truncated == first.truncated


def test_a_call_that_runs_nothing_opens_neither_weights_nor_tokeniser(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed(TEXTS, model=tiny.directory, cache_dir=tmp_path)
    for name in ("transformer.read_weights", "transformer.Tokeniser"):
        monkeypatch.setattr(f"ds2fast.embedding.{name}", lambda *_, **__: pytest.fail("opened"))
    again = embed(TEXTS, model=tiny.directory, cache_dir=tmp_path)
    assert again.vectors.tobytes() == first.vectors.tobytes()


def test_any_part_in_any_order(tiny: TinyEncoder, tmp_path: Path, ran: Counter[str]) -> None:
    alone = embed(TEXTS, model=tiny.directory, cache_dir=False).vectors
    ran.clear()

    def call(places: list[int], num_run: int) -> None:
        texts = [TEXTS[place] for place in places]
        before = ran.total()
        result = embed(texts, model=tiny.directory, cache_dir=tmp_path)
        assert result.vectors.tobytes() == alone[places].tobytes()
        assert (result.num_run, ran.total() - before) == (num_run, num_run)

    call(list(range(40, 80)), 40)
    call(list(range(50, 70)), 0)  # a subset
    call(list(range(79, 39, -1)), 0)  # another order
    call([41, 41, 90, 41, 90], 1)  # repeats
    call(list(range(30, 100)), 29)  # a superset, of which 90 is there
    call([159, 3, 60, 3], 2)
    call(random.Random(1).sample(range(160), 160), 160 - 72)


def test_texts_that_were_cut_are_counted_from_the_store(tiny: TinyEncoder, tmp_path: Path) -> None:
    long = "stone " * 20
    texts = ["frog", long, "toad", long]
    assert embed(texts, model=tiny.directory, cache_dir=tmp_path).truncated == 2
    assert embed(texts, model=tiny.directory, cache_dir=tmp_path).truncated == 2
    more = embed([*texts, long + "frog"], model=tiny.directory, cache_dir=tmp_path)
    assert (more.truncated, more.num_run) == (3, 1)


def test_other_arithmetic_has_another_store(
    tiny: TinyEncoder, tmp_path: Path, ran: Counter[str]
) -> None:
    def vectors(**settings: Any) -> bytes:
        result = embed(TEXTS[:20], model=tiny.directory, cache_dir=tmp_path, **settings)
        assert result.num_run == 20
        return result.vectors.tobytes()

    ways: list[dict[str, Any]] = [{"precision": kind} for kind in ("fp32", "bf16", "int8")]
    ways += [{"backend": "onnxruntime"}, {"backend": "onnxruntime", "threads": 3}]
    ways += [{"long_text": "chunk-mean"}]
    found = [vectors(**way) for way in ways]
    assert len(stores(tmp_path)) == 6
    assert len(set(found[:3])) == 3
    for way, expected in zip(ways, found, strict=True):
        again = embed(TEXTS[:20], model=tiny.directory, cache_dir=tmp_path, **way)
        assert (again.num_run, again.vectors.tobytes()) == (0, expected)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sentence_bert_config.json", {"max_seq_length": 8}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"layer_norm_eps": 1e-3}),
        ("config.json", {"num_attention_heads": 2}),
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": 0}),
    ],
)
@pytest.mark.parametrize("backend", ["native", "onnxruntime"])
def test_other_settings_of_the_model_have_another_store(
    tiny: TinyEncoder, tmp_path: Path, backend: Any, name: str, change: dict[str, Any]
) -> None:
    embed(TEXTS, model=tiny.directory, cache_dir=tmp_path, backend=backend)
    tiny.rewrite(name, **change)
    changed = embed(TEXTS, model=tiny.directory, cache_dir=tmp_path, backend=backend)
    assert changed.num_run == 160
    alone = embed(TEXTS, model=tiny.directory, cache_dir=False, backend=backend)
    assert changed.vectors.tobytes() == alone.vectors.tobytes()


def test_other_weights_have_another_store(tiny: TinyEncoder, tmp_path: Path) -> None:
    first = embed(TEXTS, model=tiny.directory, cache_dir=tmp_path)
    other = make_tiny_encoder(tmp_path / "other", seed=1)
    second = embed(TEXTS, model=other.directory, cache_dir=tmp_path)
    assert second.num_run == 160
    assert np.abs(first.vectors - second.vectors).max() > 0.1


def test_a_model_is_known_by_its_content(tiny: TinyEncoder, tmp_path: Path) -> None:
    embed(TEXTS, model=tiny.directory, cache_dir=tmp_path)
    moved = tiny.directory.rename(tmp_path / "moved")
    assert embed(TEXTS, model=moved, cache_dir=tmp_path).num_run == 0


def test_without_a_store_what_a_comparison_ran_is_taken(
    tiny: TinyEncoder, tmp_path: Path, ran: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ds2fast._core.native_precisions", lambda: ["int8", "fp32"])
    gate = PrecisionGate(sample=30, cosine=-1, overlap=0)
    unkept, kept = (
        embed(TEXTS, model=tiny.directory, cache_dir=cache, gate=gate)
        for cache in (False, tmp_path / "cache")
    )
    assert ran == {"fp32": 2 * 30, "int8": 2 * 160}
    assert unkept.precision == kept.precision == "int8"
    assert unkept.num_run == kept.num_run == 160
    assert unkept.vectors.tobytes() == kept.vectors.tobytes()


def test_without_a_store_exactly_the_texts_of_a_comparison_run_once(
    tiny: TinyEncoder, ran: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ds2fast._core.native_precisions", lambda: ["int8", "fp32"])
    refused = embed(
        TEXTS, model=tiny.directory, cache_dir=False, gate=PrecisionGate(sample=80, cosine=1.01)
    )
    assert ran == {"fp32": 160, "int8": 80}
    assert (refused.precision, refused.num_run) == ("fp32", 160)
    whole = embed(TEXTS, model=tiny.directory, cache_dir=False, precision="fp32")
    assert refused.vectors.tobytes() == whole.vectors.tobytes()


# Ends before the end


def stop_after(batches: int, stop: Callable[[], object]) -> Callable[[str, int], None]:
    left = [batches]

    def on_run(precision: str, texts: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            stop()

    return on_run


def test_ctrl_c_leaves_a_good_store(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = embed(TEXTS, model=tiny.directory, cache_dir=False).vectors
    press = stop_after(7, lambda: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(TransformerModel, "open", engines(press, 5))
    with pytest.raises(KeyboardInterrupt):
        embed(TEXTS, model=tiny.directory, cache_dir=tmp_path)
    (store,) = stores(tmp_path)
    stored = (store.stat().st_size - HEADER) // RECORD
    assert 7 <= stored <= 100
    assert len(plans(tmp_path)) == 1
    monkeypatch.setattr(TransformerModel, "open", engines(lambda *_: None, 5))
    rest = embed(TEXTS, model=tiny.directory, cache_dir=tmp_path)
    assert rest.num_run == 160 - stored
    assert rest.vectors.tobytes() == alone.tobytes()
    assert not plans(tmp_path)


def test_a_stopped_job_with_more_texts_goes_on(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another job then: its texts are planned anew, and those that ran do not run again."""
    alone = embed(TEXTS, model=tiny.directory, cache_dir=False).vectors

    class Stop(Exception):  # noqa: N818  # nothing went wrong
        pass

    def stop() -> None:
        raise Stop

    monkeypatch.setattr(TransformerModel, "open", engines(stop_after(4, stop), 5))
    with pytest.raises(Stop):
        embed(TEXTS[:100], model=tiny.directory, cache_dir=tmp_path)
    (store,) = stores(tmp_path)
    stored = (store.stat().st_size - HEADER) // RECORD
    monkeypatch.setattr(TransformerModel, "open", engines(lambda *_: None, 5))
    more = embed(TEXTS, model=tiny.directory, cache_dir=tmp_path)
    assert 4 <= stored < 100
    assert more.num_run == 160 - stored
    assert more.vectors.tobytes() == alone.tobytes()


def test_a_damaged_record_is_run_again(
    tiny: TinyEncoder, tmp_path: Path, ran: Counter[str]
) -> None:
    first = embed(TEXTS, model=tiny.directory, cache_dir=tmp_path).vectors
    (store,) = stores(tmp_path)
    content = bytearray(store.read_bytes())
    content[HEADER + 80 * RECORD + 50] ^= 1
    store.write_bytes(content)
    again = embed(TEXTS, model=tiny.directory, cache_dir=tmp_path)
    assert (again.num_run, ran.total()) == (1, 161)
    assert again.vectors.tobytes() == first.tobytes()


def test_a_folder_that_cannot_be_made_is_told_once(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a comparison opens more stores than one."""
    monkeypatch.setattr("ds2fast._core.native_precisions", lambda: ["int8", "fp32"])
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("DS2FAST_CACHE_DIR", str(tmp_path / "cache"))
    result = embed(TEXTS, model=tiny.directory, gate=PrecisionGate(sample=20))
    assert len(result.notes) == 1
    assert result.num_run == 160
    with pytest.raises(OutputError, match="expected a folder that can be made"):
        embed(TEXTS, model=tiny.directory, cache_dir=tmp_path / "cache")


def test_other_tensors_beside_a_graph_have_another_store(tmp_path: Path) -> None:
    """Wherever the graph says that they are."""
    tiny = make_tiny_encoder(tmp_path / "tiny")
    graph = export_encoder(resolve_encoder(tiny.directory))
    (tiny.directory / "model.safetensors").unlink()
    beside = tiny.directory / "tensors.bin"
    onnx.save_model(
        onnx.load_from_string(graph), tiny.directory / "model.onnx",
        save_as_external_data=True, location=beside.name, size_threshold=1024,
    )  # fmt: skip
    texts = ["a frog", "the old stone"]
    first = embed(texts, model=tiny.directory, cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(first.vectors, tiny.expect(texts), atol=1e-5)
    tensors = np.frombuffer(beside.read_bytes(), np.uint8).copy()
    words = tiny.weights["embeddings.word_embeddings.weight"].tobytes()
    at = tensors.tobytes().index(words)
    tensors[at : at + len(words)] = np.frombuffer(words, np.float32)[::-1].copy().view(np.uint8)
    beside.write_bytes(tensors.tobytes())
    again = embed(texts, model=tiny.directory, cache_dir=tmp_path / "cache")
    assert again.num_run == 2
    assert fuse(tiny.directory / "model.onnx", num_heads=4, hidden_size=32) is not None
    assert np.abs(again.vectors - first.vectors).max() > 0.01


# A static model beside its encoder


def make_static(tiny: TinyEncoder, place: Path) -> Path:
    return distill(tiny.directory, place, dims=8, cache_dir=False, progress=False)


def test_the_encoder_of_a_static_model_counts(tiny: TinyEncoder, tmp_path: Path) -> None:
    static = make_static(tiny, tmp_path / "static")

    def call() -> Embeddings:
        gate = PrecisionGate(sample=20)
        return embed(TEXTS, model=static, gate=gate, cache_dir=tmp_path / "cache")

    first = call()
    assert (first.num_run, first.num_kept) == (160 + 20, 0)
    assert "on 20 of these texts" in first.reason
    again = call()
    assert (again.num_run, again.num_kept, again.reason) == (0, 160, first.reason)
    (store,) = [
        path for path in stores(tmp_path / "cache") if path.stat().st_size == 4096 + 20 * RECORD
    ]
    content = bytearray(store.read_bytes())
    content[HEADER + 7 * RECORD + 50] ^= 1
    store.write_bytes(content)
    third = call()
    assert (third.num_run, third.num_kept, third.reason) == (1, 160, first.reason)


def test_an_encoder_that_fails_does_not_end_its_static_model(
    tiny: TinyEncoder, tmp_path: Path
) -> None:
    static = make_static(tiny, tmp_path / "static")
    exact = embed(TEXTS, model=static, precision="fp32", cache_dir=False)
    (tiny.directory / "tokenizer.json").write_text("{")
    result = embed(TEXTS, model=static, cache_dir=False)
    assert result.vectors.tobytes() == exact.vectors.tobytes()
    assert result.reason.startswith("a static model; it could not be compared with its encoder: ")
    assert "tokenizer.json: expected a tokenizer" in result.reason
    assert result.num_run == 160


def test_what_the_encoder_of_a_static_model_notes_is_told(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the encoder's store cannot be made here."""
    static = make_static(tiny, tmp_path / "static")
    monkeypatch.setenv("DS2FAST_CACHE_DIR", str(tmp_path / "cache"))
    embed(TEXTS, model=static, precision="fp32")
    (own,) = (tmp_path / "cache" / "vectors").iterdir()
    embed(TEXTS[:1], model=tiny.directory)
    (other,) = [path for path in (tmp_path / "cache" / "vectors").iterdir() if path != own]
    shutil.rmtree(other)
    other.write_text("a file in its place")
    result = embed(TEXTS, model=static)
    assert len(result.notes) == 1
    assert str(other) in result.notes[0]
    assert (result.num_run, result.num_kept) == (160, 160)


# Processes


class Runs:
    """Processes that embed the same texts into a cache."""

    def __init__(self, folder: Path, texts: list[str], model: Path, **settings: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.cache = folder / "cache"
        (folder / "texts").write_text("\n".join(texts), encoding="utf-8")
        self.settings: dict[str, Any] = {
            "texts": str(folder / "texts"),
            "log": str(folder / "log"),
            "output": str(folder / "vectors.npy"),
            "rows": 3,
            "pause": 0.0,
            "hold": None,
            "most_bytes": None,
            "embed": {"model": str(model), "cache_dir": str(self.cache), **settings},
        }

    def start(self, **changes: Any) -> subprocess.Popen[str]:
        settings = json.dumps(self.settings | changes)
        return subprocess.Popen(
            [sys.executable, CHILD, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def finish(self, **changes: Any) -> tuple[int, str]:
        """Exit status and last line."""
        with self.start(**changes) as child:
            output, _ = child.communicate(timeout=PATIENCE)
        return child.returncode, output.splitlines()[-1]

    def kill(self, batches: int, chance: random.Random, pause: float = 0.02) -> bool:
        """Kill it after so many batches began, each with a pause; whether it was still there.

        However late the kill comes, two batches more are all that it begins.
        """
        with self.start(pause=pause, hold=batches + 2) as child:
            assert child.stdout is not None
            for expected in ["started", *["running"] * batches]:
                assert child.stdout.readline().strip() == expected
            time.sleep(chance.uniform(0, 1.5 * pause))
            child.kill()
            return child.wait(timeout=PATIENCE) == -signal.SIGKILL

    def vectors(self) -> npt.NDArray[np.float32]:
        loaded: npt.NDArray[np.float32] = np.load(self.folder / "vectors.npy")
        return loaded

    def batches(self) -> list[int]:
        """Texts of each batch that ran."""
        return [int(line.split()[1]) for line in (self.folder / "log").read_text().splitlines()]


def test_tiny_encoder_killed_twenty_times(tiny: TinyEncoder, tmp_path: Path) -> None:
    """Some 50 batches of 20 ms; a life ends before the first one, or after one or two."""
    chance = random.Random(7)
    whole = Runs(tmp_path / "whole", TEXTS, tiny.directory, precision="int8")
    assert whole.finish()[0] == 0
    assert len(whole.batches()) > 40
    broken = Runs(tmp_path / "broken", TEXTS, tiny.directory, precision="int8")
    kills = sum(broken.kill(number % 4, chance) for number in range(20))
    assert kills >= 15
    status, line = broken.finish()
    assert status == 0
    assert json.loads(line)["num_run"] > 0  # it was not ended by one of the killed
    assert broken.vectors().tobytes() == whole.vectors().tobytes()
    (file,), (expected,) = stores(broken.cache), stores(whole.cache)
    assert file.read_bytes() == expected.read_bytes()
    assert not plans(broken.cache)
    repeats = sum(broken.batches()) - len(TEXTS)
    print(f"{kills} kills, {len(whole.batches())} batches, {repeats} texts ran twice")
    assert 0 <= repeats <= kills * max(whole.batches())


REAL_TEXTS = [
    f"Tell me about {a} number {b} {'and more ' * (b % 5)}" for a in WORDS for b in range(8)
]


@pytest.mark.encoder
@pytest.mark.parametrize(("backend", "precision"), [("native", "fp32"), ("onnxruntime", "int8")])
def test_real_encoder_killed(
    encoder_dir: Path, tmp_path: Path, backend: str, precision: str
) -> None:
    """In ONNX Runtime's int8 a vector depends on its batch: the stored plan is replayed."""
    chance = random.Random(3)
    settings = {"backend": backend, "precision": precision}
    whole = Runs(tmp_path / "whole", REAL_TEXTS, encoder_dir, **settings)
    assert whole.finish()[0] == 0
    broken = Runs(tmp_path / "broken", REAL_TEXTS, encoder_dir, **settings)
    if backend == "onnxruntime":  # quantising takes some seconds, once
        broken.cache.mkdir()
        (whole.cache / "encoders").rename(broken.cache / "encoders")
    kills = sum(broken.kill(batches, chance) for batches in (4, 9, 1))
    assert kills >= 2
    status, line = broken.finish()
    assert status == 0
    assert json.loads(line)["num_run"] < len(REAL_TEXTS)
    assert broken.vectors().tobytes() == whole.vectors().tobytes()
    repeats = sum(broken.batches()) - len(REAL_TEXTS)
    print(f"{kills} kills, {len(whole.batches())} batches, {repeats} texts ran twice")
    assert 0 <= repeats <= kills * max(whole.batches())


def test_full_disk_stops_and_a_rerun_goes_on(tiny: TinyEncoder, tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs", TEXTS, tiny.directory)
    status, message = runs.finish(most_bytes=HEADER + 50 * RECORD)
    assert status == FULL
    assert "the vectors before are kept, make room and run again" in message
    ran = runs.batches()
    assert 40 <= sum(ran[:-1]) <= 50
    status, line = runs.finish()
    assert status == 0
    # The batch that did not fit runs whole; the records of it that fitted are kept.
    assert json.loads(line) == {"num_run": 160 - sum(ran[:-1]), "notes": []}
    alone = embed(TEXTS, model=tiny.directory, cache_dir=False).vectors
    assert runs.vectors().tobytes() == alone.tobytes()


def test_two_processes_at_once(tiny: TinyEncoder, tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs", TEXTS, tiny.directory)
    with runs.start(hold=2) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "started\n"
        assert first.stdout.readline() == "running\n"
        status, line = runs.finish(output=str(tmp_path / "second.npy"))
        assert status == 0
        assert first.poll() is None  # it runs still
        first.stdin.close()
        assert first.wait(timeout=PATIENCE) == 0
    (note,) = json.loads(line)["notes"]
    assert "new ones are not kept: another run is writing there" in note
    assert np.load(tmp_path / "second.npy").tobytes() == runs.vectors().tobytes()
    status, line = runs.finish()
    assert json.loads(line) == {"num_run": 0, "notes": []}
