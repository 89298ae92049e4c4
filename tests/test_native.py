"""The native encoder against a plain forward pass in float64, against sentence-transformers, and
against itself: levels, threads and the company of a text must not matter."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ds2fast import _core
from ds2fast.embedding import resolve_encoder
from ds2fast.embedding.architecture import FAMILIES, Architecture
from ds2fast.embedding.checkpoint import EncoderFiles, Pooling
from ds2fast.embedding.engine import Precision
from ds2fast.embedding.native import NativeEncoder
from ds2fast.embedding.tokenise import Tokeniser
from ds2fast.embedding.weights import EncoderWeights, read_weights
from encoder_reference import reference_encode
from family_checkpoints import CASES, TEXTS, Case, make_family_checkpoint
from random_encoders import make_architecture, make_weights, ragged, random_texts

Vectors = npt.NDArray[np.float32]
FIXTURE = Path(__file__).resolve().parent / "data" / "families.npz"
POOLINGS: tuple[Pooling, ...] = ("mean", "cls")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")
LEVELS = _core.simd_levels()
every_level = pytest.mark.parametrize("level", LEVELS)

# Cosines with the exact vector, 1 less half the square of the angle. Estimates for two layers of
# eight products, one behind the other: float32 sums err by some 1e-6 of a vector's length. Both
# factors of a product in bfloat16 err by at most 2^-9 of themselves, half of it and less in the
# mean, together some 0.5 %. Codes err by up to half of 1/255 of a row's range, which is some six
# deviations, and weights likewise: 1 % of a product, 2 to 4 % in the end.
LOWEST = {"fp32": 1 - 1e-11, "bf16": 0.99995, "int8": 0.999}


def encoder(
    weights: EncoderWeights,
    size: Architecture,
    *,
    precision: Precision = "fp32",
    pooling: Pooling = "mean",
    threads: int = 1,
) -> NativeEncoder:
    return NativeEncoder(weights, size, pooling=pooling, precision=precision, threads=threads)


def cosines(found: Vectors, expected: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Row by row; both are unit rows, which is checked too."""
    doubles = found.astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(doubles, axis=1), 1, atol=3e-7)
    norms = np.linalg.norm(doubles, axis=1) * np.linalg.norm(expected, axis=1)
    return np.asarray((doubles * expected).sum(axis=1) / norms)


# Against the forward pass in float64

