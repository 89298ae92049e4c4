"""The manifest: what made a selection, so that it can be understood and done again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast.build import build_info
from ds2fast.checks import UNRATED
from ds2fast.encoder_record import lasting_part, run_part
from ds2fast.exclusion import Repeats
from ds2fast.results import IntArray, TransitionEstimate
from ds2fast.rules import Rules

if TYPE_CHECKING:
    from ds2fast.outcome import Selection
    from ds2fast.pool import Pool


def manifest_of(selection: Selection, **written: Any) -> dict[str, Any]:
    """What made the selection, in the order to read it in.

    Parameters
    ----------
    selection : Selection
        What was selected.
    **written
        What was written beside it, as plain values.
    """
    curation = selection.curation
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": _input_record(selection),
        "settings": selection.settings,
        "encoder": lasting_part(selection.encoder),
        "graph": {
            "method": selection.graph.method,
            "k": selection.graph.k,
            "recall": selection.graph.recall,
            "recall_interval": selection.graph.recall_interval,
        },
        "transition": transition_record(selection.transition),
        "curation": {
            "method": curation.method,
            "min_confidence": curation.min_confidence,
            "misrated": int(curation.misrated.sum()),
            "corrected": int(curation.corrected.sum()),
        },
        "rules": _rules_record(selection.rules),
        "selection": _selection_record(selection),
        **written,
        "verdict": {"word": selection.verdict.word, "causes": selection.verdict.causes},
        "warnings": selection.warnings,
        "embedding_run": run_part(selection.encoder),
        "timings_seconds": {name: round(took, 3) for name, took in selection.timings.items()},
        "build": build_info(),
    }


def means_record(selection: Selection, rows: IntArray) -> dict[str, Any]:
    """How many rows these are, and means over them: scores as levels, given and curated; rarity.

    `rows` are rated ones.
    """
    return {
        "rows": len(rows),
        "mean_given_score": float(selection.given_scores[rows].mean()),
        "mean_curated_score": float(selection.curation.scores[rows].mean()),
        "mean_long_tail": float(selection.long_tail[rows].mean(dtype=np.float64)),
    }


def _selection_record(selection: Selection) -> dict[str, Any]:
    cut, choice = selection.cut, selection.choice
    return {
        **means_record(selection, selection.indices),
        "asked": len(selection) if choice is None else choice.asked,
        "fates": None if choice is None else choice.counts(),
        "notes": () if choice is None else choice.notes,
        "unsettled": 0 if choice is None else choice.unsettled,
        "cut_key": cut.key,
        "above_cut": cut.above,
        "at_cut": cut.at_cut,
        "candidates_at_cut": cut.candidates,
        "copies": selection.num_copies,
        "same_as_given": int(np.isin(selection.indices, selection.ranked_as_given()).sum()),
        "trust": selection.trust,
        "decided": selection.decided.record(),
    }


def _rules_record(rules: Rules) -> dict[str, Any]:
    """The rules in force as plain values; those of no effect are None."""
    group, excluded = rules.group, rules.excluded
    groups, repeats = None, None
    if group is not None:
        groups = {"names": group.names, "quotas": group.quotas, "caps": group.caps}
    if excluded is not None:
        repeats = {
            "name": excluded.name,
            "compared_with": excluded.num_rows,
            "by_words": int((excluded.how == Repeats.NGRAM).sum()),
            "by_similarity": int((excluded.how == Repeats.SIMILARITY).sum()),
        }
    return {
        "groups": groups,
        "max_similarity": rules.max_similarity,
        "min_score": rules.min_score,
        "max_rarity": rules.max_rarity,
        "excluded": repeats,
    }


def transition_record(estimate: TransitionEstimate | None) -> Mapping[str, Any] | None:
    """The estimate of T as plain values."""
    if estimate is None:
        return None
    return {
        "solver": estimate.solver,
        "transition_matrix": estimate.transition_matrix,
        "prior": estimate.prior,
        "observed": estimate.observed,
        "correct_given_score": estimate.correct_given_score,
        "agreement": estimate.agreement,
        "chance_agreement": estimate.chance_agreement,
        "num_counted": estimate.num_counted,
        "loss": estimate.loss,
        "steps": estimate.steps,
        "converged": estimate.converged,
        "signal": estimate.signal,
        "signal_rows": estimate.num_signal,
        "own": estimate.own,
        "sharing": _sharing_record(estimate),
        "bands": _bands_record(estimate),
        "misfit": estimate.misfit,
        "repeat_agreement": estimate.repeat_agreement,
        "gold_correlation": estimate.gold_correlation,
        "rater_matrices": estimate.rater_matrices,
        "rater_ties": estimate.rater_ties,
        "raters_apart": estimate.raters_apart,
        "verdict": {"word": estimate.verdict.word, "causes": estimate.verdict.causes},
    }


def _sharing_record(estimate: TransitionEstimate) -> Mapping[str, Any] | None:
    curve = estimate.clusterability
    return None if curve is None else {"similarities": curve.edges, "shares": curve.sharing}


def _bands_record(estimate: TransitionEstimate) -> Mapping[str, Any] | None:
    if estimate.lower is None:
        return None
    return {
        "resamples": estimate.bootstrap,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "prior_lower": estimate.prior_lower,
        "prior_upper": estimate.prior_upper,
    }


def _input_record(selection: Selection) -> dict[str, Any]:
    pool, scores = selection.pool, selection.given_scores
    rated = int((scores != UNRATED).sum())
    counts = {"rows": len(scores), "rated": rated, "unrated": len(scores) - rated}
    if pool is None:
        return counts
    given_beside = selection.settings.get("scores_given", False)
    return {
        "path": pool.path,
        "sha256": pool.sha256,
        "files": [{"path": file.path, "sha256": file.sha256} for file in pool.files],
        "read": _reading_record(pool),
        **counts,
        "empty_texts": pool.empty.count,
        "text": pool.schema.describe(),
        "scores": "given beside the rows" if given_beside else pool.score_mapping,
    }


def _reading_record(pool: Pool) -> dict[str, Any]:
    """Arguments of `read` that give the same pool again; without scores where others came later."""
    has_scores = pool.score_option is not None
    return {
        "text": pool.text_option,
        "scores": pool.score_option,
        "num_levels": pool.num_levels if has_scores and _scores_are_levels(pool) else None,
        "edges": pool.score_edges if has_scores else None,
    }


def _scores_are_levels(pool: Pool) -> bool:
    """Whether the scores are levels as they stand: `num_levels=` takes no others."""
    if pool.scores is None or pool.raw_scores is None or pool.score_edges is not None:
        return False
    rated = pool.scores != UNRATED
    return bool((pool.scores[rated] == pool.raw_scores[rated]).all())
