"""How much memory a run may hold: amounts, the machine, the plan, and what goes to disk by it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import ds2fast
from ds2fast.blocks import blocks_memory
from ds2fast.embedding import embed, encoder_info, resolve_encoder
from ds2fast.errors import InputError, InputTypeError, OutputError
from ds2fast.io.origin import save_with_origin
from ds2fast.io.scratch import Spool, reserve, scratch_array
from ds2fast.memory import as_memory, machine
from ds2fast.memory.kept import kept_bytes
from ds2fast.memory.load import EncoderLoad, Load, encoder_load
from ds2fast.memory.machine import available_memory, held_memory, lies_in_memory
from ds2fast.memory.plan import plan_run
from ds2fast.memory.room import check_room
from ds2fast.memory.stages import Layout, plan_stages
from ds2fast_cli.commands import program
from encoder_fixtures import WORDS, make_tiny_encoder
from static_fixtures import make_table, write_static

pytestmark = pytest.mark.filterwarnings("ignore::ds2fast.evidence.WeakEvidenceWarning")

CHILD = Path(__file__).with_name("embed_child.py")
MIB = 1 << 20


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("4GiB", 4 * 1024**3),
        ("500 MB", 500 * 1000**2),
        (" 1.5 kib ", 1536),
        ("2tb", 2 * 1000**4),
        ("17B", 17),
        ("4G", 4 * 1024**3),
        ("500m", 500 * 1024**2),
        ("1.5k", 1536),
        (17, 17),
        (np.int64(2**40), 2**40),
    ],
)
def test_amounts(written: Any, expected: int) -> None:
    assert as_memory(written) == expected


@pytest.mark.parametrize("written", ["4", "4ib", "GiB", "-1GiB", "4 GiB of it", "", "0 MB", 0, -5])
def test_what_is_no_amount_is_refused(written: Any) -> None:
    with pytest.raises(InputError, match=r"max_memory: expected .*got"):
        as_memory(written)


def test_an_amount_below_0_is_called_so() -> None:
    with pytest.raises(InputError, match=r"max_memory: expected a positive number .* got '-1GB'"):
        as_memory("-1GB")


@pytest.mark.parametrize("written", [1.5, True, None, b"4GiB"])
def test_what_cannot_be_an_amount_is_refused_by_its_type(written: Any) -> None:
    with pytest.raises(InputTypeError, match=f"got {type(written).__name__}"):
        as_memory(written)


def _machine(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    """A machine that says of itself what stands in the files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    monkeypatch.setattr(machine, "_MACHINE", folder / "meminfo")
    monkeypatch.setattr(machine, "_OWN_CGROUP", folder / "own")
    monkeypatch.setattr(machine, "_CGROUP_ROOT", folder / "cgroup")


def test_a_containers_limit_counts_where_it_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meminfo = "MemTotal: 8000 kB\nMemAvailable:    6000 kB\n"
    _machine(tmp_path, monkeypatch, {"meminfo": meminfo})
    assert available_memory() == 6000 * 1024
    second = {
        "own": "0::/box/job\n",
        "cgroup/box/memory.max": "3000000\n",
        "cgroup/box/memory.current": "2000000\n",
        "cgroup/box/memory.stat": "anon 1\ninactive_file 500000\nactive_file 7\n",
        "cgroup/box/job/memory.max": "max\n",
        "cgroup/box/job/memory.current": "1\n",
    }
    _machine(tmp_path, monkeypatch, second)
    assert available_memory() == 1_500_000
    (tmp_path / "cgroup/box/memory.max").write_text("1000\n")  # more is in use than is allowed
    assert available_memory() == 0


def test_a_limit_of_the_first_kind_of_cgroups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {
        "meminfo": "MemAvailable: 6000 kB\n",
        "own": "4:cpu:/\n3:memory:/box\n",
        "cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
        "cgroup/memory/memory.usage_in_bytes": "5\n",
        "cgroup/memory/box/memory.limit_in_bytes": "4000000\n",
        "cgroup/memory/box/memory.usage_in_bytes": "3000000\n",
        "cgroup/memory/box/memory.stat": "total_inactive_file 20000\n",
    }
    _machine(tmp_path, monkeypatch, first)
    assert available_memory() == 1_020_000


def test_a_machine_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(tmp_path, monkeypatch, {})
    assert available_memory() is None


