"""The report: its figures are those of the selection, and no text of the pool breaks out."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from click.testing import CliRunner

import ds2fast
from ds2fast.controls import controls_of
from ds2fast.report import report_html
from ds2fast.report.facts import Facts
from ds2fast.report.figures import bars_of_levels, bin_edges, distributions, shares_in_bins
from ds2fast.report.map import DRAWN_POINTS, draw_map
from ds2fast.report.samples import rarest_selected, surest_corrections
from ds2fast.report.texts import in_one_line, turns_of
from ds2fast.results import Verdict
from ds2fast.save import score_columns
from ds2fast_cli.commands import program
from report_selection import HOSTILE, LEVELS, NUM_SELECTED, Page, hostile_selection

LARGEST = 2_000_000


@pytest.fixture(scope="module")
def selection() -> ds2fast.Selection:
    return hostile_selection()


@pytest.fixture(scope="module")
def page(selection: ds2fast.Selection) -> Page:
    return Page(report_html(selection, title=HOSTILE))


def _number(cell: str) -> int:
    return int(cell.replace(",", ""))


def test_only_its_own_script_may_run(page: Page) -> None:
    assert len(page.named("script")) == 1
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    policy = next(
        meta["content"] or ""
        for meta in page.named("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["form-action"] == rules["base-uri"] == "'none'"


def test_texts_become_no_elements_and_no_attributes(page: Page) -> None:
    assert not page.named("img")
    assert not page.named("textarea")
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "example.invalid" not in "".join(value or "" for value in attributes.values())
    # The text is there as it was written, but for the control characters.
    assert page.words.count("<script>window.ran = 1</script>") > 60
    assert "{{ 7 * 7 }} &lt;b&gt;" in page.words
    assert "\x1b" not in page.words
    assert "\u202e" not in page.words


def test_nothing_is_loaded(page: Page) -> None:
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
    style = [attributes.get("style") or "" for _, attributes in page.elements]
    assert not [words for words in style if "url(" in words and "url(#" not in words]


def test_ids_are_unique_and_every_reference_is_met(page: Page) -> None:
    ids = [value for _, attributes in page.elements if (value := attributes.get("id"))]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("href", "xlink:href"):
            target = attributes.get(name) or ""
            assert not target.startswith("#") or target[1:] in ids
        for name in ("for", "data-filters"):
            assert attributes.get(name) is None or attributes[name] in ids
        for words in attributes.values():
            assert set(re.findall(r"url\(#([^)]*)\)", words or "")) <= set(ids)


def test_pictures_have_words(page: Page) -> None:
    for _, attributes in page.elements:
        if attributes.get("role") in {"img", "region", "group"}:
            assert attributes.get("aria-label")
    drawn = [svg for svg in page.named("svg") if svg.get("role") != "img"]
    assert len(drawn) == 3
    assert all(svg.get("aria-hidden") == "true" for svg in drawn)


def test_figures_are_those_of_the_selection(selection: ds2fast.Selection, page: Page) -> None:
    decided = page.table("decided by", "rows", "share")
    assert [_number(row[1]) for row in decided] == [
        selection.decided.by_score,
        selection.decided.by_correction,
        selection.decided.by_rarity,
    ]
    own = page.table("rows", "number", "mean score as given")[0]
    assert _number(own[1]) == NUM_SELECTED
    assert own[2] == f"{selection.given_scores[selection.indices].mean():.2f}"
    fates = {row[0]: _number(row[1]) for row in page.table("rows that were", "number")}
    assert fates == {"selected": NUM_SELECTED, "below the cut": 600 - NUM_SELECTED}
    moved = [
        [int(((selection.given_scores == i) & (selection.curated_scores == j)).sum())
         for j in range(LEVELS)]
        for i in range(LEVELS)
    ]  # fmt: skip
    flow = page.table("given", "to 0")
    assert [[_number(cell) for cell in row[1:]] for row in flow] == moved
    chosen = selection.indices
    counted = (
        selection.given_scores, selection.curated_scores,
        selection.given_scores[chosen], selection.curated_scores[chosen],
    )  # fmt: skip
    levels = page.table("score", "as given")
    for column, scores in enumerate(counted, start=1):
        assert [_number(row[column]) for row in levels] == np.bincount(scores).tolist()
    assert selection.transition is not None
    heat = page.table("true score", "given 0")
    for i, row in enumerate(heat[:LEVELS]):
        shares = selection.transition.transition_matrix[i]
        assert row[1 : LEVELS + 1] == [f"{share:.0%}" for share in shares]
        assert row[LEVELS + 1] == f"{selection.transition.prior[i]:.1%}"
    right = selection.transition.correct_given_score
    assert heat[LEVELS][1 : LEVELS + 1] == [f"{share:.0%}" for share in right]
    estimate = selection.transition
    assert estimate.clusterability is not None
    curve = [line[0] for line in page.table("cosine similarity")]
    assert len(set(curve)) == len(estimate.clusterability.sharing)  # bins that can be told apart
    told = f"in {estimate.agreement:.1%} of 600 rows; by chance it would be"
    assert f"{told} {estimate.chance_agreement:.1%}." in " ".join(page.words.split())


def test_headlines_are_those_of_the_scores(selection: ds2fast.Selection, page: Page) -> None:
    told = {item.name: item for item in Facts(selection).headlines()}
    for item in told.values():
        assert f"{item.name}{item.figure}{item.beside}" in page.words
    columns, chosen = score_columns(selection), selection.indices
    expected, given = columns["expected_score"], columns["given_score"]
    assert told["mean expected score"].figure == f"{expected[chosen].mean():.2f}"
    assert told["mean expected score"].beside == f"{expected.mean():.2f} in the pool"
    assert told["mean score as given"].figure == f"{given[chosen].mean():.2f}"
    changed = columns["curated_score"] != given
    assert told["scores corrected"].figure == str(changed.sum())
    assert told["scores corrected"].beside.endswith(f"{changed[chosen].sum()} of them selected")
    # No two rows are equally rare, so that each stands above so many others, and half of itself.
    above = [(selection.long_tail < selection.long_tail[row]).mean() for row in chosen]
    more_common = np.mean(above) + 0.5 / len(given)
    assert told["of the pool is more common"].figure == f"{more_common:.0%}"


def test_what_the_selection_shares_with_other_sets(selection: ds2fast.Selection) -> None:
    compared = {item.name: item for item in Facts(selection).comparison()}
    assert compared["this selection"].shared == compared["all rated rows"].shared == 1.0
    best = controls_of(selection, 0)["top_given"]
    both = set(best.tolist()) & set(selection.indices.tolist())
    assert compared["best scores as given"].shared == len(both) / NUM_SELECTED


def test_sources_are_those_of_the_pool(selection: ds2fast.Selection, page: Page) -> None:
    rows = page.table("source")
    assert [_number(row[2]) for row in rows] == [200, 200, 200]
    assert sum(_number(row[3]) for row in rows) == NUM_SELECTED
    for row, source in zip(rows, selection.decided.sources, strict=True):
        assert row[4:] == [f"{source.mean_given:.2f}", f"{source.mean_key:.2f}"]


def test_bands_are_shown_where_there_are_some() -> None:
    whole = hostile_selection()
    again = ds2fast.estimate_transition_matrix(
        whole.given_scores, whole.graph, num_levels=LEVELS, bootstrap=20
    )
    assert again.lower is not None
    assert again.upper is not None
    page = Page(report_html(hostile_selection(transition=again)))
    heat = page.table("true score", "given 0")
    for i, given in np.ndindex(LEVELS, LEVELS):
        low, high = 100 * again.lower[i, given], 100 * again.upper[i, given]
        assert heat[i][1 + given].endswith(f"%{low:.0f}–{high:.0f}")


def test_the_surest_corrections_come_first(selection: ds2fast.Selection, page: Page) -> None:
    curation, given = selection.curation, selection.given_scores
    changed = np.flatnonzero(curation.corrected & (curation.suggested != given))
    expected = sorted(changed.tolist(), key=lambda row: (-curation.confidence[row], row))
    assert [item.row for item in surest_corrections(selection, 12)] == expected[:12]
    for other in surest_corrections(selection, 1)[0].neighbours:
        near_by = f"{given[other.row]} row {other.row} · cosine {other.similarity:.2f}"
        assert near_by in page.words
    shown = surest_corrections(selection, len(expected))
    assert {item.rank is None for item in shown} == {True, False}
    for item in shown:
        assert (item.given, item.suggested) == (given[item.row], curation.suggested[item.row])
        near = selection.graph.indices[item.row, : len(item.neighbours)]
        assert [other.row for other in item.neighbours] == near.tolist()
        assert [other.given for other in item.neighbours] == given[near].tolist()
        inside = item.row in set(selection.indices.tolist())
        assert item.rank == (selection.indices.tolist().index(item.row) if inside else None)


def test_the_rarest_rows_are_selected_ones(selection: ds2fast.Selection) -> None:
    rarity = sorted(selection.long_tail[selection.indices].tolist(), reverse=True)
    assert [item.long_tail for item in rarest_selected(selection, 10)] == rarity[:10]


def test_without_texts_and_without_an_estimate() -> None:
    whole = hostile_selection()
    arrays = ds2fast.select(
        scores=whole.given_scores, graph=whole.graph, curation=whole.curation, n=20, num_levels=4
    )
    page = Page(report_html(arrays))
    assert "there is no text" in page.words
    assert "How the rater errs" not in page.words
    assert len([svg for svg in page.named("svg") if svg.get("role") != "img"]) == 2


def test_how_many_neighbours_an_approximate_graph_has_is_told(
    selection: ds2fast.Selection, page: Page
) -> None:
    graph = replace(
        selection.graph, method="approximate", recall=0.98123, recall_interval=(0.9787, 0.9842)
    )
    words = Page(report_html(replace(selection, graph=graph))).words
    assert (
        "an approximate search: 98.1% of the true ones, by a sample of rows searched exactly "
        "(95% interval 97.9% to 98.4%)."
    ) in words
    assert "approximate search" not in page.words


def test_unrated_rows_and_one_selected() -> None:
    scores = hostile_selection().given_scores.copy()
    scores[::10] = -1
    page = Page(report_html(hostile_selection(scores=scores).top(1)))
    fates = {row[0]: _number(row[1]) for row in page.table("rows that were", "number")}
    assert fates == {
        "selected": 1,
        "below the cut": 539,
        "without a score or text, never selected": 60,
    }


def test_what_rules_left_out_is_told() -> None:
    limited = hostile_selection(max_rarity=0.5)
    assert limited.choice is not None
    page = Page(report_html(limited))
    fates = {row[0]: _number(row[1]) for row in page.table("rows that were", "number")}
    common = limited.long_tail <= np.quantile(limited.long_tail, 0.5)
    assert fates["left out: rarer than was allowed"] == int((~common).sum())
    assert sum(fates.values()) == 600
    assert "within the rules asked for" in page.words
    assert limited.choice.notes
    for note in limited.choice.notes:
        assert note in page.words


def test_a_large_pool_of_long_texts_stays_small() -> None:
    count = DRAWN_POINTS + 5_000
    rng = np.random.default_rng(0)
    near = (np.arange(count)[:, None] + np.arange(1, 21)) % count
    similar = np.sort(rng.uniform(0.2, 0.9, near.shape), axis=1)[:, ::-1]
    levels = rng.integers(0, 4, count)
    curation = ds2fast.Curation(
        scores=levels,
        misrated=np.arange(count) % 2 == 0,
        suggested=3 - levels,
        confidence=np.ones(count),
        error_probability=np.ones(count),
        method="posterior",
        min_confidence=0.0,
        k=10,
        rounds=0,
        seed=0,
    )
    hostile = '"&<\u4e2d' * 250  # what takes most bytes once it is escaped
    rows = [{"text": f"{i}{hostile}", "source": f"{i % 99}{hostile}"} for i in range(count)]
    graph = ds2fast.KnnGraph.from_arrays(near, similar)
    large = ds2fast.select(
        rows, scores=levels, graph=graph, curation=curation, n=9_000, num_levels=4, trust=1.0
    )
    made = report_html(large)
    assert len(made) < LARGEST
    layers = draw_map(large).layers
    assert sum(layer.rows for layer in layers) == count
    assert sum(layer.drawn for layer in layers) == DRAWN_POINTS
    assert sum(layer.path.count("M") for layer in layers) == DRAWN_POINTS
    assert "And 59 more with" in Page(made).words


def test_map_keeps_like_rows_together(selection: ds2fast.Selection) -> None:
    kinds = {layer.kind: layer.rows for layer in draw_map(selection).layers}
    chosen = np.zeros(600, dtype=bool)
    chosen[selection.indices] = True
    moved = selection.curation.corrected & (selection.curation.suggested != selection.given_scores)
    expected = {
        "pool": int((~chosen & ~moved).sum()),
        "corrected": int((~chosen & moved).sum()),
        "selected": int((chosen & ~moved).sum()),
        "both": int((chosen & moved).sum()),
    }
    assert kinds == {kind: rows for kind, rows in expected.items() if rows}


def test_bins_hold_all_values() -> None:
    values = np.concatenate([np.linspace(0.0, 1.0, 2_000), [50.0]])
    edges = bin_edges(values)
    assert edges[-1] < 2.0  # one far value does not press all others into a bin
    assert shares_in_bins(values, edges).sum() == pytest.approx(1.0)
    assert np.all(np.diff(bin_edges(np.full(5, 0.25))) > 0)
    assert np.all(np.diff(bin_edges(np.zeros(5), by_factor=True)) > 0)


@pytest.mark.parametrize(("high", "named"), [(290, "220"), (90_000, "10,000")])
def test_lengths_are_named_in_plain_numbers(high: int, named: str) -> None:
    picture = distributions("lengths", {"pool": np.geomspace(195, high)}, "of", by_factor=True)
    assert f">{named}<" in picture
    assert "mathdefault" not in picture
    assert "×" not in picture


def test_pictures_leave_no_setting_behind() -> None:
    before = dict(mpl.rcParams)
    one = bars_of_levels({"as given": np.array([0.5, 0.5]), "curated": np.array([0.2, 0.8])})
    assert dict(mpl.rcParams) == before
    assert one == bars_of_levels(
        {"as given": np.array([0.5, 0.5]), "curated": np.array([0.2, 0.8])}
    )
    assert "var(--ink)" in one
    assert not re.search(r"#0102", one)
    assert "<style" not in one


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("###user: a\n###assistant: b", [("user", "a"), ("assistant", "b")]),
        ("bare ###user: no turn", [("", "bare ###user: no turn")]),
        ("", []),
        ("x" * 800, [("", "x" * 700 + "…")]),
        ("a\u200db\ud800", [("", "a\u200db\ufffd")]),
    ],
)
def test_turns(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(turn.role, turn.words) for turn in turns_of(text)] == expected


def test_one_line_is_cut() -> None:
    assert in_one_line("a\n b\t" + "c" * 300, 10) == "a b cccccc…"


def test_missing_packages_are_named(
    selection: ds2fast.Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "ds2fast.report.extra.find_spec", lambda name: None if name == "jinja2" else found(name)
    )
    with pytest.raises(ds2fast.MissingExtraError, match=r"jinja2: pip install 'ds2fast\[report\]'"):
        report_html(selection)


def test_command_makes_the_page_of_a_finished_run(tmp_path: Path) -> None:
    source = tmp_path / "pool.jsonl"
    whole = hostile_selection()
    assert whole.pool is not None
    source.write_bytes(b"\n".join(whole.pool.lines(np.arange(600))) + b"\n")
    # The vectors of that selection are gone: its graph serves.
    run = ds2fast.select(source, graph=whole.graph, n=30, num_levels=LEVELS)
    run.save(tmp_path / "out")
    runner = CliRunner()
    asked = ["report", str(tmp_path / "out"), "-q"]
    done = runner.invoke(program, asked, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, "")
    made = Page((tmp_path / "out" / "report.html").read_bytes())
    assert "30 rows of pool.jsonl" in made.words
    again = runner.invoke(program, asked)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    other = [*asked, "-o", str(tmp_path / "page.html"), "--title", "Mine"]
    assert runner.invoke(program, other).exit_code == 0
    assert "Mine" in Page((tmp_path / "page.html").read_bytes()).words


@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")
def test_command_finds_rows_that_were_moved(tmp_path: Path) -> None:
    source = tmp_path / "pool.jsonl"
    source.write_text("".join(f'{{"text": "t{i}", "score": {i % 3}}}\n' for i in range(60)))
    rows = np.random.default_rng(0).normal(size=(60, 8))
    ds2fast.select(source, embeddings=rows, n=9, k=5, progress=False).save(tmp_path / "out")
    now = source.rename(tmp_path / "now.jsonl")
    asked = ["report", str(tmp_path / "out"), "-q", "--overwrite"]
    lost = CliRunner().invoke(program, asked)
    assert (lost.exit_code, "--data FILE" in lost.stderr) == (2, True)
    done = CliRunner().invoke(program, [*asked, "--data", str(now)])
    assert done.exit_code == 0, done.stderr
    assert "9 rows of now.jsonl" in Page((tmp_path / "out" / "report.html").read_bytes()).words
    before = now.read_bytes()
    onto = CliRunner().invoke(program, [*asked, "--data", str(now), "-o", str(now)])
    assert (onto.exit_code, now.read_bytes() == before) == (2, True)


@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")
def test_command_says_how_rows_from_memory_are_shown(tmp_path: Path) -> None:
    pool = [{"text": f"t{i}", "score": i % 3} for i in range(60)]
    rows = np.random.default_rng(0).normal(size=(60, 8))
    ds2fast.select(pool, embeddings=rows, n=9, k=5, progress=False).save(tmp_path / "out")
    done = CliRunner().invoke(program, ["report", str(tmp_path / "out"), "-q", "--overwrite"])
    assert done.exit_code == 2
    assert "Selection.report()" in done.stderr
    assert "select --report" in done.stderr


@pytest.mark.parametrize("word", ["verified", "plausible", "weak", "unreliable"])
@pytest.mark.parametrize("trust", [0.0, 0.5, 1.0])
def test_sentences_are_kept_apart(word: Any, trust: float) -> None:
    whole = hostile_selection()
    estimate = whole.transition
    assert estimate is not None
    words = Page(
        report_html(
            replace(
                whole,
                pool=None,
                groups=None,
                trust=trust,
                verdict=Verdict(word, ("a cause",)),
                transition=replace(estimate, own=0.2),
            )
        )
    ).words
    assert "unlike near rows'. Of the estimate" in " ".join(words.split())
    assert re.findall(r"[a-z)'][.;:][A-Z]\w*", words.split("Manifest:")[0]) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"trust": 1.0}, "which is more cautious, since a row may have a quality of its own"),
        ({"trust": 0.5}, "do not share; and the ranking goes only 50% of the way to it"),
        ({"trust": 0.5, "method": "simifeat"}, "by the corrected score; and the ranking goes only"),
        ({"trust": 1.0, "method": "simifeat"}, None),
        ({"trust": 0.0}, None),
    ],
)
def test_why_a_corrected_row_may_be_selected(more: dict[str, Any], said: str | None) -> None:
    chosen = hostile_selection(**more)
    page = Page(report_html(chosen))
    assert ("may be selected all the same" in page.words) == (said is not None)
    assert (said or "") in page.words
    first = surest_corrections(chosen, 1)[0]
    assert first.key == chosen.keys[first.row]
    assert f"ranks by {first.key:.2f}" in page.words


@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")
def test_command_shows_what_was_saved_where_the_graph_alone_finds_other_duplicates(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(5, 16))[np.arange(500) % 5] + 0.25 * rng.normal(size=(500, 16))
    lines = [{"text": f"t{i}", "score": i % 5, "source": "ab"[i % 2]} for i in range(500)]
    source = tmp_path / "pool.jsonl"
    source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    chosen = ds2fast.select(
        source, embeddings=rows, n=150, k=3, max_similarity=0.9, trust=1.0, progress=False
    )
    out = tmp_path / "out"
    chosen.save(out)
    again = ds2fast.reselect(out, progress=False)
    assert len(again) > len(chosen)  # without the vectors fewer duplicates are known
    done = CliRunner().invoke(program, ["report", str(out), "-q"])
    assert done.exit_code == 0, done.stderr
    made = Page((out / "report.html").read_bytes())
    before = Page(report_html(chosen))
    assert made.table("rows that were") == before.table("rows that were")
    assert made.table("decided by") == before.table("decided by")
    assert made.table("source") == before.table("source")
    kept = json.loads((out / "manifest.json").read_text())
    assert made.table("rows that were")[0][1].strip() == str(kept["selection"]["rows"])
    assert f'"created": "{kept["created"]}"' in made.words


@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")
def test_command_replaces_neither_the_rows_nor_the_results(tmp_path: Path) -> None:
    source = tmp_path / "pool.jsonl"
    source.write_text("".join(f'{{"text": "t{i}", "score": {i % 3}}}\n' for i in range(60)))
    rows = np.random.default_rng(0).normal(size=(60, 8))
    ds2fast.select(source, embeddings=rows, n=9, k=5, progress=False).save(tmp_path / "out")
    before = {file: file.read_bytes() for file in [source, *(tmp_path / "out").iterdir()]}
    taken = [source, tmp_path / "out" / "scores.parquet", tmp_path / "out" / "manifest.json"]
    for place in [*taken, tmp_path, tmp_path / "nowhere" / "page.html"]:
        asked = ["report", str(tmp_path / "out"), "-q", "--overwrite", "-o", str(place)]
        done = CliRunner().invoke(program, asked)
        assert (done.exit_code, "output: " in done.stderr) == (2, True), place
    assert {file: file.read_bytes() for file in before} == before


def test_ranks_and_means_are_those_of_the_scores(selection: ds2fast.Selection) -> None:
    for item in rarest_selected(selection):
        assert item.rank is not None
        assert selection.indices[item.rank] == item.row  # from 0, as in scores.parquet
    plain = Page(report_html(selection)).words
    assert "within the rules" not in plain
    own = hostile_selection(trust=0.0)  # then rows rank by their scores as given
    sources = Page(report_html(own)).table("source")
    assert [line[4] for line in sources] == [line[5] for line in sources]
    assert "mean that it ranks by" in Page(report_html(own)).words
