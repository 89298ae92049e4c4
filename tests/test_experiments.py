"""The experiments' parts do what they say, on data small enough to check by hand."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ds2fast import KnnGraph

EXPERIMENTS = Path(__file__).resolve().parent.parent / "bench" / "experiments"


def experiment(name: str) -> ModuleType:
    for folder in (EXPERIMENTS.parent, EXPERIMENTS):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return importlib.import_module(name)


data = experiment("experiment_data")
corruption = experiment("corruption")
pools = experiment("corrupted_pool")
models = experiment("language_model")
selections = experiment("selections")
raters = experiment("raters")
diversity = experiment("diversity")
downstream = experiment("downstream")
encoders = experiment("encoders")
kinds = experiment("kinds")


def draws() -> np.random.Generator:
    return np.random.default_rng(0)


# --- Data and tables ------------------------------------------------------------------------------


def test_a_row_is_its_prompts_and_its_last_answer_without_the_mark_of_its_end() -> None:
    messages = [("user", "a"), ("user", "b"), ("assistant", "c d<|endoftext|>")]
    record = {"source": "t0", "messages": [{"role": r, "content": c} for r, c in messages]}
    row = data.row_of(record)
    assert (row.source, row.prompt, row.answer) == ("t0", "a\nb", "c d")
    assert row.text == "###user: a\nb\n###assistant: c d\n"


def test_a_row_without_an_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="messages: expected a prompt and an answer"):
        data.row_of({"source": "t0", "messages": [{"role": "user", "content": "a"}]})


def test_means_and_half_ranges_are_over_runs() -> None:
    runs = [{"a": 1.0}, {"a": 2.0}, {"a": 6.0}]
    assert data.means(runs) == {"a": 3.0}
    assert data.spreads(runs) == {"a": 2.5}


def test_a_table_shows_what_is_missing() -> None:
    lines = data.table({"one": {"x": 0.5, "y": 1234.0}, "two": {"x": 0.25}}).splitlines()
    assert [line.split() for line in lines] == [
        ["x", "y"],
        ["one", "0.500", "1234"],
        ["two", "0.250", "-"],
    ]


# --- Corruption -----------------------------------------------------------------------------------

ANSWER = "alpha beta gamma delta epsilon zeta theta kappa lambda omega"
OTHER = "one two three four"


@pytest.mark.parametrize("way", list(corruption.WAYS))
def test_the_highest_level_is_the_answer_as_it_stands(way: str) -> None:
    assert corruption.corrupt(ANSWER, OTHER, way, 5, draws()) == ANSWER


@pytest.mark.parametrize(
    ("way", "level", "expected"),
    [
        ("cut", 3, "alpha beta gamma delta epsilon zeta"),
        ("cut", 0, "alpha"),
        ("swapped", 3, "alpha beta gamma delta epsilon zeta one two three four"),
        ("swapped", 2, "alpha beta gamma delta one two three four one two"),
        ("off-language", 0, "nycun orgn tnzzn qrygn rcfvyba mrgn gurgn xnccn ynzoqn bzrtn"),
    ],
)
def test_what_a_level_leaves(way: str, level: int, expected: str) -> None:
    found = corruption.corrupt(ANSWER, OTHER, way, level, draws())
    assert found == expected


@pytest.mark.parametrize("level", range(6))
def test_off_language_words_are_as_many_as_the_level_says(level: int) -> None:
    found = corruption.corrupt(ANSWER, OTHER, "off-language", level, draws()).split()
    kept = sum(one == other for one, other in zip(found, ANSWER.split(), strict=True))
    assert kept == 2 * level


def test_garbled_words_keep_their_letters() -> None:
    found = corruption.corrupt(ANSWER, OTHER, "garbled", 0, draws())
    assert found != ANSWER
    assert sorted(map(sorted, found.split())) == sorted(map(sorted, ANSWER.split()))


def test_wrong_ways_and_levels_are_named() -> None:
    with pytest.raises(ValueError, match="way: expected one of swapped, cut"):
        corruption.corrupt(ANSWER, OTHER, "burnt", 2, draws())
    with pytest.raises(ValueError, match="level: expected 0 to 5, got 6"):
        corruption.corrupt(ANSWER, OTHER, "cut", 6, draws())


def rows_of(number: int) -> list[Any]:
    words = [" ".join(f"w{n}x{place}" for place in range(12)) for n in range(number)]
    return [data.Row("s", f"p{n}", answer) for n, answer in enumerate(words)]


def test_a_quarter_of_the_rows_is_spoilt_in_each_way_and_only_answers_are() -> None:
    rows = rows_of(40)
    true = np.arange(40) % 6
    spoilt, ways = pools.spoil(rows, true)
    assert {way: ways.count(way) for way in corruption.WAYS} == dict.fromkeys(corruption.WAYS, 10)
    assert [row.prompt for row in spoilt] == [row.prompt for row in rows]
    same = np.array([one.answer == other.answer for one, other in zip(spoilt, rows, strict=True)])
    by_luck = np.array(ways) == "garbled"
    np.testing.assert_array_equal(same[~by_luck], true[~by_luck] == 5)
    assert same[true == 5].all()
    assert same[by_luck & (true < 4)].sum() == 0


def test_parts_have_no_row_in_common_and_no_short_answer() -> None:
    rows = [*rows_of(30), data.Row("s", "p", "too short")]
    parts = pools.split(rows, 12, 6)
    numbers = np.concatenate([parts.pool, parts.held_out, parts.vocabulary])
    assert (len(parts.pool), len(parts.held_out)) == (12, 6)
    assert sorted(numbers.tolist()) == list(range(30))
    with pytest.raises(SystemExit, match="--rows: expected at most 23, got 24"):
        pools.split(rows, 24, 6)


def test_by_topic_a_cluster_has_one_level(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = np.arange(600) % 10
    monkeypatch.setattr(pools, "k_means", lambda x, number, seed: (cluster, np.zeros((number, 2))))
    found = pools.levels_of("topic", np.zeros((600, 2), np.float32))
    assert all(len(set(found[cluster == number].tolist())) == 1 for number in range(10))
    by_row = pools.levels_of("row", np.zeros((600, 2), np.float32))
    assert all(len(set(by_row[cluster == number].tolist())) > 1 for number in range(10))


# --- The small model ------------------------------------------------------------------------------


def numbers(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def test_the_vocabulary_has_words_that_occur_twice() -> None:
    vocabulary = models.Vocabulary(["The cat, the dog.", "A cat."])
    assert len(vocabulary) == 3 + 3  # unknown, start, end; ".", "cat", "the"
    found = vocabulary.numbers("The dog: cat.")
    assert (found == models.UNKNOWN).tolist() == [False, True, True, False, False]


def test_probabilities_of_all_words_sum_to_one() -> None:
    answers = [numbers(3, 4, 5, 3), numbers(4, 4, 3), numbers(5)]
    model = models.KneserNey(answers, 7)
    words = np.array([word for word in range(7) if word != models.START])
    for first, second in [(1, 1), (3, 4), (4, 5), (6, 6), (0, 3)]:
        context = np.full(6, first), np.full(6, second)
        assert model.probabilities(*context, words).sum() == pytest.approx(1.0, abs=1e-12)


def test_kneser_ney_by_hand() -> None:
    # One answer "3 4": triples (s, s, 3), (s, 3, 4), (3, 4, end), each once.
    model = models.KneserNey([numbers(3, 4)], 5)
    # Pairs of different triples: (s, 3), (3, 4), (4, end); so words 3, 4 and end follow one each.
    single = (1 - 0.75) / 3 + 0.75 * 3 / 3 * 0.25  # of 4 words that may come, start excluded
    pair = (1 - 0.75) + 0.75 * single
    triple = (1 - 0.75) + 0.75 * pair
    after = numbers(1), numbers(3), numbers(4)
    assert model.probabilities(*after) == pytest.approx([triple])
    unseen = numbers(4), numbers(3), numbers(4)  # the pair (3, 4) is known, its context is not
    assert model.probabilities(*unseen) == pytest.approx([pair])


def test_words_of_the_prompt_have_their_shares_and_the_end_has_none() -> None:
    pairs = [(numbers(3, 3, 4, 5), numbers(3, 6)), (numbers(), numbers(4))]
    assert models.copied(pairs, 7).tolist() == [0.5, 0.0, 0.0, 0.0, 0.0]


def test_the_share_copied_is_the_most_likely_one() -> None:
    rng = draws()
    foretold, from_prompt = rng.uniform(0.01, 0.4, 300), rng.uniform(0.0, 0.5, 300)
    found = models.share_copied(foretold, from_prompt, steps=2000)
    grid = np.linspace(0.0, 0.999, 1000)
    likely = [np.log(s * from_prompt + (1 - s) * foretold).sum() for s in grid]
    assert found == pytest.approx(grid[int(np.argmax(likely))], abs=2e-3)


def test_bits_are_of_known_words_alone() -> None:
    pairs = [(numbers(3), numbers(3, 4))] * 11
    model = models.AnswerModel.trained(pairs, 5)
    known = model.bits([(numbers(3), numbers(3, 4))])
    chances = model.triples.probabilities(*models.triples([numbers(3, 4)]))
    mixed = model.copied * np.array([1.0, 0.0, 0.0]) + (1 - model.copied) * chances
    assert known == pytest.approx(-np.log2(mixed).mean())
    unknown = model.bits([(numbers(3), numbers(models.UNKNOWN))])
    end = model.triples.probabilities(numbers(1), numbers(models.UNKNOWN), numbers(models.END))
    assert unknown == pytest.approx(-math.log2((1 - model.copied) * end[0]))


@pytest.mark.parametrize("way", ["swapped", "garbled", "off-language"])
def test_a_model_is_worse_after_spoilt_answers(way: str) -> None:
    rng = draws()
    themes = [[f"t{theme}w{place}" for place in range(8)] for theme in range(6)]

    def row(theme: int) -> Any:
        words = " ".join(rng.choice(themes[theme], 14).tolist())
        return data.Row("s", " ".join(themes[theme]), words)

    rows = [row(n % 6) for n in range(150)]
    others = [rows[n + 1 if n < 149 else 0].answer for n in range(150)]
    spoilt = [
        dataclasses.replace(one, answer=corruption.corrupt(one.answer, other, way, 0, rng))
        for one, other in zip(rows, others, strict=True)
    ]
    vocabulary = models.Vocabulary(one.prompt + " " + one.prompt for one in rows)
    tested = downstream.pairs_of([row(n % 6) for n in range(30)], vocabulary)
    bits = [
        models.AnswerModel.trained(downstream.pairs_of(trained, vocabulary), len(vocabulary)).bits(
            tested
        )
        for trained in (rows, spoilt)
    ]
    assert bits[0] + 0.05 < bits[1]


def test_savings_are_beside_random_rows_of_the_same_seed() -> None:
    def run(level: float, bits: float) -> dict[str, float]:
        return {"true level": level, "words": 10.0, "bits": bits, "equal words": bits + 1}

    ways = {"ours": [run(4.0, 7.0), run(5.0, 6.0)], "random": [run(2.0, 8.0), run(2.0, 7.5)]}
    found = downstream.beside_random(ways)
    assert found["ours"]["saved"] == found["ours"]["saved, equal words"] == 1.25
    assert found["ours"]["± saved"] == 0.25
    assert (found["ours"]["true level"], found["ours"]["±"]) == (4.5, 0.5)
    assert found["random"]["saved"] == found["random"]["± saved"] == 0.0


def test_first_words_end_where_they_are_used_up() -> None:
    words = np.array([5, 3, 9, 4])
    assert downstream.first_words(np.array([1, 3, 0]), words, 8).tolist() == [1, 3]


# --- Selections -----------------------------------------------------------------------------------


def ring(number: int, width: int) -> KnnGraph:
    """Each row's neighbours are the rows after it."""
    ids = (np.arange(number)[:, None] + np.arange(1, width + 1)) % number
    similarities = np.tile(np.linspace(0.9, 0.5, width, dtype=np.float32), (number, 1))
    return KnnGraph.from_arrays(ids, similarities)


