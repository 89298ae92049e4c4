"""The weights of an encoder by what they do, read from model.safetensors, for all families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast.embedding.architecture import Architecture
from ds2fast.errors import InputFileError
from ds2fast.results import FloatArray

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Linear:
    """x·weightᵀ + bias; `weight` (out, in) float32, `bias` (out,) float32."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class Norm:
    """Layer normalisation; `scale` and `bias` (hidden,) float32."""

    scale: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class Layer:
    """Self-attention and a two-layer perceptron; each output is added to its input, and normed."""

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: Norm
    inner: Linear
    outer: Linear
    output_norm: Norm


@dataclass(frozen=True)
class EncoderWeights:
    """All weights that an encoder's arithmetic needs, float32 and C-contiguous.

    Attributes
    ----------
    words : (vocab_size, hidden)
        Vector of each token id.
    positions : (num_positions, hidden)
        Vector of each position, that of a text's first token first.
    token_type : (hidden,) or None
        Added to every token: the vector of token type 0, the only one that single texts have.
    embedding_norm : Norm
        Applied to the sum of the three.
    layers : tuple of Layer
        From the first to the last.
    relative_bias : (relative_buckets, num_heads) or None
        Added to the scores of attention, by the bucket of key's position less query's.
    """

    words: FloatArray
    positions: FloatArray
    token_type: FloatArray | None
    embedding_norm: Norm
    layers: tuple[Layer, ...]
    relative_bias: FloatArray | None


@dataclass(frozen=True)
class _LayerNames:
    """What a family calls the weights of a layer, below `home`.<number>."""

    home: str = "encoder.layer"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_output: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    inner: str = "intermediate.dense"
    outer: str = "output.dense"
    output_norm: str = "output.LayerNorm"


_BERT_NAMES = _LayerNames()
_NAMES = {
    "distilbert": _LayerNames(
        home="transformer.layer",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_output="attention.out_lin",
        attention_norm="sa_layer_norm",
        inner="ffn.lin1",
        outer="ffn.lin2",
        output_norm="output_layer_norm",
    ),
    "mpnet": _LayerNames(
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        attention_output="attention.attn.o",
        attention_norm="attention.LayerNorm",
    ),
}
# A model with a head on top keeps the encoder's weights under its own name.
_PREFIXES = {
    "bert": "bert.",
    "camembert": "roberta.",
    "distilbert": "distilbert.",
    "mpnet": "mpnet.",
    "roberta": "roberta.",
    "xlm-roberta": "roberta.",
}
_WORDS = "embeddings.word_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"
_TOKEN_TYPES = "embeddings.token_type_embeddings.weight"
_EMBEDDING_NORM = "embeddings.LayerNorm"
_RELATIVE_BIAS = "encoder.relative_attention_bias.weight"
_OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
_READABLE = ("BF16", "F16", "F32", "F64")


def parameter_bytes(architecture: Architecture) -> int:
    """Size of all weights as float32."""
    hidden, inner = architecture.hidden_size, architecture.intermediate_size
    layer = 4 * hidden * (hidden + 1) + 2 * hidden * inner + inner + hidden + 4 * hidden
    tables = architecture.vocab_size + architecture.num_positions
    tables += int(architecture.has_token_types) + 2
    biases = architecture.relative_buckets * architecture.num_heads
    return 4 * (architecture.num_layers * layer + tables * hidden + biases)


