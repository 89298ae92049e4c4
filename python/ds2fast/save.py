"""A selection as files: the rows, every row's scores, and how they were made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2fast.build import build_info
from ds2fast.io.digest import input_hash
from ds2fast.io.write import prepare_output_dir, write_manifest, write_rows, write_scores
from ds2fast.results import TransitionEstimate

if TYPE_CHECKING:
    from ds2fast.outcome import Selection
    from ds2fast.pool import Pool


def save_selection(
    selection: Selection, directory: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write `selected.jsonl`, `scores.parquet` and, last, `manifest.json`; see `Selection.save`."""
    target = prepare_output_dir(directory, overwrite=overwrite)
    manifest = manifest_of(selection)
    if selection.pool is not None:
        write_rows(selection.pool, selection.indices, target / "selected.jsonl")
    write_scores(target / "scores.parquet", score_columns(selection))
    write_manifest(target / "manifest.json", manifest)


def score_columns(selection: Selection) -> dict[str, Any]:
    """Columns of `scores.parquet`, one value a row; `rank` counts from 0, −1: not selected."""
    curation = selection.curation
    rank = np.full(len(selection.given_scores), -1, dtype=np.int64)
    rank[selection.indices] = np.arange(len(selection.indices))
    columns: dict[str, Any] = {"index": np.arange(len(rank), dtype=np.int64)}
    if selection.pool is not None and selection.pool.raw_scores is not None:
        columns["raw_score"] = selection.pool.raw_scores
    return columns | {
        "given_score": selection.given_scores,
        "curated_score": curation.scores,
        "misrated": curation.misrated,
        "error_probability": curation.error_probability,
        "suggested_score": curation.suggested,
        "confidence": curation.confidence,
        "long_tail": selection.long_tail,
        "rank": rank,
        "selected": rank >= 0,
    }


def manifest_of(selection: Selection) -> dict[str, Any]:
    """What made the selection, in the order to read it in."""
    cut = selection.cut
    curation = selection.curation
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": _describe_input(selection.pool, selection.given_scores),
        "settings": selection.settings,
        "encoder": selection.encoder,
        "graph": {
            "method": selection.graph.method,
            "k": selection.graph.k,
            "recall": selection.graph.recall,
        },
        "transition": describe_transition(selection.transition),
        "curation": {
            "method": curation.method,
            "misrated": int(curation.misrated.sum()),
            "corrected": int(curation.corrected.sum()),
        },
        "selection": {
            "rows": len(selection),
            "cut_score": cut.score,
            "decided_by_score": cut.above,
            "decided_by_rarity": cut.at_cut,
            "candidates_at_cut": cut.candidates,
            "same_as_given": int(np.isin(selection.indices, selection.ranked_as_given()).sum()),
        },
        "timings_seconds": {name: round(took, 3) for name, took in selection.timings.items()},
        "build": build_info(),
    }


def describe_transition(estimate: TransitionEstimate | None) -> Mapping[str, Any] | None:
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
    }


def _describe_input(pool: Pool | None, scores: Any) -> dict[str, Any]:
    rated = int((scores >= 0).sum())
    counts: dict[str, Any] = {"rows": len(scores), "rated": rated, "unrated": len(scores) - rated}
    if pool is None:
        return counts
    source = pool.rows if pool.path is None else pool.path
    return {
        "path": pool.path,
        "sha256": input_hash(source),
        **counts,
        "empty_texts": pool.empty.count,
        "text": pool.schema.describe(),
        "scores": pool.score_mapping,
    }
