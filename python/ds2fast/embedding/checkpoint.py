"""The files of an encoder in one folder, and what they say about pooling and length."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import orjson

from ds2fast.embedding.architecture import Architecture, parse, position_offset, supports
from ds2fast.embedding.external import external_files
from ds2fast.errors import InputError, InputFileError, ModelNotFoundError

Pooling = Literal["mean", "cls"]

GRAPHS = ("onnx/model.onnx", "model.onnx")
SAFETENSORS = "model.safetensors"
WEIGHTS = (*GRAPHS, SAFETENSORS)
"""Places of the weights; `weights_places` tells in which order a model's are looked for."""
TOKENIZERS = ("tokenizer.json", "vocab.txt")
DEFAULT_MAX_TOKENS = 512

# All of the same direction as the mean, and only the direction survives the L2 norm.
_POOLINGS: dict[str, Pooling] = {"mean": "mean", "mean_sqrt_len_tokens": "mean", "cls": "cls"}
_FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
}
_STATIC = "model2vec"


@dataclass(frozen=True)
class EncoderFiles:
    """Where an encoder's files are, and what they say.

    Attributes
    ----------
    name : str
        The model as it was asked for.
    revision : str or None
        Commit of the Hugging Face repository; None for a local directory.
    weights : Path
        `model.onnx` or `model.safetensors`.
    tokenizer : Path
        `tokenizer.json` or `vocab.txt`.
    config : mapping
        Content of config.json, empty where there is none; `config_path` is its place.
    tokenizer_config : mapping
        Content of tokenizer_config.json, empty where there is none.
    pooling : {"mean", "cls"}
        How token vectors become the text's vector.
    max_tokens : int
        Length at which texts are cut, special tokens included.
    lowercase : bool
        Whether texts are lowercased before the tokeniser sees them.
    architecture : Architecture or None
        What the arithmetic depends on, where config.json describes a supported family: the weights
        are then `model.safetensors` wherever that is there. None for all that only a graph of
        its own can run.
    """

    name: str
    revision: str | None
    weights: Path
    tokenizer: Path
    config_path: Path
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    pooling: Pooling
    max_tokens: int
    lowercase: bool
    architecture: Architecture | None = None

    def weights_sha256(self) -> str:
        """Hash of the weights' file; with tensors beside a graph, of all files' hashes.

        The files are read once.
        """
        return self._weights_hash

    @cached_property
    def _weights_hash(self) -> str:
        own = file_sha256(self.weights)
        beside = external_files(self.weights) if self.weights.suffix == ".onnx" else []
        if not beside:
            return own
        hashes = [own, *map(file_sha256, beside)]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()


@dataclass(frozen=True)
class Modules:
    """Where modules.json says that the parts of a sentence encoder are; "" is the folder itself.

    A static model has neither layers nor pooling: `transformer` is where its token vectors are.
    """

    transformer: str
    pooling: str
    is_static: bool = False


def file_sha256(path: Path) -> str:
    """Hash of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputFileError(f"{path}: could not be read: {error}") from error


def weights_places(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Places of a model's weights, best first: a graph where no encoder of ours reads tensors."""
    if supports(config) or config.get("model_type") == _STATIC:
        return (SAFETENSORS, *GRAPHS)
    return WEIGHTS


def read_modules(directory: Path) -> Modules:
    """Read modules.json; without one, the parts are where sentence-transformers puts them."""
    path = directory / "modules.json"
    if not path.is_file():
        return Modules("", "1_Pooling")
    modules = _read_json(path, list)
    try:
        # The type is a dotted class path, which has moved between versions; its name has not.
        parts = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in modules}
    except (KeyError, TypeError) as error:
        raise InputFileError(
            f"{path}: expected a list of modules, each with a type and a path, got: {error!r}"
        ) from error
    if "StaticEmbedding" in parts and "Transformer" not in parts:
        place = parts["StaticEmbedding"]
        return Modules("" if place == "." else place, "", is_static=True)
    unknown = sorted(set(parts) - {"Transformer", "Pooling", "Normalize"})
    if unknown or not {"Transformer", "Pooling"} <= set(parts):
        raise InputError(
            f"{path}: expected a Transformer and a Pooling module, and no others but Normalize, "
            f"got {', '.join(sorted(parts)) or 'none'}"
        )
    return Modules(parts["Transformer"], parts["Pooling"])


