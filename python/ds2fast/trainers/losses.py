"""What becomes of rows on their way into a trainer, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ds2fast.errors import InputError
from ds2fast.io.fields import Row
from ds2fast.io.forms import PREFERENCE, PROMPT, form_of, has_answer
from ds2fast.trainers.copies import Copy
from ds2fast.trainers.layout import Layout, layout_of
from ds2fast.trainers.plan import Finding, Plan, lost

_DISLIKED = "have the label false, and are trained on as if it were true"
_ALIKE = "hold the same answer as chosen and as rejected, from which nothing is learned"
_UNANSWERED = "have no answer: no assistant says anything in them"


@dataclass
class Tally:
    """Findings of rows, with the number of rows and the first of each."""

    num_rows: int = 0
    num_lost: int = 0
    counts: Counter[Finding] = field(default_factory=Counter)
    first: dict[Finding, int] = field(default_factory=dict)

    def add(self, number: int, findings: Iterable[Finding]) -> None:
        """Count what was found of row `number`."""
        found = dict.fromkeys(findings)
        self.num_rows += 1
        self.num_lost += any(one.lost for one in found)
        for one in found:
            self.counts[one] += 1
            self.first.setdefault(one, number)

    def notes(self, num_rows: int) -> Iterator[Finding]:
        """The findings as sentences, the most frequent first; of `num_rows` rows in all."""
        for found, count in self.counts.most_common():
            of = f"{count} of {rows_in_words(num_rows)} (first: row {self.first[found]})"
            yield Finding(f"{of} {found.words}", found.lost)


def judged(rows: Iterable[tuple[int, Row]], chosen: Layout, plan: Plan) -> Tally:
    """What the trainer makes of rows by the plan for one layout."""
    tally = Tally()
    for number, row in rows:
        tally.add(number, _findings(row, chosen, plan))
    return tally


def not_copied(copy: Copy, rows: Iterable[tuple[int, Row]]) -> Tally:
    """Why rows cannot be written anew."""
    tally = Tally()
    for number, row in rows:
        try:
            copy.row(row)
        except InputError as error:
            so = f"so a copy for {copy.trainer} cannot hold them"
            tally.add(number, [lost(f"{error}, {so}")])
    return tally


def disliked(rows: Iterable[tuple[int, Row]]) -> list[int]:
    """Numbers of the rows of KTO whose completion is labelled as one not to learn."""
    return [number for number, row in rows if _is_disliked(row, form_of(row)[0])]


def rows_in_words(count: int) -> str:
    """A number of rows.

    Examples
    --------
    >>> rows_in_words(1), rows_in_words(2)
    ('1 row', '2 rows')
    """
    return f"{count} row{'s' * (count != 1)}"


def _findings(row: Row, chosen: Layout, plan: Plan) -> list[Finding]:
    layout = layout_of(row)
    if layout is None:
        return [lost("have a text in none of the known forms, so they are not described")]
    if layout != chosen:
        told = f"hold {layout}, not {chosen} as described: the trainer drops them or stops at them"
        return [lost(f"{told}; select from files of one form each")]
    found = list(plan.judge(row))
    if _is_disliked(row, layout.form):
        found.append(Finding(_DISLIKED))
    if layout.form == PREFERENCE and row["chosen"] == row["rejected"]:
        found.append(Finding(_ALIKE))
    if not any(one.lost for one in found) and not has_answer(layout.form, row):
        found.append(Finding(_UNANSWERED))
    return found


def _is_disliked(row: Row, form: str) -> bool:
    return form == PROMPT and row.get("label") is False
