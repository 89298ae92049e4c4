"""A BERT-family checkpoint: its settings from config.json, its weights from model.safetensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ds2fast.errors import InputError, InputFileError

SUPPORTED_MODEL_TYPES = ("bert",)
_PREFIXES = ("", "bert.")
_OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
_READABLE = {"F16", "F32", "F64"}


@dataclass(frozen=True)
class BertConfig:
    """The settings of a BERT encoder that its arithmetic depends on."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_positions: int
    token_types: int
    layer_norm_eps: float

    @classmethod
    def parse(cls, config: Mapping[str, Any], source: Path) -> Self:
        """Read the content of config.json; settings that the exporter does not know are errors."""
        _require_supported(config, source)
        try:
            parsed = cls(
                vocab_size=int(config["vocab_size"]),
                hidden_size=int(config["hidden_size"]),
                num_layers=int(config["num_hidden_layers"]),
                num_heads=int(config["num_attention_heads"]),
                intermediate_size=int(config["intermediate_size"]),
                max_positions=int(config["max_position_embeddings"]),
                token_types=int(config.get("type_vocab_size", 2)),
                layer_norm_eps=float(config.get("layer_norm_eps", 1e-12)),
            )
        except KeyError as error:
            raise InputFileError(f"{source}: expected a setting {error}, got none") from error
        except (TypeError, ValueError) as error:
            raise InputFileError(f"{source}: expected numbers as sizes, got: {error}") from error
        if parsed.num_heads < 1 or parsed.hidden_size % parsed.num_heads:
            raise InputFileError(
                f"{source}: expected a hidden_size that num_attention_heads divides, "
                f"got {parsed.hidden_size} and {parsed.num_heads}"
            )
        return parsed

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    def tensor_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every weight that the encoder needs."""
        hidden, inner = self.hidden_size, self.intermediate_size
        yield "embeddings.word_embeddings.weight", (self.vocab_size, hidden)
        yield "embeddings.position_embeddings.weight", (self.max_positions, hidden)
        yield "embeddings.token_type_embeddings.weight", (self.token_types, hidden)
        yield from _affine("embeddings.LayerNorm", (hidden,))
        for layer in range(self.num_layers):
            prefix = f"encoder.layer.{layer}"
            for name in ("query", "key", "value"):
                yield from _affine(f"{prefix}.attention.self.{name}", (hidden, hidden))
            yield from _affine(f"{prefix}.attention.output.dense", (hidden, hidden))
            yield from _affine(f"{prefix}.attention.output.LayerNorm", (hidden,))
            yield from _affine(f"{prefix}.intermediate.dense", (inner, hidden))
            yield from _affine(f"{prefix}.output.dense", (hidden, inner))
            yield from _affine(f"{prefix}.output.LayerNorm", (hidden,))


def _affine(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _require_supported(config: Mapping[str, Any], source: Path) -> None:
    known = {
        "model_type": SUPPORTED_MODEL_TYPES,
        "hidden_act": ("gelu",),
        "position_embedding_type": ("absolute",),
    }
    found = {
        "model_type": config.get("model_type"),
        "hidden_act": config.get("hidden_act", "gelu"),
        "position_embedding_type": config.get("position_embedding_type", "absolute"),
    }
    for setting, supported in known.items():
        if found[setting] not in supported:
            raise InputError(
                f"{source}: {setting} {found[setting]!r} cannot be turned into ONNX; expected one "
                f"of: {', '.join(supported)}. An encoder that comes with onnx/model.onnx needs no "
                "turning: use such a one, or put its ONNX form beside the weights"
            )
    if config.get("is_decoder", False):
        raise InputError(f"{source}: expected an encoder, got is_decoder true")


def read_weights(path: Path, config: BertConfig) -> dict[str, npt.NDArray[np.float32]]:
    """Every weight of the encoder as float32, by its name without the checkpoint's own prefix."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = _find_names(path, config, set(file.keys()))
            return {name: _read_tensor(path, file, stored, shape) for name, stored, shape in names}
    except (OSError, SafetensorError) as error:
        raise InputFileError(
            f"{path}: expected weights in safetensors form, could not read them: {error}"
        ) from error


def _find_names(
    path: Path, config: BertConfig, stored: set[str]
) -> list[tuple[str, str, tuple[int, ...]]]:
    """Pair each weight's name with the name under which the file stores it."""
    prefix = next((p for p in _PREFIXES if f"{p}embeddings.word_embeddings.weight" in stored), "")
    found, missing = [], []
    for name, shape in config.tensor_shapes():
        candidates = [prefix + name]
        for new, old in _OLD_NAMES.items():
            if name.endswith(new):
                candidates.append(prefix + name.removesuffix(new) + old)
        match = next((candidate for candidate in candidates if candidate in stored), None)
        if match is None:
            missing.append(name)
        else:
            found.append((name, match, shape))
    if missing:
        raise InputFileError(
            f"{path}: expected the weights of a BERT encoder, got none for {missing[0]} "
            f"({len(missing)} missing, {len(stored)} tensors in the file)"
        )
    return found


def _read_tensor(
    path: Path, file: Any, name: str, shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    kept = file.get_slice(name)
    if kept.get_dtype() not in _READABLE:
        raise InputFileError(
            f"{path}: {name}: expected one of {', '.join(sorted(_READABLE))}, "
            f"got {kept.get_dtype()}; save the checkpoint in float32"
        )
    if tuple(kept.get_shape()) != shape:
        raise InputFileError(
            f"{path}: {name}: expected shape {shape} after config.json, "
            f"got {tuple(kept.get_shape())}"
        )
    tensor: npt.NDArray[Any] = file.get_tensor(name)
    return np.asarray(tensor, dtype=np.float32)
