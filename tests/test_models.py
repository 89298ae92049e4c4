"""models.py: which files a name means, what they say, and what is told where they are missing."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from onnx import TensorProto, helper, numpy_helper

import ds2fast
from ds2fast.embedding import embed, encoder_info, resolve_encoder
from ds2fast.embedding.checkpoint import weights_places
from ds2fast.embedding.hub import fetch
from ds2fast.embedding.models import resolve_model
from ds2fast.errors import InputError, InputFileError, InputTypeError, ModelNotFoundError
from encoder_fixtures import TinyEncoder, make_tiny_encoder, save_onnx
from static_fixtures import make_table, write_static
from waiting import PATIENCE

NAME = "somebody/tiny-encoder"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEncoder:
    return make_tiny_encoder(tmp_path / "tiny")


# A local directory


def test_directory(tiny: TinyEncoder) -> None:
    files = resolve_encoder(str(tiny.directory))
    assert files.weights == tiny.directory / "model.safetensors"
    assert files.tokenizer == tiny.directory / "tokenizer.json"
    assert files.name == str(tiny.directory)
    assert (files.revision, files.pooling, files.max_tokens) == (None, "mean", 16)


def test_directory_by_relative_name(tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.directory.parent)
    for name in ("./tiny", "tiny", Path("tiny")):
        assert resolve_encoder(name).weights.samefile(tiny.directory / "model.safetensors")


def test_home_directory(tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny.directory.parent))
    assert resolve_encoder("~/tiny").weights == tiny.directory / "model.safetensors"


def add_graphs(tiny: TinyEncoder) -> None:
    (tiny.directory / "onnx").mkdir()
    for place in ("model.onnx", "onnx/model.onnx"):
        (tiny.directory / place).write_bytes(b"graph")


def test_tensors_of_a_supported_family_are_taken_before_a_graph(tiny: TinyEncoder) -> None:
    add_graphs(tiny)
    files = resolve_encoder(tiny.directory)
    assert files.weights == tiny.directory / "model.safetensors"
    assert files.architecture is not None
    assert (files.architecture.family, files.architecture.num_positions) == ("bert", 24)


@pytest.mark.parametrize(
    "change", [{"model_type": "deberta-v2"}, {"hidden_act": "silu"}, {"num_hidden_layers": None}]
)
def test_a_graph_is_taken_where_the_family_is_not_supported(
    tiny: TinyEncoder, change: dict[str, Any]
) -> None:
    tiny.rewrite("config.json", **change)
    add_graphs(tiny)
    files = resolve_encoder(tiny.directory)
    assert (files.weights, files.architecture) == (tiny.directory / "onnx/model.onnx", None)
    (tiny.directory / "onnx" / "model.onnx").unlink()
    assert resolve_encoder(tiny.directory).weights == tiny.directory / "model.onnx"


def test_a_graph_is_taken_where_there_are_no_tensors(tiny: TinyEncoder) -> None:
    add_graphs(tiny)
    (tiny.directory / "model.safetensors").unlink()
    assert resolve_encoder(tiny.directory).weights == tiny.directory / "onnx" / "model.onnx"


def test_tensors_of_a_static_model_are_taken_before_a_graph() -> None:
    """Its repositories on the hub hold both."""
    assert weights_places({"model_type": "model2vec"})[0] == "model.safetensors"
    assert weights_places({})[0] == "onnx/model.onnx"


@pytest.mark.parametrize("place", ["", "."])
def test_static_models_are_downloaded(
    tiny: TinyEncoder, hub_cache: Path, hub: list[str], place: str
) -> None:
    """What to do with one is another module's business; it is no encoder with layers."""
    tiny.rewrite("config.json", model_type="model2vec")
    module = {"idx": 0, "name": "0", "path": place, "type": "models.StaticEmbedding"}
    (tiny.directory / "modules.json").write_text(json.dumps([module]))
    add_graphs(tiny)
    snapshot = fetch(NAME)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (snapshot / name).is_file()
    assert not any(".onnx" in path for path in hub)
    with pytest.raises(InputError, match="encoder with layers, got a static model"):
        resolve_encoder(tiny.directory)


