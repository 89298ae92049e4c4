"""Checks of the pool: planted junk is found and named, real rows raise no alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pytest

from ds2fast import knn
from ds2fast.diversity import long_tail_scores
from ds2fast.errors import InputError
from ds2fast.graph import KnnGraph
from ds2fast.io.read import read
from ds2fast.pool_checks import (
    LOOKED_AT,
    Finding,
    Severity,
    check_pool,
    find_copies,
    find_junk,
    find_one_level,
    find_rarity_alone,
)
from ds2fast.results import IntArray
from ds2fast.selection import dual_sort

NAMES = ("river", "harbour", "orchard", "violin", "ladder", "comet", "saddle", "lantern")


def good_text(number: int) -> str:
    first, second = NAMES[number % 8], NAMES[number // 8 % 8]
    return (
        f"###user: Which of the two would you rather paint, a {first} or a {second}?\n"
        f"###assistant: The {second}, since its outline {number} is easier to keep in mind.\n"
    )


def short(number: int) -> str:
    return f"###user: hm {number}\n###assistant: no\n"


def repeated(number: int) -> str:
    return f"###user: again {number}\n###assistant: " + "very good " * 40 + "\n"


def numbers(number: int) -> str:
    digits = " ".join(str((number + 1) * step * 7919 % 9973) for step in range(3, 40))
    return f"###user: {digits}\n###assistant: = {digits[::-1]}\n"


def cyrillic(number: int) -> str:
    return f"###user: Как называется река номер {number}?\n###assistant: Не знаю, спроси её сама.\n"


def scored(num_rows: int) -> tuple[IntArray, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    return np.ones(num_rows, dtype=np.int64), np.zeros(num_rows, dtype=np.float32)


def with_junk(kinds: Sequence[Callable[[int], str]], each: int) -> tuple[list[str], IntArray]:
    """900 good rows and junk at the end; 100 rows selected, the junk and good ones."""
    texts = [good_text(number) for number in range(900)]
    texts += [kind(number) for kind in kinds for number in range(each)]
    chosen = np.arange(len(texts) - 100, len(texts))
    return texts, chosen.astype(np.int64)


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        (short, "very short"),
        (repeated, "repetitive"),
        (numbers, "hardly any letters"),
        (cyrillic, "in another script than most"),
    ],
)
@pytest.mark.parametrize(
    ("each", "severity"),
    [(11, "note"), (20, "note"), (21, "weak"), (50, "weak"), (51, "unreliable")],
)
def test_planted_junk_is_named(
    kind: Callable[[int], str], sign: str, each: int, severity: Severity
) -> None:
    texts, chosen = with_junk([kind], each)
    found = find_junk(texts, *_rows(texts, chosen))
    in_pool = each / (900 + each)
    assert found == Finding(
        severity,
        f"{each}% of the selected rows look like junk: {sign} {each}% (in the pool {in_pool:.1%})",
    )


def _rows(
    texts: list[str], chosen: IntArray
) -> tuple[IntArray, IntArray, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    given, rarity = scored(len(texts))
    return given, chosen, rarity


def test_all_kinds_together_count_a_row_once() -> None:
    texts, chosen = with_junk([short, repeated, numbers, cyrillic], 15)
    texts[-1] = "Да"  # short, and in another script
    found = find_junk(texts, *_rows(texts, chosen))
    assert found is not None
    assert found.severity == "unreliable"
    assert found.cause.startswith("60% of the selected rows look like junk: very short 16% ")
    assert "repetitive 15% " in found.cause
    assert "hardly any letters 15% " in found.cause
    assert "in another script than most 15% " in found.cause


def test_junk_that_the_whole_pool_has_is_no_finding() -> None:
    texts = [short(number) if number % 5 == 0 else good_text(number) for number in range(1000)]
    chosen = np.arange(0, 300, dtype=np.int64)
    assert find_junk(texts, *_rows(texts, chosen)) is None


def test_few_rows_of_junk_are_no_finding() -> None:
    texts, chosen = with_junk([cyrillic], 5)
    assert find_junk(texts, *_rows(texts, chosen)) is None  # 5 %, not more
    texts, chosen = with_junk([cyrillic], 2)
    assert find_junk(texts, *_rows(texts, chosen[-10:])) is None  # 20 %, but two rows


def test_the_usual_script_is_that_of_the_pool() -> None:
    texts, chosen = with_junk([], 0)
    texts = [cyrillic(number) for number in range(900)] + [good_text(n) for n in range(30)]
    found = find_junk(texts, *_rows(texts, chosen))
    assert found is None  # all chosen rows are Cyrillic, as most of the pool is
    found = find_junk(texts, *_rows(texts, chosen + 30))
    assert found is not None
    assert found.cause.startswith("30% of the selected rows look like junk: in another script")


def test_east_asian_scripts_are_one_and_marks_are_letters() -> None:
    kanji = "今日は天気がとても良いので公園を散歩しましょうか"
    kana = "きょうはとてもよいおてんきなのでさんぽしましょう"
    hindi = "आज मौसम बहुत अच्छा है इसलिए चलो पार्क में टहलने चलते हैं"
    for usual, other in ((kanji, kana), (hindi, hindi)):
        texts = [usual] * 500 + [other] * 50
        assert find_junk(texts, *_rows(texts, np.arange(500, 550))) is None


def test_texts_of_any_characters() -> None:
    texts = ["", " \n", "\ud800 lone", "\U0010ffff" * 9, "1", "a\u0301", "😀" * 40] * 20
    rows = _rows(texts, np.arange(140))
    assert find_junk(texts, *rows) is None  # all of the pool is selected
    assert find_junk([""] * 140, *rows) is None


def test_unrated_rows_are_no_part_of_the_pool() -> None:
    texts, chosen = with_junk([short], 50)
    more = texts + [short(number) for number in range(3000)]
    given, chosen, rarity = _rows(more, chosen)
    given[len(texts) :] = -1
    found = find_junk(more, given, chosen, rarity)
    assert found == find_junk(texts, *_rows(texts, chosen))
    assert found is not None


def test_without_a_selection_the_rarest_of_the_highest_level_are_looked_at() -> None:
    texts, _ = with_junk([repeated], 60)
    given, rarity = scored(960)
    given[:400] = 0  # the highest level has 560 rows, the rarest tenth of which are 56
    rarity[900:] = 0.5
    rarity[:300] = 0.9  # rarer, but not of the highest level
    found = find_junk(texts, given, None, rarity)
    assert found is not None
    assert found.cause.startswith("100% of the rarest rows of the highest level look like junk")
    rarity[900:] = 0.0  # the first rows of the level now, all of them good
    assert find_junk(texts, given, None, rarity) is None


class Counted(Sequence[str]):
    """A pool's texts that counts how many are asked for."""

    def __init__(self, num_rows: int) -> None:
        self._num_rows = num_rows
        self.asked: set[int] = set()

    def __len__(self) -> int:
        return self._num_rows

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            raise TypeError("expected single rows")
        self.asked.add(int(row))
        return good_text(int(row))


