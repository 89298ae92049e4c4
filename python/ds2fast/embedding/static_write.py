"""A static model on disk, in the model2vec format: whole, or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from ds2fast.embedding.static import StaticEncoder
from ds2fast.errors import OutputError
from ds2fast.io.atomic import atomic_file, sync_directory, temporary_beside
from ds2fast.results import FloatArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def check_output(output: str | os.PathLike[str]) -> Path:
    """The directory to make; an `OutputError` where something is there, or nothing can be."""
    target = Path(output).expanduser()
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise OutputError(f"output: expected a place where nothing is yet, got {target}")
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output: cannot write {target}: {error.strerror or error}") from error
    return target


def write_static(
    target: Path, table: FloatArray, tokenizer: Tokenizer, config: Mapping[str, Any]
) -> None:
    """Write a model under a temporary name, read it again, and give it its own.

    Parameters
    ----------
    target : Path
        Directory to make, see `check_output`.
    table : (V, d) float32
        Vector of each token id.
    tokenizer : Tokenizer
        Without special tokens, truncation or padding.
    config : mapping
        Content of config.json.

    Raises
    ------
    OutputError
        Where the operating system refuses, or what was written is read back otherwise.
    """
    from safetensors.numpy import save

    content = {
        "model.safetensors": save({"embeddings": table}),
        "tokenizer.json": tokenizer.to_str().encode(),
        "config.json": orjson.dumps(dict(config), option=orjson.OPT_INDENT_2),
    }
    temporary = temporary_beside(target)
    try:
        temporary.mkdir()
        for name, data in content.items():
            with atomic_file(temporary / name) as file:
                file.write(data)
        _check_written(temporary, table)
        temporary.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        raise OutputError(f"output: cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_written(directory: Path, table: FloatArray) -> None:
    """What was written is read again as users will read it."""
    if not np.array_equal(StaticEncoder.open(directory).table, table):
        raise OutputError(
            f"output: expected the vectors that were written to {directory}, got others when "
            "reading them again; the disk may be damaged"
        )