def external(name: str, place: str) -> TensorProto:
    """A tensor that is in another file."""
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    return tensor


def save_graph_with_external(path: Path, places: tuple[str, str, str]) -> None:
    """Tensors by the three ways in which a graph holds them: its own, a node's, a branch's."""
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["out"], value=external("value", places[2]))],
        "branch", [], [output],
    )  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], ["held"], value=external("value", places[1])),
        helper.make_node("If", ["yes"], ["last_hidden_state"],
                         then_branch=branch, else_branch=branch),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "graph", [], [output], [external("words", places[0])])
    path.write_bytes(helper.make_model(graph).SerializeToString())


def test_hash_of_a_graph_without_other_files(tiny: TinyEncoder) -> None:
    (tiny.directory / "model.safetensors").unlink()
    graph = tiny.directory / "model.onnx"
    save_onnx(graph, [], {"words": np.zeros(4, np.float32)})
    (tiny.directory / "model.onnx_data").write_bytes(b"of no graph")
    expected = hashlib.sha256(graph.read_bytes()).hexdigest()
    assert resolve_encoder(tiny.directory).weights_sha256() == expected


def test_hash_covers_all_files_that_a_graph_names(tiny: TinyEncoder) -> None:
    (tiny.directory / "model.safetensors").unlink()
    places = ("tensors.bin", "model.onnx.data", "deeper/inner")
    save_graph_with_external(tiny.directory / "model.onnx", places)
    (tiny.directory / "deeper").mkdir()
    with pytest.raises(InputFileError, match=r"inner: could not be read"):
        resolve_encoder(tiny.directory).weights_sha256()
    for place in places:
        (tiny.directory / place).write_bytes(b"one")
    hashes = {resolve_encoder(tiny.directory).weights_sha256()}
    for place in places:
        (tiny.directory / place).write_bytes(b"two")
        hashes.add(resolve_encoder(tiny.directory).weights_sha256())
    assert len(hashes) == 4


@pytest.mark.parametrize("place", ["/etc/hostname", "../tensors.bin"])
def test_tensors_are_not_looked_for_elsewhere(tiny: TinyEncoder, place: str) -> None:
    (tiny.directory / "model.safetensors").unlink()
    save_graph_with_external(tiny.directory / "model.onnx", (place, "a", "b"))
    with pytest.raises(InputFileError, match=r"model\.onnx: expected tensors in files beside it"):
        resolve_encoder(tiny.directory).weights_sha256()


def test_weights_are_read_once_for_their_hash(
    tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def count(path: Path) -> str:
        asked.append(path)
        return "0"

    static = write_static(tmp_path / "static", {"embeddings": make_table()})
    for module in ("checkpoint", "static"):
        monkeypatch.setattr(f"ds2fast.embedding.{module}.file_sha256", count)
    for model in (tiny.directory, static):
        files = resolve_model(model)
        assert {files.weights_sha256(), files.weights_sha256()} == {"0"}
    assert asked == [tiny.directory / "model.safetensors", static / "model.safetensors"]


def test_onnx_needs_no_settings(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    (tmp_path / "tokenizer.json").write_text("{}")
    files = resolve_encoder(tmp_path)
    assert (files.pooling, files.max_tokens) == ("mean", 512)


def test_transformer_in_a_folder_of_its_own(tiny: TinyEncoder) -> None:
    home = tiny.directory / "0_BERT"
    home.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tiny.directory / name).rename(home / name)
    modules = json.loads((tiny.directory / "modules.json").read_text())
    modules[0]["path"] = "0_BERT"
    (tiny.directory / "modules.json").write_text(json.dumps(modules))
    assert resolve_encoder(tiny.directory).weights == home / "model.safetensors"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": None, "pooling_mode_mean_sqrt_len_tokens": True}, "mean"),
        ({"pooling_mode_mean_tokens": None, "pooling_mode": "cls"}, "cls"),
        ({"pooling_mode_mean_tokens": None, "pooling_mode_cls_token": None}, "mean"),
    ],
)
def test_pooling(tiny: TinyEncoder, settings: dict[str, Any], expected: str) -> None:
    tiny.rewrite("1_Pooling/config.json", **settings)
    assert resolve_encoder(tiny.directory).pooling == expected


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}, "max_tokens"),
        ({"pooling_mode_cls_token": True}, "mean, cls"),
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
    ],
)
def test_pooling_that_is_not_supported(
    tiny: TinyEncoder, settings: dict[str, Any], named: str
) -> None:
    tiny.rewrite("1_Pooling/config.json", **settings)
    with pytest.raises(InputError, match=rf"1_Pooling.*mean or cls, got .*{named}"):
        resolve_encoder(tiny.directory)