# Heads and widths that need padding and that do not, one head, heads of one value, a layer that is
# narrower than the hidden one.
SHAPES = {
    "plain": {},
    "heads of 26": {"hidden_size": 312, "num_heads": 12, "intermediate_size": 200},
    "hidden 40": {"hidden_size": 40, "num_heads": 4, "intermediate_size": 100},
    "one head": {"hidden_size": 24, "num_heads": 1, "intermediate_size": 7},
    "heads of 1": {"hidden_size": 6, "num_heads": 6, "intermediate_size": 50, "num_layers": 1},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_float32_is_the_forward_pass(
    monkeypatch: pytest.MonkeyPatch, family: str, shape: str
) -> None:
    size = make_architecture(family, **SHAPES[shape])
    weights = make_weights(size, seed=len(family))
    texts = random_texts(size, [1, 60, 2, 7, 8, 9, 49])
    for pooling in POOLINGS:
        expected = reference_encode(weights, size, texts, pooling)
        for level in LEVELS:
            monkeypatch.setenv("DS2FAST_SIMD", level)
            found = encoder(weights, size, pooling=pooling).encode(*ragged(texts))
            assert np.abs(found - expected).max() <= 1e-5, level
            assert cosines(found, expected).min() >= LOWEST["fp32"], level


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu"])
def test_every_precision_is_near_the_forward_pass(
    monkeypatch: pytest.MonkeyPatch, activation: str
) -> None:
    size = make_architecture("bert", activation=activation, hidden_size=312, num_heads=12)
    weights = make_weights(size, seed=3)
    texts = random_texts(size, [1, 60, *range(2, 20)])
    expected = reference_encode(weights, size, texts, "mean")
    for level, precision in itertools.product(LEVELS, PRECISIONS):
        monkeypatch.setenv("DS2FAST_SIMD", level)
        found = encoder(weights, size, precision=precision).encode(*ragged(texts))
        similar = cosines(found, expected)
        print(f"{activation} {level} {precision}: 1 - cosine at most {1 - similar.min():.2g}")
        assert similar.min() >= LOWEST[precision], (level, precision)


def test_the_forms_of_gelu_can_be_told_apart() -> None:
    """Otherwise the test above could not fail for one in place of the other."""
    size = make_architecture("bert", hidden_size=312, num_heads=12)
    weights = make_weights(size, seed=3)
    texts = random_texts(size, [1, 60, *range(2, 20)])
    other = dataclasses.replace(size, activation="gelu_tanh")
    exact, by_tanh = (reference_encode(weights, s, texts, "mean") for s in (size, other))
    assert (exact * by_tanh).sum(axis=1).min() < LOWEST["fp32"]


def test_long_texts_beside_short_ones() -> None:
    """Longer than what runs together, and as long as positions go."""
    size = make_architecture("bert", num_positions=600)
    weights = make_weights(size, seed=5)
    texts = random_texts(size, [3, 600, 1, 257, 256, 2])
    expected = reference_encode(weights, size, texts, "mean")
    found = encoder(weights, size, threads=2).encode(*ragged(texts))
    assert np.abs(found - expected).max() <= 1e-5


# What must not matter


@every_level
@pytest.mark.parametrize("precision", PRECISIONS)
def test_threads_order_and_company_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, level: str, precision: Precision
) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", level)
    size = make_architecture("mpnet", hidden_size=40, num_positions=300)
    weights = make_weights(size, seed=6)
    rng = np.random.default_rng(6)
    texts = random_texts(size, [1, 300, 257, *rng.integers(1, 100, 40).tolist()])
    alone = encoder(weights, size, precision=precision)
    expected = np.concatenate([alone.encode(*ragged([text])) for text in texts])
    for threads in (1, 2, 7):
        crew = encoder(weights, size, precision=precision, threads=threads)
        order = rng.permutation(len(texts))
        found = crew.encode(*ragged([texts[i] for i in order]))
        assert found.tobytes() == expected[order].tobytes()


def test_only_this_processors_products_are_native(monkeypatch: pytest.MonkeyPatch) -> None:
    size = make_architecture("bert")
    weights = make_weights(size)
    for level in LEVELS:
        monkeypatch.setenv("DS2FAST_SIMD", level)
        native = _core.native_precisions()
        assert "fp32" in native
        assert set(native) <= set(PRECISIONS)
        for precision in PRECISIONS:
            found = encoder(weights, size, precision=precision).is_native
            assert found == (precision in native)
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    assert _core.native_precisions() == ["fp32"]


# Against sentence-transformers


def tokenise(files: EncoderFiles, texts: list[str]) -> list[list[int]]:
    table = Tokeniser(files).encode(texts, lambda _: None)
    return [table.ids[begin:end].tolist() for begin, end in itertools.pairwise(table.offsets)]


def read(files: EncoderFiles) -> tuple[EncoderWeights, Architecture]:
    assert files.architecture is not None
    return read_weights(files.weights, files.architecture), files.architecture


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vectors_are_those_of_sentence_transformers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: Case
) -> None:
    make_family_checkpoint(tmp_path / "checkpoint", case)
    files = resolve_encoder(tmp_path / "checkpoint")
    tokens = ragged(tokenise(files, TEXTS))
    with np.load(FIXTURE) as arrays:
        published = np.asarray(arrays[case.name], np.float64)
    lowest = {"fp32": 0.9999, "bf16": 0.9995, "int8": 0.99}
    for level, precision in itertools.product(LEVELS, PRECISIONS):
        monkeypatch.setenv("DS2FAST_SIMD", level)
        pooling: Pooling = "mean" if case.pooling == "mean" else "cls"
        found = encoder(*read(files), precision=precision, pooling=pooling).encode(*tokens)
        assert cosines(found, published).min() >= lowest[precision], (level, precision)


