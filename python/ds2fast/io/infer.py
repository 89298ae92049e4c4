"""Arrow types of JSON rows: one type a field, or an error that names the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ds2fast.errors import InputError
from ds2fast.io.unicode import storable

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]


def infer_schema(pieces: Iterable[Sequence[Row]]) -> pa.Schema:
    """The schema that holds all rows: fields in order of appearance, each of one type.

    Whole numbers beside others become floats; objects, also those in lists, get the keys of all.

    Parameters
    ----------
    pieces : iterable of sequences of mappings
        The rows, some at a time: only one piece is looked at at once.

    Returns
    -------
    pyarrow.Schema
        Its types.

    Raises
    ------
    InputError
        A field whose values do not fit one type; it is named.

    Examples
    --------
    >>> infer_schema([[{"n": 1, "t": "a"}], [{"n": 0.5}, {"of": ["b"]}]]).types
    [DataType(double), DataType(string), ListType(list<item: string>)]
    """
    import pyarrow as pa

    types: dict[str, pa.DataType] = {}
    for rows in pieces:
        for name in _names(rows):
            found = _column(name, [row.get(name) for row in rows]).type
            known = types.get(name, found)
            types[name] = known if known.equals(found) else _joined(name, known, found)
    return pa.schema(list(types.items()))


def rows_as_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """JSON rows as an Arrow table of a schema that `infer_schema` found for them.

    Raises
    ------
    InputError
        A value that its field's type cannot hold: a whole number beyond 2^53 beside floats.

    Examples
    --------
    >>> rows = [{"n": 1}, {}]
    >>> rows_as_table(rows, infer_schema([rows])).to_pylist()
    [{'n': 1}, {'n': None}]
    """
    import pyarrow as pa

    columns = [
        _column(field.name, [row.get(field.name) for row in rows], field.type) for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _names(rows: Sequence[Row]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    other = next((name for name in names if not _is_unicode(name)), None)
    if other is not None:
        raise InputError(f"rows: expected names of fields that are Unicode strings, got {other!r}")
    return list(names)


def _is_unicode(name: object) -> bool:
    """Whether it is a string without lone surrogates, which no table can hold."""
    return isinstance(name, str) and storable(name) == name


def _column(name: str, values: list[Any], kind: pa.DataType | None = None) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, type=kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise _unfit(name, error) from error


def _joined(name: str, first: pa.DataType, second: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    schemas = [pa.schema([(name, kind)]) for kind in (first, second)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowException, TypeError) as error:
        raise _unfit(name, f"{first} and {second}") from error


def _unfit(name: str, why: object) -> InputError:
    return InputError(
        f"rows: expected values of one type in the field {name!r}, got others ({why})"
    )