def test_files_that_are_kept_in_memory_are_told_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text(
        "/dev/sda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/sdb /tmp/my\\040disk xfs rw 0 0\n"
    )
    monkeypatch.setattr(machine, "_MOUNTS", tmp_path / "mounts")
    assert lies_in_memory(Path("/tmp/work"))
    assert not lies_in_memory(Path("/tmp/my disk/work"))
    assert not lies_in_memory(Path("/home/user"))
    (tmp_path / "elsewhere").symlink_to("/tmp")
    assert lies_in_memory(tmp_path / "elsewhere" / "work")


STATIC = EncoderLoad(width=384, weight_bytes=30 * MIB, most_tokens=512, is_static=True)
MILLION = Load(
    num_rows=1_000_000, width=384, neighbours=20, levels=6, tokens=150_000_000, encoder=STATIC
)


def test_all_is_in_memory_where_there_is_room() -> None:
    plan = plan_run(MILLION, max_memory=None, held=100 * MIB, available=64 << 30)
    assert plan.layout == Layout()
    assert plan.disk == 0
    assert plan.peak > 4 * 1_000_000 * 384


def test_all_tokens_are_held_but_those_of_a_static_model_that_runs_here() -> None:
    def held(load: Load) -> int:
        plan = plan_run(load, max_memory=None, held=100 * MIB, available=64 << 30)
        return next(stage.memory for stage in plan.stages if stage.name == "embedding")

    transformer = replace(MILLION, encoder=replace(STATIC, is_static=False))
    assert held(transformer) - held(MILLION) == 4 * 150_000_000
    assert held(replace(MILLION, engine="ray")) == held(transformer)


def test_vectors_go_to_disk_first_and_then_the_graph() -> None:
    in_memory, vectors, both = (
        max(stage.memory for stage in plan_stages(MILLION, 100 * MIB, layout))
        for layout in (Layout(), Layout(vectors_on_disk=True), Layout(True, True))
    )
    assert in_memory > vectors > both
    for limit, layout in (
        (in_memory, Layout()),
        (in_memory - 1, Layout(vectors_on_disk=True)),
        (vectors, Layout(vectors_on_disk=True)),
        (vectors - 1, Layout(True, True)),
        (both, Layout(True, True)),
    ):
        plan = plan_run(MILLION, max_memory=limit, held=100 * MIB, available=64 << 30)
        assert plan.layout == layout
        assert plan.peak <= limit
        assert plan.disk >= (4 * 1_000_000 * 384 if layout.vectors_on_disk else 0)


def test_what_can_never_fit_is_refused_with_the_least_that_does() -> None:
    with pytest.raises(InputError, match=r"max_memory: expected at least \d+MiB for") as refused:
        plan_run(MILLION, max_memory=MIB, held=100 * MIB, available=64 << 30)
    least = re.search(r"at least (\d+MiB)", str(refused.value))
    assert least is not None
    enough = as_memory(least[1])
    plan_run(MILLION, max_memory=enough, held=100 * MIB, available=64 << 30)
    with pytest.raises(InputError, match="max_memory: expected at least"):
        plan_run(MILLION, max_memory=enough - MIB, held=100 * MIB, available=64 << 30)


def test_few_rows_hold_less_where_nothing_goes_to_disk() -> None:
    few = Load(3000, 8, neighbours=20, levels=6)
    in_memory, on_disk = (
        max(stage.memory for stage in plan_stages(few, 0, layout))
        for layout in (Layout(), Layout(graph_on_disk=True))
    )
    assert in_memory < on_disk  # a search by blocks has the room of a block beside it
    enough = f"at least {-(-in_memory // MIB)}MiB"
    with pytest.raises(InputError, match=enough):
        plan_run(few, max_memory=in_memory - 1, held=0, available=None)
    assert plan_run(few, max_memory=None, held=0, available=0).layout == Layout()


def test_a_small_machine_sends_work_to_disk_but_refuses_nothing() -> None:
    plan = plan_run(MILLION, max_memory=None, held=100 * MIB, available=2 << 30)
    assert plan.layout.vectors_on_disk
    assert "  vectors on disk: memory has no room" in plan.describe()
    assert plan_run(MILLION, max_memory=None, held=100 * MIB, available=0).layout == Layout(
        True, True
    )
    assert plan_run(MILLION, max_memory=None, held=None, available=None).layout == Layout()


