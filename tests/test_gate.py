"""The choice of a precision: the gate's two figures, every branch, and the real encoder."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ds2fast.embedding import PrecisionGate, embed
from ds2fast.embedding.distinct import DistinctTexts, distinct_texts
from ds2fast.embedding.engine import Precision
from ds2fast.embedding.gate import Choice, choose_precision, faster_precisions
from ds2fast.embedding.job import TextVectors
from ds2fast.embedding.transformer import TransformerModel
from ds2fast.errors import InputError, InputTypeError
from ds2fast.results import FloatArray
from embed_child import engines

TEXTS = [f"text {number}" for number in range(100)]
GATE = PrecisionGate(sample=40)


def unit(vectors: FloatArray) -> FloatArray:
    scaled: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def made_up(texts: Sequence[str], noise: float) -> FloatArray:
    """Unit vectors that depend on the text, and noise that does, too."""
    rows = []
    for text in texts:
        random = np.random.default_rng(list(text.encode()))
        row = random.standard_normal(16)
        rows.append(row / np.linalg.norm(row) + noise * random.standard_normal(16) / 4)
    return unit(np.array(rows, np.float32))


class MadeUp:
    """Runs precisions of known noise, and notes what ran."""

    def __init__(self, noise: Mapping[str, float], backend: str = "native") -> None:
        self.backend = backend
        self.runs: list[tuple[Precision, Sequence[str]]] = []
        self._noise = {"fp32": 0.0, **noise}

    def run(
        self, texts: DistinctTexts, precision: Precision, *, stage: str = "embedding"
    ) -> TextVectors:
        assert stage == f"comparing: {precision}"
        self.runs.append((precision, texts.texts))
        count = len(texts)
        return TextVectors(
            made_up(texts.texts, self._noise[precision]),
            np.zeros(count, np.bool_),
            np.arange(count),
            is_kept=False,
        )


@pytest.fixture
def all_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has products of bytes and of bfloat16."""
    monkeypatch.setattr("ds2fast._core.native_precisions", lambda: ["int8", "bf16", "fp32"])


def choose(job: MadeUp, gate: PrecisionGate = GATE, texts: list[str] = TEXTS) -> Choice:
    distinct, _ = distinct_texts(texts, lowercase=False)
    return choose_precision("auto", distinct, gate, job)


def figures(job: MadeUp, noise: float) -> tuple[float, float]:
    """Mean cosine and overlap of the 10 nearest, from their definitions."""
    sample = job.runs[0][1]
    exact, fast = made_up(sample, 0).astype(np.float64), made_up(sample, noise).astype(np.float64)
    nearest = []
    for rows in (exact, fast):
        products = rows @ rows.T
        np.fill_diagonal(products, -np.inf)
        nearest.append([set(np.argsort(-row)[:10]) for row in products])
    common = [len(a & b) / 10 for a, b in zip(*nearest, strict=True)]
    return float((exact * fast).sum(axis=1).mean()), float(np.mean(common))


def test_what_was_asked_for_is_taken(all_products: None) -> None:
    job = MadeUp({})
    distinct, _ = distinct_texts(TEXTS, lowercase=False)
    for wanted in ("fp32", "bf16", "int8"):
        choice = choose_precision(wanted, distinct, GATE, job)
        assert choice == Choice(wanted, "it was asked for")
    assert job.runs == []


def test_fastest_is_taken_where_it_passes(all_products: None) -> None:
    job = MadeUp({"int8": 0.05, "bf16": 0.01})
    choice = choose(job)
    assert choice.precision == "int8"
    cosine, overlap = figures(job, 0.05)
    assert choice.reason == (
        f"int8 on 40 of these texts: mean cosine to fp32 {cosine:.4f} (at least 0.99), neighbours "
        f"in common {overlap:.3f} (at least 0.85)"
    )
    assert [precision for precision, _ in job.runs] == ["fp32", "int8"]


