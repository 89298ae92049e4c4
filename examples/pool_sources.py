"""The sources of the demo's pool: each has a topic, a form of task and a level of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pool_code as code
import pool_everyday_sums as everyday
import pool_sums as sums
from pool_subject import Subject, pick

TEXTS = Path(__file__).with_name("pool_topics.json")
Maker = Callable[[np.random.Generator], Subject]


@dataclass(frozen=True)
class Source:
    """Rows of one kind: some subjects, or a maker of subjects with fresh numbers in each."""

    topic: str
    form: str
    level: int
    subjects: tuple[Subject, ...] = ()
    maker: Maker | None = None

    def subject(self, rng: np.random.Generator) -> Subject:
        """A subject of this source, drawn or made."""
        return self.maker(rng) if self.maker else pick(rng, self.subjects)


@dataclass(frozen=True)
class RareRow:
    """A row on something that nothing else in the pool is about."""

    level: int
    ask: str
    answer: str


# (topic, form, level, maker): what has figures or code is made afresh for every row.
_MADE: tuple[tuple[str, str, int, Maker], ...] = (
    ("physics", "calculate", 5, sums.free_fall),
    ("chemistry", "calculate", 5, sums.dilution),
    ("personal finance", "calculate", 5, sums.compound_interest),
    ("statistics", "calculate", 5, sums.mean_and_deviation),
    ("hiking", "calculate", 5, sums.walking_time),
    ("sewing", "calculate", 5, everyday.curtains),
    ("SQL", "code", 5, code.sql_join),
    ("Python", "code", 5, code.python_function),
    ("electricity at home", "calculate", 4, everyday.heater_cost),
    ("personal finance", "calculate", 4, sums.loan),
    ("probability", "calculate", 4, sums.at_least_one),
    ("home repair", "calculate", 4, everyday.wall_paint),
    ("coffee and tea", "calculate", 4, everyday.coffee_ratio),
    ("shell", "code", 4, code.find_files),
    ("regular expressions", "code", 4, code.pattern),
    ("spreadsheets", "code", 4, code.sum_by_condition),
    ("cooking", "calculate", 3, everyday.scaled_recipe),
    ("car care", "calculate", 3, everyday.fuel_cost),
    ("gardening", "calculate", 3, everyday.bed_soil),
    ("arithmetic", "calculate", 3, everyday.discount),
    ("astronomy", "calculate", 3, everyday.light_time),
    ("photography", "calculate", 3, everyday.same_exposure),
    ("SQL", "code", 3, code.sql_filter),
    ("units", "calculate", 2, everyday.conversion),
    ("fitness", "calculate", 2, everyday.calories),
    ("travel", "calculate", 2, everyday.other_clock),
    ("SQL", "code", 2, code.sql_update),
)


def load_sources() -> list[Source]:
    """All sources, in a fixed order."""
    told = [
        Source(topic["topic"], cell["form"], cell["level"], tuple(map(_subject, cell["subjects"])))
        for topic in _texts()["topics"]
        for cell in topic["cells"]
    ]
    made = [Source(topic, form, level, maker=maker) for topic, form, level, maker in _MADE]
    return told + made


def load_rare_rows() -> list[RareRow]:
    """Rows on unusual subjects, in a fixed order."""
    return [RareRow(**row) for row in _texts()["rare"]]


def _texts() -> dict[str, Any]:
    texts: dict[str, Any] = json.loads(TEXTS.read_text(encoding="utf-8"))
    return texts


def _subject(entry: dict[str, Any]) -> Subject:
    facts = tuple(entry["facts"])
    return Subject(
        ask=entry["ask"],
        name=entry["name"],
        facts=facts,
        brief=facts[:2],
        slip=facts[0] if len(facts) == 1 else "",
    )
