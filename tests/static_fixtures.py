"""Tiny static models that tests write to disk in each version of the format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import BertWordPieceTokenizer, Tokenizer

from encoder_fixtures import VOCABULARY

Array = npt.NDArray[Any]


def make_tokenizer(directory: Path) -> Tokenizer:
    """The WordPiece tokeniser of `encoder_fixtures`, with the settings of training it came with."""
    words = directory / "vocab.txt"
    words.write_text("\n".join(VOCABULARY) + "\n")
    trained = BertWordPieceTokenizer.from_file(str(words))
    trained.enable_truncation(4)
    trained.enable_padding(length=12)
    return Tokenizer.from_str(trained.to_str())


def make_table(width: int = 6, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.2, 1, (len(VOCABULARY), width)).astype(np.float32)


def write_static(
    directory: Path,
    tensors: Mapping[str, Array],
    *,
    folder: str = "",
    settings: str = "config.json",
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write a static model; `folder` and `settings` tell the layouts apart."""
    home = directory / folder
    home.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()},
              home / "model.safetensors")  # fmt: skip
    make_tokenizer(home).save(str(home / "tokenizer.json"))
    (directory / settings).write_text(json.dumps(config or {}))
    return directory


def expect_vector(table: Array, words: list[str], weights: Array | None = None) -> Array:
    """Unit mean, in float64, of the vectors of known words."""
    ids = [VOCABULARY.index(word) for word in words]
    scale = np.ones(len(table)) if weights is None else weights.astype(np.float64)
    mean = (table[ids].astype(np.float64) * scale[ids, None]).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))