@pytest.mark.parametrize(("rows", "is_told"), [(199_999, False), (200_000, True)])
def test_the_plan_of_a_large_pool_is_told_unasked(rows: int, is_told: bool) -> None:
    load = replace(MILLION, num_rows=rows)
    plan = plan_run(load, max_memory=None, held=100 * MIB, available=64 << 30)
    assert plan.is_worth_telling == is_told
    assert plan_run(load, max_memory=32 << 30, held=1, available=None).is_worth_telling


def test_vectors_that_were_given_are_not_written_again() -> None:
    given = replace(MILLION, encoder=None, tokens=0)
    plan = plan_run(given, max_memory=1200 * MIB, held=100 * MIB, available=None)
    assert not plan.layout.vectors_on_disk
    assert [stage.name for stage in plan.stages][:2] == ["read", "graph"]


def test_a_graph_that_was_given_is_not_planned_to_lie_on_disk() -> None:
    given = replace(MILLION, encoder=None, tokens=0, has_graph=True)
    plan = plan_run(given, max_memory=None, held=100 * MIB, available=0)
    assert plan.layout == Layout()


def test_the_plan_names_each_stage_with_its_bytes_and_time() -> None:
    plan = plan_run(MILLION, max_memory=3 << 30, held=100 * MIB, available=None)
    first, *lines, of_times = plan.describe().splitlines()
    assert first == "plan for 1000000 rows, max_memory 3.0 GiB:"
    stages = ["read", "embedding", "graph", "transition", "curation", "choice", "save"]
    assert [line.split()[0] for line in lines] == stages
    assert all("in memory" in line for line in lines)
    assert lines[0].endswith(", done")  # the rows are there when it is told
    assert all(", about " in line for line in lines[1:])
    assert of_times.startswith("  times are of ")
    assert json.loads(json.dumps(plan.record()))["stages"]["graph"]["memory"] > 0


def _seconds(load: Load) -> dict[str, float]:
    return {stage.name: stage.seconds for stage in plan_stages(load, 0, Layout())}


def test_times_are_about_those_that_were_measured() -> None:
    """On two cores with AVX-512 and VNNI; within a factor of 1.5."""
    exact = Load(300_000, 384, neighbours=10, levels=6, threads=2)
    assert 27.6 / 1.5 < _seconds(exact)["graph"] < 27.6 * 1.5
    approximate = Load(1_000_000, 384, neighbours=10, levels=6, is_exact=False, threads=2)
    assert 8 / 1.5 < _seconds(approximate)["graph"] < 8 * 1.5
    whole = Load(
        1_000_000, 256, neighbours=20, levels=6, tokens=225_000_000,
        encoder=replace(STATIC, width=256), is_exact=False, threads=2,
    )  # fmt: skip
    seconds = _seconds(whole)
    assert 31.2 / 1.5 < seconds["embedding"] < 31.2 * 1.5
    assert 19.0 / 1.5 < seconds["graph"] < 19.0 * 1.5
    assert max(seconds[name] for name in ("transition", "curation", "choice", "save")) <= 3


def test_an_exact_graph_takes_four_times_as_long_for_twice_the_rows() -> None:
    load = Load(100_000, 384, neighbours=10, levels=6)
    for is_exact, times, word in ((True, 4.0, "exact"), (False, 2.0, "approximate")):
        one = replace(load, is_exact=is_exact)
        twice = replace(one, num_rows=2 * one.num_rows)
        assert _seconds(twice)["graph"] == pytest.approx(times * _seconds(one)["graph"])
        told = plan_run(one, max_memory=None, held=0, available=None).describe().splitlines()
        assert next(line for line in told if "  graph " in line).endswith(f"({word})")


def test_what_runs_in_float32_takes_longer() -> None:
    encoder = EncoderLoad(width=384, weight_bytes=90 * MIB, most_tokens=256, is_static=False)
    fast = Load(10_000, 384, neighbours=10, levels=6, tokens=1_000_000, encoder=encoder)
    compared, float32 = (replace(fast, exact_tokens=tokens) for tokens in (100_000, 1_000_000))
    times = [_seconds(load)["embedding"] for load in (fast, compared, float32)]
    assert times == sorted(set(times))
    # 281 texts a second in int8, 120 in float32: see README.md.
    assert 281 / 120 / 1.5 < times[2] / times[0] < 281 / 120 * 1.5