@pytest.mark.parametrize(
    ("own", "tokenizer", "positions", "expected"),
    [
        (16, 20, 24, 16),
        (None, 20, 24, 20),
        (None, None, 24, 24),
        (300, 20, 24, 24),
        (None, 10**30, 24, 24),
        (None, 10**30, None, 512),
        (None, None, None, 512),
    ],
)
def test_max_tokens(
    tiny: TinyEncoder, own: int | None, tokenizer: int | None, positions: int | None, expected: int
) -> None:
    tiny.rewrite("sentence_bert_config.json", max_seq_length=own)
    # As large as tokenizers write it where they know no limit.
    limit = None if tokenizer is None else min(tokenizer, 10**18)
    tiny.rewrite("tokenizer_config.json", model_max_length=limit)
    tiny.rewrite("config.json", max_position_embeddings=positions)
    assert resolve_encoder(tiny.directory).max_tokens == expected


def test_max_tokens_of_a_family_with_offset_positions(tiny: TinyEncoder) -> None:
    """RoBERTa's 514 positions begin behind the padding id 1: 512 tokens fit."""
    tiny.rewrite("sentence_bert_config.json", max_seq_length=514)
    tiny.rewrite("config.json", model_type="roberta", max_position_embeddings=514, pad_token_id=1)
    assert resolve_encoder(tiny.directory).max_tokens == 512
    # A graph of such a family, of a kind that no encoder of ours runs, counts as well.
    tiny.rewrite("config.json", hidden_act="silu")
    files = resolve_encoder(tiny.directory)
    assert (files.architecture, files.max_tokens) == (None, 512)


def test_positions_of_a_family_are_counted_in_one_place(tiny: TinyEncoder) -> None:
    """MPNet's code fixes the padding at 1, whatever config.json says."""
    tiny.rewrite("sentence_bert_config.json", max_seq_length=514)
    tiny.rewrite("tokenizer_config.json", model_max_length=None)
    tiny.rewrite("config.json", model_type="mpnet", max_position_embeddings=514, pad_token_id=5)
    files = resolve_encoder(tiny.directory)
    assert files.architecture is not None
    assert files.max_tokens == files.architecture.num_positions == 512


@pytest.mark.parametrize("value", ["long", 2, [16]])
def test_max_tokens_that_cannot_be(tiny: TinyEncoder, value: object) -> None:
    tiny.rewrite("sentence_bert_config.json", max_seq_length=value)
    with pytest.raises(InputFileError, match="length"):
        resolve_encoder(tiny.directory)


def test_info_identifies_the_weights(tiny: TinyEncoder) -> None:
    info = encoder_info(tiny.directory)
    content = (tiny.directory / "model.safetensors").read_bytes()
    assert info.weights_sha256 == hashlib.sha256(content).hexdigest()
    assert (info.weights, info.max_tokens) == ("model.safetensors", 16)


