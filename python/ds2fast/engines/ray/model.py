"""A model whose tokeniser and encoder run on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ds2fast.cache_dir import CacheDir
from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.encode import open_model
from ds2fast.embedding.engine import Backend, Engine, LongText, Model, Precision, TextTokeniser
from ds2fast.embedding.static import StaticFiles
from ds2fast.embedding.tokenise import TokenTable
from ds2fast.engines.ray.cluster import Cluster
from ds2fast.engines.ray.stream import through_tasks
from ds2fast.engines.ray.wire import TokenJoin, pack, unpack
from ds2fast.engines.ray.workers import ModelSpec, absolute_name, as_identity, encode, tokenise
from ds2fast.results import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

LEAST_TEXTS = 4096
"""Fewer texts are tokenised by the driver: it is done before a worker has started."""

LEAST_TOKENS = 1 << 19
"""Fewer tokens run on the driver: so do the samples on which a precision is chosen, as a rule."""

_CHUNK_TEXTS = 2048
_CHUNK_CHARACTERS = 4 << 20
_TASK_TOKENS = 1 << 18
_TASKS_A_SLOT = 4


class RayModel:
    """A model of the driver's that runs on the nodes; all that it says of itself is the driver's.

    Parameters
    ----------
    local : Model
        The driver's.
    cluster : Cluster
        Where it runs.
    spec : ModelSpec
        What the nodes open.
    """

    def __init__(self, local: Model, cluster: Cluster, spec: ModelSpec) -> None:
        self.name = local.name
        self.lowercase = local.lowercase
        self.local = local
        self.cluster = cluster
        self.spec = spec

    def identity(self) -> dict[str, str | int]:
        """Hashes of the driver's files; the nodes' are compared with them."""
        return self.local.identity()

    def tokeniser(self, long_text: LongText) -> TextTokeniser:
        """One that runs on the nodes."""
        return RayTokeniser(self, self.local.tokeniser(long_text), long_text)

    def check_tokens(self, tokens: TokenTable) -> None:
        """Raise what the driver's model would."""
        self.local.check_tokens(tokens)

    def backend(self, wanted: Backend | Literal["auto"]) -> Backend | Literal["static"]:
        """What the driver's model would run in."""
        return self.local.backend(wanted)

    @contextmanager
    def open(self, precision: Precision, backend: Backend | Literal["static"]) -> Iterator[Engine]:
        """An engine with the driver's batches; a table of vectors is read by the driver itself."""
        with self.local.open(precision, backend) as engine:
            if backend == "static":
                # All texts in one stream: one for each batch would begin and end each time.
                yield replace(engine, texts_a_batch=None)
                return

            def encode_many(
                batches: Iterable[TokenTable], total: int
            ) -> Iterator[tuple[int, FloatArray]]:
                if total < LEAST_TOKENS:
                    for number, table in enumerate(batches):
                        yield number, engine.encode(table.ids, table.offsets, None)
                    return
                arguments = {
                    "spec": self.spec,
                    "precision": precision,
                    "backend": backend,
                    "identity": as_identity(engine.identity),
                }
                yield from self._encode(batches, total, arguments)

            # The nodes read the weights.
            yield replace(engine, load=lambda: None, encode_many=encode_many)

    def cpus(self) -> int:
        """Cores of a task."""
        return self.cluster.cpus_of_task(self.spec.threads)

    def _encode(
        self, batches: Iterable[TokenTable], total: int, arguments: dict[str, Any]
    ) -> Iterator[tuple[int, FloatArray]]:
        cpus = self.cpus()
        limit = min(_TASK_TOKENS, total // (_TASKS_A_SLOT * self.cluster.num_slots(cpus)))
        tables = (
            pack([(number, {"ids": table.ids, "offsets": table.offsets}) for number, table in some])
            for some in _bundles(batches, limit)
        )
        for done in through_tasks(self.cluster, encode, arguments, tables, cpus):
            for number, arrays in unpack(done):
                yield number, arrays["vectors"].reshape(arrays["shape"])


class RayTokeniser:
    """A tokeniser that runs on the nodes.

    Parameters
    ----------
    model : RayModel
        Whose it is.
    local : TextTokeniser
        The driver's, for few texts.
    long_text : {"truncate", "chunk-mean"}
        What becomes of texts beyond the maximum length.
    """

    def __init__(self, model: RayModel, local: TextTokeniser, long_text: LongText) -> None:
        self._model = model
        self._local = local
        self._long_text = long_text

    def encode(
        self, texts: Sequence[str], report: Callable[[int], None], scratch: Path | None = None
    ) -> TokenTable:
        """Tokens of all texts; `report` is told how many are done.

        With `scratch` they are in a file of that folder.
        """
        model = self._model
        if len(texts) < max(1, LEAST_TEXTS):
            return self._local.encode(texts, report, scratch)
        cpus = model.cpus()
        arguments = {"spec": model.spec, "long_text": self._long_text, "cpus": cpus}
        slots = _TASKS_A_SLOT * model.cluster.num_slots(cpus)
        chunks = _text_tables(texts, min(_CHUNK_TEXTS, max(1, len(texts) // slots)))
        tokens, done = TokenJoin(scratch), 0
        for table in through_tasks(model.cluster, tokenise, arguments, chunks, cpus):
            for number, arrays in unpack(table):
                done += tokens.add(number, arrays)
            report(done)
        return tokens.joined()


def ray_opener(
    cluster: Cluster,
) -> Callable[[EncoderFiles | StaticFiles, CacheDir, int], RayModel]:
    """What opens a model's files on a cluster, in the place of `open_model`."""

    def opener(files: EncoderFiles | StaticFiles, cache_dir: CacheDir, threads: int) -> RayModel:
        local = open_model(files, cache_dir, threads)
        spec = ModelSpec(
            absolute_name(files.name),
            as_identity(local.identity()),
            cache_dir is not False,
            threads,
        )
        return RayModel(local, cluster, spec)

    return opener


def _bundles(batches: Iterable[TokenTable], limit: int) -> Iterator[list[tuple[int, TokenTable]]]:
    """Numbered batches, so many together that their tokens come to no more than the limit."""
    bundle: list[tuple[int, TokenTable]] = []
    size = 0
    for number, table in enumerate(batches):
        if bundle and size + len(table.ids) > limit:
            yield bundle
            bundle, size = [], 0
        bundle.append((number, table))
        size += len(table.ids)
    if bundle:
        yield bundle


def _text_tables(texts: Sequence[str], count: int) -> Iterator[pa.Table]:
    """Texts in order, in numbered lists of at most `count`, fewer where they are long."""
    import pyarrow as pa

    kind = pa.list_(pa.large_string())
    left = iter(texts)
    number = 0
    while chunk := list(_until(islice(left, count), _CHUNK_CHARACTERS)):
        columns = {"number": pa.array([number], pa.int64()), "texts": pa.array([chunk], kind)}
        yield pa.table(columns)
        number += 1


def _until(texts: Iterator[str], limit: int) -> Iterator[str]:
    """Texts until they are as long as the limit together."""
    length = 0
    for text in texts:
        yield text
        length += len(text)
        if length >= limit:
            return
