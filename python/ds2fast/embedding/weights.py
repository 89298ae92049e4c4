"""The weights of an encoder by what they do, read from model.safetensors, for all families."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
_ANY = -1  # a size that does not matter
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
        Where the file cannot be read, or lacks weights, has them in another shape or format, or
        holds numbers that are not finite.

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
    with _opened(path, architecture) as reader:
        return reader.read()


def check_weights(path: Path, architecture: Architecture) -> None:
    """Raise what `read_weights` would of the names, shapes and formats: only the head is read."""
    with _opened(path, architecture):
        pass


@contextmanager
def _opened(path: Path, architecture: Architecture) -> Iterator[_Reader]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            yield _Reader(path, file, architecture)
    except InputFileError:  # an OSError too
        raise
    except (OSError, SafetensorError) as error:
        raise InputFileError(
            f"{path}: expected weights in safetensors form, could not read them: {error}"
        ) from error


class _Reader:
    """An open safetensors file that holds what is expected in it, by its head."""

    def __init__(self, path: Path, file: Any, architecture: Architecture) -> None:
        self._path = path
        self._file = file
        self._architecture = architecture
        self._names = _NAMES.get(architecture.family, _BERT_NAMES)
        expected = self._expected()
        self._stored = self._find_names(expected, set(file.keys()))
        for name, shape in expected.items():
            self._check(name, shape)
        self._brain_floats: dict[str, FloatArray] | None = None

    def read(self) -> EncoderWeights:
        size = self._architecture
        return EncoderWeights(
            words=self._tensor(_WORDS),
            positions=self._tensor(_POSITIONS)[size.position_offset :],
            token_type=self._tensor(_TOKEN_TYPES)[0] if size.has_token_types else None,
            embedding_norm=self._norm(_EMBEDDING_NORM),
            layers=tuple(self._layer(number) for number in range(size.num_layers)),
            relative_bias=self._tensor(_RELATIVE_BIAS) if size.relative_buckets else None,
        )

    def _layer(self, number: int) -> Layer:
        names, home = self._names, f"{self._names.home}.{number}"
        return Layer(
            query=self._linear(f"{home}.{names.query}"),
            key=self._linear(f"{home}.{names.key}"),
            value=self._linear(f"{home}.{names.value}"),
            attention_output=self._linear(f"{home}.{names.attention_output}"),
            attention_norm=self._norm(f"{home}.{names.attention_norm}"),
            inner=self._linear(f"{home}.{names.inner}"),
            outer=self._linear(f"{home}.{names.outer}"),
            output_norm=self._norm(f"{home}.{names.output_norm}"),
        )

    def _linear(self, name: str) -> Linear:
        return Linear(self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias"))

    def _norm(self, name: str) -> Norm:
        return Norm(self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias"))

    def _find_names(self, expected: Iterable[str], present: set[str]) -> dict[str, str]:
        """Name under which the file stores each weight."""
        prefix = _PREFIXES[self._architecture.family]
        prefix = prefix if prefix + _WORDS in present else ""
        found, missing = {}, []
        for name in expected:
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

    def _expected(self) -> dict[str, Shape]:
        """Shape of each weight by its name; how many token types there are does not matter."""
        size, hidden = self._architecture, self._architecture.hidden_size
        shapes: dict[str, Shape] = {
            _WORDS: (size.vocab_size, hidden),
            _POSITIONS: (size.position_offset + size.num_positions, hidden),
        }
        if size.has_token_types:  # a single text has type 0
            shapes[_TOKEN_TYPES] = (_ANY, hidden)
        if size.relative_buckets:
            shapes[_RELATIVE_BIAS] = (size.relative_buckets, size.num_heads)
        parts: dict[str, Shape] = {_EMBEDDING_NORM: (hidden,)}
        for number in range(size.num_layers):
            home = f"{self._names.home}.{number}"
            parts |= {f"{home}.{name}": shape for name, shape in self._expected_layer().items()}
        for name, shape in parts.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes

    def _expected_layer(self) -> dict[str, Shape]:
        names = self._names
        hidden, inner = self._architecture.hidden_size, self._architecture.intermediate_size
        square = (names.query, names.key, names.value, names.attention_output)
        return {
            **dict.fromkeys(square, (hidden, hidden)),
            names.attention_norm: (hidden,),
            names.inner: (inner, hidden),
            names.outer: (hidden, inner),
            names.output_norm: (hidden,),
        }

    def _check(self, name: str, shape: Shape) -> None:
        stored = self._stored[name]
        kept = self._file.get_slice(stored)
        if kept.get_dtype() not in _READABLE:
            raise InputFileError(
                f"{self._path}: {stored}: expected one of {', '.join(_READABLE)}, "
                f"got {kept.get_dtype()}; save the checkpoint in float32"
            )
        found = tuple(kept.get_shape())
        if shape[0] == _ANY:
            shape = (max((1, *found[:1])), *shape[1:])
        if found != shape:
            raise InputFileError(
                f"{self._path}: {stored}: expected shape {shape} after config.json, got {found}"
            )

    def _tensor(self, name: str) -> FloatArray:
        stored = self._stored[name]
        kept = self._file.get_slice(stored)
        if kept.get_dtype() == "BF16":
            values = self._read_brain_floats()[stored].reshape(kept.get_shape())
        else:
            with np.errstate(over="ignore"):  # what is too large for float32 is told below
                values = np.ascontiguousarray(self._file.get_tensor(stored), dtype=np.float32)
        if not np.isfinite(values).all():
            raise InputFileError(
                f"{self._path}: {stored}: expected finite numbers, got others; the weights are "
                "damaged"
            )
        return values

    def _read_brain_floats(self) -> dict[str, FloatArray]:
        """All bfloat16 tensors: NumPy has no such type, so the file's bytes are asked for."""
        from safetensors import deserialize

        if self._brain_floats is None:
            # safetensors tells no types of it.
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