def first_texts(data: Path, count: int) -> list[str]:
    with gzip.open(data / "instructions.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, count)]
    return [
        "\n".join(f"###{message['role']}: {message['content']}" for message in row["messages"])
        for row in rows
    ]


@pytest.mark.encoder
@pytest.mark.shared
def test_minilm_on_real_texts(
    monkeypatch: pytest.MonkeyPatch, encoder_dir: Path, shared_data: Path
) -> None:
    files = resolve_encoder(encoder_dir)
    weights, size = read(files)
    texts = [ids[:100] for ids in tokenise(files, first_texts(shared_data, 8))]
    exact = reference_encode(weights, size, texts, "mean")
    # As above, with six layers instead of two, and values far off the others, as real models have.
    lowest = {"fp32": 1 - 1e-11, "bf16": 0.9999, "int8": 0.997}
    for level, precision in itertools.product(LEVELS, PRECISIONS):
        monkeypatch.setenv("DS2FAST_SIMD", level)
        found = encoder(weights, size, precision=precision, threads=2).encode(*ragged(texts))
        similar = cosines(found, exact)
        print(f"{level} {precision}: 1 - cosine at most {1 - similar.min():.2g}")  # pytest -rP
        assert similar.min() >= lowest[precision], (level, precision)


@pytest.mark.encoder
@pytest.mark.shared
def test_minilm_beside_vectors_that_others_made(encoder_dir: Path, shared_data: Path) -> None:
    """By onnxruntime in int8, with one scale for all tokens, whose cosine with the exact vectors
    is 0.993 in the mean and 0.982 at least; cut at 256 tokens."""
    files = resolve_encoder(encoder_dir)
    texts = [ids[:256] for ids in tokenise(files, first_texts(shared_data, 48))]
    stored = np.load(shared_data / "instructions.minilm.f16.npy")[:48].astype(np.float64)
    found = encoder(*read(files), threads=2).encode(*ragged(texts))
    similar = cosines(found, stored)
    assert similar.mean() >= 0.99
    assert similar.min() >= 0.98
    others = found.astype(np.float64) @ np.roll(stored, 1, axis=0).T
    assert np.diag(others).max() < 0.9  # beside the wrong texts' vectors the bounds do not hold


# Wrong input ends in an error before anything is read


SMALL = make_architecture("mpnet", vocab_size=20, num_positions=10)
IDS = np.arange(12, dtype=np.int32)
OFFSETS = np.array([0, 4, 12], np.int64)


@pytest.fixture(scope="module")
def small() -> NativeEncoder:
    return encoder(make_weights(SMALL), SMALL)


@pytest.mark.parametrize(
    ("ids", "offsets", "message"),
    [
        (IDS - 1, OFFSETS, "ids below"),
        (IDS + 9, OFFSETS, "ids below"),
        (IDS * np.int32(2**28), OFFSETS, "ids below"),
        (np.full(12, np.iinfo(np.int32).min, np.int32), OFFSETS, "ids below"),
        (IDS, np.array([0, 1, 12]), "1 to P tokens"),
        (IDS, np.array([0, 4, 4, 12]), "1 to P tokens"),
        (IDS, np.array([0, 8, 4, 12]), "1 to P tokens"),
        (IDS, np.array([0, -4, 12]), "1 to P tokens"),
        (IDS, np.array([0, np.iinfo(np.int64).min, 12]), "1 to P tokens"),
        (IDS, np.array([0, np.iinfo(np.int64).max, 12]), "1 to P tokens"),
        (IDS, np.array([0, 4, 13]), "offsets from 0"),
        (IDS, np.array([0, 4, 11]), "offsets from 0"),
        (IDS, np.array([1, 4, 12]), "offsets from 0"),
        (IDS, np.array([-1, 4, 12]), "offsets from 0"),
        (IDS, np.array([], np.int64), "offsets from 0"),
        (IDS, np.array([0]), "offsets from 0"),
        (IDS.reshape(3, 4), OFFSETS, "a vector"),
        (IDS, OFFSETS.reshape(1, 3), "a vector"),
    ],
)
def test_wrong_tokens(small: NativeEncoder, ids: Any, offsets: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^_core: expected {message}"):
        small.encode(ids, offsets)


@pytest.mark.parametrize(
    ("ids", "offsets"),
    [
        (IDS.astype(np.int64), OFFSETS),
        (IDS.astype(np.float32), OFFSETS),
        (IDS, OFFSETS.astype(np.int32)),
        (np.repeat(IDS, 2)[::2], OFFSETS),
        (None, OFFSETS),
        (IDS.tolist(), OFFSETS),
    ],
)
def test_other_types_are_not_converted(small: NativeEncoder, ids: Any, offsets: Any) -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        small.encode(ids, offsets)


def test_random_offsets_end_in_an_error_or_in_rows(small: NativeEncoder) -> None:
    rng = np.random.default_rng(7)
    accepted = 0
    for _ in range(2000):
        ids = rng.integers(-1, 21, rng.integers(0, 13)).astype(np.int32)
        if rng.random() < 0.7:
            ids = ids.clip(0, 19)
        inner = rng.integers(-2, 15, rng.integers(0, 4))
        offsets = np.array([0, *(inner if rng.random() < 0.3 else np.sort(inner)), len(ids)])
        lengths = np.diff(offsets)
        right = all(1 <= n <= 10 for n in lengths) and all(0 <= i < 20 for i in ids)
        if right:
            found = small.encode(ids, offsets)
            assert found.shape == (len(lengths), 64)
            assert np.isfinite(found).all()
            accepted += 1
        else:
            with pytest.raises(ValueError, match="_core: expected"):
                small.encode(ids, offsets)
    assert 100 < accepted < 1900


def test_no_text_is_no_row(small: NativeEncoder) -> None:
    found = small.encode(np.empty(0, np.int32), np.zeros(1, np.int64))
    assert found.shape == (0, 64)


@every_level
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu"])
@pytest.mark.parametrize("part", ["query", "value", "attention_output", "inner", "outer"])
@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_a_damaged_weight_stays_visible(
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    precision: Precision,
    activation: str,
    part: str,
    damage: float,
) -> None:
    """None of the roundings, maxima and activations on the way may make a number of it."""
    monkeypatch.setenv("DS2FAST_SIMD", level)
    size = make_architecture("bert", activation=activation)
    weights = make_weights(size)
    getattr(weights.layers[0], part).weight[3, 5] = damage
    found = encoder(weights, size, precision=precision).encode(*ragged([[3, 1, 4, 1, 5]]))
    assert not np.isfinite(found).any()


@pytest.mark.parametrize("threads", [0, -1])
def test_wrong_threads(threads: int) -> None:
    with pytest.raises((ValueError, TypeError)):
        encoder(make_weights(SMALL), SMALL, threads=threads).encode(IDS, OFFSETS)


def test_more_threads_than_anybody_has() -> None:
    weights = make_weights(SMALL)
    expected = encoder(weights, SMALL).encode(IDS, OFFSETS)
    found = encoder(weights, SMALL, threads=10**12).encode(IDS, OFFSETS)
    assert found.tobytes() == expected.tobytes()


def cut(array: Any) -> Any:
    """Without its last row, or the last of its values."""
    return np.ascontiguousarray(array[:-1])


def narrow(array: Any) -> Any:
    return np.ascontiguousarray(array[:, :-1])


def test_weights_of_wrong_shapes() -> None:
    good = make_weights(make_architecture("bert"))
    size = make_architecture("bert")
    layer = good.layers[0]
    assert good.token_type is not None
    norm = good.embedding_norm
    wrong: list[dict[str, Any]] = [
        {"words": narrow(good.words)},
        {"words": good.words[0]},
        {"positions": narrow(good.positions)},
        {"positions": good.positions[:0]},
        {"token_type": cut(good.token_type)},
        {"token_type": good.token_type[:, None]},
        {"embedding_norm": dataclasses.replace(norm, scale=cut(norm.scale))},
        {"embedding_norm": dataclasses.replace(norm, bias=cut(norm.bias))},
        {"relative_bias": np.zeros((32, 3), np.float32)},
    ]
    for part in ("query", "key", "value", "attention_output", "inner", "outer"):
        linear = getattr(layer, part)
        for weight, bias in (
            (cut(linear.weight), linear.bias),
            (narrow(linear.weight), linear.bias),
            (linear.weight, cut(linear.bias)),
            (linear.weight[0], linear.bias),
            (linear.weight, linear.bias[:, None]),
        ):
            changed = dataclasses.replace(linear, weight=weight, bias=bias)
            wrong.append({"layers": (layer, dataclasses.replace(layer, **{part: changed}))})
    for part in ("attention_norm", "output_norm"):
        other = getattr(layer, part)
        for changes in ({"scale": cut(other.scale)}, {"bias": cut(other.bias)}):
            changed = dataclasses.replace(other, **changes)
            wrong.append({"layers": (dataclasses.replace(layer, **{part: changed}),)})
    encoder(good, size)  # as it is, it is taken
    for changes in wrong:
        broken = dataclasses.replace(good, **changes)
        distances = dataclasses.replace(size, relative_buckets=32, relative_max_distance=128)
        with pytest.raises(ValueError, match=r"^_core: expected"):
            encoder(broken, distances if "relative_bias" in changes else size)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_heads": 3},
        {"num_heads": 0},
        {"num_heads": 128},
        {"intermediate_size": 0},
        {"intermediate_size": 127},
        {"activation": "silu"},
    ],
)
def test_settings_that_do_not_fit_the_weights(changes: dict[str, Any]) -> None:
    size = make_architecture("bert")
    weights = make_weights(size)
    with pytest.raises(ValueError, match=r"^_core: "):
        encoder(weights, dataclasses.replace(size, **changes))


