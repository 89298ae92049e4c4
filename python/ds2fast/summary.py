"""Results in words, for people at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ds2fast.encoder_record import describe_encoder
from ds2fast.graph import KnnGraph
from ds2fast.outcome import Diagnosis, Selection
from ds2fast.results import DoubleArray, TransitionEstimate, Verdict


def describe_selection(selection: Selection) -> str:
    """The pool and all that was found: `str(selection)`."""
    found = describe_findings(selection)
    return found if selection.pool is None else f"{selection.pool.describe()}\n\n{found}"


def describe_findings(selection: Selection) -> str:
    """What the stages found and what decided the selection."""
    parts = [_describe_start(selection)]
    if selection.transition is not None:
        parts.append(describe_transition(selection.transition))
    parts += [
        _describe_verdict(selection.verdict, selection.trust),
        _describe_curation(selection),
        f"{describe_cut(selection)}\n{selection.decided}\n{_describe_change(selection)}",
        *_describe_copies(selection),
        *_describe_rules(selection),
    ]
    return "\n\n".join((*parts, describe_timings(selection.timings)))


def describe_diagnosis(diagnosis: Diagnosis) -> str:
    """The pool, T and what it rests on: `str(diagnosis)`."""
    found = describe_diagnosis_findings(diagnosis)
    return found if diagnosis.pool is None else f"{diagnosis.pool.describe()}\n\n{found}"


def describe_diagnosis_findings(diagnosis: Diagnosis) -> str:
    """T and what it rests on, without the pool."""
    return "\n\n".join(
        (
            _describe_start(diagnosis),
            describe_transition(diagnosis.transition),
            _describe_verdict(diagnosis.verdict),
            describe_timings(diagnosis.timings),
        )
    )


def describe_estimate(estimate: TransitionEstimate) -> str:
    """T, what it rests on, and the verdict: `str(estimate)`."""
    return f"{describe_transition(estimate)}\n\n{_describe_verdict(estimate.verdict)}"


def describe_transition(estimate: TransitionEstimate) -> str:
    """T as a table, and what it rests on."""
    lines = [
        f"Transition matrix T ({estimate.solver}): rows are true scores, columns the scores given",
        format_matrix(estimate.transition_matrix, estimate.prior),
        "given score is the true one: "
        + "  ".join(
            f"{level}: {share:.0%}" if np.isfinite(share) else f"{level}: -"
            for level, share in enumerate(estimate.correct_given_score)
        ),
        f"nearest neighbours have the same score in {estimate.agreement:.1%} of "
        f"{estimate.num_counted} rows; by chance it would be {estimate.chance_agreement:.1%}",
    ]
    return "\n".join([*lines, *_describe_sharing(estimate)])


def _describe_sharing(estimate: TransitionEstimate) -> list[str]:
    """How likely near rows share a true score, and rows of their own."""
    lines = []
    curve = estimate.clusterability
    if curve is not None:
        steps = zip(curve.edges[:-1], curve.edges[1:], curve.sharing, strict=True)
        shares = "  ".join(f"{low:.2f}-{high:.2f}: {share:.0%}" for low, high, share in steps)
        lines.append(f"a neighbour shows the row's true score, by cosine similarity: {shares}")
    if estimate.own is not None:
        lines.append(f"rows whose quality is their own, unlike near rows': {estimate.own:.0%}")
    if estimate.lower is not None and estimate.upper is not None:
        half = (estimate.upper - estimate.lower).diagonal() / 2.0
        lines.append(
            f"95 % bands of T's diagonal ({estimate.bootstrap} resamples): "
            + "  ".join(f"{level}: ±{width:.3f}" for level, width in enumerate(half))
        )
    return lines


def _describe_verdict(verdict: Verdict, trust: float | None = None) -> str:
    """The word, what the ranking made of it, and the causes a line each."""
    done = {None: "", 1.0: "", 0.0: " (rows rank by the scores as given)"}
    words = done.get(
        trust, f" (the ranking goes {trust or 0.0:.0%} of the way to the curated scores)"
    )
    if verdict.word not in {"weak", "unreliable"}:
        return _listed(f"verdict: {verdict.word}{words}", verdict.causes)
    first, *others = verdict.causes
    return _listed(f"WARNING: the verdict is {verdict.word}{words}: {first}", tuple(others))


def _listed(head: str, causes: tuple[str, ...]) -> str:
    return "\n".join([head, *(f"  - {cause}" for cause in causes)])


def format_matrix(matrix: DoubleArray, prior: DoubleArray | None = None) -> str:
    """A (K, K) matrix as text, with P(true score) at the end of each row where it is given."""
    levels = range(len(matrix))
    head = "  true " + "".join(f"{level:>7}" for level in levels)
    lines = [head if prior is None else head + "   share"]
    for level in levels:
        line = f"  {level:>4} " + "".join(f"{value:7.3f}" for value in matrix[level])
        lines.append(line if prior is None else line + f"{prior[level]:8.3f}")
    return "\n".join(lines)


def describe_timings(timings: Mapping[str, float]) -> str:
    """Seconds by stage in one line."""
    stages = ", ".join(f"{name} {took:.2f} s" for name, took in timings.items())
    return f"took {sum(timings.values()):.1f} s: {stages}"


def _describe_start(result: Selection | Diagnosis) -> str:
    """What the stages had to start from."""
    scores = result.given_scores
    rated = int((scores >= 0).sum())
    lines = [f"{rated} rated rows, {len(scores) - rated} unrated (never selected)"]
    if result.encoder is not None:
        lines.append(describe_encoder(result.encoder))
    return "\n".join([*lines, *describe_graph(result.graph, result.settings)])


def describe_graph(graph: KnnGraph, settings: Mapping[str, Any]) -> list[str]:
    """How much of the neighbours an approximate graph has, or why it is none that was asked for."""
    if graph.method == "exact" and _asks_for_approximate(settings):
        return [
            "exact graph, though an approximate one was asked for: for so few rows, or so high a "
            "recall, it is the cheaper one"
        ]
    if graph.method != "approximate" or graph.recall_interval is None:
        return []
    low, high = graph.recall_interval
    return [
        f"approximate graph: {graph.recall:.1%} of the true neighbours, by a sample of rows "
        f"searched exactly (95 % interval {low:.1%} to {high:.1%})"
    ]


def _asks_for_approximate(settings: Mapping[str, Any]) -> bool:
    """Whether it was asked for by name, and the graph was made then."""
    return settings.get("graph_method") == "approximate" and not settings.get("graph_given")


def _describe_curation(selection: Selection) -> str:
    curation = selection.curation
    if selection.trust == 0.0:
        return "no score is corrected"
    rated = max(int((selection.given_scores >= 0).sum()), 1)
    misrated, corrected = int(curation.misrated.sum()), int(curation.corrected.sum())
    words = f"{misrated} rows look misrated ({misrated / rated:.1%} of the rated); "
    if curation.min_confidence > 0.0:
        return (
            f"{words}{corrected} were corrected at confidence {curation.min_confidence:g} or more"
        )
    return f"{words}for {corrected} of them another score is likelier than the given one"


def _describe_copies(selection: Selection) -> list[str]:
    """That copies were selected, where nobody asked to leave them out."""
    if not selection.num_copies:
        return []
    return [
        f"{selection.num_copies} of the selected rows are copies (cosine 0.999 or more) of better "
        "ones among them; max_similarity=0.99 (--max-similarity) leaves copies out"
    ]


def _describe_rules(selection: Selection) -> list[str]:
    """What each rule did, a line each."""
    notes = () if selection.choice is None else selection.choice.notes
    return [_listed("rules:", notes)] if notes else []


def _describe_change(selection: Selection) -> str:
    as_given = selection.ranked_as_given()
    scores = selection.given_scores
    words = f"mean score as given: {scores[selection.indices].mean():.2f}, of the best by given"
    if len(as_given) == 0:
        return f"{words} scores none: the rules let none of them through"
    return f"{words} scores {scores[as_given].mean():.2f}"


def describe_cut(selection: Selection) -> str:
    """What decided the selection: how much of it the score, how much rarity."""
    cut = selection.cut
    if not selection.rules.is_empty:
        asked = "" if selection.choice is None else f" of {selection.choice.asked} asked for"
        return (
            f"selected {len(selection)} rows{asked} within the rules, {cut.above} of them with a "
            f"ranking score above {cut.key:g}, the others at it"
        )
    words = f"selected {len(selection)} rows: {cut.by_score} with a ranking score"
    if cut.by_rarity == 0:
        return f"{words} of {cut.key:g} or more"
    return (
        f"{words} above {cut.key:g}, and the rarest {cut.by_rarity} of the {cut.candidates} at "
        f"{cut.key:g}"
    )