def test_the_best_are_the_highest_and_ties_are_drawn() -> None:
    values = np.array([1, 5, 5, 5, 0, 7])
    assert selections.best(values, 1, 0).tolist() == [5]
    found = {tuple(sorted(selections.best(values, 3, seed).tolist())) for seed in range(40)}
    assert found == {(1, 2, 5), (1, 3, 5), (2, 3, 5)}


def test_every_way_selects_n_different_rows() -> None:
    rng = draws()
    true = np.repeat(np.arange(6), 50)
    scores = np.clip(true + rng.integers(-1, 2, 300), 0, 5)
    repeats = np.full((300, 2), -1)
    repeats[::3] = scores[::3, None]
    rated = selections.Rated(
        scores, true, repeats, np.arange(300.0), ring(300, 15), num_levels=6, seed=0, threads=1
    )
    chosen = {name: way(rated, 20) for name, way in selections.WAYS.items()}
    assert all(len(set(rows.tolist())) == 20 for rows in chosen.values())
    assert chosen["longest"].tolist() == list(range(299, 279, -1))
    assert (true[chosen["truth"]] == 5).all()
    assert (true[chosen["truth, then rarity"]] == 5).all()
    assert (scores[chosen["raw top"]] == 5).all()
    assert (scores[chosen["as given, then rarity"]] == 5).all()
    assert selections.verdicts(rated).keys() == {"no signal", "repeats"}