@pytest.mark.encoder
def test_real_encoder_is_the_one_of_the_hub(encoder_dir: Path) -> None:
    info = encoder_info(encoder_dir)
    published = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (info.weights_sha256, info.pooling, info.max_tokens) == (published, "mean", 256)


# A directory in which something is missing or broken


@pytest.mark.parametrize("name", ["./absent", "/no/such/place", "~/absent"])
def test_directory_that_does_not_exist(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_encoder(name)
    message = str(caught.value)
    assert repr(name) in message
    assert "nothing there" in message
    assert isinstance(caught.value, FileNotFoundError)


def test_a_file_is_no_directory(tiny: TinyEncoder) -> None:
    with pytest.raises(ModelNotFoundError, match=r"expected a directory at .*, got a file"):
        resolve_encoder(tiny.directory / "config.json")


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        (["model.safetensors"], ["model.onnx", "model.safetensors"]),
        (["config.json"], ["config.json"]),
        (["tokenizer.json", "vocab.txt"], ["tokenizer.json", "vocab.txt"]),
        (["model.safetensors", "tokenizer.json", "vocab.txt"], ["model.onnx", "vocab.txt"]),
        (["1_Pooling/config.json"], ["1_Pooling", "modules.json"]),
    ],
)
def test_missing_files_are_listed(tiny: TinyEncoder, removed: list[str], named: list[str]) -> None:
    for name in removed:
        (tiny.directory / name).unlink()
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_encoder(tiny.directory)
    assert all(word in str(caught.value) for word in [*named, str(tiny.directory)])


@pytest.mark.parametrize(
    ("name", "word"),
    [("pytorch_model.bin", "pickle"), ("model.safetensors.index.json", "several files")],
)
def test_weights_in_a_form_that_is_not_read(tiny: TinyEncoder, name: str, word: str) -> None:
    (tiny.directory / "model.safetensors").rename(tiny.directory / name)
    with pytest.raises(ModelNotFoundError, match=word):
        resolve_encoder(tiny.directory)


@pytest.mark.parametrize(
    "name", ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"]
)
@pytest.mark.parametrize("content", ["{broken", '"a word"', "\xff"])
def test_broken_settings(tiny: TinyEncoder, name: str, content: str) -> None:
    (tiny.directory / name).write_text(content, encoding="latin-1")
    with pytest.raises(InputFileError, match=f"{name}.*expected"):
        resolve_encoder(tiny.directory)


