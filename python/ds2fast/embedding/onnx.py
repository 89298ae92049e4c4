"""An ONNX encoder that runs: tokens in, unit vectors out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ds2fast.closing import Closing
from ds2fast.embedding.batching import plan_batches
from ds2fast.embedding.cache import GraphCache
from ds2fast.embedding.checkpoint import EncoderFiles, Pooling
from ds2fast.embedding.optimise import OnnxPrecision, prepare_graph
from ds2fast.errors import InputError, InputFileError
from ds2fast.results import FloatArray, IntArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Int32Array = npt.NDArray[np.int32]

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_TOKEN_OUTPUTS = ("last_hidden_state", "token_embeddings")
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_FATAL = 4  # onnxruntime's log level: what goes wrong is raised, it need not be printed as well


class OnnxEncoder(Closing):
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
    precision : {"fp32", "int8"}
        What the graph computes in.
    pad_id : int
        Token id that stands on padding.

    Raises
    ------
    InputFileError
        Where the model cannot be read.
    InputError
        Where its inputs or outputs are not those of a sentence encoder.
    """

    def __init__(
        self,
        graph: bytes | Path,
        *,
        source: Path,
        pooling: Pooling,
        threads: int,
        precision: OnnxPrecision = "fp32",
        pad_id: int = 0,
    ) -> None:
        from onnxruntime import RunOptions

        self.precision = precision
        self._source = source
        self._session = _open(graph, source, threads)
        self._pooling = pooling
        self._pad_id = pad_id
        self._dtypes = _check_inputs(self._session, source)
        self._output, self._is_pooled = _choose_output(self._session, source)
        self._options = RunOptions()
        self._options.log_severity_level = _FATAL
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ds2fast-encoder")

    @classmethod
    def open(
        cls, files: EncoderFiles, *, cache: GraphCache, precision: OnnxPrecision, threads: int
    ) -> Self:
        """Open an encoder in ONNX or safetensors form, its graph optimised and kept in `cache`.

        Raises
        ------
        InputError, InputFileError, OutputError
            As `prepare_graph` does.
        """
        pad_id = files.config.get("pad_token_id")
        return cls(
            prepare_graph(files, cache, precision),
            source=files.weights,
            pooling=files.pooling,
            threads=threads,
            precision=precision,
            pad_id=pad_id if isinstance(pad_id, int) else 0,
        )

    def encode(self, ids: IntArray | Int32Array, offsets: IntArray) -> FloatArray:
        """Encode texts; those of like length run together, padded.

        In int8 a vector depends slightly on the texts that run with it.

        Parameters
        ----------
        ids : (total,) int32 or int64
            Token ids of all texts, one text after the other.
        offsets : (n + 1,) int64
            The tokens of text i are `ids[offsets[i]:offsets[i + 1]]`, at least one.

        Returns
        -------
        (n, d) float32
            Rows of norm 1.

        Raises
        ------
        InputFileError
            Where the model does not run on these tokens.
        """
        lengths = np.diff(offsets)
        vectors = np.empty((0, 0), np.float32)
        for rows in plan_batches(lengths):
            batch = self._encode_padded(*_pad(ids, offsets[rows], lengths[rows], self._pad_id))
            if not len(vectors):  # the first batch tells the width
                vectors = np.empty((len(lengths), batch.shape[1]), np.float32)
            vectors[rows] = batch
        return vectors

    def _encode_padded(self, ids: IntArray, mask: IntArray) -> FloatArray:
        """Vectors of a padded batch; `mask` is 1 where a token stands, 0 on padding."""
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds = {name: arrays[name].astype(dtype) for name, dtype in self._dtypes.items()}
        # A run cannot hear Ctrl-C. In a thread of its own it is told to stop by the one that can.
        result = self._worker.submit(self._run, feeds).result()
        if not self._is_pooled:
            result = _pool(result, mask, self._pooling)
        return _normalise(result)

    def _run(self, feeds: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Run with inputs and output in place: nothing is copied on the way in."""
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output(self._output)
        try:
            self._session.run_with_iobinding(binding, self._options)
        except Exception as error:  # onnxruntime's errors have no other base
            raise InputFileError(
                f"{self._source}: expected a model that runs on these tokens, got: {error}"
            ) from error
        result: npt.NDArray[Any] = binding.copy_outputs_to_cpu()[0]
        return result

    def close(self) -> None:
        """End a run that is still going on, between two operators, and its thread."""
        self._options.terminate = True
        self._worker.shutdown(wait=True, cancel_futures=True)


def _pad(
    ids: IntArray | Int32Array, begins: IntArray, lengths: IntArray, pad_id: int
) -> tuple[IntArray, IntArray]:
    """Token ids and attention mask of some texts, each (rows, longest) int64."""
    present = np.arange(lengths.max()) < lengths[:, None]
    padded = np.full(present.shape, pad_id, np.int64)
    padded[present] = np.concatenate(
        [ids[begin : begin + length] for begin, length in zip(begins, lengths, strict=True)]
    )
    return padded, present.astype(np.int64)


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