def read_checkpoint(directory: Path, *, name: str, revision: str | None = None) -> EncoderFiles:
    """Find an encoder's files in a folder and read its settings.

    Raises
    ------
    ModelNotFoundError
        Where files are missing: the message lists them.
    InputFileError
        Where a settings file is broken.
    InputError
        Where the settings ask for something that is not supported.
    """
    modules = read_modules(directory)
    if modules.is_static:
        raise InputError(f"{directory}: expected an encoder with layers, got a static model")
    home = directory / modules.transformer
    config = read_settings(home / "config.json")
    weights, tokenizer = _require_files(home, name, config)
    architecture = parse(config, home / "config.json") if supports(config) else None
    tokenizer_config = read_settings(home / "tokenizer_config.json")
    sentence_config = read_settings(home / "sentence_bert_config.json")
    return EncoderFiles(
        name=name,
        revision=revision,
        weights=weights,
        tokenizer=tokenizer,
        config_path=home / "config.json",
        config=config,
        tokenizer_config=tokenizer_config,
        pooling=_read_pooling(directory / modules.pooling / "config.json", directory),
        max_tokens=_max_tokens(home, config, architecture, tokenizer_config, sentence_config),
        lowercase=sentence_config.get("do_lower_case") is True,
        architecture=architecture,
    )


def _require_files(home: Path, name: str, config: Mapping[str, Any]) -> tuple[Path, Path]:
    places = weights_places(config)
    weights = next((home / place for place in places if (home / place).is_file()), None)
    tokenizer = next((home / place for place in TOKENIZERS if (home / place).is_file()), None)
    missing = []
    if weights is None:
        missing.append(" or ".join(WEIGHTS))
    elif weights.suffix == ".safetensors" and not (home / "config.json").is_file():
        missing.append("config.json")
    if tokenizer is None:
        missing.append(" or ".join(TOKENIZERS))
    if weights is None or tokenizer is None or missing:
        raise ModelNotFoundError(
            f"model {name!r}: {home} lacks {'; '.join(missing)}{_near_miss(home)}. "
            "Expected a sentence-transformers checkpoint in safetensors, or an ONNX model "
            "with its tokenizer.json"
        )
    return weights, tokenizer


def _near_miss(home: Path) -> str:
    """Weights in a form that cannot be used deserve a word."""
    if (home / "model.safetensors.index.json").is_file():
        return " (the weights are in several files, which is not supported)"
    if (home / "pytorch_model.bin").is_file():
        return " (pytorch_model.bin is a pickle, which is never read; save it as safetensors)"
    return ""


def _read_pooling(path: Path, directory: Path) -> Pooling:
    if not path.is_file():
        if (directory / "modules.json").is_file():
            raise ModelNotFoundError(
                f"{path}: expected the pooling that {directory / 'modules.json'} names, got no file"
            )
        return "mean"
    settings = read_settings(path)
    modes = [mode for flag, mode in _FLAGS.items() if settings.get(flag) is True]
    others = [
        key
        for key, value in settings.items()
        if key.startswith("pooling_mode_") and key not in _FLAGS and value is True
    ]
    if "pooling_mode" in settings:  # what newer sentence-transformers write
        modes, others = [str(settings["pooling_mode"])], []
    if not modes and not others:
        modes = ["mean"]
    if others or len(modes) != 1 or modes[0] not in _POOLINGS:
        raise InputError(
            f"{path}: expected one pooling, by mean or cls, got {', '.join(modes + others)}"
        )
    return _POOLINGS[modes[0]]


def _max_tokens(
    home: Path,
    config: Mapping[str, Any],
    architecture: Architecture | None,
    tokenizer_config: Mapping[str, Any],
    sentence_config: Mapping[str, Any],
) -> int:
    limit = sentence_config.get("max_seq_length") or tokenizer_config.get("model_max_length")
    positions = config.get("max_position_embeddings")
    try:
        if architecture is not None:
            positions = architecture.num_positions
        elif positions is not None:
            positions = int(positions) - position_offset(config)
        known = [int(value) for value in (limit, positions) if value is not None]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputFileError(f"{home}: expected lengths as integers, got: {error}") from error
    # Tokenizers without a limit of their own carry a very large number.
    length = min(known) if known and min(known) < 10**9 else DEFAULT_MAX_TOKENS
    if length < 3:
        raise InputFileError(f"{home}: expected a maximum length of at least 3, got {length}")
    return length


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object; {} where the file does not exist."""
    return dict(_read_json(path, dict)) if path.is_file() else {}


def _read_json(path: Path, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputFileError(f"{path}: expected JSON, could not read it: {error}") from error
    if not isinstance(content, kind):
        raise InputFileError(
            f"{path}: expected a JSON {'list' if kind is list else 'object'}, "
            f"got {type(content).__name__}"
        )
    return content