def test_a_static_model_takes_the_time_and_room_of_the_encoder_it_is_compared_with() -> None:
    alone = replace(MILLION, exact_tokens=150_000)
    beside = replace(alone, encoder=replace(STATIC, teacher_bytes=90 * MIB))
    assert _seconds(beside)["embedding"] > _seconds(alone)["embedding"] + 1
    held = [
        plan_stages(load, 0, Layout(vectors_on_disk=True))[1].memory for load in (alone, beside)
    ]
    assert held[1] - held[0] == 90 * MIB
    # In memory the vectors, which come later, are more than that.
    assert plan_stages(alone, 0, Layout())[1] == replace(
        plan_stages(beside, 0, Layout())[1], seconds=_seconds(alone)["embedding"]
    )


def test_a_width_that_an_encoder_does_not_tell_is_assumed_and_said_so(tmp_path: Path) -> None:
    tiny = make_tiny_encoder(tmp_path / "tiny")
    files = resolve_encoder(tiny.directory)
    told, untold = (
        encoder_load(one) for one in (files, replace(files, architecture=None, config={}))
    )
    assert (told.tells_width, untold.tells_width) == (True, False)
    assert told.width < untold.width
    load = Load(100_000, untold.width, neighbours=10, levels=6, tokens=1000, encoder=untold)
    plan = plan_run(load, max_memory=None, held=0, available=None)
    assert plan.stages[1].name == "embedding"
    assert plan.stages[1].memory > 4 * 100_000 * untold.width
    assert f"this encoder does not tell: {untold.width} numbers are assumed" in plan.describe()
    known = plan_run(replace(load, encoder=told), max_memory=None, held=0, available=None)
    assert "does not tell" not in known.describe()


