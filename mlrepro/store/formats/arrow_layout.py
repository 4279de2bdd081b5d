"""One layout for equal Arrow data: one chunk a column, nothing in memory that is not its values.

Arrow writes buffers as they are. A slice brings along its neighbours up to the next multiple of 64 bytes, nulls bring
whatever lies under them, and bitmaps the bits behind their last value; so equal tables would have different bytes.
"""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

_LISTS: Final = (pa.types.is_list, pa.types.is_large_list, pa.types.is_map)
_TEXTS_32: Final = (pa.types.is_string, pa.types.is_binary)
_TEXTS_64: Final = (pa.types.is_large_string, pa.types.is_large_binary)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """A table in canonical layout, as one batch with the table's schema."""
    return pa.RecordBatch.from_arrays([one_chunk(column) for column in table.columns], schema=table.schema)


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
            column = _empty(column.type)
        elif len(chunks) == 1:
            column = chunks[0]
        else:
            column = pa.concat_arrays(_same_dictionaries(chunks))
    return _clean(column)


def _empty(kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array([], kind.storage_type))
    return pa.array([], kind)


def _same_dictionaries(chunks: list[pa.Array]) -> list[pa.Array]:
    if not pa.types.is_dictionary(chunks[0].type):
        return chunks
    return list(pa.chunked_array(chunks).unify_dictionaries().chunks)


def _clean(array: pa.Array) -> pa.Array:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(kind, _clean(array.storage))
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(_clean(array.indices), _clean(array.dictionary), ordered=kind.ordered)
    if any(is_list(kind) for is_list in _LISTS) or pa.types.is_fixed_size_list(kind) or pa.types.is_struct(kind):
        return _clean_nested(array)
    width = _width(kind)
    if width is None:
        # Null, union, run-end and view types: rare, and kept as they are.
        return pa.concat_arrays([array]) if array.offset else array
    if array.null_count:
        array = _with_nulls_of(pc.fill_null(array, _zero(kind)), array)
    if not _is_exact(array, width):
        array = pa.concat_arrays([array])
    if pa.types.is_boolean(kind) and len(array):
        buffers = array.buffers()
        return pa.Array.from_buffers(kind, len(array), [buffers[0], _bits(buffers[1], len(array))], array.null_count)
    return array


def _width(kind: pa.DataType) -> int | None:
    """Bits of a value, 0 for text and binary, None for types that are laid out in another way."""
    if any(is_text(kind) for is_text in _TEXTS_32 + _TEXTS_64):
        return 0
    try:
        return int(kind.bit_width)
    except ValueError:
        return None


def _is_exact(array: pa.Array, width: int) -> bool:
    """Whether the buffers hold this array and nothing else."""
    buffers, length = array.buffers(), len(array)
    bitmap = buffers[0]
    if array.offset or (array.null_count and bitmap.size != (length + 7) // 8):
        return False
    if width:
        return buffers[1] is not None and buffers[1].size == (length * width + 7) // 8
    wide = any(is_text(array.type) for is_text in _TEXTS_64)
    offsets, size = buffers[1], 8 if wide else 4
    if offsets is None or offsets.size != (length + 1) * size:
        return False
    numbers = memoryview(offsets).cast("B").cast("q" if wide else "i")
    return numbers[0] == 0 and (0 if buffers[2] is None else buffers[2].size) == numbers[length]


def _zero(kind: pa.DataType) -> pa.Scalar:
    if any(is_text(kind) for is_text in _TEXTS_32 + _TEXTS_64):
        return pa.scalar(b"").cast(kind)
    if pa.types.is_fixed_size_binary(kind):
        return pa.scalar(bytes(kind.byte_width), kind)
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(bytes(32))])[0]


def _with_nulls_of(values: pa.Array, other: pa.Array) -> pa.Array:
    """Values with another array's nulls; what lies under them is kept."""
    buffers = [_valid(other), *values.buffers()[1:]]
    return pa.Array.from_buffers(values.type, len(values), buffers, other.null_count, values.offset)


def _valid(array: pa.Array) -> pa.Buffer | None:
    """The nulls bitmap of an array, from its first value on."""
    if not array.null_count:
        return None
    valid = pc.is_valid(array)
    if valid.offset:
        valid = pa.concat_arrays([valid])
    return _bits(valid.buffers()[1], len(valid))


def _bits(buffer: pa.Buffer, length: int) -> pa.Buffer:
    """The first bits of a buffer, zeros behind them."""
    data = bytearray(memoryview(buffer)[: (length + 7) // 8])
    if length % 8:
        data[-1] &= (1 << length % 8) - 1
    return pa.py_buffer(bytes(data))


def _clean_nested(array: pa.Array) -> pa.Array:
    kind = array.type
    if array.null_count:
        # take leaves behind what lay under the nulls.
        array = array.take(pa.array(range(len(array)), pa.int64()))
    array = pa.concat_arrays([array])
    nulls, bitmap = array.null_count, _valid(array)
    if pa.types.is_struct(kind):
        children = [_clean(array.field(number)) for number in range(kind.num_fields)]
        return pa.Array.from_buffers(kind, len(array), [bitmap], nulls, children=children)
    if pa.types.is_fixed_size_list(kind):
        return pa.Array.from_buffers(kind, len(array), [bitmap], nulls, children=[_clean(array.values)])
    if pa.types.is_map(kind):
        keys, items = _clean(array.keys), _clean(array.items)
        pairs = pa.StructArray.from_arrays([keys, items], fields=[kind.key_field, kind.item_field])
        return pa.Array.from_buffers(kind, len(array), [bitmap, array.buffers()[1]], nulls, children=[pairs])
    return pa.Array.from_buffers(kind, len(array), [bitmap, array.buffers()[1]], nulls, children=[_clean(array.values)])
