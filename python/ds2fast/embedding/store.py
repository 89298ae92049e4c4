"""Vectors on disk: a text that was embedded once is not embedded again.

A store holds the vectors of one encoder in one arithmetic. It is a folder, named after a digest of
its key, with

    vectors.bin   a header (`header.py` has its layout) and then one record a text (`records.py`)
    lock          empty; who holds a lock on it may write
    plans/        batches of jobs that are not finished yet (`plan.py`)
    vectors.damaged-N.bin   files that were no longer what had been written, set aside

What is promised:

- A record is given out only if its own checksum is right and it is that of the text asked for. Any
  other counts as missing; the text's next record, appended behind, takes its place.
- Nothing good is overwritten, and the file never gets shorter. A process that is killed leaves
  whole records and at most one torn one at the end, which the next writer overwrites.
- The disk holds what was appended a second before the last append at the latest, and everything
  after `close`. A power cut costs what came later; records that it tore are found by their
  checksums, wherever in the file they are.
- One process writes, the first that opens the store; others read along.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from ds2fast.closing import Closing
from ds2fast.embedding.hashes import HashArray, check_hashes, split_hashes
from ds2fast.embedding.header import (
    DamagedFileError,
    Header,
    StoreKey,
    decode_header,
    encode_header,
    header_size,
    key_digest,
)
from ds2fast.embedding.records import WAS_CUT, RecordFile, check_batch, make_records
from ds2fast.errors import InputError, InputFileError, OutputError
from ds2fast.io.atomic import TEMPORARY_NAME, atomic_file
from ds2fast.io.lock import WriterLock
from ds2fast.results import BoolArray, FloatArray, IntArray

_NO_SLOT = -1


class VectorStore(Closing):
    """The vectors of one encoder in one arithmetic, kept on disk.

    A context manager; one thread at a time.

    Parameters
    ----------
    folder : Path
        The folder of all stores; the store is the folder inside that its key's digest names.
    key : mapping of str to str or int
        All that the bytes of a vector depend on besides its text: hash of the model, precision,
        backend and its version, pooling, most tokens, ...

    Attributes
    ----------
    folder : Path
        The store's own folder.
    digest : str
        Name of that folder: a digest of the key and of the format.
    writable : bool
        Whether what is appended is kept. False where another process is writing there, or where
        the folder can only be read.
    notes : list of str
        What the user should be told: why the store is not writable, which file was set aside.

    Raises
    ------
    InputTypeError, InputError
        `key` is no such mapping.
    InputFileError
        The file is there and cannot be read.
    OutputError
        The folder cannot be made.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ds2fast.embedding.hashes import hash_texts
    >>> hashes = hash_texts(["a frog", "a toad"])
    >>> with VectorStore(Path("vectors"), {"model": "0123abcd", "precision": "fp32"}) as store:
    ...     vector = np.array([[0.6, 0.8]], np.float32)
    ...     store.append(hashes[:1], vector, np.array([4]), np.array([False]))
    ...     slots = store.find(hashes)
    ...     vectors, tokens, cut = store.read(slots[slots >= 0])
    1
    >>> slots
    array([ 0, -1])
    >>> vectors
    array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, folder: Path, key: StoreKey) -> None:
        self.digest = key_digest(key)
        self.folder = Path(folder) / self.digest
        self.notes: list[str] = []
        self._key = dict(key)
        self._path = self.folder / "vectors.bin"
        self._file: RecordFile | None = None
        self._slots: dict[bytes, int] = {}  # of each text the newest record
        self._indexed = 0  # records that `_slots` knows
        self._is_closed = False
        self._make_folder()
        self._lock = WriterLock(self.folder / "lock")
        refusal = self._lock.acquire()
        self.writable = refusal is None
        if refusal is not None:
            self._note(f"vectors in {self.folder} are used, new ones are not kept: {refusal}")
        try:
            self._open()
        except BaseException:  # also Ctrl-C: the lock is given back
            self.close()
            raise

    def __len__(self) -> int:
        """Texts that the store knows; a damaged record counts until its text is asked for."""
        return len(self._slots)

    @property
    def width(self) -> int | None:
        """Numbers of a vector; None before the first was appended."""
        return None if self._file is None else self._file.header.width

    def find(self, hashes: HashArray) -> IntArray:
        """Where the records of texts are.

        The records are read and checked, here and again in `read`: for 300 000 of width 384 that
        takes about a second. Records that another process has appended since are found, too.

        Parameters
        ----------
        hashes : (n, 16) uint8
            Of the texts, see `hash_texts`.

        Returns
        -------
        (n,) int64
            A slot, or −1 where there is no good record of the text.
        """
        wanted = check_hashes(hashes)
        self._check_open()
        self._follow_writer()
        known = (self._slots.get(text, _NO_SLOT) for text in split_hashes(wanted))
        slots = np.fromiter(known, np.int64, len(wanted))
        if self._file is None:
            return slots
        found = np.flatnonzero(slots != _NO_SLOT)
        found = found[np.argsort(slots[found], kind="stable")]  # as they lie in the file
        for part, records, good in self._file.copies(slots[found]):
            # Between indexing and now another process may have overwritten a torn record.
            is_it = good & (records["hash"] == wanted[found[part]]).all(axis=1)
            slots[found[part][~is_it]] = _NO_SLOT
        return slots

    def read(self, slots: IntArray) -> tuple[FloatArray, IntArray, BoolArray]:
        """Vectors, tokens and cuts of the records in some slots.

        Parameters
        ----------
        slots : (n,) int64
            As `find` gave them, without −1.

        Returns
        -------
        vectors : (n, d) float32
        tokens : (n,) int64
        cut : (n,) bool
            Whether the text was cut at the encoder's maximum length.

        Raises
        ------
        InputError
            A slot that the store does not have.
        InputFileError
            A record that was damaged since it was found: `find` reports it as missing now.
        """
        self._check_open()
        chosen = np.asarray(slots, np.int64)
        count = 0 if self._file is None else self._file.count
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < count):
            raise InputError(
                f"slots: expected 0 to {count - 1}, got {chosen.min()} to {chosen.max()}"
            )
        vectors = np.empty((len(chosen), self.width or 0), np.float32)
        tokens = np.empty(len(chosen), np.int64)
        cut = np.empty(len(chosen), np.bool_)
        for part, records, good in () if self._file is None else self._file.copies(chosen):
            if not good.all():
                raise InputFileError(
                    f"{self._path}: expected good records, got a damaged one in slot "
                    f"{chosen[part][int(good.argmin())]}; run again, its text is run anew"
                )
            vectors[part] = records["vector"]
            tokens[part] = records["tokens"]
            cut[part] = records["flags"] & WAS_CUT != 0
        return vectors, tokens, cut

    def append(
        self, hashes: HashArray, vectors: FloatArray, tokens: IntArray, cut: BoolArray
    ) -> int:
        """Keep the vectors of texts; what ran together is appended together, in the plan's order.

        A text of which there is a good record already keeps that one.

        Parameters
        ----------
        hashes : (n, 16) uint8
        vectors : (n, d) float32
            Finite. The first ones tell the width of the store.
        tokens : (n,) int64
        cut : (n,) bool

        Returns
        -------
        int
            Records that were written; always 0 where the store is not writable.

        Raises
        ------
        InputTypeError, InputError
            Arrays of other shapes or types, another width, numbers that are not finite.
        OutputError
            A full disk, say. What was appended before, and what was written whole, is kept.
        """
        self._check_open()
        check_batch(check_hashes(hashes), vectors, tokens, cut)
        if self.width not in {None, vectors.shape[1]}:
            raise InputError(
                f"vectors: expected {self.width} numbers each, as the store {self._path} has them, "
                f"got {vectors.shape[1]}"
            )
        if not self.writable:
            return 0
        new = self._new_among(hashes)
        if not len(new):
            return 0
        file = self._file or self._begin(vectors.shape[1])
        records = make_records(file.header, hashes[new], vectors[new], tokens[new], cut[new])
        try:
            file.append(records)
        finally:
            self._index(split_hashes(hashes[new]))
        return len(records)

    def is_lost(self, slots: IntArray) -> BoolArray:
        """Whether a record that was appended to each slot is good no more.

        Parameters
        ----------
        slots : (n,) int64
            Any numbers.

        Returns
        -------
        (n,) bool
            True for damaged records, and behind the last record where the last append was torn.
        """
        self._check_open()
        lost = np.zeros(len(slots), np.bool_)
        if self._file is not None:
            inside = np.flatnonzero((slots >= 0) & (slots < self._file.count))
            lost[inside] = ~self._file.good(slots[inside])
            lost[slots >= self._file.count] = self._file.is_torn()
        return lost

    def close(self) -> None:
        """Bring everything to the disk and let other processes write.

        Raises
        ------
        OutputError
            What was appended last cannot be brought to the disk.
        """
        file, self._file = self._file, None
        self._is_closed = True
        try:
            if file is not None:
                file.close()
        finally:
            self._lock.release()

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot keep vectors: expected a folder that can be made, got {self.folder}: "
                f"{error.strerror or error}"
            ) from error

    def _open(self) -> None:
        """Open the file, if there is one; what is damaged is set aside."""
        if self.writable:
            self._remove_leftovers()
        try:
            header = self._read_header()
            if header is not None:
                self._file = self._open_records(header)
        except DamagedFileError as error:
            self._set_aside(str(error))
        except OSError as error:
            raise InputFileError(
                f"{self._path}: expected a file that can be read: {error.strerror or error}"
            ) from error
        if self._file is None:
            return
        if self.writable:
            self._file.drop_damaged_tail()
        self._index(split_hashes(self._file.hashes(0)))

    def _read_header(self) -> Header | None:
        try:
            with self._path.open("rb") as file:
                return decode_header(file.read(header_size(self._key)), self._key)
        except DamagedFileError:
            raise
        except FileNotFoundError:
            return None

    def _open_records(self, header: Header) -> RecordFile:
        if self.writable:
            try:
                return RecordFile(self._path, header, writable=True)
            except PermissionError as error:
                self.writable = False
                self._note(f"{self._path} is used, new vectors are not kept: {error.strerror}")
        return RecordFile(self._path, header, writable=False)

    def _begin(self, width: int) -> RecordFile:
        """Make the file; it takes its name with its whole header on disk."""
        with atomic_file(self._path) as file:
            file.write(encode_header(self._key, width))
        header = self._read_header()
        if header is None:
            raise OutputError(f"{self._path}: expected the file just written, it is gone")
        self._file = self._open_records(header)
        return self._file

    def _set_aside(self, fault: str) -> None:
        if not self.writable:
            self._note(f"{self._path} is not used: {fault}")
            return
        number = 1
        while (aside := self.folder / f"vectors.damaged-{number}.bin").exists():
            number += 1
        try:
            self._path.rename(aside)
        except OSError as error:
            raise OutputError(
                f"cannot set {self._path} aside ({fault}): {error.strerror or error}"
            ) from error
        self._note(
            f"{self._path} was damaged ({fault}); it is {aside.name} now and can be deleted, "
            "its texts are run again"
        )

    def _remove_leftovers(self) -> None:
        """What a process that was killed while it made a file left under a temporary name."""
        for entry in [*self.folder.glob(".*.tmp"), *self.folder.glob("plans/.*.tmp")]:
            if TEMPORARY_NAME.fullmatch(entry.name):
                with suppress(OSError):
                    entry.unlink()

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _follow_writer(self) -> None:
        """Index what another process appended."""
        if self.writable:
            return
        if self._file is None:
            self._open()
            return
        self._file.refresh()
        if self._file.count > self._indexed:
            self._index(split_hashes(self._file.hashes(self._indexed)))

    def _index(self, hashes: list[bytes]) -> None:
        """Note where the records behind those that are indexed are, as many as there are."""
        count = 0 if self._file is None else self._file.count
        self._slots.update(zip(hashes, range(self._indexed, count), strict=False))
        self._indexed = count

    def _new_among(self, hashes: HashArray) -> IntArray:
        """Places of the texts without a good record, each text once."""
        first: dict[bytes, int] = {}
        for place, text in enumerate(split_hashes(hashes)):
            first.setdefault(text, place)
        places = np.fromiter(first.values(), np.int64, len(first))
        is_new: BoolArray = self.find(hashes[places]) == _NO_SLOT
        return places[is_new]

    def _check_open(self) -> None:
        if self._is_closed:
            raise InputError(f"store: expected one that is open, got {self.folder} after close()")
