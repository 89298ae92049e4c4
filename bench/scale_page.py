"""The part `page`: the tables of docs/guide/scale.md as Markdown, from the files of the others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import scale_graph
import scale_stages
from scale_overlap import rows_of
from scale_record import Entry, Record, read_record

READ_ON = {"10 million": 10_000_000, "100 million": 100_000_000}


def tables(folder: Path) -> str:
    """Every table that there are figures for, each with the page's heading for it."""
    makers = {
        "stages": stages_tables,
        "graph": graph_tables,
        "wide": wide_tables,
        "overlap": overlap_tables,
        "rival": rival_tables,
    }
    found = []
    for part, make in makers.items():
        path = folder / f"scale-{part}.json"
        if path.exists():
            whole = read_record(path)
            found.append(f"<!-- {part}: {machine_of(whole)} -->")
            found += make(Record(path, {}, whole["entries"]))
    if not found:
        raise SystemExit(f"--out: expected files of this bench (scale-*.json) in {folder}")
    return "\n\n".join(found)


def machine_of(whole: dict[str, Any]) -> str:
    machine = whole.get("machine", {})
    return f"{machine.get('cpu')}, {machine.get('simd_level')}, ds2fast {machine.get('version')}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def stages_tables(record: Record) -> Iterator[str]:
    """Seconds by stage and size, the last power of N, and what that makes of ten millions."""
    for options in dict.fromkeys(one["key"]["options"] for one in record.entries):
        chosen = record.matching(options=options)
        timed = [one for one in chosen if one["problem"] is None]
        timed.sort(key=lambda one: one["key"]["rows"])
        if not timed:
            continue
        sizes = [f"{one['key']['rows']:,}".replace(",", " ") for one in timed]
        lines = [_stage_row(timed, stage) for stage in scale_stages.stages_of(timed)]
        peaks = [f"{one['peak_mib']:.0f}" for one in timed]
        on = [f"{scale_stages.read_on(timed, None, rows):.0f}" for rows in READ_ON.values()]
        lines.append(["peak MiB", *peaks, _power(scale_stages.growth_of(timed)), *on])
        yield f"Options: {options or 'none'}"
        yield table(["seconds", *sizes, "grows with N to the", *READ_ON], lines)


def _stage_row(timed: list[Entry], stage: str) -> list[str]:
    seconds = [one["stages"].get(stage) for one in timed]
    figures = ["–" if one is None else f"{one:.1f}" for one in seconds]
    # The whole is no power of N, but the sum of its stages; each is read on by its own.
    parts = [one for one in timed[-1]["stages"] if one != scale_stages.WHOLE]
    summed = parts if stage == scale_stages.WHOLE else [stage]
    on = [
        sum(scale_stages.read_on(timed, part, rows) for part in summed) for rows in READ_ON.values()
    ]
    power = _power(scale_stages.growth_of(timed, stage))
    return [stage, *figures, power, *(time_in_words(seconds) for seconds in on)]