def test_no_more_texts_are_looked_at_than_said() -> None:
    texts = Counted(70_000)
    given, rarity = scored(70_000)
    assert find_junk(texts, given, np.arange(30_000, dtype=np.int64), rarity) is None
    assert 1.5 * LOOKED_AT < len(texts.asked) <= 2 * LOOKED_AT
    assert max(np.diff(sorted(texts.asked))) == 7  # 10 000 of 70 000 rows, evenly
    first = texts.asked.copy()
    texts.asked.clear()
    find_junk(texts, given, np.arange(30_000, dtype=np.int64), rarity)
    assert texts.asked == first


@pytest.mark.parametrize(
    ("counts", "severity"),
    [
        ([40, 60], None),
        ([20, 80], None),
        ([19, 81], "weak"),
        ([20, 20, 60], None),
        ([20, 19, 61], "weak"),
        ([5, 5, 90, 0, 0, 0], "weak"),
        ([5, 4, 91, 0, 0, 0], "unreliable"),
        ([0, 0, 0], None),
    ],
)
def test_a_rater_of_one_level(counts: list[int], severity: str | None) -> None:
    given = np.append(np.repeat(np.arange(len(counts)), counts), [-1] * 500)
    found = find_one_level(given, len(counts))
    assert (None if found is None else found.severity) == severity


