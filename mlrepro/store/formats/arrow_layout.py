"""One layout for equal Arrow data: one chunk a column, no slices, nothing under nulls."""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

_NESTED: Final = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_struct,
    pa.types.is_map,
)


def one_chunk(column: Any) -> pa.Array:
    """A column in canonical layout.

    Args:
        column: A pyarrow Array or ChunkedArray.

    Returns:
        An array with equal values whose IPC bytes follow from them alone.
    """
    if isinstance(column, pa.ChunkedArray):
        # A dictionary belongs to the value even where no row is left.
        chunks = [chunk for chunk in column.chunks if len(chunk)] or column.chunks[:1]
        if not chunks:
            chunks = [column.type.wrap_array(pa.array([], column.type.storage_type))] if isinstance(
                column.type, pa.BaseExtensionType
            ) else [pa.array([], column.type)]
        column = chunks[0] if len(chunks) == 1 else pa.concat_arrays(_same_dictionaries(chunks))
    return without_hidden(column)


def _same_dictionaries(chunks: list[pa.Array]) -> list[pa.Array]:
    if not pa.types.is_dictionary(chunks[0].type):
        return chunks
    return list(pa.chunked_array(chunks).unify_dictionaries().chunks)


def without_hidden(array: pa.Array) -> pa.Array:
    """The array with zeros under its nulls, and no nulls bitmap where there are none."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(kind, without_hidden(array.storage))
    if pa.types.is_dictionary(kind):
        clean = pa.DictionaryArray.from_arrays(
            without_hidden(array.indices), without_hidden(array.dictionary), ordered=kind.ordered
        )
        return clean.cast(kind) if clean.type != kind else clean
    if any(is_nested(kind) for is_nested in _NESTED):
        return _rebuilt(array)
    if pa.types.is_null(kind) or pa.types.is_union(kind) or pa.types.is_run_end_encoded(kind):
        return array
    if pa.types.is_boolean(kind) and len(array):
        # A copy, because the bits after the last value are anything.
        array = pc.and_(array, True)
    if not array.null_count:
        return array
    return _mask(pc.fill_null(array, _zero(kind)), array)


def _zero(kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.scalar("", kind)
    if pa.types.is_fixed_size_binary(kind):
        return pa.scalar(bytes(kind.byte_width), kind)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.scalar(b"", kind)
    if pa.types.is_boolean(kind):
        return pa.scalar(False, kind)
    return pa.scalar(0, pa.int64()).cast(kind) if pa.types.is_decimal(kind) else pa.array([0]).cast(_width(kind)).view(kind)[0]


def _width(kind: pa.DataType) -> pa.DataType:
    return {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[kind.bit_width]


def _mask(values: pa.Array, nulls_of: pa.Array) -> pa.Array:
    """Values with another array's nulls, the values under them kept."""
    valid = pc.is_valid(nulls_of)
    bits = bytearray(memoryview(valid.buffers()[1])[: (len(valid) + 7) // 8]) if not valid.offset else None
    if bits is None:
        bits = bytearray(memoryview(pc.and_(valid, True).buffers()[1])[: (len(valid) + 7) // 8])
    if len(valid) % 8:
        bits[-1] &= (1 << len(valid) % 8) - 1
    return pa.Array.from_buffers(
        values.type, len(values), [pa.py_buffer(bytes(bits)), *values.buffers()[1:]], nulls_of.null_count, values.offset
    )


def _rebuilt(array: pa.Array) -> pa.Array:
    # take copies what the values are and leaves behind what only the memory held.
    return array.take(pa.array(range(len(array)), pa.int64())) if array.null_count or array.offset else array


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """A table in canonical layout, as one batch with the table's schema."""
    return pa.RecordBatch.from_arrays([one_chunk(column) for column in table.columns], schema=table.schema)
