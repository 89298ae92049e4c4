"""The whole method in plain NumPy and float64: written to be read, not to be fast.

It is the oracle of the tests and the baseline of `ds2fast bench`. Every function here has a native
counterpart that must give the same answer. Symbols are the paper's (arXiv 2410.10877): N rows,
K score levels, ỹ given scores (−1: unrated), T the transition matrix, p the prior.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

from ds2fast.results import BoolArray, DoubleArray, IntArray

SAMPLED_SHARE = 0.9
ADAM_STEPS, FALLING_STEPS = 1501, 500
EM_TOLERANCE = 1e-10
EM_MAX_STEPS = 20_000


# --- k-NN -----------------------------------------------------------------------------------------


def knn_graph(embeddings: npt.ArrayLike, k: int) -> tuple[IntArray, DoubleArray]:
    """The k most cosine-similar other rows of every row: ids (N, k) and similarities (N, k)."""
    x = np.asarray(embeddings, dtype=np.float64)
    norms = np.sqrt((x * x).sum(axis=1))
    ids = np.empty((len(x), k), dtype=np.int64)
    similarities = np.empty((len(x), k))
    for n in range(len(x)):
        cosine = (x * x[n]).sum(axis=1) / (norms * norms[n])
        cosine[n] = -np.inf
        ids[n] = np.lexsort((np.arange(len(x)), -cosine))[:k]
        similarities[n] = cosine[ids[n]]
    return ids, similarities


# --- Transition matrix (HOC) ----------------------------------------------------------------------


def agreement_counts(
    scores: IntArray, indices: npt.NDArray[np.integer], num_levels: int
) -> IntArray:
    """(K, K, K) counts of (own score, 1st, 2nd rated neighbour's score) over rows that have all."""
    counts = np.zeros((num_levels,) * 3, dtype=np.int64)
    for n in np.flatnonzero(scores >= 0):
        rated = [scores[m] for m in indices[n] if scores[m] >= 0][:2]
        if len(rated) == 2:
            counts[scores[n], rated[0], rated[1]] += 1
    return counts


def model_moments(
    transition: DoubleArray, prior: DoubleArray
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """c1, c2, c3 as T and p imply them: the neighbours' scores are independent given the truth."""
    c1 = np.einsum("i,ia->a", prior, transition)
    c2 = np.einsum("i,ia,ib->ab", prior, transition, transition)
    c3 = np.einsum("i,ia,ib,ic->abc", prior, transition, transition, transition)
    return c1, c2, c3


def observed_moments(counts: IntArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """ĉ1, ĉ2, ĉ3: the shares of the counted triples and their sums over the last view."""
    c3 = counts / counts.sum()
    return c3.sum(axis=(1, 2)), c3.sum(axis=2), c3


def moment_loss(counts: IntArray, transition: DoubleArray, prior: DoubleArray) -> float:
    """The paper's objective ‖ĉ1−c1‖ + ‖ĉ2−c2‖ + ‖ĉ3−c3‖, norms not squared."""
    pairs = zip(observed_moments(counts), model_moments(transition, prior), strict=True)
    return float(sum(np.linalg.norm((seen - implied).ravel()) for seen, implied in pairs))


def solve_moments(
    counts: IntArray, falling_steps: int = FALLING_STEPS
) -> tuple[DoubleArray, DoubleArray]:
    """T and p of least `moment_loss` met in 1 501 Adam steps at 0.1 and more at a falling rate.

    Both are softmaxes. Without falling steps it is the published way.
    """
    present = counts.sum(axis=(1, 2)) > 0
    seen = counts[np.ix_(present, present, present)]
    k = int(present.sum())
    logits_t, logits_p = 5.0 * np.eye(k) - 1.0, np.zeros(k)
    moments_t, moments_p = np.zeros((2, k, k)), np.zeros((2, k))
    best = (np.inf, _softmax(logits_t), _softmax(logits_p))
    for step in range(1, ADAM_STEPS + falling_steps + 1):
        transition, prior = _softmax(logits_t), _softmax(logits_p)
        loss, grad_t, grad_p = _moment_gradient(seen, transition, prior)
        if loss < best[0]:
            best = (loss, transition, prior)
        rate = 0.1 * min(1.0, (ADAM_STEPS + falling_steps - step) / max(falling_steps, 1))
        logits_t = logits_t - rate * _adam_step(grad_t, moments_t, step)
        logits_p = logits_p - rate * _adam_step(grad_p, moments_p, step)
    return _with_absent_levels(present, *_order_hidden_levels(best[1], best[2]))


def _adam_step(gradient: DoubleArray, moments: DoubleArray, step: int) -> DoubleArray:
    """What Adam (decays 0.9 and 0.999) subtracts at rate 1; updates its two running moments."""
    moments[0] = 0.9 * moments[0] + 0.1 * gradient
    moments[1] = 0.999 * moments[1] + 0.001 * gradient * gradient
    deviation = np.sqrt(moments[1] / (1 - 0.999**step)) + 1e-8
    return np.asarray(moments[0] / (1 - 0.9**step) / deviation)


def _moment_gradient(
    counts: IntArray, t: DoubleArray, p: DoubleArray
) -> tuple[float, DoubleArray, DoubleArray]:
    """Loss and its gradient with respect to the logits of T and p (chain rule through softmax)."""
    residuals = [c - o for c, o in zip(model_moments(t, p), observed_moments(counts), strict=True)]
    norms = [float(np.linalg.norm(r.ravel())) for r in residuals]
    r1, r2, r3 = (r / max(norm, 1e-300) for r, norm in zip(residuals, norms, strict=True))
    grad_p = t @ r1 + np.einsum("ab,ia,ib->i", r2, t, t) + np.einsum("abc,ia,ib,ic->i", r3, t, t, t)
    # c2 and c3 are symmetric in their views but ĉ2, ĉ3 are not: each view's derivative is added.
    grad_t = r1[None, :] + np.einsum("ab,ib->ia", r2 + r2.T, t)
    for view in (r3, r3.transpose(1, 0, 2), r3.transpose(2, 0, 1)):
        grad_t = grad_t + np.einsum("abc,ib,ic->ia", view, t, t)
    grad_t = p[:, None] * grad_t
    through_t = t * (grad_t - (grad_t * t).sum(axis=1, keepdims=True))
    through_p = p * (grad_p - grad_p @ p)
    return float(sum(norms)), through_t, through_p


def solve_em(counts: IntArray) -> tuple[DoubleArray, DoubleArray]:
    """T and p of maximum likelihood: a latent class with three exchangeable views, fitted by EM.

    From three starts: a rater mostly right, one who errs to near levels, and one who is right half
    of the time and else gives the pool's mix. The likeliest end counts, of equal ones the first.
    """
    present = counts.sum(axis=(1, 2)) > 0
    seen = counts[np.ix_(present, present, present)]
    seen = seen / seen.sum()
    observed = seen.sum(axis=(1, 2))
    levels = np.arange(len(observed))
    near = np.exp(-np.abs(levels[:, None] - levels).astype(float))
    starts = (
        _softmax(5.0 * np.eye(len(observed)) - 1.0),
        near / near.sum(axis=1, keepdims=True),
        0.5 * np.eye(len(observed)) + 0.5 * observed,
    )
    ends = [_climb(seen, start, observed) for start in starts]
    best = max(end[2] for end in ends)
    transition, prior, _ = next(end for end in ends if end[2] >= best - 1e-7 * abs(best))
    return _with_absent_levels(present, *_order_hidden_levels(transition, prior))


def log_likelihood(counts: IntArray, transition: DoubleArray, prior: DoubleArray) -> float:
    """Log-likelihood of the triples (K, K, K) for which all three share a true score."""
    share = np.einsum("i,ia,ib,ic->abc", prior, transition, transition, transition)
    return float((counts * np.log(np.maximum(share, 1e-300))).sum())


def _climb(
    seen: DoubleArray, transition: DoubleArray, prior: DoubleArray
) -> tuple[DoubleArray, DoubleArray, float]:
    """EM until nothing moves: T, p and their log-likelihood."""
    for _ in range(EM_MAX_STEPS):
        joint = np.einsum("i,ia,ib,ic->iabc", prior, transition, transition, transition)
        total = np.maximum(joint.sum(axis=0), 1e-300)
        posterior = seen * joint / total
        views = posterior.sum(axis=(2, 3)) + posterior.sum(axis=(1, 3)) + posterior.sum(axis=(1, 2))
        next_prior = posterior.sum(axis=(1, 2, 3))
        next_transition = np.where(
            views.sum(axis=1, keepdims=True) > 0,
            views / np.maximum(views.sum(axis=1, keepdims=True), 1e-300),
            transition,
        )
        moved = max(abs(next_transition - transition).max(), abs(next_prior - prior).max())
        transition, prior = next_transition, next_prior
        if moved < EM_TOLERANCE:
            break
    return transition, prior, float((seen * np.log(total)).sum())


def _order_hidden_levels(
    transition: DoubleArray, prior: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    """The order, of all, in which most rows have the right score: Σ p_i T_ii is largest."""
    joint = prior[:, None] * transition

    levels = list(range(len(prior)))
    order = max((list(rows) for rows in permutations(levels)), key=lambda r: joint[r, levels].sum())
    return transition[order], prior[order]


def _softmax(logits: DoubleArray) -> DoubleArray:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _with_absent_levels(
    present: BoolArray, transition: DoubleArray, prior: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    """Put back the levels that no row was given: p_j = 0 and the row of the identity."""
    full_transition, full_prior = np.eye(len(present)), np.zeros(len(present))
    full_transition[np.ix_(present, present)] = transition
    full_prior[present] = prior
    return full_transition, full_prior


# --- Score curation (SimiFeat, rank) --------------------------------------------------------------


def sampling_keys(seed: int, round_number: int, num_rows: int) -> npt.NDArray[np.uint64]:
    """(N,) pseudo-random keys (splitmix64): a round draws the rated rows with the smallest keys."""
    with np.errstate(over="ignore"):
        stream = _mix(np.uint64(seed) + _GOLDEN * np.uint64(round_number + 1))
        return _mix(stream + _GOLDEN * np.arange(1, num_rows + 1, dtype=np.uint64))


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(state: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint64]:
    z = np.asarray(state)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def error_rates(transition: DoubleArray, prior: DoubleArray, observed: DoubleArray) -> DoubleArray:
    """(K,) e_j = 1 − P(y = j | ỹ = j) inside the paper's limits; NaN for an absent level."""
    rates = np.full(len(prior), np.nan)
    for j in np.flatnonzero(observed > 0):
        rate = 1.0 - min(transition[j, j] * prior[j] / observed[j], 1.0)
        rates[j] = 0.95 if rate >= 1 else 0.05 if rate <= 0 else rate
    return rates


def simifeat_votes(
    scores: IntArray,
    indices: npt.NDArray[np.integer],
    similarities: npt.NDArray[np.floating],
    rates: DoubleArray,
    *,
    k: int,
    rounds: int,
    seed: int,
) -> tuple[IntArray, IntArray, IntArray]:
    """Rounds that saw each row (N,), rounds that flagged it (N,), suggestions of those (N, K)."""
    num_levels = len(rates)
    seen = np.zeros(len(scores), dtype=np.int64)
    flagged = np.zeros(len(scores), dtype=np.int64)
    suggestions = np.zeros((len(scores), num_levels), dtype=np.int64)
    rated = np.flatnonzero(scores >= 0)
    for round_number in range(rounds):
        keys = sampling_keys(seed, round_number, len(scores))[rated]
        drawn = rated[np.lexsort((rated, keys))[: int(SAMPLED_SHARE * len(rated))]]
        inside = np.zeros(len(scores), dtype=bool)
        inside[drawn] = True
        seen[drawn] += 1
        disagreement = np.full(len(scores), np.nan)
        suggested = np.zeros(len(scores), dtype=np.int64)
        unanimous = np.zeros(len(scores), dtype=bool)
        for n in drawn:
            histogram, unanimous[n] = _histogram(
                n, scores, indices[n], similarities[n], inside, k, num_levels
            )
            disagreement[n] = -np.log(histogram[scores[n]] + 1e-8)
            suggested[n] = histogram.argmax()
        for level in np.flatnonzero(~np.isnan(rates)):
            members = drawn[scores[drawn] == level]
            if len(members) == 0:
                continue
            threshold = np.percentile(disagreement[members], 100 * (1 - rates[level]))
            hit = members[(disagreement[members] >= threshold) & ~unanimous[members]]
            flagged[hit] += 1
            suggestions[hit, suggested[hit]] += 1
    return seen, flagged, suggestions


def _histogram(
    n: int,
    scores: IntArray,
    neighbours: npt.NDArray[np.integer],
    similarities: npt.NDArray[np.floating],
    inside: BoolArray,
    k: int,
    num_levels: int,
) -> tuple[DoubleArray, bool]:
    """Row n's L2-normalised vote over the levels, and whether all counted neighbours agree."""
    counted = [place for place, m in enumerate(neighbours) if inside[m]][: k - 1]
    weights = similarities[counted].astype(np.float64)
    histogram = np.zeros(num_levels)
    histogram[scores[n]] += max(_own_weight(weights), 0.0)
    for place, weight in zip(counted, weights, strict=True):
        histogram[scores[neighbours[place]]] += max(weight, 0.0)
    unanimous = all(scores[neighbours[place]] == scores[n] for place in counted)
    norm = np.sqrt((histogram * histogram).sum())
    return (histogram / norm if norm > 0 else histogram), unanimous


def _own_weight(weights: DoubleArray) -> float:
    """1 − (2·δ1 − δ2), distances to the first two counted neighbours (δ2 = δ1 if there is one)."""
    if len(weights) == 0:
        return 1.0
    first = 1.0 - weights[0]
    second = 1.0 - weights[1] if len(weights) > 1 else first
    return float(1.0 - (2.0 * first - second))


def curate(
    scores: IntArray,
    seen: IntArray,
    flagged: IntArray,
    suggestions: IntArray,
    min_confidence: float = 0.5,
) -> tuple[IntArray, BoolArray, IntArray, DoubleArray, DoubleArray]:
    """Curated scores, misrated, suggested, confidence, error probability; see `Curation`."""
    num_levels = suggestions.shape[1]
    rated = scores >= 0
    error_probability = np.where(rated, (flagged + 1) / (seen + 2), np.nan)
    q = (suggestions + 1) / (suggestions.sum(axis=1, keepdims=True) + num_levels)
    q[np.flatnonzero(rated), scores[rated]] = 0.0  # the own level is ruled out
    ever = rated & (flagged > 0)
    suggested = np.where(ever, q.argmax(axis=1), scores)
    confidence = np.where(ever, q.max(axis=1) * error_probability, 0.0)
    misrated = rated & (np.nan_to_num(error_probability) > 0.5)
    curated = np.where(misrated & (confidence >= min_confidence), suggested, scores)
    return curated, misrated, suggested, confidence, error_probability


# --- Long tail and dual sort ----------------------------------------------------------------------


def long_tail_scores(similarities: npt.NDArray[np.floating], k: int) -> DoubleArray:
    """2 / (1 + e^(−d̄)) − 1 with d̄ the mean cosine distance to the k nearest neighbours."""
    distance = (1.0 - similarities[:, :k].astype(np.float64)).mean(axis=1)
    return np.asarray(2.0 / (1.0 + np.exp(-distance)) - 1.0)


def dual_sort(
    scores: npt.NDArray[np.number], long_tail: npt.NDArray[np.floating], n: int | None = None
) -> IntArray:
    """Rated rows by score descending, then long-tail score descending, then index; the first n."""
    rated = np.flatnonzero(~np.isnan(np.asarray(scores, dtype=np.float64)) & (scores >= 0))
    order = np.lexsort((rated, -long_tail[rated], -scores[rated].astype(np.float64)))
    return np.asarray(rated[order][:n], dtype=np.int64)


# --- Groups and near-duplicates -------------------------------------------------------------------


def walk_down(
    order: IntArray,
    count: int,
    *,
    codes: IntArray | None = None,
    quotas: IntArray | None = None,
    caps: IntArray | None = None,
    cosines: DoubleArray | None = None,
    max_similarity: float = 1.0,
) -> tuple[list[int], dict[int, int]]:
    """Selected rows in the order given, and the selected row nearest to each duplicate met.

    `cosines` (N, N) are known of all pairs. A row of a full group is passed over; what quotas leave
    empty goes to such rows in a second walk, within the caps.
    """
    selected: set[int] = set()
    duplicate_of: dict[int, int] = {}
    for limits in ([quotas, caps], [None, caps]):
        for row in (int(row) for row in order):
            if len(selected) == count:
                break
            if row in selected or row in duplicate_of:
                continue
            if codes is not None:
                held = sum(codes[other] == codes[row] for other in selected)
                if any(limit is not None and held >= limit[codes[row]] for limit in limits):
                    continue
            if cosines is not None and selected:
                nearest = min(selected, key=lambda other: (-cosines[row, other], other))
                if cosines[row, nearest] >= max_similarity:
                    duplicate_of[row] = nearest
                    continue
            selected.add(row)
    return [int(row) for row in order if int(row) in selected], duplicate_of
