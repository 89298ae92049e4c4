"""The selected rows as tables of other libraries, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from ds2fast.errors import InputError, MissingExtraError
from ds2fast.io.rows import check_indices
from ds2fast.io.tabular import as_object, row_schema, row_tables
from ds2fast.pool import Pool

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from ds2fast.outcome import Selection


def rows_of(selection: Selection) -> list[dict[str, Any]]:
    """The selected rows as dicts, best first; a bare string becomes `{"text": ...}`.

    Parameters
    ----------
    selection : Selection
        One made from data.

    Raises
    ------
    InputError
        The selection was made from arrays only.
    """
    if selection.pool is None:
        raise InputError("selection: expected one made from data, got one made from arrays only")
    return [dict(as_object(row)) for row in selection.pool.take(selection.indices)]


def to_arrow(pool: Pool, indices: npt.ArrayLike) -> pa.Table:
    """Rows as an Arrow table, in the order of `indices`.

    Parameters
    ----------
    pool : Pool
        Rows of a table or a Parquet file keep their types, columns and metadata. Of other rows each
        field becomes a column of the type that all its values fit: whole numbers beside others
        become floats, and what a row lacks becomes null.
    indices : (n,) integers
        Row numbers in [0, N).

    Raises
    ------
    InputError
        An index outside [0, N); a field whose values do not fit one type (it is named).

    Examples
    --------
    >>> from ds2fast.io.read import read
    >>> to_arrow(read(["one", "two"], scores=None), [1]).to_pylist()
    [{'text': 'two'}]
    """
    import pyarrow as pa

    rows = check_indices(indices, len(pool))
    schema = row_schema(pool, rows)
    tables = list(row_tables(pool, rows, schema))
    return pa.concat_tables(tables).combine_chunks() if tables else schema.empty_table()


def to_pandas(pool: Pool, indices: npt.ArrayLike) -> pd.DataFrame:
    """Rows as a pandas data frame; see `to_arrow` for types, arguments and errors.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    """
    _need("pandas", "to_pandas")
    table = to_arrow(pool, indices)
    with _refused("pandas"):
        return table.to_pandas()


def to_polars(pool: Pool, indices: npt.ArrayLike) -> pl.DataFrame:
    """Rows as a polars data frame; see `to_arrow` for types, arguments and errors.

    Raises
    ------
    MissingExtraError
        polars is not installed.
    """
    polars = _need("polars", "to_polars")
    table = to_arrow(pool, indices)
    with _refused("polars"):
        frame: pl.DataFrame = polars.from_arrow(table)
    return frame


def to_dataset(pool: Pool, indices: npt.ArrayLike) -> datasets.Dataset:
    """Rows as a Hugging Face `Dataset` in memory; see `to_arrow` for types, arguments and errors.

    Raises
    ------
    MissingExtraError
        The package datasets is not installed.
    """
    package = _need("datasets", "to_dataset")
    table = to_arrow(pool, indices)
    with _refused("datasets"):
        return package.Dataset(table)


@contextmanager
def _refused(package: str) -> Iterator[None]:
    """Whatever a library says of a type that it does not know."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # each library has errors of its own
        raise InputError(
            f"rows: expected columns of types that {package} can hold, got others ({error})"
        ) from error


def _need(package: str, what: str) -> Any:
    """An optional package, imported."""
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs the package {package}: pip install {package}"
        ) from error
