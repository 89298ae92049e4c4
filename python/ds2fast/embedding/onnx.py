"""An ONNX encoder that runs: padded batches in, unit vectors out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ds2fast.embedding.checkpoint import Pooling
from ds2fast.errors import InputError, InputFileError
from ds2fast.results import FloatArray, IntArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_TOKEN_OUTPUTS = ("last_hidden_state", "token_embeddings")
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_FATAL = 4  # onnxruntime's log level: what goes wrong is raised, it need not be printed as well


class OnnxEncoder:
    """A session of ONNX Runtime; use it as a context manager.

    Parameters
    ----------
    graph : bytes or Path
        The model; a path where its weights may lie beside it.
    source : Path
        The file that messages name.
    pooling : {"mean", "cls"}
        How token vectors are pooled where the graph does not do it itself.
    threads : int
        Threads of one run.

    Raises
    ------
    InputFileError
        Where the model cannot be read.
    InputError
        Where its inputs or outputs are not those of a sentence encoder.
    """

    def __init__(
        self, graph: bytes | Path, *, source: Path, pooling: Pooling, threads: int
    ) -> None:
        from onnxruntime import RunOptions

        self._session = _open(graph, source, threads)
        self._pooling = pooling
        self._dtypes = _check_inputs(self._session, source)
        self._output, self._is_pooled = _choose_output(self._session, source)
        self._options = RunOptions()
        self._options.log_severity_level = _FATAL
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ds2fast-encoder")

    def encode(self, ids: IntArray, mask: IntArray) -> FloatArray:
        """Encode a batch.

        Parameters
        ----------
        ids, mask : (rows, length) int64
            Token ids, and 1 where a token stands, 0 on padding.

        Returns
        -------
        (rows, d) float32
            Rows of norm 1.
        """
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds = {name: arrays[name].astype(dtype) for name, dtype in self._dtypes.items()}
        # A run cannot hear Ctrl-C. In a thread of its own it is told to stop by the one that can.
        run = self._worker.submit(self._session.run, [self._output], feeds, self._options)
        result: npt.NDArray[Any] = run.result()[0]
        if not self._is_pooled:
            result = _pool(result, mask, self._pooling)
        return _normalise(result)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._options.terminate = True  # ends a run that is still going on, between two operators
        self._worker.shutdown(wait=True, cancel_futures=True)


def _open(graph: bytes | Path, source: Path, threads: int) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    # Waiting threads sleep: they leave the cores to other work, and none spins after a run.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A pattern is kept for each shape, and nearly every batch has its own.
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else str(graph),
            options,
            providers=["CPUExecutionProvider"],
        )
    except Exception as error:  # onnxruntime's errors have no other base
        raise InputFileError(
            f"{source}: expected an ONNX model, could not load it: {error}"
        ) from error


def _check_inputs(session: InferenceSession, source: Path) -> dict[str, npt.DTypeLike]:
    inputs = {node.name: node.type for node in session.get_inputs()}
    unknown = sorted(set(inputs) - _INPUTS)
    wrong = sorted(set(inputs.values()) - set(_INTEGERS))
    if unknown or wrong or "input_ids" not in inputs:
        raise InputError(
            f"{source}: expected integer inputs out of {', '.join(sorted(_INPUTS))}, got "
            + ", ".join(f"{name} {kind}" for name, kind in inputs.items())
        )
    return {name: _INTEGERS[kind] for name, kind in inputs.items()}


def _choose_output(session: InferenceSession, source: Path) -> tuple[str, bool]:
    """Name of the output to use, and whether it is pooled."""
    names = [node.name for node in session.get_outputs()]
    if "sentence_embedding" in names:
        return "sentence_embedding", True
    for name in _TOKEN_OUTPUTS:
        if name in names:
            return name, False
    raise InputError(
        f"{source}: expected an output sentence_embedding or {' or '.join(_TOKEN_OUTPUTS)}, "
        f"got {', '.join(names)}"
    )


def _pool(hidden: npt.NDArray[Any], mask: IntArray, pooling: Pooling) -> npt.NDArray[Any]:
    if pooling == "cls":
        return np.asarray(hidden[:, 0])
    weights = mask.astype(np.float32)
    total = np.einsum("rtd,rt->rd", hidden.astype(np.float32, copy=False), weights)
    return np.asarray(total / weights.sum(axis=1, keepdims=True))


def _normalise(vectors: npt.NDArray[Any]) -> FloatArray:
    rows = vectors.astype(np.float32, copy=False)
    with np.errstate(invalid="ignore", divide="ignore"):  # the caller looks for what is not finite
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