@pytest.mark.parametrize("setting", ["pooling", "precision"])
def test_names_that_are_unknown(setting: str) -> None:
    names: dict[str, Any] = {"pooling": "mean", "precision": "fp32"} | {setting: "max"}
    with pytest.raises(ValueError, match="unknown name max"):
        NativeEncoder(make_weights(SMALL), SMALL, threads=1, **names)


# A long run


class AlarmError(Exception):
    """Raised by the signal handler of the tests."""


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_signal_ends_a_long_run(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setenv("DS2FAST_SIMD", "baseline")
    size = make_architecture("bert", hidden_size=384, num_heads=12, intermediate_size=1536)
    texts = random_texts(size, [60] * 8000)  # minutes of work
    native = encoder(make_weights(size), size, threads=threads)
    rung: list[float] = []

    def ring(signum: int, frame: FrameType | None) -> None:
        rung.append(time.process_time())
        raise AlarmError

    previous = signal.signal(signal.SIGALRM, ring)
    tokens = ragged(texts)
    started = time.process_time()  # which is the same however busy the machine is
    signal.setitimer(signal.ITIMER_REAL, 0.4)
    try:
        with pytest.raises(AlarmError):
            native.encode(*tokens)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    worked = time.process_time() - rung[0]
    print(f"{threads} threads: {worked:.3f} s of work after the signal")
    # A second on each thread is the promise; on a busy machine the same work takes more.
    assert rung[0] - started < 6.0 + 2.0 * threads
    assert worked < 6.0 + 2.0 * threads


def test_a_run_tells_how_far_it_is_and_lets_others_run() -> None:
    size = make_architecture("bert", hidden_size=384, num_heads=12, intermediate_size=1536)
    texts = random_texts(size, [60] * 400)
    calls: list[tuple[int, int]] = []
    seen: list[int] = []
    ticks = 0
    ended = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not ended.wait(0.001):
            ticks += 1

    def hear(done: int, total: int) -> None:
        calls.append((done, total))
        seen.append(ticks)

    clock = threading.Thread(target=tick)
    clock.start()
    try:
        encoder(make_weights(size), size).encode(*ragged(texts), hear)
    finally:
        ended.set()
        clock.join()
    assert len(calls) > 4, "too short a run to tell"
    assert calls[-1][0] == calls[-1][1]
    assert len({total for _, total in calls}) == 1
    assert calls == sorted(calls)
    # Were the lock held but for the reports, there would be hardly more ticks than these.
    assert seen[-1] - seen[0] > 3 * len(seen)


def test_what_the_progress_raises_ends_the_run(small: NativeEncoder) -> None:
    def stop(done: int, total: int) -> None:
        raise AlarmError

    with pytest.raises(AlarmError):
        small.encode(IDS, OFFSETS, stop)