@pytest.mark.parametrize(
    ("modules", "error"),
    [
        ([{"type": "x.Transformer", "path": ""}], InputError),
        (
            [
                {"type": "x.Transformer", "path": ""},
                {"type": "x.Pooling", "path": "1_Pooling"},
                {"type": "x.Dense", "path": "2_Dense"},
            ],
            InputError,
        ),
        ([], InputError),
        ([{"path": ""}], InputFileError),
        (["Transformer"], InputFileError),
    ],
)
def test_modules_that_are_not_known(
    tiny: TinyEncoder, modules: list[Any], error: type[Exception]
) -> None:
    (tiny.directory / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(error, match=r"modules\.json"):
        resolve_encoder(tiny.directory)


@pytest.mark.parametrize("model", [None, 3, ["a"]])
def test_model_of_another_type(model: Any) -> None:
    with pytest.raises(InputTypeError, match="model: expected a directory or a Hugging Face id"):
        resolve_encoder(model)


def test_empty_name() -> None:
    with pytest.raises(ModelNotFoundError, match="model: expected"):
        resolve_encoder("")


# The Hugging Face hub


def fill_hub_cache(encoder: TinyEncoder, cache: Path) -> Path:
    """Lay an encoder into a folder as the hub's library does; return its snapshot."""
    repository = cache / f"models--{NAME.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    shutil.copytree(encoder.directory, snapshot)
    return snapshot


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's library."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every connection fails at once; the tries are listed."""
    tries: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        tries.append(arguments)
        raise OSError("the network is unplugged")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tries


def test_cached_model_needs_no_network(
    tiny: TinyEncoder, hub_cache: Path, no_network: list[object]
) -> None:
    snapshot = fill_hub_cache(tiny, hub_cache)
    files = resolve_encoder(NAME)
    assert files.weights == snapshot / "model.safetensors"
    assert (files.name, files.revision) == (NAME, COMMIT)
    assert no_network == []


@pytest.mark.parametrize("missing", ["modules.json", "model.safetensors", "1_Pooling/config.json"])
def test_cached_in_part_is_not_enough(
    tiny: TinyEncoder, hub_cache: Path, no_network: list[object], missing: str
) -> None:
    (fill_hub_cache(tiny, hub_cache) / missing).unlink()
    with pytest.raises(ModelNotFoundError, match="could not be reached"):
        resolve_encoder(NAME)
    assert no_network  # it did try


def test_hub_out_of_reach(hub_cache: Path, no_network: list[object]) -> None:
    begin = time.monotonic()
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_encoder(NAME)
    assert time.monotonic() - begin < 60  # some tries, and no waits between them that add up
    message = str(caught.value)
    for word in (NAME, str(hub_cache), "could not be reached", "HF_HOME", "local directory"):
        assert word in message


def test_name_that_is_no_id(no_network: list[object]) -> None:
    with pytest.raises(ModelNotFoundError, match="no such directory, and no Hugging Face id"):
        resolve_encoder("one/name/too/many")
    assert no_network == []


def run_offline(code: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with HF_HUB_OFFLINE=1 and no socket, in a process of its own."""
    guard = "import socket\ndef refuse(*a, **k): raise SystemExit('used the network')\n"
    guard += "socket.socket.connect = socket.getaddrinfo = refuse\n"
    package = str(Path(ds2fast.__file__).parent.parent)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(cache.parent)}
    environment["PYTHONPATH"] = package
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.run(
        [sys.executable, "-c", guard + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_offline_with_a_cache(tiny: TinyEncoder, tmp_path: Path) -> None:
    fill_hub_cache(tiny, tmp_path / "hub")
    code = "from ds2fast.embedding import embed\n"
    code += f"e = embed(['the frog'], model={NAME!r}, cache_dir=False)\nprint(*e.vectors[0])"
    done = run_offline(code, tmp_path / "hub")
    assert done.returncode == 0, done.stderr
    local = embed(["the frog"], model=tiny.directory, cache_dir=False)
    assert [float(word) for word in done.stdout.split()] == pytest.approx(
        local.vectors[0].tolist(), abs=1e-6
    )


def test_offline_without_a_cache(tmp_path: Path) -> None:
    code = "from ds2fast.embedding import resolve_encoder\nfrom ds2fast import errors\n"
    code += f"try: resolve_encoder({NAME!r})\nexcept errors.ModelNotFoundError as e: print(e)"
    done = run_offline(code, tmp_path / "hub")
    assert done.returncode == 0, done.stderr
    assert "unset HF_HUB_OFFLINE" in done.stdout
    assert str(tmp_path / "hub") in done.stdout


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does for one repository whose files lie in a folder."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.asked.append(self.path)
        if self.path.startswith(f"/api/models/{NAME}"):
            self._send(json.dumps(self._describe()).encode(), with_body=with_body)
            return
        name = self.path.partition("/resolve/")[2].partition("/")[2]
        if self.path.startswith(f"/{NAME}/resolve/") and (self.folder / name).is_file():
            self._send((self.folder / name).read_bytes(), with_body=with_body)
        else:
            known = self.path.startswith(f"/{NAME}/")
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _describe(self) -> dict[str, Any]:
        names = [str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()]
        return {"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}

    def _send(self, content: bytes, *, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tiny: TinyEncoder, hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on this machine that has the tiny encoder; what it is asked for is listed."""
    handler = type("Handler", (HubHandler,), {"folder": tiny.directory, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        # Before 1.0 the module that downloads had a copy of its own.
        copy = "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE"
        monkeypatch.setattr(copy, template, raising=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler.asked  # type: ignore[attr-defined]  # set on the class above
        server.shutdown()
        thread.join()


def test_download_takes_what_is_needed_and_once(
    tiny: TinyEncoder, hub_cache: Path, hub: list[str]
) -> None:
    (tiny.directory / "pytorch_model.bin").write_bytes(b"a pickle")
    (tiny.directory / "README.md").write_text("a model")
    files = resolve_encoder(NAME)
    assert (files.revision, files.pooling, files.max_tokens) == (COMMIT, "mean", 16)
    assert files.weights_sha256() == resolve_encoder(tiny.directory).weights_sha256()
    fetched = {p.name for p in files.weights.parent.rglob("*") if p.is_file()}
    assert "tokenizer.json" in fetched
    assert not fetched & {"pytorch_model.bin", "README.md", "vocab.txt"}
    hub.clear()
    assert resolve_encoder(NAME) == files
    assert hub == []


def test_download_of_a_model_without_modules(
    tiny: TinyEncoder, hub_cache: Path, hub: list[str]
) -> None:
    """A bare BERT is pooled by mean; that it has no modules.json is remembered."""
    (tiny.directory / "modules.json").unlink()
    shutil.rmtree(tiny.directory / "1_Pooling")
    files = resolve_encoder(NAME)
    assert files.pooling == "mean"
    hub.clear()
    assert resolve_encoder(NAME) == files
    assert hub == []


def test_download_completes_what_is_cached_in_part(
    tiny: TinyEncoder, hub_cache: Path, hub: list[str]
) -> None:
    snapshot = fill_hub_cache(tiny, hub_cache)
    (snapshot / "model.safetensors").unlink()
    assert resolve_encoder(NAME).weights == snapshot / "model.safetensors"


def test_tensors_are_downloaded_instead_of_onnx(
    tiny: TinyEncoder, hub_cache: Path, hub: list[str]
) -> None:
    add_graphs(tiny)
    assert resolve_encoder(NAME).weights.name == "model.safetensors"
    assert not any(".onnx" in path for path in hub)


def test_onnx_is_downloaded_where_the_family_is_not_supported(
    tiny: TinyEncoder, hub_cache: Path, hub: list[str]
) -> None:
    tiny.rewrite("config.json", model_type="deberta-v2")
    (tiny.directory / "onnx").mkdir()
    (tiny.directory / "onnx" / "model.onnx").write_bytes(b"graph")
    for place in ("model.onnx_data", "model.onnx.data", "model_int8.onnx"):
        (tiny.directory / "onnx" / place).write_bytes(b"weights")
    files = resolve_encoder(NAME)
    for place in ("model.onnx_data", "model.onnx.data"):
        assert (files.weights.parent / place).read_bytes() == b"weights"
    assert not any("int8" in path for path in hub)
    assert files.weights.read_bytes() == b"graph"
    assert not any("safetensors" in path for path in hub)


def test_repository_that_the_hub_does_not_have(hub_cache: Path, hub: list[str]) -> None:
    with pytest.raises(ModelNotFoundError, match="the hub has no such model"):
        resolve_encoder("somebody/else")


def test_repository_without_usable_weights(
    tiny: TinyEncoder, hub_cache: Path, hub: list[str]
) -> None:
    (tiny.directory / "model.safetensors").rename(tiny.directory / "pytorch_model.bin")
    with pytest.raises(ModelNotFoundError, match="ONNX or safetensors"):
        resolve_encoder(NAME)


def test_hub_stays_unasked_for_a_directory(tiny: TinyEncoder, no_network: list[object]) -> None:
    embed(["the frog"], model=tiny.directory, cache_dir=False)
    assert no_network == []