def test_vectors_that_the_cache_has_are_told_and_need_no_room_again(
    static_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, texts = tmp_path / "cache", sorted(set(_texts(500)))
    sha256 = encoder_info(static_model).weights_sha256
    assert kept_bytes(cache, sha256) == 0
    embed(texts, model=static_model, cache_dir=cache, progress=False)
    kept = kept_bytes(cache, sha256)
    assert kept == len(texts) * (4 * 64 + 28)
    assert kept_bytes(cache, "of others") == kept_bytes(False, sha256) == 0
    load = Load(
        len(texts), 64, neighbours=3, levels=5, tokens=10_000, has_store=True,
        encoder=EncoderLoad(64, 0, None, is_static=True),
    )  # fmt: skip
    first, again = (
        replace(
            plan_run(replace(load, kept=there), max_memory=None, held=0, available=None),
            layout=Layout(vectors_on_disk=True),
        )
        for there in (0, kept)
    )
    assert first.record() == again.record()
    assert f"the cache take no time: it has {len(texts)} of" in again.describe()
    assert "the cache take no time" not in first.describe()
    usage = type("Usage", (), {"free": first.disk - 1})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    with pytest.raises(OutputError, match="max_memory: expected room for"):
        check_room(first, cache)
    check_room(again, cache)


def test_what_a_run_has_to_do_is_read_off_its_settings(
    static_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Load] = []

    def plan(load: Load, **known: Any) -> Any:
        loads.append(load)
        return plan_run(load, **known)

    monkeypatch.setattr("ds2fast.stages.plan_run", plan)
    for recall in (0.9, 1.0):  # of all neighbours: an exact search
        ds2fast.select(
            _rows(), n=9, k=3, model=static_model, cache_dir=tmp_path / "cache", progress=False,
            graph_method="approximate", recall=recall,
        )  # fmt: skip
    first, again = loads
    assert (first.is_exact, again.is_exact) == (False, True)
    assert first.exact_tokens == first.tokens > 0  # too few texts to compare precisions on
    assert first.kept == 0
    assert again.kept == len(set(_texts(90))) * (4 * 64 + 28)


def test_a_graph_that_was_given_is_held_already() -> None:
    load = Load(1_000_000, 0, neighbours=20, levels=6, has_graph=True)
    given = plan_stages(load, 100 * MIB, Layout())
    made = plan_stages(replace(load, has_graph=False), 100 * MIB, Layout())
    assert given[-1].name == made[-1].name == "save"
    assert made[-1].memory - given[-1].memory == 8 * 20 * 1_000_000


def test_the_plan_of_a_driver_counts_what_it_holds_and_says_whose_bytes_they_are() -> None:
    given = replace(MILLION, encoder=None, tokens=0)
    plans = {
        engine: plan_run(
            replace(given, engine=engine), max_memory=None, held=100 * MIB, available=64 << 30
        )
        for engine in ("local", "ray")
    }
    notes = {engine: "the bytes of this process" in plans[engine].describe() for engine in plans}
    assert notes == {"local": False, "ray": True}
    local, driver = (
        next(stage for stage in plan.stages if stage.name == "graph") for plan in plans.values()
    )
    rows, pairs = 1_000_000, 20_000_000
    # Lists of 12 bytes a neighbour, and 4 more while they are rounded; norms; a block on its way.
    assert driver.memory >= 100 * MIB + 16 * pairs + 8 * rows + 256 * MIB
    assert driver.memory < local.memory - 384 * rows + 256 * MIB  # and no codes
    on_disk = plan_stages(replace(given, engine="ray"), 100 * MIB, Layout(graph_on_disk=True))[1]
    assert on_disk.name == "graph"
    assert on_disk.disk == 12 * pairs
    assert on_disk.memory == driver.memory - 8 * pairs


def test_norms_and_result_are_part_of_what_a_search_on_disk_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BegunError(Exception):
        pass

    def begin(*_: Any, block_rows: int, **__: Any) -> None:
        blocks.append(block_rows)
        raise BegunError

    blocks: list[int] = []
    monkeypatch.setattr("ds2fast.graph_search.exact_blocks", begin)
    rows = np.random.default_rng(0).standard_normal((200_000, 2), dtype=np.float32)
    norms, limit = 8 * 200_000, 40_000_000
    search: dict[str, Any] = {"method": "exact", "cache_dir": tmp_path, "threads": 1}
    with pytest.raises(BegunError):
        ds2fast.knn_graph(rows, 5, max_memory=limit, progress=False, **search)
    assert blocks_memory(200_000, 2, 5, blocks[0], itemsize=0) + norms <= limit
    # One block less would be beyond it.
    larger = -(-len(rows) // (-(-len(rows) // blocks[0]) - 1))
    assert blocks_memory(200_000, 2, 5, larger, itemsize=0) + norms > limit
    monkeypatch.setattr("ds2fast.graph_search.search_memory", lambda *_: 1 << 40)
    result = 8 * 40 * 200_000 + norms
    with pytest.raises(InputError, match=r"^max_memory: expected at least 63 MiB for a graph of"):
        ds2fast.knn_graph(rows, 40, max_memory=result - 1, progress=False, **search)
    assert len(blocks) == 1


@pytest.fixture
def static_model(tmp_path: Path) -> Path:
    return write_static(tmp_path / "static", {"embeddings": make_table(width=64)})


def _texts(count: int) -> list[str]:
    """Texts of known words, every seventh twice."""
    chosen = np.random.default_rng(5).integers(0, len(WORDS), (count, 6))
    texts = [" ".join(WORDS[word] for word in row) for row in chosen]
    texts[::7] = texts[1::7] + texts[: len(texts[::7]) - len(texts[1::7])]
    return texts


@pytest.mark.parametrize("kept", [True, False])
def test_vectors_in_a_file_are_the_same_bytes(
    static_model: Path, tmp_path: Path, kept: bool
) -> None:
    texts = _texts(10_000)  # more than are written or read at a time
    cache: Any = tmp_path / "cache" if kept else False
    settings: dict[str, Any] = {"model": static_model, "precision": "fp32", "progress": False}
    expected = embed(texts, cache_dir=False, **settings).vectors
    assert not isinstance(expected, np.memmap)
    for _ in range(2):  # the second time, with a cache, all come from there
        found = embed(texts, cache_dir=cache, scratch=tmp_path / "work", **settings).vectors
        assert isinstance(found, np.memmap)
        assert found.tobytes() == expected.tobytes()
    assert list((tmp_path / "work").iterdir()) == []


_HELD = """
import sys
from ds2fast.embedding import embed
from ds2fast.memory.machine import held_memory
model, scratch = sys.argv[1:]
texts = [f"a toad at {number}" for number in range(6_000)]
settings = dict(model=model, precision="fp32", progress=False, cache_dir=False)
embed(texts[:100], **settings)  # what the libraries take, and keep, they have then
before = held_memory()
on_disk = embed(texts, scratch=scratch, **settings)
between = held_memory()
in_memory = embed(texts, **settings)
print(before, between, held_memory())
"""


def test_vectors_in_a_file_are_not_in_memory(tmp_path: Path) -> None:
    """In a process of its own: in this one, what was held before may be taken again."""
    if held_memory() is None:
        pytest.skip("this system does not say what a process holds")
    vectors = 6_000 * 2_000 * 4
    model = write_static(tmp_path / "static", {"embeddings": make_table(width=2_000)})
    told = subprocess.run(
        [sys.executable, "-c", _HELD, str(model), str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    before, between, after = map(int, told.stdout.split())
    assert between - before < vectors / 2
    assert after - between > vectors / 2


def test_a_comparison_of_precisions_leaves_the_same_bytes_in_a_file(tmp_path: Path) -> None:
    """Without a cache the compared texts do not run again: their vectors are put among the rest."""
    tiny = make_tiny_encoder(tmp_path / "tiny")
    gate = ds2fast.PrecisionGate(sample=30, cosine=0.0, overlap=0.0)
    settings: dict[str, Any] = {"model": tiny.directory, "gate": gate, "cache_dir": False}
    expected = embed(_texts(200), progress=False, **settings)
    found = embed(_texts(200), progress=False, scratch=tmp_path / "work", **settings)
    assert found.precision == expected.precision
    assert found.vectors.tobytes() == expected.vectors.tobytes()


def test_a_run_killed_while_it_embeds_to_disk_ends_with_the_same_bytes(tmp_path: Path) -> None:
    tiny = make_tiny_encoder(tmp_path / "tiny")
    (tmp_path / "texts").write_text("\n".join(_texts(60)))
    settings: dict[str, Any] = {
        "texts": str(tmp_path / "texts"),
        "log": str(tmp_path / "log"),
        "output": str(tmp_path / "vectors.npy"),
        "rows": 3,
        "pause": 0.0,
        "hold": None,
        "most_bytes": None,
        "embed": {
            "model": str(tiny.directory),
            "precision": "int8",
            "cache_dir": str(tmp_path / "cache"),
            "scratch": str(tmp_path / "work"),
        },
    }
    for batches in (1, 5):
        _kill_at(batches, settings)
        assert list((tmp_path / "work").iterdir()) == []
    finished = _embed_in_child(settings)
    assert finished["num_run"] <= len(set(_texts(60))) - 5
    elsewhere = {**settings["embed"], "cache_dir": str(tmp_path / "other"), "scratch": None}
    _embed_in_child({**settings, "embed": elsewhere, "output": str(tmp_path / "whole.npy")})
    assert (tmp_path / "vectors.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def _kill_at(batches: int, settings: dict[str, Any]) -> None:
    """Embed, and kill the process while the batch behind so many runs."""
    command = [sys.executable, str(CHILD), json.dumps({**settings, "hold": batches + 1})]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as child:
        assert child.stdout is not None
        for expected in ["started", *["running"] * (batches + 1)]:
            assert child.stdout.readline().strip() == expected
        child.kill()
        assert child.wait() == -signal.SIGKILL


def _embed_in_child(settings: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, str(CHILD), json.dumps(settings)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def _rows(count: int = 90) -> list[dict[str, Any]]:
    return [{"text": text, "score": number % 5} for number, text in enumerate(_texts(count))]


def _limit_to(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `max_memory` be just what a run of that layout takes, whatever it is."""
    monkeypatch.setattr("ds2fast.stages.held_memory", lambda: 100 * MIB)

    def planned(load: Load, **known: Any) -> Any:
        peak = max(stage.memory for stage in plan_stages(load, 100 * MIB, layout))
        return plan_run(load, **{**known, "max_memory": peak})

    monkeypatch.setattr("ds2fast.stages.plan_run", planned)


def test_a_selection_with_vectors_on_disk_is_the_same(
    static_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "n": 9, "model": static_model, "precision": "fp32", "progress": False, "k": 3,
        "max_similarity": 0.999,
    }  # fmt: skip
    expected = ds2fast.select(_rows(), cache_dir=False, **settings)
    _limit_to(Layout(vectors_on_disk=True), monkeypatch)
    # The map, and near-duplicates, are of the vectors on disk, too.
    found = ds2fast.select(_rows(), cache_dir=tmp_path / "cache", max_memory="1GiB", **settings)
    assert found.settings["memory_plan"]["vectors_on_disk"]
    assert isinstance(found.vectors.base if found.vectors is not None else None, np.memmap)
    assert found.indices.tolist() == expected.indices.tolist()
    assert found.graph.indices.tobytes() == expected.graph.indices.tobytes()
    assert found.graph.similarities.tobytes() == expected.graph.similarities.tobytes()
    assert found.positions is not None
    assert expected.positions is not None
    assert found.positions.tobytes() == expected.positions.tobytes()
    assert list((tmp_path / "cache" / "work").iterdir()) == []
    found.save(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["settings"]["max_memory"] == 1 << 30
    assert manifest["settings"]["memory_plan"]["stages"]["embedding"]["disk"] > 90 * 64 * 4


@pytest.mark.parametrize("layout", [Layout(), Layout(True, True)])
def test_the_search_is_told_what_is_left_for_it_and_where_files_go(
    static_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    told: dict[str, Any] = {}

    def search(
        vectors: Any,
        k: int,
        *,
        method: str,
        recall: float,
        max_memory: Any,
        cache_dir: Any,
        **_: Any,
    ) -> ds2fast.KnnGraph:
        told.update(method=method, recall=recall, max_memory=max_memory, cache_dir=cache_dir)
        return ds2fast.knn_graph(vectors, k, progress=False)

    monkeypatch.setattr("ds2fast.engines.local.knn_graph", search)
    # So few rows are never searched on disk: that takes more memory than it spares.
    monkeypatch.setattr(
        "ds2fast.stages.plan_run",
        lambda load, **known: replace(plan_run(load, **known), layout=layout),
    )
    ds2fast.select(
        _rows(), n=9, k=3, model=static_model, precision="fp32", cache_dir=tmp_path / "cache",
        graph_method="exact", recall=0.9, max_memory="1GiB", progress=False,
    )  # fmt: skip
    assert (told["method"], told["recall"]) == ("exact", 0.9)
    assert told["cache_dir"] == (tmp_path / "cache" if layout.graph_on_disk else False)
    assert told["max_memory"] > 0


def test_too_little_memory_is_refused_before_anything_is_embedded(
    static_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr("ds2fast.engines.local.embed", too_late)
    with pytest.raises(InputError, match=r"max_memory: expected at least \d+MiB for 90 rows"):
        ds2fast.select(_rows(), n=9, model=static_model, max_memory="20MiB", progress=False)
    with pytest.raises(InputError, match=r"max_memory: expected at least \d+MiB for 90 rows"):
        ds2fast.diagnose(_rows(), model=static_model, max_memory=20 * MIB, progress=False)


def test_too_little_disk_is_refused_before_anything_is_embedded(
    static_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit_to(Layout(vectors_on_disk=True), monkeypatch)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutputError, match=r"max_memory: expected room for .* are left"):
        ds2fast.select(
            _rows(), n=9, model=static_model, max_memory="1GiB", cache_dir=tmp_path, progress=False
        )


def _pool(folder: Path) -> Path:
    path = folder / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _rows()))
    return path


def _cli(*arguments: Any) -> Result:
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


def test_the_command_line_tells_the_plan_before_the_work(
    static_model: Path, tmp_path: Path
) -> None:
    common = ["--model", static_model, "--precision", "fp32", "--cache-dir", tmp_path / "cache"]
    done = _cli(
        "select", _pool(tmp_path), "-n", 9, "-k", 3, "-o", tmp_path / "out", *common, "--no-report",
        "--max-memory", "4GiB", "--graph-method", "exact", "--recall", 0.9,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "plan for 90 rows, max_memory 4.0 GiB:" in done.stderr
    assert done.stderr.index("plan for 90 rows") < done.stderr.index("written to")
    settings = json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]
    kept = {name: settings[name] for name in ("max_memory", "graph_method", "recall", "engine")}
    assert kept == {
        "max_memory": 4 << 30, "graph_method": "exact", "recall": 0.9, "engine": "local",
    }  # fmt: skip
    again = ds2fast.reselect(tmp_path / "out", n=5, progress=False).settings
    assert {name: again[name] for name in kept} == kept  # its graph is the run's
    assert again["memory_plan"] == settings["memory_plan"]
    quiet = _cli(
        "diagnose", tmp_path / "pool.jsonl", "-k", 3, *common, "--max-memory", "4GiB", "-q"
    )
    assert quiet.exit_code == 0
    assert "plan for" not in quiet.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-memory", "4 elephants"], "max_memory: expected a number with a unit"),
        (["--max-memory", "20MiB"], "max_memory: expected at least"),
        (["--recall", "1.5"], "recall: expected a share in (0, 1], got 1.5"),
        (["--address", "head:6379"], "--address names a Ray cluster: expected --engine ray"),
    ],
)
def test_the_command_line_refuses_before_it_writes(
    static_model: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    done = _cli(
        "select", _pool(tmp_path), "-n", 9, "-o", tmp_path / "out", "--model", static_model,
        *options,
    )  # fmt: skip
    assert done.exit_code != 0
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_vectors_of_a_file_are_read_in_place(tmp_path: Path, dtype: type[np.floating[Any]]) -> None:
    vectors = np.random.default_rng(0).normal(size=(90, 16)).astype(dtype)
    np.save(tmp_path / "vectors.npy", vectors)
    scores = np.arange(90) % 5
    settings: dict[str, Any] = {"n": 9, "k": 3, "num_levels": 5, "progress": False}
    expected = ds2fast.select(scores=scores, embeddings=vectors, **settings)
    found = ds2fast.select(
        scores=scores, embeddings=tmp_path / "vectors.npy", max_similarity=1.0, **settings
    )
    assert found.indices.tolist() == expected.indices.tolist()
    kept = found.vectors
    assert kept is not None
    while isinstance(kept, np.ndarray) and not isinstance(kept, np.memmap):
        kept = kept.base
    assert isinstance(kept, np.memmap)


def test_vectors_of_a_file_must_be_of_the_texts(static_model: Path, tmp_path: Path) -> None:
    rows = _rows()
    made = embed([row["text"] for row in rows], model=static_model, progress=False, cache_dir=False)
    texts, encoder = [row["text"] for row in rows], {"name": made.model}
    save_with_origin(tmp_path / "vectors.npy", made.vectors, texts, encoder)
    settings: dict[str, Any] = {"n": 9, "k": 3, "progress": False}
    ds2fast.select(rows, embeddings=str(tmp_path / "vectors.npy"), **settings)
    with pytest.raises(InputError, match="these vectors are of other texts or in another order"):
        ds2fast.select(rows[::-1], embeddings=tmp_path / "vectors.npy", **settings)


def test_few_texts_are_held_where_memory_is_small(tmp_path: Path) -> None:
    pool = _pool(tmp_path)
    assert isinstance(ds2fast.read(pool).texts, list)
    small = ds2fast.read(pool, max_memory=16 * 1000)
    assert not isinstance(small.texts, list)
    assert list(small.texts) == ds2fast.read(pool).texts


def test_a_scratch_file_has_no_name_and_all_its_room(tmp_path: Path) -> None:
    rows = scratch_array(tmp_path / "work", (64, 1 << 18), np.float32)
    assert not rows.any()
    assert list((tmp_path / "work").iterdir()) == []
    with (tmp_path / "file").open("wb") as file:
        reserve(file.fileno(), 5, 1 << 20)
        assert os.fstat(file.fileno()).st_blocks * 512 >= 1 << 20
    with pytest.raises(OutputError, match=r"cannot keep .* GB in .*make room"):
        scratch_array(tmp_path / "work", (1 << 30, 1 << 20), np.float32)


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_spool_joins_what_came_part_by_part(tmp_path: Path, on_disk: bool) -> None:
    parts = [np.arange(5, dtype=np.int32), np.empty(0, np.int32), np.array([9, 8], np.int32)]
    spool = Spool(np.int32, tmp_path if on_disk else None)
    for part in parts:
        spool.add(part)
    joined = spool.joined()
    assert isinstance(joined, np.memmap) == on_disk
    assert joined.tolist() == [0, 1, 2, 3, 4, 9, 8]
    assert Spool(np.int32, tmp_path if on_disk else None).joined().tolist() == []
