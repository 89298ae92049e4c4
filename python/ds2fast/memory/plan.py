"""The plan of a run: what each stage takes, and what goes to disk so that it fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ds2fast.advice.budget import as_duration
from ds2fast.errors import InputError
from ds2fast.memory.load import Load
from ds2fast.memory.stages import (
    LIBRARIES,
    Layout,
    StagePlan,
    graph_share,
    num_kept,
    plan_stages,
    store_bytes,
)
from ds2fast.sizes import as_size

LARGE_POOL = 200_000
"""Rows from which the plan is told unasked."""

_USABLE = 0.9  # of what the machine has left: other processes live, too


@dataclass(frozen=True)
class MemoryPlan:
    """What a run is going to take.

    Attributes
    ----------
    num_rows : int
        N.
    limit : int or None
        Most bytes that the process may hold; None where nothing tells it.
    is_asked : bool
        Whether the user set the limit; else it is what the machine has left.
    held : int
        Bytes that the process held when this was planned.
    layout : Layout
        What goes to disk.
    stages : tuple of StagePlan
        In their order.
    graph_memory : int or None
        Bytes that the search for neighbours is to keep to; None leaves it free.
    engine : {"local", "ray"}
        Where the long stages run; bytes and times are those of this process and its machine.
    kept : int
        Of the bytes on disk those that are there already.
    notes : tuple of str
        What it rests on, line by line.
    """

    num_rows: int
    limit: int | None
    is_asked: bool
    held: int
    layout: Layout
    stages: tuple[StagePlan, ...]
    graph_memory: int | None
    engine: str = "local"
    kept: int = 0
    notes: tuple[str, ...] = ()

    @property
    def peak(self) -> int:
        """Most bytes that the process holds."""
        return max(stage.memory for stage in self.stages)

    @property
    def disk(self) -> int:
        """Bytes of all files."""
        return sum(stage.disk for stage in self.stages)

    @property
    def room(self) -> int:
        """Bytes that the disk has to have left."""
        return self.disk - self.kept

    @property
    def is_worth_telling(self) -> bool:
        """Whether the user asked for it, or waits long, or something goes to disk."""
        return self.is_asked or self.num_rows >= LARGE_POOL or self.layout != Layout()

    def describe(self) -> str:
        """The plan in words, a line a stage."""
        lines = [f"plan for {self.num_rows} rows, {self._limit_words()}"]
        lines += [_line(stage) for stage in self.stages]
        lines += [f"  {note}" for note in self.notes]
        if self.engine != "local":
            lines.append(
                f"  engine '{self.engine}': these are the bytes of this process, the driver; what "
                "the nodes hold is not counted, and times are those of this machine alone"
            )
        if not self.is_asked and self.layout != Layout():
            lines.append(f"  {self.layout.describe()} on disk: memory has no room for all of it")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """The plan as plain values, for the manifest.

        Memory is counted beyond what was held before: that depends on what else the process does.
        With `max_memory` they are the same whenever the plan is made again.
        """
        return {
            "limit": self.limit if self.is_asked else None,
            "vectors_on_disk": self.layout.vectors_on_disk,
            "graph_on_disk": self.layout.graph_on_disk,
            "stages": {
                stage.name: {
                    "memory": stage.memory - self.held,
                    "disk": stage.disk,
                    "seconds": round(stage.seconds, 1),
                }
                for stage in self.stages
            },
        }

    def _limit_words(self) -> str:
        if self.limit is None:
            return "no limit of memory is known:"
        of = "max_memory" if self.is_asked else "memory that is left:"
        return f"{of} {as_size(self.limit)}:"


def plan_run(
    load: Load, *, max_memory: int | None, held: int | None, available: int | None
) -> MemoryPlan:
    """Plan a run: as much in memory as there is room for.

    Parameters
    ----------
    load : Load
        What it has to do.
    max_memory : int, optional
        Bytes that the process may hold, as the user has it.
    held : int, optional
        Bytes that it holds already; None where nothing tells it.
    available : int, optional
        Bytes that the machine has left; None where nothing tells it. Counts without `max_memory`.

    Raises
    ------
    InputError
        Where `max_memory` is too small for this run whatever goes to disk; the message says what
        would do.

    Examples
    --------
    >>> load = Load(num_rows=1_000_000, width=384, neighbours=20, levels=6)
    >>> plan = plan_run(load, max_memory=4 << 30, held=200 << 20, available=None)
    >>> plan.layout.graph_on_disk, plan.peak <= 4 << 30
    (False, True)
    """
    now = LIBRARIES if held is None else held
    is_asked = max_memory is not None
    limit = max_memory
    if max_memory is None and available is not None:
        limit = now + int(_USABLE * available)
    made = _first_that_fits(load, now, limit, is_asked=is_asked)
    if is_asked and limit is not None and made.peak > limit:
        worst = max(made.stages, key=lambda stage: stage.memory)
        raise InputError(
            f"max_memory: expected at least {_rounded_up(made.peak)} for {load.num_rows} rows (the "
            f"stage '{worst.name}' holds most, whatever goes to disk), got {as_size(limit)}"
        )
    return made


def _first_that_fits(load: Load, held: int, limit: int | None, *, is_asked: bool) -> MemoryPlan:
    """The plan that puts least on disk; where none fits, the one that holds least."""
    too_large: list[MemoryPlan] = []
    for layout in _layouts(load):
        stages = plan_stages(load, held, layout)
        share = None
        if limit is not None and (is_asked or layout.graph_on_disk):
            share = max(1, graph_share(load, limit, held, layout))
        made = MemoryPlan(
            load.num_rows, limit, is_asked, held, layout, stages, share,
            engine=load.engine, kept=min(load.kept, store_bytes(load)), notes=tuple(_notes(load)),
        )  # fmt: skip
        if limit is None or made.peak <= limit:
            return made
        too_large.append(made)
    return min(too_large, key=lambda one: one.peak)


def _line(stage: StagePlan) -> str:
    disk = f", {as_size(stage.disk)} on disk" if stage.disk else ""
    took = "done" if stage.is_done else f"about {as_duration(stage.seconds)}"
    way = f" ({stage.way})" if stage.way else ""
    return f"  {stage.name:<11} up to {as_size(stage.memory)} in memory{disk}, {took}{way}"


def _notes(load: Load) -> Iterator[str]:
    """What bytes and times rest on."""
    if load.encoder is not None and not load.encoder.tells_width:
        yield (
            f"how wide its vectors are, this encoder does not tell: {load.width} numbers are "
            "assumed, and with fewer or more a stage takes less or more"
        )
    elif load.kept:
        yield (
            f"texts whose vectors are in the cache take no time: it has {num_kept(load)} "
            "of this encoder"
        )
    yield "times are of idle cores with AVX-512 and VNNI: busy or older ones take longer"


def _layouts(load: Load) -> Iterator[Layout]:
    """What may go to disk, the least first: vectors and a graph that are made here."""
    yield Layout()
    if load.vector_bytes:
        yield Layout(vectors_on_disk=True)
    if not load.has_graph:
        yield Layout(vectors_on_disk=load.vector_bytes > 0, graph_on_disk=True)


def _rounded_up(num_bytes: int) -> str:
    """An amount that does, as `max_memory` takes it."""
    return f"{-(-num_bytes // (1 << 20))}MiB"
