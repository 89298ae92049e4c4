"""Which models are on this machine; nothing here asks a network."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ds2fast.embedding import encoder_info, hub
from ds2fast.embedding.encode import open_model
from ds2fast.embedding.gate import faster_precisions
from ds2fast.embedding.models import is_path, resolve_model
from ds2fast.errors import Ds2fastError, ModelNotFoundError

_FOLDER_PREFIX = "models--"  # of a repository in the hub's cache


def examine_model(model: str) -> dict[str, Any]:
    """A model's identity and what it would run in; or why it cannot be used."""
    try:
        if not is_path(model, model):
            _require_cached(model)
        info = asdict(encoder_info(model))  # all is here: nothing is downloaded
        backend = open_model(resolve_model(model, offline=True), False, 1).backend("auto")
    except Ds2fastError as error:
        return {"found": False, "name": model, "problem": str(error)}
    faster = [] if backend == "static" else faster_precisions(backend)
    return {"found": True, **info, "backend": backend, "precisions": [*faster, "fp32"]}


def cached_models() -> list[dict[str, Any]]:
    """Sentence encoders and static models in the hub's cache, by name, and whether all is there.

    What the cache does not know to be one of them (a language model, say) is left out.
    """
    found = (_examine_cached(name) for name in _cached_names())
    return [model for model in found if model is not None]


def _cached_names() -> list[str]:
    from huggingface_hub import constants

    try:
        folders = sorted(entry.name for entry in Path(constants.HF_HUB_CACHE).iterdir())
    except OSError:
        return []
    names = [folder.removeprefix(_FOLDER_PREFIX) for folder in folders if _is_model(folder)]
    return [name.replace("--", "/") for name in names]


def _is_model(folder: str) -> bool:
    return folder.startswith(_FOLDER_PREFIX)


def _examine_cached(name: str) -> dict[str, Any] | None:
    try:
        snapshot = hub.find_cached(name)
    except ModelNotFoundError:  # no id: a folder of others in the cache
        return None
    if snapshot is None or not _is_sentence_encoder(snapshot):
        return None
    try:
        resolve_model(name, offline=True)
    except ModelNotFoundError:
        return {"name": name, "complete": False, "problem": "a part of it is missing"}
    except Ds2fastError as error:
        return {"name": name, "complete": False, "problem": str(error)}
    return {"name": name, "complete": True, "problem": None}


def _is_sentence_encoder(snapshot: Path) -> bool:
    """Whether the files say so: modules.json does, or settings of a static model."""
    if (snapshot / "modules.json").is_file():
        return True
    try:
        return '"model2vec"' in (snapshot / "config.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def cache_size(folder: Path | None) -> int:
    """Bytes of the files in a folder; 0 where there is none."""
    if folder is None:
        return 0
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except OSError:
                continue  # it went while we looked
    return total


def _require_cached(name: str) -> None:
    """Raise where the hub's cache lacks the model, or a part of it."""
    cached = hub.find_cached(name)
    if cached is None:
        raise ModelNotFoundError(f"not on this machine; {_what_select_would_do()}")
    try:
        resolve_model(name, offline=True)
    except ModelNotFoundError:
        raise ModelNotFoundError(
            f"only a part of it is on this machine, in {cached}; {_what_select_would_do()}"
        ) from None


def _what_select_would_do() -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids `select` to download it"
    return "`select` would try to download it; --model also takes a directory"