@pytest.mark.parametrize(
    ("copies", "severity"), [(10, None), (11, "note"), (50, "note"), (51, "weak")]
)
def test_copies_are_counted_over_the_rated_rows(copies: int, severity: str | None) -> None:
    indices = (np.arange(110) + 1)[:, None] % 110
    similarities = np.full((110, 1), 0.9989)
    similarities[:copies] = 0.999
    similarities[100:] = 1.0  # unrated
    graph = KnnGraph.from_arrays(indices, similarities)
    given = np.append(np.ones(100, dtype=np.int64), [-1] * 10)
    found = find_copies(graph, given)
    assert (None if found is None else found.severity) == severity
    if found is not None:
        assert found.cause.startswith(f"{copies}% of the 100 rated rows have a copy")


@pytest.mark.parametrize(
    ("keys", "num_selected", "severity"),
    [
        ([5] * 19, 10, None),  # nearly all rows of the value are in
        ([5] * 20, 10, "note"),
        ([5] * 99, 10, "note"),
        ([5] * 100, 10, "note"),
        ([6, 6, *[5] * 100], 10, None),  # 8 of 10 places, not more
        ([6, *[5] * 90], 10, "note"),  # 9 places, 90 rows
        (list(range(99)), 10, None),
    ],
)
def test_rarity_alone(keys: list[int], num_selected: int, severity: str | None) -> None:
    values = np.array([*keys, 5], dtype=np.float64)
    given = np.append(np.ones(len(keys), dtype=np.int64), -1)  # the last row is no candidate
    order = np.argsort(-values[:-1], kind="stable")
    found = find_rarity_alone(order[:num_selected], given, values)
    assert (None if found is None else found.severity) == severity


def test_all_checks_together() -> None:
    texts, chosen = with_junk([cyrillic], 60)
    given, rarity = scored(960)
    given[0] = 0
    graph = KnnGraph.from_arrays(np.arange(960)[:, None] ^ 1, np.ones((960, 1)))
    found = check_pool(texts, given, graph, chosen, given.astype(float), rarity, 6)
    assert [finding.severity for finding in found] == ["unreliable", "weak", "note", "unreliable"]
    causes = ("the rater gave level 1", "100% of the 960", "rarity alone", "60% of the selected")
    for finding, cause in zip(found, causes, strict=True):
        assert finding.cause.startswith(cause)
        assert str(finding) == f"{finding.severity}: {finding.cause}"
    assert check_pool(None, given, graph, None, given.astype(float), rarity, 6) == found[:2]
    with pytest.raises(InputError, match=r"texts: expected one a row \(960\), got 959"):
        check_pool(texts[1:], given, graph, chosen, given.astype(float), rarity, 6)


@pytest.mark.shared
def test_real_rows_raise_no_alarm(shared_data: Path) -> None:
    """A plain selection: scores as of a rater, the rarest of the best; and junk planted in it."""
    texts = list(read(shared_data / "instructions.jsonl.gz", scores=None).texts[::4])
    vectors = np.load(shared_data / "instructions.minilm.f16.npy")[::4]
    graph = knn.knn_graph(vectors.astype(np.float32), 10)
    rarity = long_tail_scores(graph)
    shares = [0.06, 0.15, 0.28, 0.30, 0.17, 0.04]
    given = np.random.default_rng(0).choice(6, len(texts), p=shares)
    keys = given.astype(np.float64)
    for count in (330, 1000, 5000):
        indices = dual_sort(keys, rarity, count)
        assert check_pool(texts, given, graph, indices, keys, rarity, 6) == ()
    assert check_pool(texts, given, graph, None, keys, rarity, 6) == ()
    rarest = np.argsort(-rarity)[:500]  # whatever their score: rarity itself picks no junk here
    assert find_junk(texts, given, rarest, rarity) is None
    for row in indices[:330:5]:
        texts[row] = repeated(int(row))
    found = find_junk(texts, given, indices[:330], rarity)
    assert found is not None
    assert found.cause.startswith("20% of the selected rows look like junk: repetitive 20%")
