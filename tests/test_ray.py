"""The stages on a Ray cluster: the same bytes as in this process, also where nodes are lost."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ds2fast
import ray_held
from ds2fast import _core, graph_search, graph_work
from ds2fast.approximate import approximate_graph
from ds2fast.approximate import rounds as approximate_rounds
from ds2fast.blocks import between
from ds2fast.embedding import embed, static_model
from ds2fast.engines import Engine, open_engine
from ds2fast.engines.ray import cluster as joined_cluster
from ds2fast.engines.ray import exact, model, nodes, rounds, stream
from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.workers import ModelSpec, tokenise
from ds2fast.errors import InputError
from encoder_fixtures import WORDS, make_tiny_encoder
from ray_held import begun, held, killing, noting
from static_fixtures import make_table, write_static

if find_spec("ray") is None and not os.environ.get("CI"):
    pytest.skip("ray is not installed: pip install 'ds2fast[ray]'", allow_module_level=True)

# As a process has it that never imported Ray before the engine did.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
import ray
import ray.cloudpickle

from ray_nodes import Nodes

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning:ray.data.context"
    ),  # of its own settings
]

ROWS = 2400


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    ray.cloudpickle.register_pickle_by_value(ray_held)  # nodes cannot import what tests can
    found = Nodes()
    found.grow_to(2)
    yield found
    found.close()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny").directory


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(WORDS, rng.integers(8, 20))) for _ in range(ROWS)]


@pytest.fixture
def _all_on_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "LEAST_TEXTS", 0)
    monkeypatch.setattr(model, "LEAST_TOKENS", 0)


def same_graph(one: ds2fast.KnnGraph, two: ds2fast.KnnGraph) -> bool:
    return (
        one.indices.tobytes() == two.indices.tobytes()
        and one.similarities.tobytes() == two.similarities.tobytes()
        and (one.method, one.recall) == (two.method, two.recall)
    )


@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")  # scores of chance
@pytest.mark.usefixtures("_all_on_nodes")
@pytest.mark.parametrize("count", [2, 4])
def test_it_selects_what_the_local_engine_selects(
    count: int, cluster: Nodes, encoder: Path, texts: list[str]
) -> None:
    cluster.grow_to(count)
    scores = np.random.default_rng(2).integers(0, 6, ROWS)
    rows = [{"text": text} for text in texts]
    settings: dict[str, Any] = {
        "n": 300, "scores": scores, "model": encoder, "cache_dir": False, "threads": 1,
        "progress": False,
    }  # fmt: skip
    local = ds2fast.select(rows, **settings)
    spread = ds2fast.select(rows, engine="ray", address=cluster.address, **settings)
    np.testing.assert_array_equal(spread.indices, local.indices)
    np.testing.assert_array_equal(spread.curated_scores, local.curated_scores)
    assert same_graph(spread.graph, local.graph)


@pytest.mark.usefixtures("_all_on_nodes")
@pytest.mark.parametrize("stage", ["tokenise", "encode"])
def test_a_node_killed_while_it_embeds_costs_its_tasks_only(
    stage: str,
    cluster: Nodes,
    encoder: Path,
    texts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster.grow_to(2)
    monkeypatch.setattr(model, stage, held(tmp_path, getattr(model, stage)))
    settings: dict[str, Any] = {
        "model": encoder, "cache_dir": False, "threads": 1, "progress": False, "precision": "fp32"
    }  # fmt: skip
    with (
        open_engine("ray", cluster.address) as engine,
        cluster.kill_at_work(tmp_path) as killed,
    ):
        spread = engine.embed(texts, **settings)
    assert spread.vectors.tobytes() == embed(texts, **settings).vectors.tobytes()
    check_lost_work(tmp_path, killed[0])


def test_a_node_killed_while_it_searches_costs_its_tasks_only(
    cluster: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.grow_to(2)
    monkeypatch.setattr(exact, "between", held(tmp_path, between))
    vectors = np.random.default_rng(3).standard_normal((ROWS, 24), dtype=np.float32)
    vectors[5] = vectors[1700] = vectors[9]  # copies in several blocks
    with (
        open_engine("ray", cluster.address) as engine,
        cluster.kill_at_work(tmp_path) as killed,
    ):
        spread = engine.graph(vectors, 12, threads=1, progress=False)
    assert same_graph(spread, ds2fast.knn_graph(vectors, 12, progress=False))
    check_lost_work(tmp_path, killed[0])


@pytest.mark.parametrize("stage", ["join", "descend"])
def test_a_node_killed_in_a_round_costs_its_tasks_only(
    stage: str, cluster: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.grow_to(2)
    monkeypatch.setattr(rounds, stage, held(tmp_path, getattr(approximate_rounds, stage)))
    vectors = np.random.default_rng(4).standard_normal((20_000, 8), dtype=np.float32)
    norms = _core.row_norms(vectors, 1)
    settings: dict[str, Any] = {"recall": 0.9, "seed": 0, "threads": 1}
    with Cluster(cluster.address) as joined, cluster.kill_at_work(tmp_path) as killed:
        runner = rounds.RayRunner(joined, 1)
        spread = approximate_graph(vectors, norms, 5, runner=runner, **settings)
    local = approximate_graph(vectors, norms, 5, **settings)
    assert spread is not None
    assert local is not None
    assert spread.ids.tobytes() == local.ids.tobytes()
    assert spread.similarities.tobytes() == local.similarities.tobytes()
    assert killed[0] in {node for node, _ in begun(tmp_path)}


def test_what_lies_in_files_gives_the_same_graph_and_is_not_pickled(
    cluster: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.grow_to(2)
    put: list[Any] = []
    put_there = ray.put

    def put_and_tell(value: Any) -> Any:
        put.append(value)
        return put_there(value)

    monkeypatch.setattr(ray, "put", put_and_tell)
    vectors = np.random.default_rng(6).standard_normal((20_000, 8), dtype=np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    opened: list[Path] = []
    open_work = graph_work.open_graph_work

    def open_and_tell(*given: Any, **more: Any) -> Any:
        work = open_work(*given, **more)
        opened.append(work.path)
        return work

    monkeypatch.setattr(graph_search, "open_graph_work", open_and_tell)
    settings: dict[str, Any] = {"recall": 0.9, "threads": 1, "progress": False}
    with open_engine("ray", cluster.address) as engine:
        # The graph has 0.9 MB, its lists 1.8; the other's numbers have 2.4 MB, with lists 7.
        for method, limit in (("exact", "1MiB"), ("approximate", "4MiB")):
            settings["method"] = method
            found = engine.graph(mapped, 5, max_memory=limit, cache_dir=tmp_path, **settings)
            assert same_graph(found, ds2fast.knn_graph(vectors, 5, **settings))
    assert len(opened) == 1
    assert sum(type(value) is np.ndarray for value in put) >= 2  # blocks
    assert {"Codes", "Lists", "Tree"} <= {type(value).__name__ for value in put}
    for value in put:
        assert len(pickle.dumps(value, protocol=5, buffer_callback=lambda _: None)) < 4000


@pytest.mark.usefixtures("_all_on_nodes")
def test_a_static_model_has_its_texts_tokenised_in_one_stream(
    cluster: Nodes, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.grow_to(2)
    streams: list[str] = []
    level = _core.simd_level()
    # As where processors are unlike: tasks are told the level.
    monkeypatch.setattr(joined_cluster, "check_nodes", lambda _: {nodes.LEVEL_VARIABLE: level})
    (tmp_path / "levels").mkdir()
    monkeypatch.setattr(
        model, "tokenise", noting(tmp_path / "levels", nodes.LEVEL_VARIABLE, tokenise)
    )
    through = stream.through_tasks

    def through_and_tell(where: Any, function: Any, *given: Any) -> Any:
        streams.append(function.__name__)
        return through(where, function, *given)

    monkeypatch.setattr(model, "through_tasks", through_and_tell)
    monkeypatch.setattr(static_model, "_BATCH_TEXTS", 500)
    settings: dict[str, Any] = {
        "model": write_static(tmp_path / "static", {"embeddings": make_table(width=16)}),
        "precision": "fp32", "cache_dir": False, "threads": 1, "progress": False,
    }  # fmt: skip
    with open_engine("ray", cluster.address) as engine:
        spread = engine.embed(texts, **settings)
    assert streams == ["tokenise"]
    assert {path.name for path in (tmp_path / "levels").iterdir()} == {level}
    assert logging.getLogger("ray.data").level != logging.ERROR  # that was for the time being
    # A thread that asks Ray for something after the end of the connection ends the process.
    assert "data-usage-metrics-poller" not in {thread.name for thread in threading.enumerate()}
    assert "RAY_DATA_USAGE_DISABLED" not in os.environ
    assert spread.vectors.tobytes() == embed(texts, **settings).vectors.tobytes()


@pytest.mark.usefixtures("_all_on_nodes")
@pytest.mark.parametrize("stage", ["tokenise", "between"])
def test_a_task_that_kills_its_process_each_time_is_an_error(
    stage: str, cluster: Nodes, encoder: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.grow_to(2)
    for module in (exact, stream):
        monkeypatch.setattr(module, "RETRIES", 1)
    for module in (exact, model):
        if hasattr(module, stage):
            monkeypatch.setattr(module, stage, killing())

    def run(engine: Engine) -> None:
        if stage == "between":
            engine.graph(np.eye(64, dtype=np.float32), 5, threads=1, progress=False)
        else:
            engine.embed(texts, model=encoder, cache_dir=False, threads=1, progress=False)

    with (
        open_engine("ray", cluster.address) as opened,
        pytest.raises(InputError, match=r"^address: .* got a task whose process was killed"),
    ):
        run(opened)


def check_lost_work(folder: Path, killed: str) -> None:
    """What the killed node had begun was begun again elsewhere, and nothing else was."""
    places: dict[str, list[str]] = {}
    for node, task in begun(folder):
        places.setdefault(task, []).append(node)
    lost = {task for task, where in places.items() if killed in where}
    assert lost
    assert all(set(places[task]) - {killed} for task in lost)
    assert all(len(where) == 1 for task, where in places.items() if task not in lost)


@pytest.mark.usefixtures("_all_on_nodes")
def test_what_came_is_kept_and_not_made_again(
    cluster: Nodes, encoder: Path, tmp_path: Path, texts: list[str]
) -> None:
    settings: dict[str, Any] = {
        "model": encoder, "backend": "onnxruntime", "cache_dir": tmp_path / "cache",
        "threads": 1, "progress": False,
    }  # fmt: skip
    with open_engine("ray", cluster.address) as engine:
        first = engine.embed(texts[:300], precision="int8", **settings)
        again = embed(texts[:300], precision="int8", **settings)
    assert (first.num_run, first.num_kept) == (len(set(texts[:300])), 0)
    assert (again.num_run, again.num_kept) == (0, len(set(texts[:300])))
    fresh = embed(texts[:300], precision="int8", **settings | {"cache_dir": False})
    assert first.vectors.tobytes() == fresh.vectors.tobytes() == again.vectors.tobytes()


@pytest.mark.usefixtures("_all_on_nodes")
def test_a_node_with_other_files_is_told_apart(
    cluster: Nodes, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiny_encoder(tmp_path / "tiny")
    monkeypatch.setattr(
        model,
        "ModelSpec",
        lambda name, identity, *more: ModelSpec(
            name, (*identity[:-1], ("weights", "others")), *more
        ),
    )
    with (
        open_engine("ray", cluster.address) as engine,
        pytest.raises(InputError, match=r"expected on every node the files .* \(weights\)"),
    ):
        engine.embed(texts, model=tmp_path / "tiny", cache_dir=False, progress=False)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"error": "No module named 'ds2fast'"}, "cannot be imported .*install it on every node"),
        ({"error": "", "version": "0.0.1", "level": "avx2"}, "got 0.0.1 on "),
    ],
)
def test_nodes_without_this_ds2fast_are_refused(
    reply: dict[str, Any], expected: str, cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_make_question", lambda: lambda: reply)
    with pytest.raises(InputError, match=expected), open_engine("ray", cluster.address):
        pass
    assert not ray.is_initialized()


def test_a_cluster_that_it_did_not_start_runs_on(cluster: Nodes) -> None:
    for _ in range(2):
        with open_engine("ray", cluster.address) as engine:
            assert engine.graph([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], 1).indices[0, 0] == 1
        assert not ray.is_initialized()


@pytest.mark.usefixtures("_all_on_nodes")
@pytest.mark.parametrize("stage", ["tokenising", "k-NN graph"])
def test_ctrl_c_leaves_the_cluster_as_it_was(
    stage: str, cluster: Nodes, encoder: Path, texts: list[str]
) -> None:
    def press(name: str, done: int, total: int) -> None:
        if name == stage and done:
            os.kill(os.getpid(), signal.SIGINT)

    def run() -> None:
        with open_engine("ray", cluster.address) as engine:
            if stage == "k-NN graph":
                engine.graph(np.eye(64, dtype=np.float32), 5, threads=1, progress=press)
            else:
                engine.embed(texts, model=encoder, cache_dir=False, threads=1, progress=press)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not ray.is_initialized()
    with open_engine("ray", cluster.address) as engine:
        assert engine.graph([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], 1).indices[0, 0] == 1


def test_a_cluster_of_its_own_ends_with_it(tmp_path: Path) -> None:
    code = (
        "from ds2fast.engines import open_engine\n"
        "import ray\n"
        "with open_engine('ray') as engine:\n"
        "    graph = engine.graph([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], 1)\n"
        "    print(graph.indices.ravel().tolist())\n"
        "    print(len(ray.nodes()))\n"
        "print(ray.is_initialized())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split("\n")[:3] == ["[1, 0, 1]", "1", "False"]


def test_a_search_ends_where_no_node_is_left_that_computes(
    cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.grow_to(1)
    monkeypatch.setattr(joined_cluster, "_TURN", 0.2)
    monkeypatch.setattr(joined_cluster, "LONGEST_ALONE", 0.0)

    def kill_all(name: str, done: int, total: int) -> None:
        if name == "k-NN graph" and len(cluster):
            cluster.kill_all()

    with (
        open_engine("ray", cluster.address) as engine,
        pytest.raises(
            InputError, match=r"^address: expected a cluster that keeps a node of 1 cores or more"
        ),
    ):
        engine.graph(np.eye(64, dtype=np.float32), 5, threads=1, progress=kill_all)


def test_a_cluster_that_ends_meanwhile_is_an_error_and_not_the_end_of_the_process(
    encoder: Path, tmp_path: Path
) -> None:
    child = Path(__file__).with_name("ray_lost_child.py")
    done = subprocess.run(
        [sys.executable, child, tmp_path, encoder], capture_output=True, text=True, check=False
    )
    last = done.stdout.splitlines()[-1:]
    assert last, done.stderr
    assert last[0].startswith(
        "address: expected a Ray cluster that runs until the work is done, got one that is gone ("
    )
    assert "Connection refused" in last[0]
    (tmp_path / "go").touch()  # for what a killed node has left
