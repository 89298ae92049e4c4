"""The demo's pool: its form, its noise, its words, and the claims that its texts make."""

from __future__ import annotations

import ast
import importlib
import json
import math
import re
import sqlite3
import statistics
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Rows = list[dict[str, Any]]
Levels = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

# Words that would name what only the text as a whole may show.
NAMING = re.compile(
    r"\b(scor(?:e[sd]?|ing)|ratings?|(?:mis)?rated|rater|quality|good|bad|poor|excellent|mediocre"
    r"|best|worst|misleading|noisy label|level [0-5]|[0-5]/5|[0-5] out of 5)\b",
    re.IGNORECASE,
)


def example(name: str) -> ModuleType:
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    return example("make_pool")


@pytest.fixture(scope="module")
def pool(maker: ModuleType) -> Rows:
    rows: Rows = maker.make_pool()
    return rows


@pytest.fixture(scope="module")
def truth(maker: ModuleType) -> Levels:
    levels: Levels = maker.true_scores()
    return levels


def contents(rows: Rows) -> list[tuple[str, str]]:
    return [(row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows]


# --- form -----------------------------------------------------------------------------------------


def test_rows_are_valid(pool: Rows, truth: Levels) -> None:
    assert len(pool) == len(truth) == 3000
    assert len({row["id"] for row in pool}) == 3000
    for row in pool:
        assert set(row) == {"id", "messages", "score"}
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert all(message["content"].strip() for message in row["messages"])
        assert type(row["score"]) is int
        assert 0 <= row["score"] <= 5
    assert set(truth.tolist()) == set(range(6))


def test_same_seed_same_pool_and_other_seed_another(maker: ModuleType) -> None:
    assert maker.make_pool(400, seed=3) == maker.make_pool(400, seed=3)
    assert maker.true_scores(400, seed=3).tolist() == maker.true_scores(400, seed=3).tolist()
    assert contents(maker.make_pool(400, seed=3)) != contents(maker.make_pool(400, seed=4))


@pytest.mark.parametrize("n", [1, 2, 13, 250])
def test_small_pools_have_the_rows_that_were_asked_for(maker: ModuleType, n: int) -> None:
    assert len(maker.make_pool(n)) == len(maker.true_scores(n)) == n


@pytest.mark.parametrize(
    ("n", "seed", "named"), [(0, 0, "n: "), (20_001, 0, "n: "), (5, -1, "seed: ")]
)
def test_arguments_outside_their_limits_are_named(
    maker: ModuleType, tmp_path: Path, n: int, seed: int, named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named}expected .* got "):
        maker.make_pool(n, seed=seed)
    with pytest.raises(ValueError, match=f"^{named}"):
        maker.write_pool(tmp_path / "out", n, seed)
    assert not (tmp_path / "out").exists()


def test_command_line_writes_both_files_and_nothing_else(
    maker: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert maker.main([str(tmp_path / "new"), "-n", "120", "--seed", "5"]) == 0
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["pool.jsonl", "pool_truth.json"]
    assert len(capsys.readouterr().out.splitlines()) == 2
    lines = (tmp_path / "new" / "pool.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines[:-1]]
    assert lines[-1] == ""
    assert rows == maker.make_pool(120, seed=5)
    told = json.loads((tmp_path / "new" / "pool_truth.json").read_text(encoding="utf-8"))
    assert [told["true_scores"][row["id"]] for row in rows] == maker.true_scores(120, 5).tolist()
    assert told["transition_matrix"] == maker.TRANSITION_MATRIX.tolist()


def test_command_line_refuses_wrong_use(
    maker: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        maker.main([str(tmp_path / "new"), "-n", "0"])
    assert stopped.value.code == 2
    assert "n: expected 1 to 20000 rows, got 0" in capsys.readouterr().err


# --- truth and noise ------------------------------------------------------------------------------


def test_matrix_is_ordinal_and_its_rows_are_distributions(maker: ModuleType) -> None:
    t = maker.TRANSITION_MATRIX
    assert t.shape == (6, 6)
    np.testing.assert_allclose(t.sum(axis=1), 1.0, atol=1e-12)
    assert (np.diag(t) >= 0.65).all()
    assert (np.diag(t) <= 0.75).all()
    for i in range(6):  # the further off, the rarer
        assert (np.diff(t[i, i:]) <= 0).all()
        assert (np.diff(t[i, : i + 1]) >= 0).all()


def noise_bounds(t: Doubles, rows: Doubles) -> Doubles:
    """Bernstein: a share of n draws leaves p ± ε with probability ≤ 2·exp(−nε²/(2p(1−p) + 2ε/3)).

    Solved for ε at 1e-4 over all 36 entries: with a = ln(72/1e-4)/n, ε = a/3 + √(a²/9 + 2a·p(1−p)).
    """
    a = math.log(72 / 1e-4) / rows[:, None]
    return np.asarray(a / 3 + np.sqrt(a * a / 9 + 2 * a * t * (1 - t)))


def test_scores_follow_the_matrix(maker: ModuleType) -> None:
    counts = np.zeros((6, 6))
    for seed in range(6):
        given = [row["score"] for row in maker.make_pool(seed=seed)]
        np.add.at(counts, (maker.true_scores(seed=seed), given), 1)
    rows = counts.sum(axis=1)
    shares = counts / rows[:, None]
    t = maker.TRANSITION_MATRIX
    assert (abs(shares - t) <= noise_bounds(t, rows)).all()
    # The bounds are narrow enough to tell the matrix from its transpose.
    assert (abs(shares - t.T) > noise_bounds(t.T, rows)).any()


def test_true_scores_have_the_stated_prior(truth: Levels) -> None:
    stated = np.array([0.08, 0.15, 0.26, 0.28, 0.16, 0.07])
    # A binomial share of 3 000 has a deviation of at most 0.0082; sources of some 14 rows which
    # fall short together (one in eight) widen that, and 0.03 leaves room for three deviations.
    assert abs(np.bincount(truth, minlength=6) / 3000 - stated).max() < 0.03


# --- words ----------------------------------------------------------------------------------------


def test_no_word_names_what_the_text_should_show(maker: ModuleType) -> None:
    for seed in range(3):
        for ask, reply in contents(maker.make_pool(seed=seed)):
            assert not NAMING.search(ask), ask
            assert not NAMING.search(reply), reply


def test_texts_are_filled_in_and_read_like_sentences(pool: Rows) -> None:
    # "a" before a vowel; "one" and words in "eu-", "u-" start with a consonant's sound.
    wrong_article = re.compile(r"\ba (?!one\b|once\b|eu|us|un|ut)[aeiou]\w", re.IGNORECASE)
    for ask, reply in contents(pool):
        assert "{" not in ask
        assert not re.search(r"\{(name|ask)\}", reply)
        assert not wrong_article.search(ask), ask
        assert "  " not in ask


def test_every_topic_and_form_is_there(pool: Rows) -> None:
    sources = example("pool_sources").load_sources()
    assert len({source.topic for source in sources}) >= 40
    assert len({source.form for source in sources}) >= 10
    forms = example("pool_phrases").FAMILIES
    assert {source.form for source in sources} == set(forms)
    # A topic is present where a question about one of its subjects is; made ones have figures.
    asked = "\n".join(ask.lower() for ask, _ in contents(pool))
    told = {source.topic for source in sources if source.subjects}
    missing = {
        topic
        for topic in told
        if not any(
            subject.ask.lower() in asked or subject.name.lower() in asked
            for source in sources
            if source.topic == topic
            for subject in source.subjects
        )
    }
    assert not missing


def test_most_texts_are_distinct_and_a_few_are_twins(pool: Rows) -> None:
    copies = Counter(contents(pool))
    assert len(copies) >= 0.97 * len(pool)
    assert any(count > 1 for count in copies.values())
    answers = Counter(reply for _, reply in contents(pool) if len(reply.split()) > 60)
    assert max(answers.values()) <= 20


def test_lengths_reach_from_a_word_to_a_page(pool: Rows, truth: Levels) -> None:
    words = np.array([len(reply.split()) for _, reply in contents(pool)])
    assert words.min() == 1
    assert 200 <= words.max() <= 260
    means = [words[truth == level].mean() for level in range(6)]
    assert means[5] > means[4] > means[3] > means[1]


def test_rare_rows_are_there_once(maker: ModuleType, pool: Rows) -> None:
    rare = {(row.ask, row.answer) for row in example("pool_sources").load_rare_rows()}
    found = Counter(text for text in contents(pool) if text in rare)
    assert len(found) >= 30
    assert len(found) >= 0.8 * sum(found.values())


# --- what the answers claim -----------------------------------------------------------------------


def made(module: str, name: str, seed: int) -> Any:
    return getattr(example(module), name)(np.random.default_rng(seed))


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize("seed", range(8))
def test_compound_interest_agrees_with_paying_it_year_by_year(seed: int) -> None:
    subject = made("pool_sums", "compound_interest", seed)
    start, years, percent = numbers(subject.ask)
    balance = start
    for _ in range(int(years)):
        balance += balance * percent / 100
    assert f"{balance:.2f}" in subject.facts[2]
    assert f"{balance:.2f}" in subject.brief[0]


@pytest.mark.parametrize("seed", range(8))
def test_loan_is_paid_back_by_its_payments(seed: int) -> None:
    subject = made("pool_sums", "loan", seed)
    debt, years, percent = numbers(subject.ask)
    (payment,) = numbers(subject.brief[0])
    for _ in range(int(years) * 12):
        debt += debt * percent / 1200 - payment
    # Half a cent of rounding in each of at most 120 payments, grown by at most e^0.72.
    assert abs(debt) < 0.005 * 120 * math.exp(0.72)


@pytest.mark.parametrize("seed", range(8))
def test_mean_and_deviation_agree_with_the_standard_library(seed: int) -> None:
    subject = made("pool_sums", "mean_and_deviation", seed)
    values = numbers(subject.ask.split(": ")[1])
    mean, deviation = numbers(subject.brief[0])
    assert abs(mean - statistics.mean(values)) <= 0.005 + 1e-9
    assert abs(deviation - statistics.stdev(values)) <= 0.005 + 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_exposure_stays_the_same(seed: int) -> None:
    subject = made("pool_everyday_sums", "same_exposure", seed)
    old_stop, top, bottom = re.findall(r"f/([\d.]+) and (\d+)/(\d+) s", subject.ask)[0]
    new_stop = re.findall(r"f/([\d.]+)\?", subject.ask)[0]
    new = re.findall(r"Use (\d+)(?:/(\d+))? s", subject.brief[1])[0]
    light = float(top) / float(bottom) / float(old_stop) ** 2
    new_light = float(new[0]) / float(new[1] or 1) / float(new_stop) ** 2
    # Cameras round both scales: times by up to 7 %, squared f-numbers by up to 6 %.
    assert abs(math.log2(new_light / light)) < 0.3


def test_python_functions_do_what_the_answer_says() -> None:
    for _, name, code, _, told, _ in example("pool_code")._FUNCTIONS:
        space: dict[str, object] = {}
        exec(code, space)
        claims = re.findall(rf"`({name}\(.*?\))` returns (?:`(.+?)`|(-?\d+))", told)
        assert claims
        for call, quoted, plain in claims:
            assert eval(call, space) == ast.literal_eval(quoted or plain)


def test_patterns_match_and_refuse_what_the_answer_says() -> None:
    for what, regex, _, refused, _ in example("pool_code")._PATTERNS:
        assert re.search(regex, what.split("such as ")[1])
        assert not re.search(regex, refused)


@pytest.mark.parametrize("seed", range(6))
def test_join_query_runs_and_keeps_those_without_events(seed: int) -> None:
    subject = made("pool_code", "sql_join", seed)
    people, events, key, column = re.findall(
        r"`(\w+)\(id, name\)` and `(\w+)\((\w+), day, (\w+)\)`", subject.facts[0]
    )[0]
    year = int(re.findall(r"in (\d{4}),", subject.ask)[0])
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE {people} (id, name)")
    database.execute(f"CREATE TABLE {events} ({key}, day, {column})")
    database.executemany(f"INSERT INTO {people} VALUES (?, ?)", [(1, "one"), (2, "two")])
    database.executemany(
        f"INSERT INTO {events} VALUES (?, ?, ?)",
        [(1, f"{year}-01-01", 5), (1, f"{year}-12-31", 7), (1, f"{year + 1}-01-01", 90)],
    )
    query = subject.facts[1].removeprefix("```sql\n").removesuffix("\n```")
    assert database.execute(query).fetchall() == [("one", 12), ("two", 0)]
    database.close()


# --- the method's assumption ----------------------------------------------------------------------


@pytest.mark.encoder
def test_nearest_neighbours_mostly_share_the_true_score(
    maker: ModuleType, encoder_dir: Path
) -> None:
    from ds2fast.embedding import embed
    from ds2fast.knn import knn_graph

    rows, truth = maker.make_pool(1000), maker.true_scores(1000)
    texts = [f"###user: {ask}\n###assistant: {reply}\n" for ask, reply in contents(rows)]
    vectors = embed(texts, model=str(encoder_dir), cache_dir=None, progress=False).vectors
    near = knn_graph(vectors, k=2, progress=False).indices
    share = (truth[near] == truth[:, None]).all(axis=1).mean()
    by_chance = (np.bincount(truth) / len(truth)) @ (np.bincount(truth) / len(truth)) ** 2
    assert by_chance < 0.1
    assert 0.6 < share < 0.9  # near, not perfect: some sources are mixed, some rows stand alone
