"""Several raters of one pool: a matrix per rater, one fused score per row, and who to trust."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.arguments import as_number
from ds2fast.checks import UNRATED, check_gold, check_num_levels, check_ratings
from ds2fast.errors import InputError, InputTypeError
from ds2fast.observations import Observations, observe
from ds2fast.progress import Progress, Reporter
from ds2fast.results import DoubleArray, FrozenArrays, IntArray

PRIOR_RATINGS = 50.0
"""Ratings by each rater that the fit starts with; see `rate_raters`."""

GROUP_RATINGS = 100.0
"""Ratings by each rater that a group's fit borrows from the whole pool."""

LARGE_DEPENDENCE = 0.01
"""Share of ratings that independent raters would have given otherwise, worth a word from here."""

Fit = tuple[DoubleArray, DoubleArray, float, int, bool]
Report = Callable[[int, int], None] | None


@dataclass(frozen=True, eq=False, repr=False)
class RaterPanel(FrozenArrays):
    """What several raters' scores say together; `str()` is a readable table.

    Attributes
    ----------
    matrices : (R, K, K) float64
        `T_r[i, a]` = P(rater r gives a | true score i); rows sum to 1.
    prior : (K,) float64
        `p[i]` = P(true score i).
    fused : (N,) int64
        Median of the posterior of each row; −1 where nobody rated.
    expected : (N,) float64
        Mean of the posterior, to rank by; −1 where nobody rated.
    linear : (N,) float64
        The raters' scores weighted into one: the best linear prediction of the true score from
        those there are. Robust where the matrices are uncertain; −1 where nobody rated.
    posterior : (N, K) float64
        P(true score | all that was seen of the row); the prior where nobody rated.
    reliability : (R,) float64
        Bits that one score of the rater tells about the true one (mutual information).
    weight : (R,) float64
        `reliability` as a share of its sum: who to trust.
    agreement : (R, R) float64
        Share of the rows that both rated and gave the same score; NaN without such rows.
    chance : (R, R) float64
        That share if the two had nothing to do with each other, by their marginals on these rows.
    kappa : (R, R) float64
        Cohen's kappa with quadratic weights.
    dependence : (R, R) float64
        Share of the two raters' pairs of scores that lie elsewhere than for raters who err
        independently, beyond what sampling explains; 0 on the diagonal.
    num_rated : (R,) int64
        Rows that each rater rated.
    num_gold : int
        Rated rows with a known true score.
    names : tuple of str
        The raters.
    log_likelihood : float
        Of all rated rows, natural logarithm, without the ratings that the fit started with.
    steps : int
        Steps of EM that led to the fit.
    converged : bool
        Whether it ended because no entry moved by 1e-8 in a step.
    """

    matrices: DoubleArray
    prior: DoubleArray
    fused: IntArray
    expected: DoubleArray
    linear: DoubleArray
    posterior: DoubleArray
    reliability: DoubleArray
    weight: DoubleArray
    agreement: DoubleArray
    chance: DoubleArray
    kappa: DoubleArray
    dependence: DoubleArray
    num_rated: IntArray
    num_gold: int
    names: tuple[str, ...]
    log_likelihood: float
    steps: int
    converged: bool

    @property
    def num_levels(self) -> int:
        """Number of score levels K."""
        return len(self.prior)

    @property
    def num_raters(self) -> int:
        """Number of raters R."""
        return len(self.names)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be known before the panel is believed, in words."""
        return tuple(_warnings(self))

    def __str__(self) -> str:
        return "\n".join(_lines(self))


@dataclass(frozen=True, eq=False, repr=False)
class GroupOfRows(FrozenArrays):
    """The raters in one group of rows: a source, a language.

    Attributes
    ----------
    name : str
        The group.
    num_rows : int
        Its rows, unrated ones included.
    mean_given : (R,) float64
        Mean score by each rater; NaN where it rated none of them.
    mean_fused : float
        Mean of the pooled panel's fused scores; NaN where nobody rated.
    agreement : (R, R) float64
        Share of the rows that both rated and gave the same score.
    matrices : (R, K, K) float64
        Fitted in the group alone, from the pooled ones on.
    prior : (K,) float64
        Likewise.
    """

    name: str
    num_rows: int
    mean_given: DoubleArray
    mean_fused: float
    agreement: DoubleArray
    matrices: DoubleArray
    prior: DoubleArray


def rate_raters(
    scores: npt.ArrayLike,
    *,
    num_levels: int | None = None,
    gold: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    prior_ratings: float = PRIOR_RATINGS,
    progress: Progress | Reporter = None,
) -> RaterPanel:
    """Estimate how each of several raters errs, and what their scores say together.

    Needs no graph: raters who err independently of each other identify their matrices themselves,
    where at least three of them rated the same rows, or two and the truth is known of some.

    Parameters
    ----------
    scores : (N, R) array-like
        A column a rater, R at least 3, or 2 with `gold`: levels 0..K−1; None, NaN or −1 where the
        rater did not rate.
    num_levels : int, optional
        K, 2 to 64; None is the largest score + 1.
    gold : (N,) array-like, optional
        True scores; None, NaN or −1 where unknown.
    names : sequence of str, optional
        The raters' names; None numbers them.
    prior_ratings : float
        The fit starts as if every rater had rated this many further rows of known truth, its chance
        falling by e a level of distance. A matrix per rater has many entries, so that without them
        a few thousand rows fit noise; among 100 000 they hardly count. 0 is maximum likelihood.
    progress : bool or callable, optional
        None shows a bar on a terminal; a callable gets `(stage, done, total)`.

    Returns
    -------
    RaterPanel
        `.matrices` (R, K, K), `.fused` (N,), `.expected` (N,), `.weight` (R,) and what the raters
        have in common.

    Raises
    ------
    InputTypeError
        Scores that are words; arguments of another type.
    InputError
        Fewer raters than the model needs, or no row with three scores (or two and gold); fractions
        or levels out of range; names or gold of another length; a rater without any score.

    Notes
    -----
    Nothing is random. Where the model is not quite true, likelihood has several tops of like
    height; of those that 20 000 rows could not tell apart by one nat, that one is taken in which
    the scores follow the order of the true levels most closely.

    Errors that two of three raters share can't be seen in their scores: the matrices take them in,
    these two look right and the third wrong. With four raters or more `.dependence` shows that
    there are such errors, though not always whose; with gold it shows whose.

    Examples
    --------
    >>> panel = rate_raters([[0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1]] * 50, prior_ratings=0)
    >>> panel.fused[:4].tolist()
    [0, 1, 1, 0]
    >>> (panel.weight.round(2) + 0.0).tolist()
    [0.5, 0.5, 0.0]
    """
    ratings = check_ratings(scores, None)
    size = check_num_levels(num_levels, ratings)
    truth = check_gold(gold, ratings, size)
    labels = _check_names(names, ratings.shape[1])
    _refuse_unidentified(ratings, truth, labels)
    prior_ratings = as_number(prior_ratings, "prior_ratings")
    if not 0.0 <= prior_ratings < np.inf:
        raise InputError(f"prior_ratings: expected a number of at least 0, got {prior_ratings}")
    seen = observe(ratings, size, gold=truth)
    with Reporter.of(progress).stage("raters", unit="steps") as report:
        fit = fit_panel(ratings, seen, size, report, prior_ratings=prior_ratings)
    return _panel(ratings, truth, seen, fit, labels)


def by_group(
    panel: RaterPanel, scores: npt.ArrayLike, groups: npt.ArrayLike
) -> tuple[GroupOfRows, ...]:
    """How the raters do in each group of rows.

    Every group's matrices are fitted to its rows alone, from the pooled ones on and as if each
    rater had rated 100 further rows as it does in the whole pool: a small group stays near it.

    Parameters
    ----------
    panel : RaterPanel
        Of all rows.
    scores : (N, R) array-like
        Those that the panel was made of.
    groups : (N,) array-like
        The group of each row: words or integers.

    Returns
    -------
    tuple of GroupOfRows
        In the order in which groups first occur; those without a rated row have the pooled
        matrices.

    Raises
    ------
    InputTypeError
        Not a `RaterPanel`; scores that are words.
    InputError
        Scores or groups of other lengths than the panel's.

    Examples
    --------
    >>> scores = [[0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1]] * 50
    >>> panel = rate_raters(scores)
    >>> [group.num_rows for group in by_group(panel, scores, ["a", "b", "b", "b"] * 50)]
    [50, 150]
    """
    if not isinstance(panel, RaterPanel):
        raise InputTypeError(f"panel: expected a RaterPanel, got {type(panel).__name__}")
    ratings = check_ratings(scores, None)
    shape = (len(panel.fused), panel.num_raters)
    if ratings.shape != shape or ratings.max() >= panel.num_levels:
        raise InputError(
            f"scores: expected those of the panel, shape {shape} and levels below "
            f"{panel.num_levels}, got shape {ratings.shape} and levels up to {ratings.max()}"
        )
    labels = np.asarray(groups)
    if labels.shape != shape[:1]:
        raise InputError(f"groups: expected shape ({shape[0]},), got {labels.shape}")
    names, first, of_row = np.unique(labels, return_index=True, return_inverse=True)
    return tuple(
        _group(panel, ratings, str(names[at]), np.flatnonzero(of_row.ravel() == at))
        for at in np.argsort(first)
    )


# --- Checks --------------------------------------------------------------------------------------


def _check_names(names: Sequence[str] | None, num_raters: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"rater {number}" for number in range(num_raters))
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise InputTypeError(f"names: expected a sequence of str, one a rater, got {names!r}")
    if len(names) != num_raters or len(set(names)) != num_raters:
        raise InputError(f"names: expected {num_raters} different names, got {list(names)}")
    return tuple(names)


def _refuse_unidentified(ratings: IntArray, truth: IntArray | None, names: tuple[str, ...]) -> None:
    """Refuse scores that any number of different matrices would explain equally well."""
    num_raters = ratings.shape[1]
    if num_raters < 2 or (num_raters == 2 and truth is None):
        raise InputError(
            f"scores: expected (N, R) with R of at least 3 raters, or 2 with gold=, got "
            f"{num_raters}: agreement of two raters does not tell which of them is right, so many "
            "matrices explain their scores equally well. A graph "
            "(estimate_transition_matrix) or true scores of some rows (gold=) can tell"
        )
    for rater in np.flatnonzero((ratings < 0).all(axis=0)):
        raise InputError(f"scores: expected scores by every rater, got none by {names[rater]}")
    together = int((ratings >= 0).sum(axis=1).max())
    if truth is None and together < 3:
        raise InputError(
            "scores: expected rows that three raters rated, or gold=, got at most "
            f"{together} scores in a row: who is right can't be told from that"
        )


# --- Fit -----------------------------------------------------------------------------------------


def fit_panel(
    ratings: IntArray,
    seen: Observations,
    num_levels: int,
    report: Report = None,
    *,
    prior_ratings: float = PRIOR_RATINGS,
) -> Fit:
    """Matrices, prior, log-likelihood (prior ratings included), steps, converged of checked scores.

    `ratings` (N, R) are those that `seen` was made of, without repeats.
    """
    centre = np.stack([_falling(num_levels)] * ratings.shape[1])
    further = _Further(centre, prior_ratings * _half_even(ratings, num_levels))
    return _core.solve_panel(*_with_further(seen, further), num_levels, report)


def linear_scores(
    ratings: IntArray, seen: Observations, matrices: DoubleArray, prior: DoubleArray
) -> DoubleArray:
    """(N,) float64: the best linear prediction of the true score; −1 where nobody rated."""
    spreads = _spreads(_pair_tables(ratings, len(prior)), matrices, prior)
    of_pattern = _linear(_single_scores(seen), spreads, matrices, prior)
    return np.asarray(np.append(of_pattern, UNRATED)[seen.codes])


@dataclass(frozen=True)
class _Further:
    """Ratings of rows of known truth that a fit starts with: how many a level, and their matrices.

    They enter as patterns of one rating and a gold level, so that EM needs no other prior.
    """

    matrices: DoubleArray
    rows: DoubleArray  # (K,)


def _falling(num_levels: int) -> DoubleArray:
    """(K, K): chances that fall by e a level of distance."""
    level = np.arange(num_levels)
    weight = np.exp(-np.abs(level[:, None] - level).astype(float))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _half_even(ratings: IntArray, num_levels: int) -> DoubleArray:
    """(K,) shares: half as scores were given, half even, so that no level goes without."""
    given = np.bincount(ratings[ratings >= 0], minlength=num_levels)
    return np.asarray(0.5 * given / given.sum() + 0.5 / num_levels)


def _single_scores(seen: Observations) -> npt.NDArray[np.int8]:
    """(U, R) int8: the score of each rater in each pattern; −1 where it gave none."""
    level = seen.shown.argmax(axis=2)
    return np.where(seen.shown.any(axis=2), level, UNRATED).astype(np.int8)


def _with_further(
    seen: Observations, further: _Further
) -> tuple[npt.NDArray[np.int8], DoubleArray, npt.NDArray[np.int32]]:
    num_raters = len(further.matrices)
    weights = further.rows[None, :, None] * further.matrices
    rater, level, score = np.nonzero(weights > 0)
    patterns = np.full((len(rater), num_raters), UNRATED, dtype=np.int8)
    patterns[np.arange(len(rater)), rater] = score
    return (
        np.ascontiguousarray(np.vstack([_single_scores(seen), patterns])),
        np.concatenate([seen.rows_with.astype(np.float64), weights[rater, level, score]]),
        np.concatenate([seen.gold, level]).astype(np.int32),
    )


def _log_joint(seen: Observations, matrices: DoubleArray, prior: DoubleArray) -> DoubleArray:
    """(U, K): log P(pattern, true level)."""
    tiny = np.finfo(float).tiny
    logs = np.log(np.maximum(matrices, tiny))
    joint = np.einsum("ura,ria->ui", seen.shown, logs) + np.log(np.maximum(prior, tiny))
    wrong = (seen.gold[:, None] >= 0) & (seen.gold[:, None] != np.arange(len(prior)))
    return np.where(wrong, -np.inf, joint)


def _panel(
    ratings: IntArray,
    truth: IntArray | None,
    seen: Observations,
    fit: Fit,
    names: tuple[str, ...],
) -> RaterPanel:
    matrices, prior, _, steps, converged = fit
    joint = _log_joint(seen, matrices, prior)
    top = joint.max(axis=1, keepdims=True)
    chance = np.exp(joint - top)
    total = chance.sum(axis=1, keepdims=True)
    # Rows without a pattern have code −1: the last row, which says what is known of them.
    of_pattern = np.vstack([chance / total, prior])
    fused = np.minimum((of_pattern.cumsum(axis=1) < 0.5).sum(axis=1), len(prior) - 1)
    expected = of_pattern @ np.arange(len(prior), dtype=np.float64)
    fused[-1] = expected[-1] = UNRATED
    told = _bits_told(matrices, prior)
    share = told / told.sum() if told.sum() > 0 else np.full(len(told), 1 / len(told))
    tables = _pair_tables(ratings, len(prior))
    agreement, by_chance, kappa = _agreements(tables)
    return RaterPanel(
        matrices=matrices,
        prior=prior,
        fused=fused[seen.codes],
        expected=expected[seen.codes],
        linear=linear_scores(ratings, seen, matrices, prior),
        posterior=of_pattern[seen.codes],
        reliability=told,
        weight=share,
        agreement=agreement,
        chance=by_chance,
        kappa=kappa,
        dependence=_dependence(ratings, truth, tables, of_pattern[seen.codes], matrices),
        num_rated=(ratings >= 0).sum(axis=0),
        num_gold=int((seen.rows_with * (seen.gold >= 0)).sum()),
        names=names,
        log_likelihood=float((seen.rows_with * (top + np.log(total)).ravel()).sum()),
        steps=steps,
        converged=converged,
    )


# --- What raters tell, and have in common --------------------------------------------------------


def _bits_told(matrices: DoubleArray, prior: DoubleArray) -> DoubleArray:
    """(R,): mutual information of score and true level."""
    joint = prior[None, :, None] * matrices
    alone = prior[None, :, None] * joint.sum(axis=1, keepdims=True)
    ratio = np.divide(joint, alone, out=np.ones_like(joint), where=joint > 0)
    return np.asarray(np.maximum((joint * np.log2(ratio)).sum(axis=(1, 2)), 0.0))


def _pair_tables(ratings: IntArray, num_levels: int) -> npt.NDArray[np.int64]:
    """(R, R, K, K): rows by the two raters' scores, where both rated."""
    num_raters = ratings.shape[1]
    tables = np.zeros((num_raters, num_raters, num_levels, num_levels), dtype=np.int64)
    for r in range(num_raters):
        for s in range(r, num_raters):
            both = (ratings[:, r] >= 0) & (ratings[:, s] >= 0)
            places = ratings[both, r] * num_levels + ratings[both, s]
            table = np.bincount(places, minlength=num_levels**2).reshape(num_levels, num_levels)
            tables[r, s], tables[s, r] = table, table.T
    return tables


