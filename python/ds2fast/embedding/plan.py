"""The plan of a job: its batches, written down before the first one runs.

With some encoders a text's vector depends, in its last bits, on the texts that run beside it. A
job that was stopped therefore goes on by the plan it began with, and ends with the same bytes as
one that never stopped:

- A batch of which every text has a good record is done.
- A batch of which none has one runs as planned.
- A batch that was torn by the end of a run, or of which a record was damaged since, runs whole;
  the store keeps the good records that it has.
- Of a batch whose other texts came into the store in another way, by another job, only the
  missing ones run: no text is run twice because two jobs share it.

A plan is known by the *set* of the job's texts and by the store's key; the order of the texts does
not matter. One that is damaged is made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from ds2fast.embedding.hashes import HashArray, check_hashes, split_hashes
from ds2fast.embedding.header import DamagedFileError
from ds2fast.embedding.plan_file import decode_plan, encode_plan
from ds2fast.embedding.store import VectorStore
from ds2fast.errors import InputError, OutputError
from ds2fast.io.atomic import atomic_file
from ds2fast.results import IntArray

MakeBatches = Callable[[IntArray], list[IntArray]]
"""Of the places of texts that must run to batches of them, each text in one batch."""


class BatchPlan:
    """What is left of a job, batch by batch.

    Parameters
    ----------
    store : VectorStore
        Where the job's vectors go; the plan lies in its folder `plans`. Where it is not writable
        a plan is read if there is one, and none is written.
    hashes : (n, 16) uint8
        The texts of the job, all distinct.
    make : callable
        `make(places)` groups the texts at some (m,) int64 places of `hashes` into batches, a list
        of (rows,) int64 places. It is called for texts that no stored plan names.

    Attributes
    ----------
    slots : (n,) int64
        Where the store has each text, −1 where it has not.
    batches : list of (rows,) int64
        Places in `hashes` of the texts that are to run together, in this order. Append each to
        the store in one call.

    Raises
    ------
    InputTypeError, InputError
        `hashes` of another shape or type or with a text twice; batches that are no grouping.
    OutputError
        The plan cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ds2fast.embedding.hashes import hash_texts
    >>> hashes = hash_texts(["a frog", "a toad", "a newt"])
    >>> with VectorStore(Path("vectors"), {"model": "0123abcd"}) as store:
    ...     plan = BatchPlan(store, hashes, lambda places: [places[:2], places[2:]])
    ...     for batch in plan.batches:
    ...         ones = np.ones((len(batch), 1), np.float32)
    ...         cut = np.zeros(len(batch), np.bool_)
    ...         written = store.append(hashes[batch], ones, batch, cut)
    ...     plan.finish()
    >>> plan.batches
    [array([0, 1]), array([2])]
    """

    def __init__(self, store: VectorStore, hashes: HashArray, make: MakeBatches) -> None:
        texts = split_hashes(check_hashes(hashes))
        self._job = _job_digest(store, texts)
        self._is_ours = store.writable
        self._path = store.folder / "plans" / f"{self._job.hex()}.plan"
        self.slots = store.find(hashes)
        if not (self.slots < 0).any():
            planned: list[IntArray] = []
        else:
            planned = self._complete(store, hashes, self._load(texts), make)
        left = (_left_of(batch, self.slots, store) for batch in planned)
        self.batches = [batch for batch in left if len(batch)]
        if not self.batches:
            self.finish()

    def finish(self) -> None:
        """Remove the stored plan: the last batch is in the store."""
        if self._is_ours:
            with suppress(OSError):
                self._path.unlink()

    def _load(self, texts: list[bytes]) -> list[IntArray]:
        """The stored batches, as places in the job's texts; none where there is no good plan."""
        places = {text: place for place, text in enumerate(texts)}
        try:
            stored = decode_plan(self._path.read_bytes(), self._job)
            return [
                np.array([places[text] for text in split_hashes(batch)], np.int64)
                for batch in stored
            ]
        except (OSError, DamagedFileError, KeyError):
            return []

    def _complete(
        self, store: VectorStore, hashes: HashArray, planned: list[IntArray], make: MakeBatches
    ) -> list[IntArray]:
        """Plan the missing texts that are in no stored batch, and write the whole plan down."""
        is_open = self.slots < 0
        for batch in planned:
            is_open[batch] = False
        unplanned = np.flatnonzero(is_open)
        if not len(unplanned):
            return planned
        made = make(unplanned)
        _check_grouping(made, unplanned)
        planned = [*planned, *made]
        if store.writable:
            self._write(encode_plan(self._job, [hashes[batch] for batch in planned]))
        return planned

    def _write(self, content: bytes) -> None:
        try:
            self._path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make {self._path.parent}: {error.strerror or error}"
            ) from error
        with atomic_file(self._path) as file:
            file.write(content)


def _job_digest(store: VectorStore, texts: list[bytes]) -> bytes:
    ordered = sorted(texts)
    for text, following in pairwise(ordered):
        if text == following:
            raise InputError(
                f"hashes: expected each text once, got {texts.count(text)} times "
                f"the one at {texts.index(text)}"
            )
    return blake2b(store.digest.encode() + b"".join(ordered), digest_size=16).digest()


def _check_grouping(batches: list[IntArray], places: IntArray) -> None:
    together = np.sort(np.concatenate(batches)) if batches else np.empty(0, np.int64)
    if not np.array_equal(together, places):
        raise InputError(
            f"make: expected batches with each of {len(places)} texts once, got {len(together)} "
            "texts or others"
        )


def _left_of(batch: IntArray, slots: IntArray, store: VectorStore) -> IntArray:
    """The texts of a planned batch that must run."""
    missing = slots[batch] < 0
    if not missing.any():
        return batch[:0]
    if missing.all() or _was_torn(slots[batch], store):
        return batch
    return batch[missing]


def _was_torn(slots: IntArray, store: VectorStore) -> bool:
    """Whether a batch was appended as planned, and some of its records are lost since.

    Its records lie one behind the other: where one is good, the slots of the missing ones follow,
    and hold no good records of other texts.
    """
    place = np.arange(len(slots))
    missing = slots < 0
    begins = np.unique((slots - place)[~missing])
    return any(bool(store.is_lost(begin + place[missing]).all()) for begin in begins)