def read_weights(path: Path, architecture: Architecture) -> EncoderWeights:
    """Read the weights of an encoder; tensors that it does not need are left alone.

    Parameters
    ----------
    path : Path
        A safetensors file in BF16, F16, F32 or F64.
    architecture : Architecture
        What config.json says: the names and shapes to expect.

    Returns
    -------
    EncoderWeights
        Everything in float32.

    Raises
    ------
    InputFileError
        Where the file cannot be read, or lacks weights, or has them in another shape or format.

    Examples
    --------
    With the files of all-MiniLM-L6-v2 in the directory `encoder_dir`:

    >>> from ds2fast.embedding import resolve_encoder
    >>> from ds2fast.embedding.architecture import parse
    >>> files = resolve_encoder(encoder_dir)
    >>> weights = read_weights(files.weights, parse(files.config, files.config_path))
    >>> weights.words.shape, len(weights.layers)
    ((30522, 384), 6)
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return _Reader(path, file, architecture).read()
    except (OSError, SafetensorError) as error:
        raise InputFileError(
            f"{path}: expected weights in safetensors form, could not read them: {error}"
        ) from error


class _Reader:
    """An open safetensors file, and what is expected in it."""

    def __init__(self, path: Path, file: Any, architecture: Architecture) -> None:
        self._path = path
        self._file = file
        self._architecture = architecture
        self._names = _NAMES.get(architecture.family, _BERT_NAMES)
        self._stored = self._find_names(set(file.keys()))
        self._brain_floats: dict[str, FloatArray] | None = None

    def read(self) -> EncoderWeights:
        size, hidden = self._architecture, self._architecture.hidden_size
        rows = size.position_offset + size.num_positions
        return EncoderWeights(
            words=self._tensor(_WORDS, (size.vocab_size, hidden)),
            positions=self._tensor(_POSITIONS, (rows, hidden))[size.position_offset :],
            token_type=self._token_type(),
            embedding_norm=self._norm(_EMBEDDING_NORM),
            layers=tuple(self._layer(number) for number in range(size.num_layers)),
            relative_bias=self._relative_bias(),
        )

    def _token_type(self) -> FloatArray | None:
        if not self._architecture.has_token_types:
            return None
        # How many types there are does not matter to a single text, which has type 0.
        rows = max((1, *self._shape(_TOKEN_TYPES)[:1]))
        table = self._tensor(_TOKEN_TYPES, (rows, self._architecture.hidden_size))
        return np.asarray(table[0])

    def _relative_bias(self) -> FloatArray | None:
        size = self._architecture
        if not size.relative_buckets:
            return None
        return self._tensor(_RELATIVE_BIAS, (size.relative_buckets, size.num_heads))

    def _layer(self, number: int) -> Layer:
        hidden, inner = self._architecture.hidden_size, self._architecture.intermediate_size
        names, home = self._names, f"{self._names.home}.{number}"
        return Layer(
            query=self._linear(f"{home}.{names.query}", (hidden, hidden)),
            key=self._linear(f"{home}.{names.key}", (hidden, hidden)),
            value=self._linear(f"{home}.{names.value}", (hidden, hidden)),
            attention_output=self._linear(f"{home}.{names.attention_output}", (hidden, hidden)),
            attention_norm=self._norm(f"{home}.{names.attention_norm}"),
            inner=self._linear(f"{home}.{names.inner}", (inner, hidden)),
            outer=self._linear(f"{home}.{names.outer}", (hidden, inner)),
            output_norm=self._norm(f"{home}.{names.output_norm}"),
        )

    def _linear(self, name: str, shape: Shape) -> Linear:
        return Linear(
            self._tensor(f"{name}.weight", shape), self._tensor(f"{name}.bias", shape[:1])
        )

    def _norm(self, name: str) -> Norm:
        shape = (self._architecture.hidden_size,)
        return Norm(self._tensor(f"{name}.weight", shape), self._tensor(f"{name}.bias", shape))

    def _find_names(self, present: set[str]) -> dict[str, str]:
        """Name under which the file stores each weight."""
        prefix = _PREFIXES[self._architecture.family]
        prefix = prefix if prefix + _WORDS in present else ""
        found, missing = {}, []
        for name in self._needed():
            candidates = [prefix + name]
            for new, old in _OLD_NAMES.items():
                if name.endswith(new):
                    candidates.append(prefix + name.removesuffix(new) + old)
            match = next((candidate for candidate in candidates if candidate in present), None)
            if match is None:
                missing.append(name)
            else:
                found[name] = match
        if missing:
            raise InputFileError(
                f"{self._path}: expected the weights of a {self._architecture.family} encoder, "
                f"got none for {missing[0]} ({len(missing)} missing, {len(present)} tensors in "
                "the file)"
            )
        return found

    def _needed(self) -> Iterator[str]:
        names = self._names
        yield from (_WORDS, _POSITIONS)
        if self._architecture.has_token_types:
            yield _TOKEN_TYPES
        if self._architecture.relative_buckets:
            yield _RELATIVE_BIAS
        affine = [_EMBEDDING_NORM]
        for number in range(self._architecture.num_layers):
            home = f"{names.home}.{number}"
            affine += [f"{home}.{names.query}", f"{home}.{names.key}", f"{home}.{names.value}"]
            affine += [f"{home}.{names.attention_output}", f"{home}.{names.attention_norm}"]
            affine += [f"{home}.{names.inner}", f"{home}.{names.outer}"]
            affine += [f"{home}.{names.output_norm}"]
        for name in affine:
            yield from (f"{name}.weight", f"{name}.bias")

    def _shape(self, name: str) -> Shape:
        return tuple(self._file.get_slice(self._stored[name]).get_shape())

    def _tensor(self, name: str, shape: Shape) -> FloatArray:
        stored = self._stored[name]
        kept = self._file.get_slice(stored)
        if kept.get_dtype() not in _READABLE:
            raise InputFileError(
                f"{self._path}: {stored}: expected one of {', '.join(_READABLE)}, "
                f"got {kept.get_dtype()}; save the checkpoint in float32"
            )
        if tuple(kept.get_shape()) != shape:
            raise InputFileError(
                f"{self._path}: {stored}: expected shape {shape} after config.json, "
                f"got {tuple(kept.get_shape())}"
            )
        if kept.get_dtype() == "BF16":
            return self._read_brain_floats()[stored].reshape(shape)
        return np.ascontiguousarray(self._file.get_tensor(stored), dtype=np.float32)

    def _read_brain_floats(self) -> dict[str, FloatArray]:
        """All bfloat16 tensors: NumPy has no such type, so the file's bytes are asked for."""
        from safetensors import deserialize

        if self._brain_floats is None:
            tensors: Any = deserialize(self._path.read_bytes())  # type: ignore[no-untyped-call]
            self._brain_floats = {
                name: _from_brain_floats(tensor["data"])
                for name, tensor in tensors
                if tensor["dtype"] == "BF16"
            }
        return self._brain_floats


def _from_brain_floats(data: Any) -> FloatArray:
    """A bfloat16 is the upper half of a float32."""
    halves = np.frombuffer(data, dtype="<u2").astype(np.uint32)
    return (halves << 16).view(np.float32)