def _agreements(
    tables: npt.NDArray[np.int64],
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Agreement, agreement by chance and quadratic kappa, each (R, R); NaN without common rows."""
    level = np.arange(tables.shape[2], dtype=np.float64)
    apart = (level[:, None] - level) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = tables / tables.sum(axis=(2, 3), keepdims=True)
        alone = shares.sum(axis=3)[..., :, None] * shares.sum(axis=2)[..., None, :]
        kappa = 1.0 - (shares * apart).sum(axis=(2, 3)) / (alone * apart).sum(axis=(2, 3))
    return (
        np.trace(shares, axis1=2, axis2=3),
        np.trace(alone, axis1=2, axis2=3),
        kappa,
    )


def _dependence(
    ratings: IntArray,
    truth: IntArray | None,
    tables: npt.NDArray[np.int64],
    posterior: DoubleArray,
    matrices: DoubleArray,
) -> DoubleArray:
    """(R, R): distance of each pair's scores from independent ones, given the true level."""
    found = np.zeros(tables.shape[:2])
    for r, s in combinations(range(len(found)), 2):
        both = (ratings[:, r] >= 0) & (ratings[:, s] >= 0)
        if not both.any():
            continue
        prior = posterior[both].mean(axis=0)
        model = np.einsum("i,ia,ib->ab", prior, matrices[r], matrices[s])
        distance = _beyond_sampling(tables[r, s], model)
        if truth is not None and (both & (truth >= 0)).any():
            known = both & (truth >= 0)
            distance = max(distance, _known_dependence(ratings[known][:, [r, s]], truth[known]))
        found[r, s] = found[s, r] = distance
    return found


def _known_dependence(pairs: IntArray, truth: IntArray) -> float:
    """The same where the true level is known: no fit is needed, and nothing can hide in it."""
    size = int(max(pairs.max(), truth.max())) + 1
    table = np.zeros((size, size, size))
    np.add.at(table, (truth, pairs[:, 0], pairs[:, 1]), 1)
    rows = np.maximum(table.sum(axis=(1, 2)), 1.0)
    model = table.sum(axis=2)[:, :, None] * table.sum(axis=1)[:, None, :] / rows[:, None, None]
    return _beyond_sampling(table, model / table.sum())


def _beyond_sampling(table: npt.NDArray[Any], model: DoubleArray) -> float:
    """Total variation distance of a table's shares from the model's, less what sampling makes.

    A count of n draws of chance q strays from nq by √(2 n q (1 − q) / π) on average.
    """
    rows = float(table.sum())
    distance = 0.5 * np.abs(table / rows - model).sum()
    sampling = 0.5 * np.sqrt(2.0 * model * (1.0 - np.minimum(model, 1.0)) / (np.pi * rows)).sum()
    return float(max(distance - sampling, 0.0))


# --- The raters' scores weighted into one --------------------------------------------------------


def _spreads(
    tables: npt.NDArray[np.int64], matrices: DoubleArray, prior: DoubleArray
) -> DoubleArray:
    """(R, R) covariances of scores: as observed, so that raters who err alike share a weight.

    Of raters without common rows it is what the matrices imply.
    """
    level = np.arange(len(prior), dtype=np.float64)
    means = matrices @ level
    centred = means - means @ prior[:, None]
    spreads = np.asarray((centred * prior) @ centred.T)
    for r, s in np.argwhere(tables.sum(axis=(2, 3)) > 0):
        shares = tables[r, s] / tables[r, s].sum()
        alone = (shares.sum(axis=1) @ level) * (shares.sum(axis=0) @ level)
        spreads[r, s] = level @ shares @ level - alone
    return spreads


def _linear(
    scores: npt.NDArray[np.int8], spreads: DoubleArray, matrices: DoubleArray, prior: DoubleArray
) -> DoubleArray:
    """(U,) best linear prediction of the true level from the scores of a pattern, (U, R)."""
    level = np.arange(len(prior), dtype=np.float64)
    means = matrices @ level
    middle = means @ prior
    with_level = (means - middle[:, None]) @ (prior * (level - prior @ level))
    found = np.empty(len(scores))
    rated, which = np.unique(scores >= 0, axis=0, return_inverse=True)
    for at, columns in enumerate(rated):
        rows = which.ravel() == at
        weights = np.linalg.lstsq(spreads[np.ix_(columns, columns)], with_level[columns])[0]
        found[rows] = prior @ level + (scores[rows][:, columns] - middle[columns]) @ weights
    return found


# --- Groups --------------------------------------------------------------------------------------


def _group(panel: RaterPanel, ratings: IntArray, name: str, rows: IntArray) -> GroupOfRows:
    own = ratings[rows]
    fused = panel.fused[rows]
    matrices, prior = panel.matrices, panel.prior
    if (own >= 0).any():
        seen = observe(own, panel.num_levels)
        further = _Further(matrices, GROUP_RATINGS * prior)
        matrices, prior, _, _, _ = _core.refine_panel(
            *_with_further(seen, further), np.ascontiguousarray(matrices), prior
        )
    return GroupOfRows(
        name=name,
        num_rows=len(rows),
        mean_given=np.array([_mean(column[column >= 0]) for column in own.T]),
        mean_fused=_mean(fused[fused >= 0]),
        agreement=_agreements(_pair_tables(own, panel.num_levels))[0],
        matrices=matrices,
        prior=prior,
    )


def _mean(values: IntArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


# --- Words ---------------------------------------------------------------------------------------


def _warnings(panel: RaterPanel) -> Iterator[str]:
    for r, s in combinations(range(panel.num_raters), 2):
        if panel.dependence[r, s] >= LARGE_DEPENDENCE:
            yield (
                f"{panel.names[r]} and {panel.names[s]}: {panel.dependence[r, s]:.1%} of their "
                "pairs of scores lie elsewhere than for raters who err independently. They share "
                "errors"
                + (
                    ""
                    if panel.num_gold
                    else ", or others do and drew the true levels to themselves"
                )
                + "; raters that err alike look right, so weights say too much for them"
            )
    if panel.num_raters == 3 and panel.num_gold == 0:
        yield (
            "errors that two of three raters share can't be seen in their scores; a fourth rater "
            "or gold= would show them"
        )
    for rater in np.flatnonzero(panel.weight < 0.25 / panel.num_raters):
        yield f"{panel.names[rater]} tells next to nothing: {panel.reliability[rater]:.3f} bits"
    if not panel.converged:
        yield f"the fit was stopped after {panel.steps} steps and may still move"


def _lines(panel: RaterPanel) -> Iterator[str]:
    width = max(len(name) for name in panel.names) + 2
    rated = int((panel.fused >= 0).sum())
    yield f"{panel.num_raters} raters, {rated} rated rows, levels 0..{panel.num_levels - 1}"
    yield f"{'true scores':{width}}" + _row(panel.prior)
    yield ""
    yield f"{'who to trust':{width}}{'rows':>9}{'bits':>8}{'weight':>8}"
    for r, name in enumerate(panel.names):
        told = f"{panel.reliability[r]:8.3f}{panel.weight[r]:8.0%}"
        yield f"{name:{width}}{panel.num_rated[r]:9d}{told}"
    for r, name in enumerate(panel.names):
        yield ""
        yield f"{name}: P(score | true score), a row a true score"
        yield from (f"  {level:2d} {_row(row)}" for level, row in enumerate(panel.matrices[r]))
    yield ""
    yield "pairs: equal scores (by chance), quadratic kappa, dependence"
    for r, s in combinations(range(panel.num_raters), 2):
        figures = (
            f"{panel.agreement[r, s]:.3f} ({panel.chance[r, s]:.3f})  {panel.kappa[r, s]:6.3f}  "
            f"{panel.dependence[r, s]:.3f}"
        )
        yield f"  {panel.names[r] + ' + ' + panel.names[s]:{2 * width}}{figures}"
    for words in panel.warnings:
        yield f"note: {words}"


def _row(values: DoubleArray) -> str:
    return "".join(f"{value:7.3f}" for value in values)