def time_in_words(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _power(powers: list[float]) -> str:
    return f"{powers[-1]:.2f}" if powers and not math.isnan(powers[-1]) else "–"


def graph_tables(record: Record) -> Iterator[str]:
    """What ways take to each recall."""
    for key in cases_of(record):
        rows, width = key["rows"], key["width"]
        yield f"{rows} × {width}, k = {key['k']}, {key['threads']} threads"
        at = {one: scale_graph.ratios_at(record, key, one) for one in scale_graph.TARGETS}
        ways = [row["way"] for row in at[scale_graph.TARGETS[0]]]
        lines = [
            [way, *(cell for rows in at.values() for cell in _ratio_cells(rows, way))]
            for way in ways
        ]
        heads = [cell for one in at for cell in (f"recall {one:g}", "ours is")]
        yield table(["", *heads], lines)
        yield from _exact_lines(record, key)
    for target in scale_graph.TARGETS:
        yield from _growth_lines(record, target)


def _growth_lines(record: Record, target: float) -> Iterator[str]:
    """How our time to one recall grows between sizes of one width, and reads on."""
    sized: dict[int, list[tuple[int, float]]] = {}
    for key in cases_of(record):
        ours = scale_graph.ratios_at(record, key, target)[0]
        if ours["seconds"] is not None:
            sized.setdefault(key["width"], []).append((key["rows"], ours["seconds"]))
    for width, found in sized.items():
        for first, last in itertools.pairwise(sorted(found)):
            power = scale_stages.growth(first, last)
            on = [last[1] * (rows / last[0]) ** max(power, 1.0) for rows in READ_ON.values()]
            words = ", ".join(map(time_in_words, on))
            yield (
                f"Ours to recall {target:g}, width {width}: from {first[0]} to {last[0]} rows as "
                f"N^{power:.2f}; read on to {' and '.join(READ_ON)} rows: {words}"
            )


def _ratio_cells(rows: list[dict[str, Any]], way: str) -> list[str]:
    row = next(one for one in rows if one["way"] == way)
    seconds = row.get("measured_seconds", row["seconds"])
    if seconds is None:
        return ["not reached", ""]
    ratio = row.get("ratio")
    return [f"{seconds:.1f} s", "" if ratio is None else f"{ratio:.1f} × as fast"]


def _exact_lines(record: Record, key: dict[str, Any]) -> Iterator[str]:
    for entry in record.matching(**key, way="ours-exact"):
        for one in entry.get("efforts", []):
            yield f"Exact: {one['seconds']:.1f} s, peak {one['peak_mib']:.0f} MiB"


def wide_tables(record: Record) -> Iterator[str]:
    """Ours on wide vectors."""
    lines = [
        [
            f"{entry['key']['rows']} × {entry['key']['width']}",
            scale_graph.label_of(entry, one),
            f"{one['seconds']:.1f} s",
            f"{one['recall']:.4f}",
            f"{one['peak_mib'] - one['held_mib']:.0f} MiB",
        ]
        for entry in record.entries
        for one in entry.get("efforts", [])
    ]
    yield table(["vectors", "graph", "time", "recall", "memory beyond the vectors"], lines)


def overlap_tables(record: Record) -> Iterator[str]:
    """What a lower recall costs the selection."""
    lines = [
        [
            row["kind"],
            f"{row['recall']:.3f}",
            f"{row['share']:.1%}",
            f"{row['overlap']:.3f}",
            f"{row['true_mean']:.3f}",
            f"{row['t_largest']:.4f}",
            f"{row['t_mean']:.5f}",
        ]
        for row in rows_of(record.entries)
    ]
    head = ["graph", "recall", "best", "rows in common", "their true mean"]
    yield table([*head, "largest difference of T", "mean"], lines)


def rival_tables(record: Record) -> Iterator[str]:
    """Ours beside the script, by the share of rows that no neighbour tells anything of."""
    for own in dict.fromkeys(one["key"]["own"] for one in record.entries):
        chosen = record.matching(own=own)
        yield f"Share of rows with a level of their own: {own:g}"
        lines = [
            [
                entry["key"]["way"],
                f"{entry['seconds']:.1f} s",
                f"{entry['peak_mib']:.0f} MiB",
                ", ".join(f"{how} {mean:.3f}" for how, mean in entry["true_means"].items()),
            ]
            for entry in chosen
            if entry["problem"] is None
        ]
        yield table(["", "time", "peak memory", "true mean of the selected rows"], lines)


def cases_of(record: Record) -> list[dict[str, Any]]:
    """Keys of the cases: what all ways share."""
    names = ("rows", "width", "k", "threads")
    keys = [{name: one["key"][name] for name in names} for one in record.entries]
    return [dict(pairs) for pairs in dict.fromkeys(tuple(key.items()) for key in keys)]