# --- Raters ---------------------------------------------------------------------------------------


def small_graph() -> KnnGraph:
    return KnnGraph.from_arrays([[1, 2], [0, 2], [1, 0]], [[0.5, 0.5], [0.5, 0.25], [0.25, 0.1]])


def test_shares_hold_the_row_itself_by_one() -> None:
    shares = raters.shares_near(np.array([0, 3, 3]), small_graph(), 2)
    np.testing.assert_allclose(shares[0], [0.5, 0, 0, 0.5, 0, 0])
    np.testing.assert_allclose(shares[1], np.array([0.5, 0, 0, 1.25, 0, 0]) / 1.75)


def test_mean_and_mode_of_the_neighbours() -> None:
    scores = np.array([0, 3, 3])
    mean, away = raters.mean_near(scores, small_graph(), 1)
    assert mean.tolist() == [1, 2, 3]  # 1.5 / 1.5, 3 / 1.5, 3
    np.testing.assert_allclose(away, [1.0, 1.0, 0.0])
    mode, ahead = raters.mode_near(scores, small_graph(), 2)
    assert mode.tolist() == [0, 3, 3]  # row 0 is tied, and keeps its score
    assert ahead[0] == 0.0


def test_only_the_surest_changes_are_taken() -> None:
    given, smoothed = np.array([0, 1, 2, 3]), np.array([1, 1, 3, 4])
    sureness = np.array([0.2, 9.0, 0.5, 0.3])
    assert raters.changed_most(given, smoothed, sureness, 2).tolist() == [0, 1, 3, 4]
    assert raters.changed_most(given, smoothed, sureness, 9).tolist() == smoothed.tolist()