@pytest.mark.parametrize(
    "gate",
    [PrecisionGate(sample=40, cosine=0.98, overlap=0.8), PrecisionGate(sample=40, overlap=0.9)],
)
def test_second_is_taken_where_the_first_fails(all_products: None, gate: PrecisionGate) -> None:
    job = MadeUp({"int8": 0.3, "bf16": 0.01})
    choice = choose(job, gate)
    assert choice.precision == "bf16"
    assert choice.reason.startswith("not int8 on 40 of these texts: ")
    assert "; bf16 on 40 of these texts: " in choice.reason
    assert [precision for precision, _ in job.runs] == ["fp32", "int8", "bf16"]


def test_each_figure_decides(all_products: None) -> None:
    noise = 0.1
    job = MadeUp({"int8": noise, "bf16": noise})
    choose(job)
    cosine, overlap = figures(job, noise)
    assert 0.9 < cosine < 0.999
    assert 0.5 < overlap < 0.99
    for cosine_least, overlap_least, expected in (
        (cosine - 1e-4, overlap - 1e-4, "int8"),
        (cosine + 1e-4, overlap - 1e-4, "fp32"),
        (cosine - 1e-4, overlap + 1e-4, "fp32"),
    ):
        gate = PrecisionGate(sample=40, cosine=cosine_least, overlap=overlap_least)
        assert choose(job, gate).precision == expected


def test_float32_where_none_passes(all_products: None) -> None:
    choice = choose(MadeUp({"int8": 2, "bf16": 1}))
    assert choice.precision == "fp32"
    assert choice.reason.startswith("not int8 on 40")
    assert "; not bf16 on 40" in choice.reason


@pytest.mark.parametrize("name", ["cosine", "overlap"])
@pytest.mark.parametrize("value", [float("nan"), "0.9", None, True])
def test_thresholds_that_are_no_numbers(name: str, value: Any) -> None:
    """Nothing reaches NaN: it would mean float32, unsaid."""
    settings: dict[str, Any] = {name: value}
    with pytest.raises((InputError, InputTypeError), match=rf"gate\.{name}: expected a number"):
        PrecisionGate(**settings)


@pytest.mark.parametrize("sample", [40.0, "40", True])
def test_a_sample_that_is_no_integer(sample: Any) -> None:
    with pytest.raises(InputTypeError, match=r"gate\.sample: expected an integer"):
        PrecisionGate(sample=sample)


def test_too_few_texts(all_products: None) -> None:
    job = MadeUp({"int8": 0})
    choice = choose(job, texts=TEXTS[:79])
    assert choice == Choice("fp32", "79 texts are too few for a comparison of 40 to save time")
    assert job.runs == []
    assert choose(job, texts=TEXTS[:80]).precision == "int8"


def test_repeats_do_not_count(all_products: None) -> None:
    assert choose(MadeUp({}), texts=TEXTS[:50] * 4).precision == "fp32"


def test_no_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ds2fast._core.native_precisions", lambda: ["fp32"])
    job = MadeUp({})
    choice = choose(job)
    assert choice == Choice("fp32", "this processor has no products of bytes or of bfloat16")
    assert job.runs == []


def test_precisions_of_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for native, ours, graphs in (
        (["int8", "bf16", "fp32"], ["int8", "bf16"], ["int8"]),
        (["bf16", "fp32"], ["bf16"], []),
        (["int8", "fp32"], ["int8"], ["int8"]),
        (["fp32"], [], []),
    ):
        monkeypatch.setattr("ds2fast._core.native_precisions", lambda native=native: native)
        assert faster_precisions("native") == ours
        assert faster_precisions("onnxruntime") == graphs


