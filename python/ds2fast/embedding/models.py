"""A model's name resolved to files: a local directory, or an id of the Hugging Face hub."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from ds2fast.embedding import hub
from ds2fast.embedding.checkpoint import EncoderFiles, Pooling, read_checkpoint
from ds2fast.embedding.static import StaticFiles, find_static
from ds2fast.errors import InputError, InputTypeError, ModelNotFoundError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class EncoderInfo:
    """What identifies an encoder, all of it plain: `dataclasses.asdict` makes it JSON.

    Attributes
    ----------
    name : str
        The model's id or directory, as it was asked for.
    revision : str or None
        Commit of the Hugging Face repository; None for a local directory.
    weights : str
        Name of the weights' file.
    weights_sha256 : str
        Hash of that file, and of those with tensors that it names.
    pooling : {"mean", "cls"}
        How token vectors become the text's vector.
    max_tokens : int or None
        Length at which texts are cut, special tokens included; None for a static model that cuts
        nothing.
    """

    name: str
    revision: str | None
    weights: str
    weights_sha256: str
    pooling: Pooling
    max_tokens: int | None


def resolve_encoder(model: str | os.PathLike[str] = DEFAULT_MODEL) -> EncoderFiles:
    """Find the files of an encoder.

    A name that starts with `.`, `/` or `~`, or that exists, is a directory; any other is an id of
    the Hugging Face hub. The hub's cache is looked into first, and the network is used only where
    files are missing there.

    Parameters
    ----------
    model : str or path
        A sentence-transformers checkpoint in safetensors, or a directory with `model.onnx` (or
        `onnx/model.onnx`) and `tokenizer.json`; or a Hugging Face id such as
        `"sentence-transformers/all-MiniLM-L6-v2"`. Where both forms are there, the tensors are
        used if the family is supported (BERT, CamemBERT, DistilBERT, MPNet, RoBERTa, XLM-RoBERTa),
        else the graph.

    Returns
    -------
    EncoderFiles
        Where the files are and what they say about pooling and length.

    Raises
    ------
    ModelNotFoundError
        Where the directory, files in it, or the hub's repository are missing or out of reach.
    InputFileError, InputError
        Where a settings file is broken, or asks for what is not supported.

    Examples
    --------
    With the files of all-MiniLM-L6-v2 in the directory `encoder_dir`:

    >>> from ds2fast.embedding import resolve_encoder
    >>> resolve_encoder(encoder_dir).pooling
    'mean'
    """
    files = resolve_model(model)
    if isinstance(files, StaticFiles):
        raise InputError(f"model {files.name!r}: expected a sentence encoder, got a static one")
    return files


def resolve_model(
    model: str | os.PathLike[str] = DEFAULT_MODEL, *, offline: bool = False
) -> EncoderFiles | StaticFiles:
    """Find the files of a sentence encoder, as `resolve_encoder` does, or of a static model.

    With `offline` the network is not asked, and what is not here is a ModelNotFoundError.
    """
    name = _check_name(model)
    if is_path(model, name):
        return _read_model(_require_directory(name), name)
    cached = hub.find_cached(name)
    if cached is not None:
        try:
            return _read_model(cached, name, cached.name)
        except ModelNotFoundError:
            if offline:
                raise
            # part of the files is there: the rest is downloaded
    if offline:
        raise ModelNotFoundError(f"model {name!r}: not on this machine")
    fetched = hub.fetch(name)
    return _read_model(fetched, name, fetched.name)


def _read_model(
    directory: Path, name: str, revision: str | None = None
) -> EncoderFiles | StaticFiles:
    static = find_static(directory)
    if static is not None:
        return replace(static, name=name, revision=revision)
    return read_checkpoint(directory, name=name, revision=revision)


def encoder_info(model: str | os.PathLike[str] = DEFAULT_MODEL) -> EncoderInfo:
    """Identify an encoder by revision and hash; for a manifest.

    Parameters
    ----------
    model : str or path
        As for `embed`.

    Returns
    -------
    EncoderInfo
        Name, revision, hash of the weights, pooling and maximum length.

    Raises
    ------
    ModelNotFoundError, InputFileError, InputError
        As `resolve_encoder` does.

    Examples
    --------
    With the files of all-MiniLM-L6-v2 in the directory `encoder_dir`:

    >>> from ds2fast.embedding import encoder_info
    >>> encoder_info(encoder_dir).max_tokens
    256
    """
    files = resolve_model(model)
    return EncoderInfo(
        name=files.name,
        revision=files.revision,
        weights=files.weights.name,
        weights_sha256=files.weights_sha256(),
        pooling="mean" if isinstance(files, StaticFiles) else files.pooling,
        max_tokens=files.max_tokens,
    )


def _check_name(model: str | os.PathLike[str]) -> str:
    if not isinstance(model, str | os.PathLike):
        raise InputTypeError(
            "model: expected a directory or a Hugging Face id (org/name), "
            f"got {type(model).__name__}"
        )
    name = os.fspath(model)
    if not isinstance(name, str) or not name:
        raise ModelNotFoundError(
            f"model: expected a directory or a Hugging Face id (org/name), got {name!r}"
        )
    return name


def is_path(model: str | os.PathLike[str], name: str) -> bool:
    """Whether a model's name stands for a directory, not for an id of the hub."""
    return not isinstance(model, str) or name.startswith((".", "/", "~")) or Path(name).exists()


def _require_directory(name: str) -> Path:
    directory = Path(name).expanduser()
    if not directory.is_dir():
        found = "a file" if directory.exists() else "nothing there"
        raise ModelNotFoundError(
            f"model {name!r}: expected a directory at {directory.absolute()}, got {found}; "
            "pass the directory that holds the encoder, or a Hugging Face id (org/name)"
        )
    return directory