def test_weighted_kappa_is_cohens_with_quadratic_weights() -> None:
    rng = draws()
    one, other = rng.integers(0, 4, 200), rng.integers(1, 6, 200)
    weights = (np.arange(6)[:, None] - np.arange(6)) ** 2
    both = np.zeros((6, 6))
    np.add.at(both, (one, other), 1 / 200)
    chance = both.sum(axis=1)[:, None] * both.sum(axis=0)
    expected = 1 - (weights * both).sum() / (weights * chance).sum()
    assert raters.weighted_kappa(one, other) == pytest.approx(expected)
    assert raters.weighted_kappa(one, one) == 1.0
    assert math.isnan(raters.weighted_kappa(np.ones(3), np.ones(3)))


def test_figures_are_means_over_pairs_and_over_raters() -> None:
    true = np.array([0, 1, 2, 3])
    given = [true, true, np.array([3, 2, 1, 0])]
    scores = [true, np.array([0, 1, 2, 0]), true]
    found = raters.figures_of(scores, given, true)
    assert found["changed"] == pytest.approx((0 + 1 / 4 + 4 / 4) / 3)
    assert found["agree"] == pytest.approx((3 / 4 + 1 + 3 / 4) / 3)
    assert found["apart"] == pytest.approx((3 / 4 + 0 + 3 / 4) / 3)
    assert found["right"] == pytest.approx((1 + 3 / 4 + 1) / 3)
    assert found["error"] == pytest.approx(3 / 4 / 3)


