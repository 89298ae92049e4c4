"""Encoders of the Hugging Face hub: its own cache first, the network only for what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ds2fast.embedding.checkpoint import (
    TOKENIZERS,
    Modules,
    read_modules,
    read_settings,
    weights_places,
)
from ds2fast.errors import Ds2fastError, ModelNotFoundError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TIMEOUT_SECONDS = 10.0
"""How long one request may wait for an answer, so that a dead network is told soon."""

_SETTINGS = ("config.json", "sentence_bert_config.json", "tokenizer_config.json")


def find_cached(name: str) -> Path | None:
    """Snapshot of a repository in the hub's cache, or None; asks no network.

    A snapshot counts only where it is known whether the repository has a modules.json: without it
    the pooling would be a guess. A cached snapshot may still lack other files.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        modules = try_to_load_from_cache(name, "modules.json")
        if isinstance(modules, str):
            return Path(modules).parent
        if modules is None:
            return None
        config = try_to_load_from_cache(name, "config.json")
    except HFValidationError as error:
        raise ModelNotFoundError(
            f"model {name!r}: no such directory, and no Hugging Face id either (org/name): {error}"
        ) from error
    return Path(config).parent if isinstance(config, str) else None


def fetch(name: str) -> Path:
    """Download the files that an encoder needs into the hub's cache; return their snapshot.

    Raises
    ------
    ModelNotFoundError
        Where the hub is offline or out of reach, or has no such repository or no such files.
    """
    try:
        return _download(name)
    except Ds2fastError:
        raise
    except Exception as error:  # the hub lets through the errors of its HTTP library, by version
        raise ModelNotFoundError(_explain(name, error)) from error


def _download(name: str) -> Path:
    from huggingface_hub import HfApi

    api = HfApi()
    info = api.model_info(name, timeout=TIMEOUT_SECONDS)
    present = {sibling.rfilename for sibling in info.siblings or []}
    modules = _fetch_modules(api, name)

    def download(place: str) -> Path:
        path = api.hf_hub_download(name, place, revision=info.sha, etag_timeout=TIMEOUT_SECONDS)
        return Path(path)

    config = f"{_home(modules)}config.json"
    places = weights_places(read_settings(download(config)) if config in present else {})
    paths = [download(place) for place in _needed(name, present, modules, places)]
    return _snapshot_of(paths[0], str(info.sha))


def _snapshot_of(path: Path, revision: str) -> Path:
    """Folder that holds all files of one commit: files of a repository may lie deeper."""
    return next(parent for parent in path.parents if parent.name == revision)


def _fetch_modules(api: HfApi, name: str) -> Modules:
    """Read modules.json; asking for it also records in the cache that there is none."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    # The branch is asked for, not the commit: only so does the cache learn what "main" stands for,
    # and a later run finds the snapshot without the network.
    try:
        path = api.hf_hub_download(name, "modules.json", etag_timeout=TIMEOUT_SECONDS)
    except LocalEntryNotFoundError:
        raise
    except EntryNotFoundError:
        return Modules("", "1_Pooling")
    return read_modules(Path(path).parent)


def _home(modules: Modules) -> str:
    return f"{modules.transformer}/" if modules.transformer else ""


def _needed(name: str, present: set[str], modules: Modules, weights: tuple[str, ...]) -> list[str]:
    """Exact names of the files to download; of `weights` the first that is there."""
    home = _home(modules)
    chosen = [f"{home}{setting}" for setting in _SETTINGS]
    chosen += ["modules.json", f"{modules.pooling}/config.json"]
    for kind in (weights, TOKENIZERS):
        found = next((f"{home}{place}" for place in kind if f"{home}{place}" in present), None)
        if found is None:
            raise ModelNotFoundError(
                f"model {name!r}: expected {' or '.join(kind)} in the repository, got "
                f"{len(present)} other files; use an encoder in ONNX or safetensors form"
            )
        chosen.append(found)
        if found.endswith(".onnx"):  # a large model keeps its weights beside itself
            chosen += sorted(p for p in present if p.startswith(found) and p != found)
    return [place for place in chosen if place in present]


def _explain(name: str, error: BaseException) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    looked = (
        f"model {name!r}: not, or not whole, in the Hugging Face cache ({constants.HF_HUB_CACHE})"
    )
    local = "or pass a local directory that holds the encoder as model"
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"{looked}, and HF_HUB_OFFLINE forbids to download it; unset HF_HUB_OFFLINE, set "
            f"HF_HOME to a cache that has it, {local}"
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"{looked}, and the hub has no such model that you may read; check the name, {local}"
    return (
        f"{looked}, and the hub could not be reached, or gave no usable answer: "
        f"{type(error).__name__}: {error}; check the network, set HF_HOME to a cache that has it, "
        f"{local}"
    )
