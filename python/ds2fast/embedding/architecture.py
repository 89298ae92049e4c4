"""What the arithmetic of an encoder depends on, read from config.json, for all families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from ds2fast.errors import InputError, InputFileError
from ds2fast.results import IntArray

Family = Literal["bert", "camembert", "distilbert", "mpnet", "roberta", "xlm-roberta"]
Activation = Literal["gelu", "gelu_tanh", "relu"]

FAMILIES: tuple[str, ...] = get_args(Family)
"""Values of config.json's model_type that are supported: encoders that normalise after each
residual sum and attend over the whole text."""

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
_ROBERTA_LIKE = ("camembert", "roberta", "xlm-roberta")
# MPNet's code fixes these three, whatever config.json says.
_MPNET_PADDING_ID = 1
_MPNET_BUCKETS = 32
_MPNET_MAX_DISTANCE = 128
_DISTILBERT_EPS = 1e-12  # fixed by DistilBERT's code
_ADVICE = (
    "An encoder that comes with onnx/model.onnx runs whatever its architecture: use such a one, "
    "or put its ONNX form beside the weights"
)


@dataclass(frozen=True)
class _Names:
    """What a family calls its settings."""

    hidden_size: str = "hidden_size"
    num_layers: str = "num_hidden_layers"
    num_heads: str = "num_attention_heads"
    intermediate_size: str = "intermediate_size"
    activation: str = "hidden_act"


_NAMES = _Names()
_DISTILBERT_NAMES = _Names("dim", "n_layers", "n_heads", "hidden_dim", "activation")


@dataclass(frozen=True)
class Architecture:
    """The settings of an encoder that its arithmetic depends on.

    Attributes
    ----------
    family : str
        One of `FAMILIES`; it decides the names of the weights.
    vocab_size, hidden_size, num_layers, num_heads, intermediate_size : int
        Sizes; `num_heads` divides `hidden_size`.
    num_positions : int
        Tokens of the longest text that has a position for each.
    position_offset : int
        Rows of the stored position table before that of a text's first token.
    has_token_types : bool
        Whether the vector of token type 0 is added to every token.
    layer_norm_eps : float
        Added to the variance.
    activation : {"gelu", "gelu_tanh", "relu"}
        Between the two layers of the perceptron; "gelu" is by the error function.
    relative_buckets, relative_max_distance : int
        Number of classes of distances that have an attention bias of their own, and the distance
        from which on all share one; 0 where attention does not look at distances.
    """

    family: Family
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    num_positions: int
    position_offset: int
    has_token_types: bool
    layer_norm_eps: float
    activation: Activation
    relative_buckets: int = 0
    relative_max_distance: int = 0

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    def relative_bucket(self, distance: IntArray) -> IntArray:
        """Bucket of each distance, key's position less query's, (n,) int64 to (n,) int64.

        Half of the buckets are for keys at or before the query, half for keys after it. In each
        half one half is for the distances 0, 1, 2, ..., the other's widths grow by a constant
        factor up to `relative_max_distance`.
        """
        half = self.relative_buckets // 2
        exact = half // 2
        size = np.abs(distance)
        # The borders where the logarithm is a whole number belong to the farther bucket; the
        # rounding of log is below 1e-9, and no other distance comes that near to a border.
        growth = np.log(np.maximum(size, exact) / exact) / np.log(
            self.relative_max_distance / exact
        )
        far = exact + np.floor(growth * (half - exact) + 1e-9).astype(np.int64)
        return np.where(distance > 0, half, 0) + np.where(
            size < exact, size, np.minimum(far, half - 1)
        )


def supports(config: Mapping[str, Any]) -> bool:
    """Whether `parse` can read this config.json: family, settings and sizes."""
    try:
        parse(config, Path("config.json"))
    except (InputError, InputFileError):
        return False
    return True


def parse(config: Mapping[str, Any], source: Path) -> Architecture:
    """Read the content of config.json.

    Parameters
    ----------
    config : mapping
        The content.
    source : Path
        The file that messages name.

    Returns
    -------
    Architecture
        The settings; those that are not stated have the defaults of the family.

    Raises
    ------
    InputError
        Where a setting asks for what is not supported.
    InputFileError
        Where a size is missing, or no number, or cannot be.

    Examples
    --------
    >>> from pathlib import Path
    >>> sizes = {"dim": 64, "hidden_dim": 128, "n_heads": 4, "n_layers": 2, "vocab_size": 100}
    >>> config = {"model_type": "distilbert", "max_position_embeddings": 512, **sizes}
    >>> parse(config, Path("config.json")).head_size
    16
    """
    family = _require_supported(config, source)
    names = _DISTILBERT_NAMES if family == "distilbert" else _NAMES
    try:
        offset = position_offset(config)
        parsed = Architecture(
            family=family,
            vocab_size=int(config["vocab_size"]),
            hidden_size=int(config[names.hidden_size]),
            num_layers=int(config[names.num_layers]),
            num_heads=int(config[names.num_heads]),
            intermediate_size=int(config[names.intermediate_size]),
            num_positions=int(config["max_position_embeddings"]) - offset,
            position_offset=offset,
            has_token_types=_has_token_types(family, config),
            layer_norm_eps=_layer_norm_eps(family, config),
            activation=_ACTIVATIONS[config.get(names.activation, "gelu")],
            relative_buckets=_MPNET_BUCKETS if family == "mpnet" else 0,
            relative_max_distance=_MPNET_MAX_DISTANCE if family == "mpnet" else 0,
        )
    except KeyError as error:
        raise InputFileError(f"{source}: expected a setting {error}, got none") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InputFileError(f"{source}: expected numbers as sizes, got: {error}") from error
    _check_sizes(parsed, names, source)
    return parsed


def position_offset(config: Mapping[str, Any]) -> int:
    """Rows of the position table that carry no token: these families count from the padding on."""
    family = config.get("model_type")
    if family == "mpnet":
        return _MPNET_PADDING_ID + 1
    return int(config.get("pad_token_id", 1)) + 1 if family in _ROBERTA_LIKE else 0


def _has_token_types(family: str, config: Mapping[str, Any]) -> bool:
    return family not in ("distilbert", "mpnet") and int(config.get("type_vocab_size", 2)) > 0


def _layer_norm_eps(family: str, config: Mapping[str, Any]) -> float:
    if family == "distilbert":
        return _DISTILBERT_EPS
    return float(config.get("layer_norm_eps", 1e-12))


def _require_supported(config: Mapping[str, Any], source: Path) -> Family:
    family = config.get("model_type")
    activation = _DISTILBERT_NAMES.activation if family == "distilbert" else _NAMES.activation
    known: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "model_type": (family, FAMILIES),
        activation: (config.get(activation, "gelu"), tuple(_ACTIVATIONS)),
        "position_embedding_type": (
            config.get("position_embedding_type") or "absolute",
            ("absolute",),
        ),
    }
    if family == "mpnet":
        buckets = config.get("relative_attention_num_buckets", _MPNET_BUCKETS)
        known["relative_attention_num_buckets"] = (buckets, (_MPNET_BUCKETS,))
    for setting, (found, supported) in known.items():
        if found not in supported:
            raise InputError(
                f"{source}: {setting} {found!r} is not supported; expected one of: "
                f"{', '.join(map(str, supported))}. {_ADVICE}"
            )
    for setting in ("is_decoder", "add_cross_attention", "is_encoder_decoder"):
        if config.get(setting, False):
            raise InputError(f"{source}: expected an encoder, got {setting} true")
    return cast(Family, family)


def _check_sizes(parsed: Architecture, names: _Names, source: Path) -> None:
    sizes = {
        "vocab_size": parsed.vocab_size,
        names.hidden_size: parsed.hidden_size,
        names.num_layers: parsed.num_layers,
        names.num_heads: parsed.num_heads,
        names.intermediate_size: parsed.intermediate_size,
    }
    for setting, size in sizes.items():
        if size < 1:
            raise InputFileError(f"{source}: expected {setting} of at least 1, got {size}")
    if parsed.hidden_size % parsed.num_heads:
        raise InputFileError(
            f"{source}: expected a {names.hidden_size} that {names.num_heads} divides, "
            f"got {parsed.hidden_size} and {parsed.num_heads}"
        )
    if parsed.num_positions < 1 or parsed.position_offset < 0:
        raise InputFileError(
            f"{source}: expected max_position_embeddings above the {parsed.position_offset} rows "
            f"that carry no token, got {parsed.num_positions + parsed.position_offset}"
        )
    if not 0 <= parsed.layer_norm_eps < 1:
        raise InputFileError(
            f"{source}: expected layer_norm_eps from 0 to below 1, got {parsed.layer_norm_eps}"
        )
