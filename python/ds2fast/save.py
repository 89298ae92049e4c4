"""A selection as files: the rows, every row's scores, and how they were made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast.build import build_info
from ds2fast.checks import UNRATED
from ds2fast.encoder_record import lasting_part, run_part
from ds2fast.io.output import MANIFEST, check_replaceable, made_directory
from ds2fast.io.staging import Staging
from ds2fast.io.write import write_manifest, write_rows, write_scores
from ds2fast.results import BoolArray, TransitionEstimate

if TYPE_CHECKING:
    from ds2fast.outcome import Selection
    from ds2fast.pool import Pool


def save_selection(
    selection: Selection, directory: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write `selected.jsonl` (where there are rows), `scores.parquet` and `manifest.json`.

    All are written and synced under temporary names first; then they are renamed together, the
    manifest last. Until it is, a manifest with `"complete": false` stands in its place.

    Parameters
    ----------
    selection : Selection
        What to save.
    directory : path-like
        Made where it is missing. Files of others in it are left alone.
    overwrite : bool
        Whether earlier results of ours are replaced; those that this save does not write go.

    Raises
    ------
    OutputError
        A file would be replaced that is not a result of ours, or that the rows were read from, or
        without `overwrite`; the directory cannot be written to. Old results are then as they were,
        unless the message says that they are half replaced.
    """
    target = Path(directory)
    pool = selection.pool
    check_replaceable(target, overwrite=overwrite, source=None if pool is None else pool.path)
    manifest = manifest_of(selection)
    with made_directory(target), Staging(target) as staging:
        if pool is not None:
            with staging.open("selected.jsonl") as file:
                write_rows(file, pool, selection.indices)
        with staging.open("scores.parquet") as file:
            write_scores(file, score_columns(selection))
        files = dict(staging.sha256)
        with staging.open(MANIFEST) as file:
            write_manifest(file, {"complete": True, **manifest, "files": files})
        staging.publish()


def score_columns(selection: Selection) -> dict[str, Any]:
    """Columns of `scores.parquet`, one value a row; `rank` counts from 0, −1: not selected."""
    curation = selection.curation
    rank = np.full(len(selection.given_scores), -1, dtype=np.int64)
    rank[selection.indices] = np.arange(len(selection.indices))
    columns: dict[str, Any] = {"index": np.arange(len(rank), dtype=np.int64)}
    pool = selection.pool
    if (
        pool is not None
        and pool.raw_scores is not None
        and not selection.settings.get("scores_given", False)
    ):
        columns["raw_score"] = pool.raw_scores
    return columns | {
        "given_score": selection.given_scores,
        "curated_score": curation.scores,
        "misrated": curation.misrated,
        "error_probability": curation.error_probability,
        "suggested_score": curation.suggested,
        "confidence": curation.confidence,
        "expected_score": curation.rank_keys if curation.expected is None else curation.expected,
        "rank_key": selection.keys,
        "long_tail": selection.long_tail,
        "rank": rank,
        "selected": rank >= 0,
        "reason": _reasons(selection, rank >= 0),
    }


def _reasons(selection: Selection, selected: BoolArray) -> list[str]:
    """Why each row is where it is, in a few words."""
    curation, given, cut = selection.curation, selection.given_scores, selection.cut
    keys = selection.keys
    rarity = "" if cut.by_rarity == 0 else f", among the rarest {cut.at_cut} of {cut.candidates}"
    chosen = np.where(keys > cut.key, "selected", f"selected{rarity}")
    left = np.where(keys == cut.key, "left out: not rare enough", "below the cut")
    fates = np.where(selected, chosen, left)
    reasons: list[str] = np.where(curation.scores == UNRATED, "unrated", fates).tolist()
    changed = (given != UNRATED) & (curation.scores != UNRATED) & (given != curation.scores)
    for row in np.flatnonzero(changed).tolist():
        reasons[row] += (
            f"; corrected {given[row]} to {curation.scores[row]} "
            f"(confidence {curation.confidence[row]:.2f})"
        )
    return reasons


def manifest_of(selection: Selection) -> dict[str, Any]:
    """What made the selection, in the order to read it in."""
    cut = selection.cut
    curation = selection.curation
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": _describe_input(
            selection.pool,
            selection.given_scores,
            scores_given=selection.settings.get("scores_given", False),
        ),
        "settings": selection.settings,
        "encoder": lasting_part(selection.encoder),
        "graph": {
            "method": selection.graph.method,
            "k": selection.graph.k,
            "recall": selection.graph.recall,
        },
        "transition": transition_record(selection.transition),
        "curation": {
            "method": curation.method,
            "min_confidence": curation.min_confidence,
            "misrated": int(curation.misrated.sum()),
            "corrected": int(curation.corrected.sum()),
        },
        "selection": {
            "rows": len(selection),
            "cut_key": cut.key,
            "above_cut": cut.above,
            "at_cut": cut.at_cut,
            "candidates_at_cut": cut.candidates,
            "same_as_given": int(np.isin(selection.indices, selection.ranked_as_given()).sum()),
            "trust": selection.trust,
            "decided": selection.decided.record(),
        },
        "verdict": {"word": selection.verdict.word, "causes": selection.verdict.causes},
        "warnings": selection.warnings,
        "embedding_run": run_part(selection.encoder),
        "timings_seconds": {name: round(took, 3) for name, took in selection.timings.items()},
        "build": build_info(),
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


def _describe_input(pool: Pool | None, scores: Any, *, scores_given: bool) -> dict[str, Any]:
    rated = int((scores >= 0).sum())
    counts: dict[str, Any] = {"rows": len(scores), "rated": rated, "unrated": len(scores) - rated}
    if pool is None:
        return counts
    return {
        "path": pool.path,
        "sha256": pool.sha256,
        **counts,
        "empty_texts": pool.empty.count,
        "text": pool.schema.describe(),
        "scores": "given beside the rows" if scores_given else pool.score_mapping,
    }
