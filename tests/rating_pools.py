"""Made-up rows for tests and benchmarks of the rater, and what must have come of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import ds2fast
from ds2fast.rating.fit import fit_sample
from rating_truth import sample_hash, true_criteria

Row = dict[str, str]


def made_up_rows(number: int, first: int = 0) -> list[Row]:
    """So many rows of different texts."""
    places = range(first, first + number)
    return [{"question": f"What is {i} times 37?", "answer": f"It is {37 * i}."} for i in places]


def texts_of(rows: Sequence[Row]) -> list[str]:
    """The samples that rows are rendered to."""
    return list(ds2fast.read(rows, scores=None).texts)


def names_of(rows: Sequence[Row]) -> list[str]:
    """How the server's log names the rows' samples."""
    return [sample_hash(text) for text in texts_of(rows)]


@dataclass(frozen=True)
class Verdict:
    """How many rows were rated right, were left unrated with a reason, and are neither."""

    right: int
    unrated: int
    wrong: int
    reasons: Counter[str]

    @property
    def all_right(self) -> bool:
        return self.unrated == self.wrong == 0


def judge(ratings: ds2fast.Ratings, place: int = 0) -> Verdict:
    """Compare what a rater gave with the truth, every criterion of every row."""
    rater = ratings.raters[place]
    right = unrated = wrong = 0
    for row, whole in enumerate(ratings.pool.texts):
        text, _ = fit_sample(whole, ratings.settings["max_sample_tokens"])  # as it was sent
        given = {name: int(values[row]) for name, values in rater.criteria.items()}
        score, reason = int(rater.scores[row]), rater.reasons[row]
        truth = true_criteria(text)
        if reason is None and given == truth and score == min(max(truth["overall"], 4), 9) - 4:
            right += 1
        elif reason and score == -1 and set(given.values()) == {-1}:
            unrated += 1
        else:
            wrong += 1
    reasons = Counter(reason for reason in rater.reasons if reason is not None)
    return Verdict(right, unrated, wrong, reasons)
