"""Arguments of `select` and `diagnose` that are checked before any data are read."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_count, as_number, as_share, check_choice
from ds2fast.cache_dir import CacheDir, resolve_cache_dir
from ds2fast.checks import MAX_LEVELS, MAX_SEED, check_resamples
from ds2fast.curation import DEFAULT_METHOD, METHODS, check_confidence
from ds2fast.embedding import DEFAULT_MODEL, PrecisionGate
from ds2fast.embedding.encode import check_choices
from ds2fast.embedding.engine import LongText, Precision
from ds2fast.engines import check_engine
from ds2fast.errors import InputError, InputTypeError
from ds2fast.graph_search import DEFAULT_RECALL, GRAPH_METHODS, GraphMethod
from ds2fast.io.scores import check_edges
from ds2fast.memory import as_memory
from ds2fast.results import DoubleArray
from ds2fast.threads import resolve_threads
from ds2fast.transition import DEFAULT_SOLVER, SOLVERS

PAPER_K = 10
PAPER_SOLVER, PAPER_METHOD = "moments", "simifeat"
DEFAULT_GATE = PrecisionGate()
DEFAULT_MAX_UNRATED = 0.2


@dataclass(frozen=True)
class Settings:
    """Arguments that do not depend on the data, checked before any of it is read."""

    k: int
    solver: str
    method: str
    min_confidence: float
    trust: float | None
    max_unrated: float
    bootstrap: int
    num_levels: int | None
    edges: DoubleArray | None
    seed: int
    threads: int
    model: str | os.PathLike[str]
    precision: Precision | Literal["auto"]
    long_text: LongText
    gate: PrecisionGate
    graph_method: GraphMethod
    recall: float
    max_memory: int | None
    engine: str
    address: str | None
    cache_dir: CacheDir


def check_arguments(
    *,
    n: int | None = None,
    fraction: float | None = None,
    selects: bool = True,
    **settings: Any,
) -> None:
    """Raise what `select` (or `diagnose`: `selects=False`) would raise before it reads any data.

    Beyond the amount these are the arguments of `check_settings`.
    """
    check_settings(**settings)
    if selects:
        check_amount(n, fraction)


def check_settings(
    *,
    k: int = PAPER_K,
    preset: str | None = None,
    solver: str | None = None,
    method: str | None = None,
    min_confidence: float | None = None,
    trust: float | None = None,
    max_unrated: float = DEFAULT_MAX_UNRATED,
    bootstrap: int = 0,
    num_levels: int | None = None,
    edges: npt.ArrayLike | None = None,
    seed: int = 0,
    threads: int | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    precision: Precision | Literal["auto"] = "auto",
    long_text: LongText = "truncate",
    gate: PrecisionGate = DEFAULT_GATE,
    graph_method: GraphMethod = "auto",
    recall: float = DEFAULT_RECALL,
    max_memory: int | str | None = None,
    engine: str = "local",
    address: str | None = None,
    cache_dir: CacheDir = None,
) -> Settings:
    """The arguments as the stages take them; each is named where it cannot be used."""
    if preset not in {None, "paper"}:
        raise InputError(f"preset: expected None or 'paper', got {preset!r}")
    if not isinstance(model, str) and not hasattr(model, "__fspath__"):
        raise InputTypeError(f"model: expected an id or a directory, got {type(model).__name__}")
    width = as_count(k, "k", minimum=2)
    if preset == "paper" and width != PAPER_K:
        raise InputError(f"k: expected {PAPER_K} with preset='paper', got {width}")
    solver_name, method_name = _check_methods(preset, solver, method)
    confidence = check_confidence(min_confidence, method_name)
    if num_levels is not None and not 2 <= as_count(num_levels, "num_levels") <= MAX_LEVELS:
        raise InputError(f"num_levels: expected 2 to {MAX_LEVELS}, got {num_levels}")
    if as_count(seed, "seed", minimum=0) > MAX_SEED:
        raise InputError(f"seed: expected at most {MAX_SEED}, got {seed}")
    check_choices(precision=precision, long_text=long_text)
    if not isinstance(gate, PrecisionGate):
        raise InputTypeError(f"gate: expected a PrecisionGate, got {type(gate).__name__}")
    check_choice(graph_method, "graph_method", GRAPH_METHODS)
    check_engine(engine, address)
    resolve_cache_dir(cache_dir)
    _core.simd_level()  # refuses a DS2FAST_SIMD that names no level of this machine
    return Settings(
        k=width,
        solver=solver_name,
        method=method_name,
        min_confidence=confidence,
        trust=_check_trust(preset, trust),
        max_unrated=_check_max_unrated(max_unrated),
        bootstrap=check_resamples(bootstrap),
        num_levels=num_levels,
        edges=None if edges is None else check_edges(edges, num_levels),
        seed=seed,
        threads=resolve_threads(threads),
        model=model,
        precision=precision,
        long_text=long_text,
        gate=gate,
        graph_method=graph_method,
        recall=as_share(recall, "recall"),
        max_memory=None if max_memory is None else as_memory(max_memory),
        engine=engine,
        address=address,
        cache_dir=cache_dir,
    )


def _check_methods(preset: str | None, solver: str | None, method: str | None) -> tuple[str, str]:
    """Solver and method in force: the published ones, the given ones, or ours."""
    if solver is not None:
        check_choice(solver, "solver", SOLVERS)
    if method is not None:
        check_choice(method, "method", METHODS)
    if preset is None:
        return solver or DEFAULT_SOLVER, method or DEFAULT_METHOD
    for name, given, published in (
        ("solver", solver, PAPER_SOLVER),
        ("method", method, PAPER_METHOD),
    ):
        if given not in {None, published}:
            raise InputError(f"{name}: expected {published!r} with preset='paper', got {given!r}")
    return PAPER_SOLVER, PAPER_METHOD


def _check_trust(preset: str | None, trust: float | None) -> float | None:
    """Share of a correction that a ranking takes; None leaves it to the verdict."""
    if trust is None:
        return None if preset is None else 1.0
    number = as_number(trust, "trust")
    if not 0.0 <= number <= 1.0:
        raise InputError(f"trust: expected 0 to 1, got {trust!r}")
    return number


def _check_max_unrated(share: float) -> float:
    number = as_number(share, "max_unrated")
    if not 0.0 <= number <= 1.0:
        raise InputError(f"max_unrated: expected 0 to 1, got {share!r}")
    return number


def check_amount(n: int | None, fraction: float | None) -> None:
    """Refuse anything but just one of the two, n ≥ 1 or a share in (0, 1]."""
    if (n is None) == (fraction is None):
        got = "neither" if n is None else "both"
        raise InputError(f"n, fraction: expected just one of the two, got {got}")
    if n is not None:
        as_count(n, "n")
    elif fraction is not None:
        as_share(fraction, "fraction")


def check_unrated(
    max_unrated: float, num_rated: int, num_rows: int, *, num_textless: int = 0
) -> None:
    """Refuse a pool of which a larger share than `max_unrated` has no score, or no text."""
    unrated = num_rows - num_rated
    share = unrated / num_rows  # not max_unrated·N: 29 of 100 rows are a share of just 0.29
    if share > max_unrated:
        counts = {"text": num_textless, "a score": unrated - num_textless}
        which = " and ".join(f"{rows} without {what}" for what, rows in counts.items() if rows)
        cures = {
            "text": "name the fields that hold the text (text=, --text)",
            "a score": "rate the rest",
        }
        cure = ", ".join(words for what, words in cures.items() if counts[what])
        raise InputError(
            f"max_unrated: expected at most {max_unrated:g} of the rows unrated, got {unrated} of "
            f"{num_rows}, {share:g}; {which}, which are never selected: {cure}, or pass "
            "max_unrated= (--max-unrated) up to 1.0"
        )


def resolve_amount(n: int | None, fraction: float | None, num_rated: int) -> int:
    """Rows to select; a fraction is of the rated rows, rounded down."""
    count = int(n) if n is not None else math.floor(float(fraction or 0) * num_rated)
    if count > num_rated:
        raise InputError(f"n: expected at most the number of rated rows ({num_rated}), got {count}")
    if count < 1:
        raise InputError(
            f"fraction: expected a share that holds at least one of the {num_rated} rated rows, "
            f"got {fraction}"
        )
    return count
