"""ONNX graphs made fast for the CPU by onnxruntime's own tools: fused operators, int8 weights."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ds2fast import _core
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.export import export_encoder, graph_key
from ds2fast.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto

OnnxPrecision = Literal["fp32", "int8"]

OPTIMISE_VERSION = 2
"""Counts up whenever the steps below change, so that kept graphs are made anew."""

QUANTISED_OPERATORS = ("MatMul", "Attention")
"""Not the embedding lookup: it takes no time, and every later number is built on it."""

MAX_DRIFT = 1e-3
"""Largest difference, relative to the largest output, that fusing may make on random tokens: far
above float32's rounding in another order, far below what a wrongly fused graph gives."""

_FATAL = 4
_CHECKED_LENGTHS = (7, 4)  # of the two texts that the check runs: one has padding


def prepare_graph(files: EncoderFiles, cache: GraphCache, precision: OnnxPrecision) -> bytes | Path:
    """The graph that runs: exported or the model's own, optimised, for int8 quantised, and kept.

    Parameters
    ----------
    files : EncoderFiles
        An encoder in safetensors or ONNX.
    cache : GraphCache
        Where the result is kept, by the hash of the weights, the precision and the version of
        onnxruntime.
    precision : {"fp32", "int8"}
        int8 is dynamic: weights per channel, activations per run.

    Returns
    -------
    bytes or Path
        The graph; for fp32 the model's own file where it could not be optimised.

    Raises
    ------
    InputError
        Where the graph cannot be quantised, or the checkpoint not be exported.
    InputFileError
        Where files are broken, or the settings do not fit the weights.
    OutputError
        Where a cache folder that the caller named cannot be written.
    """
    try:
        return cache.get_or_make(optimised_key(files, precision), lambda: _make(files, precision))
    except _UnoptimisedError:
        return files.weights


def optimised_key(files: EncoderFiles, precision: OnnxPrecision) -> str:
    """Name of a kept graph: its weights' hash, and a short one of all else that it depends on."""
    import onnxruntime

    is_onnx = files.weights.suffix == ".onnx"
    base = files.weights_sha256() if is_onnx else graph_key(files)
    rest = [
        OPTIMISE_VERSION,
        base,
        precision,
        onnxruntime.__version__,
        precision == "int8" and _has_int8_dot_product(),
        _head_sizes(files),
    ]
    short = hashlib.sha256(json.dumps(rest).encode()).hexdigest()[:12]
    return f"{base.partition('-')[0]}-{precision}-{short}"


class _UnoptimisedError(Exception):
    """The model's own file is to be run, which is not worth keeping a second time."""


def _make(files: EncoderFiles, precision: OnnxPrecision) -> bytes:
    is_onnx = files.weights.suffix == ".onnx"
    graph = files.weights if is_onnx else export_encoder(files)
    num_heads, hidden_size = _head_sizes(files)
    fused = fuse(graph, num_heads=num_heads, hidden_size=hidden_size)
    if precision == "int8":
        return quantise(graph if fused is None else fused, source=files.weights)
    if fused is not None:
        return fused
    if isinstance(graph, Path):
        raise _UnoptimisedError
    return graph


def _head_sizes(files: EncoderFiles) -> tuple[int, int]:
    """Number of heads and hidden size; 0 leaves it to the optimiser to find them in the graph."""
    if files.architecture is not None:
        return files.architecture.num_heads, files.architecture.hidden_size
    found = (files.config.get("num_attention_heads"), files.config.get("hidden_size"))
    heads, hidden = (value if type(value) is int and value > 0 else 0 for value in found)
    return (heads, hidden) if heads and hidden and hidden % heads == 0 else (0, 0)


def fuse(graph: bytes | Path, *, num_heads: int = 0, hidden_size: int = 0) -> bytes | None:
    """Fuse attention, layer norms, GELU and skip connections; the output stays the same.

    Parameters
    ----------
    graph : bytes or Path
        The model; a path where its weights may lie beside it.
    num_heads, hidden_size : int
        The encoder's; 0 where they are not known.

    Returns
    -------
    bytes or None
        The fused model, after it gave the same numbers as the given one; None where it could not
        be made, or gave others, or is over 2 GiB.
    """
    try:
        with _quietly(), tempfile.TemporaryDirectory(prefix="ds2fast-") as folder:
            return _fuse(graph, Path(folder), num_heads, hidden_size)
    except Exception:  # tools that rewrite foreign graphs fail in many ways; the plain one runs
        return None


