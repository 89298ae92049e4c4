"""Static encoders: a text's vector is the mean of its tokens' vectors, read from a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ds2fast import _core
from ds2fast.embedding.checkpoint import file_sha256, read_settings
from ds2fast.embedding.static_tokenise import StaticTokeniser
from ds2fast.embedding.tokenise import read_tokenizer
from ds2fast.errors import InputError, InputFileError, ModelNotFoundError
from ds2fast.results import FloatArray, IdArray, IntArray
from ds2fast.threads import resolve_threads

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT_MAX_TOKENS = 512
"""Where config.json says no `max_length`; texts are cut there by whatever reads the format."""

ORIGIN_KEY = "ds2fast"
"""Where config.json of a model that we distilled says what it was made from."""

_READABLE = {"F16", "F32", "F64", "I8"}
_INTEGERS = {"I32", "I64"}
_NEGLIGIBLE = 1e-3  # of a row's norm: the mean of centred rows is rounding, not a direction


@dataclass(frozen=True)
class StaticFiles:
    """Where a static model's files are: `weights` holds the table as the tensor `tensor`.

    `name` is the model as it was asked for, `revision` the commit of its Hugging Face repository.
    """

    weights: Path
    tokenizer: Path
    config: Path
    tensor: str
    name: str = ""
    revision: str | None = None

    @property
    def max_tokens(self) -> int | None:
        """Length at which texts are cut; None cuts nothing."""
        return _max_tokens(self.config, read_settings(self.config))

    @property
    def teacher(self) -> dict[str, Any]:
        """What a model of ours was distilled from; empty for any other."""
        origin = read_settings(self.config).get(ORIGIN_KEY)
        return dict(origin) if isinstance(origin, dict) else {}

    def weights_sha256(self) -> str:
        """Hash of the weights' file; it is read once."""
        return self._weights_hash

    @cached_property
    def _weights_hash(self) -> str:
        return file_sha256(self.weights)


# The folder, the settings and the name of the table: the model2vec format, then the two places in
# which sentence-transformers puts a module StaticEmbedding.
_LAYOUTS = (
    ("", "config.json", "embeddings"),
    ("", "config_sentence_transformers.json", "embedding.weight"),
    ("0_StaticEmbedding", "config_sentence_transformers.json", "embedding.weight"),
)


def find_static(directory: Path) -> StaticFiles | None:
    """Files of a static model in a folder, or None where the folder holds none.

    A model2vec model and a BERT checkpoint have files of the same names; the tensors tell them
    apart.

    Raises
    ------
    InputFileError
        Where model.safetensors is broken.
    """
    for folder, settings, tensor in _LAYOUTS:
        home = directory / folder
        weights, tokenizer = home / "model.safetensors", home / "tokenizer.json"
        if weights.is_file() and tensor in _tensor_names(weights):
            if not tokenizer.is_file():
                raise ModelNotFoundError(
                    f"model {str(directory)!r}: {home} lacks tokenizer.json, which the table of "
                    "vectors in model.safetensors needs"
                )
            return StaticFiles(weights, tokenizer, directory / settings, tensor)
    return None