# --- Diversity ------------------------------------------------------------------------------------


def test_distinct_n_grams_stay_within_texts_and_within_the_count() -> None:
    texts = [["a", "b", "a"], ["a", "b"]]
    assert diversity.distinct(texts, 1, 100) == 2 / 5
    assert diversity.distinct(texts, 2, 100) == 2 / 3  # (a, b), (b, a), (a, b)
    assert diversity.distinct(texts, 1, 2) == 1.0
    assert diversity.distinct([["a"]], 3, 10) == 0.0


def test_spread_over_rows_and_clusters() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    rarity = np.array([0.1, 0.1, 0.4, 0.5], dtype=np.float32)
    found = diversity.spread_of(np.array([0, 1, 2]), vectors, rarity, np.array([7, 7, 8, 9]), 1)
    assert found["rarity"] == pytest.approx(0.2)
    assert found["apart"] == pytest.approx((0 + 0 + 1) / 3)
    assert (found["near copies"], found["clusters"]) == (2, 2)


# --- Encoders and kinds ---------------------------------------------------------------------------


def test_texts_with_the_same_words_have_the_same_vector_and_others_have_not() -> None:
    texts = ["red green blue", "blue red green", "one two three", "red green three"]
    vectors = encoders.hashed_words(texts)
    cosines = vectors @ vectors.T
    assert vectors.shape == (4, 256)
    assert cosines[0, 1] == pytest.approx(1.0, abs=1e-4)
    assert cosines[0, 3] > cosines[0, 2] + 0.2
    assert encoders.hashed_words(["", "a"]).shape == (2, 256)


def test_overlaps_are_shares() -> None:
    assert encoders.overlap(np.array([1, 2, 3, 4]), np.array([4, 9, 1, 8])) == 0.5
    graph = small_graph()
    assert encoders.neighbours_kept(graph, graph) == 1.0
    other = KnnGraph.from_arrays([[1], [2], [0]], [[0.5], [0.5], [0.5]])
    first = KnnGraph.from_arrays([[1], [0], [0]], [[0.5], [0.5], [0.5]])
    assert encoders.neighbours_kept(first, other) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("source", "prompt", "kind"),
    [
        ("gsm8k", "Summarise the sum", "mathematics"),
        ("code_alpaca", "Write a loop", "code"),
        ("t0", "Write a summary of: ...", "summaries"),
        ("gpteacher", "toolformer: enabled\nSummarize", "tool use"),
        ("t0", "Article: It rained. Why was it wet?", "questions on a text"),
        ("t0", "Are these two the same?", "other tasks"),
        ("alpaca", "Name three fruits", "instructions"),
    ],
)
def test_kinds_follow_source_and_prompt(source: str, prompt: str, kind: str) -> None:
    assert kinds.kind_of(data.Row(source, prompt, "x")) == kind


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("Der Hund ist nicht in dem Haus und die Katze schläft", True),
        ("Les chats des voisins sont dans une boîte", True),
        ("Сегодня хорошая погода и мы идём гулять", True),
        ("The dog is not in the house and the cat sleeps", False),
        ("une", False),
    ],
)
def test_foreign_texts_are_told_by_common_words_or_script(text: str, foreign: bool) -> None:
    assert kinds.is_foreign(text) is foreign


def test_the_last_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    data.finish("name", {"seeds": [0]}, {"a": {"b": 1.0}})
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {
        "experiment": "name",
        "settings": {"seeds": [0]},
        "results": {"a": {"b": 1.0}},
    }
