"""Columns of string views, as polars gives them, turned into columns that all of Arrow knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def without_views(table: pa.Table) -> pa.Table:
    """The same rows with views of strings and bytes as `large_string` and `large_binary`.

    A slice of a column of views holds the text of all rows, so its size says nothing of its own
    rows; and versions of Arrow that are still in use neither measure views nor write them as
    Parquet. Meant for some rows that were taken from a table: their texts are copied.

    Parameters
    ----------
    table : pyarrow.Table
        Of any columns; views are also found in lists and structs and as the words of a dictionary.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"text": pa.array(["one", "two"], pa.string_view()), "n": [1, 2]})
    >>> without_views(table).schema.types
    [DataType(large_string), DataType(int64)]
    """
    for place, field in enumerate(table.schema):
        kind = _without_views(field.type)
        if kind != field.type:
            column = _cast(table.column(place), kind)
            table = table.set_column(place, field.with_type(kind), column)
    return table


def _without_views(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return pa.large_string() if types.is_string_view(kind) else pa.large_binary()
    if types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _without_views(kind.value_type), kind.ordered)
    if types.is_struct(kind):
        return pa.struct([_without_views_in(kind.field(n)) for n in range(kind.num_fields)])
    if types.is_fixed_size_list(kind):
        return pa.list_(_without_views_in(kind.value_field), kind.list_size)
    if types.is_list(kind) or types.is_large_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        return make(_without_views_in(kind.value_field))
    return kind


def _without_views_in(field: pa.Field) -> pa.Field:
    # A dictionary within a list or a struct is let be: Arrow casts none there.
    return field if _is_dictionary(field.type) else field.with_type(_without_views(field.type))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    if not _is_dictionary(kind):
        return column.cast(kind)
    chunks = [
        pa.DictionaryArray.from_arrays(
            chunk.indices, chunk.dictionary.cast(kind.value_type), ordered=kind.ordered
        )
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, type=kind)


def _is_dictionary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(kind))