class StaticEncoder:
    """Encodes texts as the normalised mean of their tokens' vectors.

    Parameters
    ----------
    table : (R, d) float32
        Vectors of finite numbers.
    tokenizer : Tokenizer
        Gives the token ids; its truncation and padding are overridden.
    row_of_token : (V,) int32, optional
        Row of the table of each token id; by default token i has row i.
    weights : (V,) float32, optional
        Factor of each token id's vector; by default 1.
    max_tokens : int or None
        Length at which texts are cut; None cuts nothing.
    source : Path
        The file that messages name.
    config : mapping, optional
        What else is known of the model.
    threads : int, optional
        Threads of `encode` and of the tokeniser; by default what affinity and cgroup allow.

    Attributes
    ----------
    table, row_of_token, weights : arrays
        As given; the latter two are empty where they were not.
    fallback : (d,) float32
        Vector of a text that holds no known token: the direction of the mean of all (weighted)
        token vectors, as if the text held every token once; the first axis where these cancel.
    tokeniser : StaticTokeniser
        Turns texts into what `encode` takes.
    max_tokens : int or None
        As given.
    config : mapping
        As given; `config["ds2fast"]` tells what a model of ours was distilled from.

    Raises
    ------
    InputFileError
        Where the arrays do not fit one another or the tokenizer.

    Examples
    --------
    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "frog": 2}, unk_token="[UNK]"))
    >>> words.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> encoder = StaticEncoder(np.eye(3, dtype=np.float32), words, source=Path("made here"))
    >>> tokens = encoder.tokeniser.encode(["a frog", "a green a"], lambda done: None)
    >>> encoder.encode(tokens.ids, tokens.offsets).round(2)
    array([[0.  , 0.71, 0.71],
           [0.  , 1.  , 0.  ]], dtype=float32)
    """

    def __init__(
        self,
        table: FloatArray,
        tokenizer: Tokenizer,
        *,
        source: Path,
        row_of_token: IdArray | None = None,
        weights: FloatArray | None = None,
        max_tokens: int | None = DEFAULT_MAX_TOKENS,
        config: Mapping[str, Any] | None = None,
        threads: int | None = None,
    ) -> None:
        self._threads = resolve_threads(threads)
        self.tokeniser = StaticTokeniser(tokenizer, max_tokens, threads=self._threads)
        self.table = np.ascontiguousarray(table, np.float32)
        self.row_of_token = _or_empty(row_of_token, np.int32)
        self.weights = _or_empty(weights, np.float32)
        self.max_tokens = max_tokens
        self.config = dict(config or {})
        self._check(source)
        self.fallback = self._find_fallback()

    @classmethod
    def open(cls, model: Path | StaticFiles, *, threads: int | None = None) -> StaticEncoder:
        """Load a directory in the model2vec format, or files that `find_static` found.

        Tables of float16, float32, float64 and int8 are read, with or without the tensors
        `weights` and `mapping`. Vectors are of norm 1 whatever `normalize` says.

        Raises
        ------
        ModelNotFoundError
            Where the directory holds no static model.
        InputFileError
            Where a file is broken, or does not fit the others.
        """
        files = find_static(model) if isinstance(model, Path) else model
        if files is None:
            raise ModelNotFoundError(
                f"model {str(model)!r}: expected a directory in the model2vec format "
                "(model.safetensors with a tensor `embeddings`, tokenizer.json, config.json), "
                "got none"
            )
        config = read_settings(files.config)
        tensors = _read_tensors(files)
        return cls(
            tensors[files.tensor],
            read_tokenizer(files.tokenizer),
            source=files.weights,
            row_of_token=tensors.get("mapping"),
            weights=tensors.get("weights"),
            max_tokens=_max_tokens(files.config, config),
            config=config,
            threads=threads,
        )

    @property
    def width(self) -> int:
        """Columns of the vectors."""
        return int(self.table.shape[1])

    @property
    def num_tokens(self) -> int:
        """Number V of token ids that have a vector."""
        return len(self.row_of_token) or len(self.table)

    def encode(
        self, ids: IdArray, offsets: IntArray, report: Callable[[int, int], None] | None = None
    ) -> FloatArray:
        """Encode tokenised texts.

        Parameters
        ----------
        ids : (total,) int32
            Token ids of all texts, one text after the other.
        offsets : (n + 1,) int64
            The tokens of text i are `ids[offsets[i]:offsets[i + 1]]`; there may be none.
        report : callable, optional
            Is told `(done, total)` texts, some twenty times a second.

        Returns
        -------
        (n, d) float32
            Rows of norm 1; that of a text without tokens is `fallback`. They depend on the text's
            own tokens alone, not on the threads or the other texts.

        Raises
        ------
        InputError
            Where an id has no vector, or the offsets are not those of the ids.
        """
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= self.num_tokens):
            raise InputError(
                f"ids: expected token ids in [0, {self.num_tokens}), "
                f"got {int(ids.min())} to {int(ids.max())}"
            )
        if (
            len(offsets) < 1
            or (int(offsets[0]), int(offsets[-1])) != (0, len(ids))
            or bool((np.diff(offsets) < 0).any())
        ):
            raise InputError(
                "offsets: expected an ascending array from 0 to the number of ids "
                f"({len(ids)}), got others"
            )
        return _core.gather_mean(
            self.table,
            self.row_of_token,
            self.weights,
            np.ascontiguousarray(ids, np.int32),
            np.ascontiguousarray(offsets, np.int64),
            self.fallback,
            self._threads,
            report,
        )

    def _check(self, source: Path) -> None:
        needed = self.tokeniser.num_tokens
        if self.table.ndim != 2 or not self.table.size or not np.isfinite(self.table).all():
            raise InputFileError(
                f"{source}: expected a table of vectors of finite numbers, "
                f"got shape {self.table.shape} or others"
            )
        if self.num_tokens < needed:
            raise InputFileError(
                f"{source}: expected a vector for each of the tokenizer's {needed} tokens, "
                f"got {self.num_tokens}; the tokenizer is another model's"
            )
        rows = self.row_of_token
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(self.table)):
            raise InputFileError(
                f"{source}: mapping: expected rows in [0, {len(self.table)}), "
                f"got {int(rows.min())} to {int(rows.max())}"
            )
        if len(self.weights) and (
            len(self.weights) != self.num_tokens or not np.isfinite(self.weights).all()
        ):
            raise InputFileError(
                f"{source}: weights: expected {self.num_tokens} finite numbers, one a token, "
                f"got {len(self.weights)} or others"
            )

    def _find_fallback(self) -> FloatArray:
        rows = self.row_of_token if len(self.row_of_token) else np.arange(len(self.table))
        weights = self.weights.astype(np.float64) if len(self.weights) else np.ones(len(rows))
        share = np.bincount(rows, weights, len(self.table)) / len(rows)
        mean = share @ self.table
        size = np.sqrt(share**2 @ (self.table.astype(np.float64) ** 2).sum(axis=1) * len(rows))
        norm = float(np.linalg.norm(mean))
        if not norm > _NEGLIGIBLE * size:
            return np.eye(1, self.width, dtype=np.float32).ravel()
        return np.asarray(mean / norm, np.float32)