def _fuse(graph: bytes | Path, folder: Path, num_heads: int, hidden_size: int) -> bytes | None:

    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    simple = folder / "simple.onnx"
    _open(graph, simplified=simple)
    options = FusionOptions("bert")
    # It would gain nothing: the lookup of the embeddings takes no time.
    options.enable_embed_layer_norm = False
    options.enable_shape_inference = False  # it asks for sympy; what is fused is checked instead
    # opt_level 1 would do what _open just did, but asks for torch to do it.
    optimised = optimize_model(
        str(simple),
        model_type="bert",
        num_heads=num_heads,
        hidden_size=hidden_size,
        optimization_options=options,
        opt_level=0,
        use_gpu=False,
    )
    model: ModelProto = optimised.model
    fused: bytes = model.SerializeToString(deterministic=True)
    return fused if _agree(graph, fused) else None


def quantise(graph: bytes | Path, *, source: Path) -> bytes:
    """Weights of the matrix products in int8, one scale a channel; activations scaled in each run.

    Parameters
    ----------
    graph : bytes or Path
        A model, best a fused one.
    source : Path
        The file that messages name.

    Returns
    -------
    bytes
        The quantised model.

    Raises
    ------
    InputError
        Where it cannot be quantised.
    """
    try:
        with _quietly(), tempfile.TemporaryDirectory(prefix="ds2fast-") as folder:
            return _quantise(graph, Path(folder))
    except Exception as error:  # the quantiser's errors have no other base
        raise InputError(
            f"{source}: expected a graph that onnxruntime can quantise, got: "
            f"{type(error).__name__}: {error}; use precision='fp32'"
        ) from error


def _quantise(graph: bytes | Path, folder: Path) -> bytes:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    given, quantised = folder / "given.onnx", folder / "quantised.onnx"
    if isinstance(graph, bytes):
        given.write_bytes(graph)
    quantize_dynamic(
        given if isinstance(graph, bytes) else graph,
        quantised,
        op_types_to_quantize=list(QUANTISED_OPERATORS),
        per_channel=True,
        # Without a dot product of its own, the CPU adds pairs of products in 16 bits, which 8-bit
        # weights overflow and 7-bit weights do not.
        reduce_range=not _has_int8_dot_product(),
        weight_type=QuantType.QInt8,
        # The outputs of fused operators, whose types ONNX's own inference does not know.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    return quantised.read_bytes()


def _has_int8_dot_product() -> bool:
    """Whether products of int8 are added in 32 bits; all 64-bit ARM processors can do it."""
    is_arm = platform.machine().lower() in ("aarch64", "arm64")
    return is_arm or any("vnni" in level for level in _core.simd_levels())


def _open(graph: bytes | Path, *, simplified: Path | None = None) -> Any:
    """A session; where `simplified` is given, the graph with its constants folded goes there."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if simplified is not None:
        options.optimized_model_filepath = str(simplified)
        if isinstance(graph, Path):  # its tensors may be in files that are beside it alone
            name = f"{simplified.name}_data"
            key = "session.optimized_model_external_initializers_file_name"
            options.add_session_config_entry(key, name)
    return onnxruntime.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph),
        options,
        providers=["CPUExecutionProvider"],
        # As the optimiser's own call does: shared constants hide the patterns that it looks for.
        disabled_optimizers=["ConstantSharing"],
    )


def _agree(graph: bytes | Path, fused: bytes) -> bool:
    """Whether both graphs give the same numbers where tokens stand, of two short random texts."""
    rows, length = len(_CHECKED_LENGTHS), max(_CHECKED_LENGTHS)
    present = np.arange(length) < np.array(_CHECKED_LENGTHS)[:, None]
    # Ids that the smallest vocabulary has, and none of 0 and 1, which stand for padding.
    ids = np.where(present, np.random.default_rng(0).integers(2, 10, (rows, length)), 0)
    outputs = []
    for candidate in (graph, fused):
        session = _open(candidate)
        feeds = {}
        for node in session.get_inputs():
            kind = np.int32 if node.type == "tensor(int32)" else np.int64
            value = {"input_ids": ids, "attention_mask": present}.get(node.name, np.zeros_like(ids))
            feeds[node.name] = value.astype(kind)
        outputs.append([_visible(output, present) for output in session.run(None, feeds)])
    return all(
        np.abs(before - after).max() <= MAX_DRIFT * np.abs(before).max()
        for before, after in zip(*outputs, strict=True)
    )


def _visible(output: Any, present: np.ndarray[Any, np.dtype[np.bool_]]) -> Any:
    """Numbers that matter: what stands on padding may be anything."""
    array = np.asarray(output, np.float64)
    return array[present] if array.shape[:2] == present.shape else array


@contextmanager
def _quietly() -> Iterator[None]:
    """Undo what onnxruntime's tools do on the side: warnings, log handlers, entries of sys.path."""
    root, path = logging.getLogger(), list(sys.path)
    handlers, disabled = list(root.handlers), root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        sys.path[:] = path