def test_sample_depends_on_the_texts_alone(all_products: None) -> None:
    samples = []
    for texts in (TEXTS, TEXTS[::-1], TEXTS[50:] + TEXTS[:70]):
        job = MadeUp({"int8": 0})
        choose(job, texts=texts)
        assert job.runs[0][1] == job.runs[1][1]
        assert job.runs[0][1] == [text for text in dict.fromkeys(texts) if text in job.runs[0][1]]
        samples.append(frozenset(job.runs[0][1]))
    assert len(set(samples)) == 1
    assert len(samples[0]) == 40
    assert not samples[0] <= set(TEXTS[:50])


def test_sample_that_is_too_small() -> None:
    """11 texts have 10 neighbours each: all of them, in any arithmetic."""
    with pytest.raises(InputError, match=r"gate\.sample: expected at least 12, got 11"):
        PrecisionGate(sample=11)
    assert PrecisionGate(sample=12).sample == 12


# The real encoder


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Texts that ran, by precision."""
    counts: Counter[str] = Counter()

    def count(precision: str, texts: int) -> None:
        counts[precision] += texts

    monkeypatch.setattr(TransformerModel, "open", engines(count))
    return counts


QUESTIONS = ["How do I", "Why would I", "Explain how to", "When should a child", "Can a robot"]
DEEDS = ["bake bread", "sing", "sort a list", "paint a wall", "grow roses"]
MANNERS = ["at night", "without tools", "for a friend", "in the rain"]
REAL_TEXTS = [f"{a} {b} {c}?" for a in QUESTIONS for b in DEEDS for c in MANNERS]


@pytest.mark.encoder
def test_int8_passes_on_the_real_encoder(
    encoder_dir: Path, tmp_path: Path, all_products: None, ran: Counter[str]
) -> None:
    first = embed(REAL_TEXTS, model=encoder_dir, cache_dir=tmp_path, gate=GATE)
    assert first.precision == "int8"
    assert first.reason.startswith("int8 on 40 of these texts: mean cosine to fp32 0.99")
    assert ran == {"fp32": 40, "int8": 100}
    assert first.num_run == 100
    again = embed(REAL_TEXTS, model=encoder_dir, cache_dir=tmp_path, gate=GATE)
    assert (again.precision, again.reason, again.num_run) == ("int8", first.reason, 0)
    assert ran == {"fp32": 40, "int8": 100}
    assert again.vectors.tobytes() == first.vectors.tobytes()
    asked = embed(REAL_TEXTS, model=encoder_dir, cache_dir=False, precision="int8")
    assert asked.vectors.tobytes() == first.vectors.tobytes()


@pytest.mark.encoder
def test_an_impossible_gate_gives_float32_on_the_real_encoder(
    encoder_dir: Path, tmp_path: Path, all_products: None, ran: Counter[str]
) -> None:
    gate = PrecisionGate(sample=40, overlap=1.01)
    found = embed(REAL_TEXTS, model=encoder_dir, cache_dir=tmp_path, gate=gate)
    assert found.precision == "fp32"
    assert found.reason.startswith("not int8 on 40 of these texts: ")
    assert "; not bf16 on 40 of these texts: " in found.reason
    assert found.reason.count("(at least 1.01)") == 2
    assert ran == {"fp32": 100, "int8": 40, "bf16": 40}
    assert found.num_run == 100
    asked = embed(REAL_TEXTS, model=encoder_dir, cache_dir=False, precision="fp32")
    assert asked.vectors.tobytes() == found.vectors.tobytes()


@pytest.mark.encoder
@pytest.mark.shared
def test_int8_passes_on_real_instructions(
    encoder_dir: Path, shared_data: Path, all_products: None
) -> None:
    with gzip.open(shared_data / "instructions.jsonl.gz") as lines:
        rows = [json.loads(line) for line in islice(lines, 160)]
    texts = [row["messages"][0]["content"] for row in rows]
    found = embed(texts, model=encoder_dir, cache_dir=False, gate=PrecisionGate(sample=60))
    assert (found.precision, found.num_run) == ("int8", len(set(texts)))