def _or_empty(values: npt.ArrayLike | None, dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.empty(0, dtype) if values is None else np.ascontiguousarray(values, dtype)


def _tensor_names(path: Path) -> set[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return set(file.keys())
    except (OSError, SafetensorError) as error:
        raise InputFileError(
            f"{path}: expected weights in safetensors form, could not read them: {error}"
        ) from error


def _read_tensors(files: StaticFiles) -> dict[str, npt.NDArray[Any]]:
    """The table, and `weights` and `mapping` where they are there, in the kernel's types."""
    from safetensors import SafetensorError, safe_open

    expected = {files.tensor: (2, _READABLE), "weights": (1, _READABLE), "mapping": (1, _INTEGERS)}
    try:
        with safe_open(files.weights, framework="numpy") as file:
            found = [name for name in expected if name in file.keys()]  # noqa: SIM118  # the file is no mapping
            for name in found:
                _check_tensor(files.weights, name, file.get_slice(name), *expected[name])
            tensors = {name: file.get_tensor(name) for name in found}
    except InputFileError:  # an OSError too
        raise
    except (OSError, SafetensorError) as error:
        raise InputFileError(
            f"{files.weights}: expected weights in safetensors form, could not read them: {error}"
        ) from error
    if "mapping" in tensors:  # a row beyond int32 must stay one that is not there
        tensors["mapping"] = np.clip(tensors["mapping"], -1, np.iinfo(np.int32).max)
    return tensors


def _check_tensor(path: Path, name: str, kept: Any, ndim: int, kinds: set[str]) -> None:
    if len(kept.get_shape()) != ndim or kept.get_dtype() not in kinds:
        raise InputFileError(
            f"{path}: {name}: expected {'a matrix' if ndim == 2 else 'a vector'} of "
            f"{', '.join(sorted(kinds))}, got shape {tuple(kept.get_shape())} of {kept.get_dtype()}"
        )


def _max_tokens(path: Path, config: Mapping[str, Any]) -> int | None:
    length = config.get("max_length", DEFAULT_MAX_TOKENS)
    if length is None or (isinstance(length, int) and not isinstance(length, bool) and length >= 1):
        return length
    raise InputFileError(f"{path}: max_length: expected an integer above 0 or null, got {length!r}")
