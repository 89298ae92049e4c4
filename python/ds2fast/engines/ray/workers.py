"""What runs on the nodes to embed: tasks, of which a process keeps the model open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ds2fast.embedding.encode import open_model
from ds2fast.embedding.engine import Backend, Engine, LongText, Model, Precision, TextTokeniser
from ds2fast.embedding.models import is_path, resolve_model
from ds2fast.engines.ray.failure import telling
from ds2fast.engines.ray.wire import Arrays, pack, token_arrays, unpack
from ds2fast.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Identity: TypeAlias = tuple[tuple[str, str | int], ...]
"""What identifies a model or an encoder, by name, as something that can be hashed."""


def as_identity(values: Mapping[str, str | int]) -> Identity:
    """An identity from a mapping.

    Examples
    --------
    >>> as_identity({"version": 1, "backend": "native"})
    (('backend', 'native'), ('version', 1))
    """
    return tuple(sorted(values.items()))


@dataclass(frozen=True)
class ModelSpec:
    """What a worker needs to open the very model that the driver has.

    Attributes
    ----------
    name : str
        A Hugging Face id, or a folder that every node has at the same place.
    identity : tuple of pairs
        Hashes of the driver's files.
    keeps_graphs : bool
        Whether ONNX graphs may be kept in the node's cache folder.
    threads : int
        Threads that the model runs in.
    """

    name: str
    identity: Identity
    keeps_graphs: bool
    threads: int

    def open(self) -> Model:
        """The model, from this node's files.

        Raises
        ------
        InputError
            They are others than the driver's.
        ModelNotFoundError, InputFileError
            They are missing, or broken.
        """
        model = open_model(
            resolve_model(self.name), None if self.keeps_graphs else False, self.threads
        )
        found = model.identity()
        differing = [name for name, value in self.identity if found.get(name) != value]
        if differing:
            raise InputError(
                f"model {self.name!r}: expected on every node the files that this machine has, "
                f"got others on {os.uname().nodename} ({', '.join(differing)})"
            )
        return model


def absolute_name(name: str) -> str:
    """A model's name as other nodes understand it: a folder from the root on, an id as it is."""
    return str(Path(name).expanduser().absolute()) if is_path(name, name) else name


@telling
def tokenise(table: pa.Table, *, spec: ModelSpec, long_text: LongText, cpus: int) -> pa.Table:
    """Tokens of each row's texts: a column `number`, and a column `texts` of lists."""
    os.environ["RAYON_NUM_THREADS"] = str(cpus)  # read once, when a process tokenises first
    tokeniser = _tokeniser(spec, long_text)
    return pack(
        [
            (row["number"], token_arrays(tokeniser.encode(row["texts"], _hears_nothing)))
            for row in table.to_pylist()
        ]
    )


@telling
def encode(
    table: pa.Table, *, spec: ModelSpec, precision: Precision, backend: Backend, identity: Identity
) -> pa.Table:
    """Vectors of each row's tokens: a row is a batch, which runs together."""
    engine = _encoder(spec, precision, backend, identity)
    return pack([(number, _encode_batch(engine, row)) for number, row in unpack(table)])


def _encode_batch(engine: Engine, row: Arrays) -> Arrays:
    vectors = engine.encode(row["ids"], row["offsets"], None)
    return {"vectors": vectors.ravel(), "shape": np.array(vectors.shape)}


@lru_cache(maxsize=1)
def _tokeniser(spec: ModelSpec, long_text: LongText) -> TextTokeniser:
    """The process's own, which stays open for the tasks to come."""
    return spec.open().tokeniser(long_text)


@lru_cache(maxsize=1)
def _encoder(spec: ModelSpec, precision: Precision, backend: Backend, identity: Identity) -> Engine:
    """The process's own, which stays open for the tasks to come, until one needs another."""
    _open.close()
    _encoder.cache_clear()  # where the next one cannot be opened, it is not to give a closed one
    engine = _open.enter_context(spec.open().open(precision, backend))
    found = as_identity(engine.identity)
    if found != identity:
        raise InputError(
            f"model {spec.name!r}: expected an encoder on every node that gives this machine's "
            f"vectors ({dict(identity)}), got one on {os.uname().nodename} that gives others "
            f"({dict(found)})"
        )
    return engine


_open = ExitStack()  # what is open until the process ends


def _hears_nothing(_: int) -> None:
    """Progress is told where the tables come back."""
