"""One pandas column to Arrow and back, exactly."""

import json
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from mlrepro.store.formats import json_value
from mlrepro.store.formats.arrow_layout import one_chunk
from mlrepro.store.formats.format import NotThisFormatError
from mlrepro.store.formats.npy import canonical

Note: TypeAlias = dict[str, Any]
"""What must be known of a column besides its Arrow data; JSON. Empty where numpy's own types say it all."""

_NO_VALUE: Final = type(None)


def encode_column(values: Any) -> tuple[pa.Array, Note]:
    """A column's values in canonical Arrow layout.

    Args:
        values: A numpy or pandas array, a Series or an Index of one level.

    Raises:
        NotThisFormatError: Arrow cannot give the very same column back.
    """
    if type(values) is pd.arrays.NumpyExtensionArray:
        values = values.to_numpy()
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        array = np.asarray(values)
        if dtype.kind == "O":
            return _objects(array)
        if dtype.kind not in "biufMm" or not dtype.isnative:
            raise NotThisFormatError(f"Arrow has no type for the dtype {dtype}")
        if dtype.kind == "f":
            array = canonical(array)
        # NaN stays a number here: pandas does not tell it from a missing value, and this way nothing is copied.
        return one_chunk(pa.array(np.ascontiguousarray(array), from_pandas=False)), {}
    values = pd.array(values, copy=False) if not isinstance(values, pd.api.extensions.ExtensionArray) else values
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(values)
    if isinstance(dtype, pd.StringDtype):
        note: Note = {"string": dtype.storage, "na": "nan" if dtype.na_value is not pd.NA else "NA"}
        return one_chunk(_arrow(values)), note
    if isinstance(dtype, pd.ArrowDtype):
        return one_chunk(_arrow(values)), {"arrow": True}
    if isinstance(dtype, pd.DatetimeTZDtype):
        if not _named(dtype):
            raise NotThisFormatError(f"the dtype {dtype} is not known by its name")
        return one_chunk(pa.array(values.tz_convert(None).asi8.view(f"M8[{dtype.unit}]"))), {"dtype": str(dtype)}
    if not hasattr(dtype, "__from_arrow__") or not _named(dtype):
        raise NotThisFormatError(f"Arrow has no type for the dtype {dtype}")
    return one_chunk(_arrow(values)), {"dtype": str(dtype)}


def decode_column(column: pa.ChunkedArray, note: Note) -> Any:
    """The values that ``encode_column`` was given, as a numpy or pandas array."""
    if not note:
        return _writable(
            column.to_numpy() if column.num_chunks != 1 else column.chunk(0).to_numpy(zero_copy_only=False)
        )
    for key, decode in _DECODERS.items():
        if key in note:
            return decode(column, note)
    raise ValueError(f"a frame of a later version: its columns have {sorted(note)}")


def _writable(array: Any) -> Any:
    """The array in memory of its own; pandas' users change values in place."""
    return array if array.flags.writeable else array.copy()


def is_plain(note: Note) -> bool:
    """Whether pyarrow's own conversion gives this column back."""
    return not note


def _arrow(values: Any) -> Any:
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, UnicodeError) as error:
        raise NotThisFormatError(f"Arrow cannot hold it: {error}") from error


def _named(dtype: Any) -> bool:
    """Whether a dtype can be found again by its name."""
    try:
        found = pd.api.types.pandas_dtype(str(dtype))
    except (TypeError, ValueError):
        return False
    same_zone = type(getattr(found, "tz", None)) is type(getattr(dtype, "tz", None))
    return bool(found == dtype) and same_zone


def _objects(array: Any) -> tuple[pa.Array, Note]:
    kinds = set(map(type, array))
    for kind, arrow_type, name in ((str, pa.large_string(), "str"), (bytes, pa.large_binary(), "bytes")):
        missing = kinds - {kind}
        if kind not in kinds or missing not in (set(), {_NO_VALUE}, {float}):
            continue
        if missing == {float} and any(value == value for value in array if type(value) is float):
            continue
        try:
            column = pa.array(array, arrow_type, from_pandas=True)
        except (pa.ArrowException, UnicodeError):
            continue  # Lone surrogates have no UTF-8.
        return one_chunk(column), {"object": name, "null": "nan" if missing == {float} else "none"}
    texts = [json_value.to_bytes(json_value.encode(value)).decode() for value in array]
    return one_chunk(pa.array(texts, pa.large_string())), {"object": "json"}


def _decode_objects(column: pa.ChunkedArray, note: Note) -> Any:
    values = column.to_pylist()
    if note["object"] == "json":
        values = [json_value.decode(json.loads(text)) for text in values]
    elif note["null"] == "nan":
        values = [np.nan if value is None else value for value in values]
    array = np.empty(len(values), dtype=object)
    # Cell by cell: numpy would take a column of equally long lists for a table.
    for position, value in enumerate(values):
        array[position] = value
    return array


def _categories(values: Any) -> tuple[pa.Array, Note]:
    labels = values.categories
    note: Note = {"category": {"ordered": bool(values.ordered)}}
    if isinstance(labels.dtype, pd.IntervalDtype):
        left, right = encode_column(labels.left)[1], encode_column(labels.right)[1]
        if left or right:
            raise NotThisFormatError("its intervals are not between plain numbers")
        note["category"]["intervals"] = {
            "closed": labels.closed,
            "dtype": str(labels.dtype.subtype),
            "left": json_value.encode([_number(edge) for edge in labels.left]),
            "right": json_value.encode([_number(edge) for edge in labels.right]),
        }
        dictionary = pa.array([str(label) for label in labels], pa.large_string())
    else:
        dictionary, note["category"]["labels"] = encode_column(labels)
        note["category"] |= frequency(labels)
        if isinstance(dictionary, pa.ExtensionArray):
            raise NotThisFormatError("its categories have no plain Arrow type")
    if labels.name is not None:
        raise NotThisFormatError("its categories have a name")
    codes = pa.array(np.asarray(values.codes), mask=np.asarray(values.codes) == -1)
    return one_chunk(pa.DictionaryArray.from_arrays(codes, dictionary, ordered=bool(values.ordered))), note


def frequency(index: Any) -> Note:
    """The frequency of an index, if it has one besides its dtype.

    Raises:
        NotThisFormatError: It is not known by its name.
    """
    freq = getattr(index, "freq", None)
    if freq is None or isinstance(index.dtype, pd.PeriodDtype):
        return {}
    try:
        same = pd.tseries.frequencies.to_offset(freq.freqstr) == freq
    except ValueError:
        same = False
    if not same:
        raise NotThisFormatError(f"the frequency {freq!r} of an index is not known by its name")
    return {"freq": str(freq.freqstr)}


def _number(edge: Any) -> float | int:
    if isinstance(edge, bool) or not isinstance(edge, int | float | np.integer | np.floating):
        raise NotThisFormatError("its intervals are not between plain numbers")
    return edge.item() if isinstance(edge, np.generic) else edge


def _decode_categories(column: pa.ChunkedArray, note: Note) -> Any:
    known = note["category"]
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):
        array = array.unify_dictionaries().combine_chunks()
    if "intervals" in known:
        edges = known["intervals"]
        labels = pd.IntervalIndex.from_arrays(
            *(np.array(json_value.decode(edges[side]), dtype=edges["dtype"]) for side in ("left", "right")),
            closed=edges["closed"],
        )
    else:
        labels = as_index(decode_column(pa.chunked_array([array.dictionary]), known["labels"]))
        if "freq" in known:
            labels.freq = known["freq"]
    codes = _writable(array.indices.fill_null(-1).to_numpy(zero_copy_only=False))
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(labels, ordered=known["ordered"]))


def as_index(values: Any, name: Any = None) -> Any:
    """An Index of exactly these values; pandas would guess another type for objects."""
    return pd.Index(values, dtype=values.dtype, name=name)


def _decode_string(column: pa.ChunkedArray, note: Note) -> Any:
    return string_dtype(note).__from_arrow__(column)


def string_dtype(note: Note) -> Any:
    """Pandas' dtype for text; before pandas 2.3 there was but one kind of missing value."""
    if note["na"] == "NA":
        return pd.StringDtype(note["string"])
    try:
        return pd.StringDtype(note["string"], na_value=np.nan)
    except TypeError:
        return pd.StringDtype("pyarrow_numpy")


def _decode_named(column: pa.ChunkedArray, note: Note) -> Any:
    dtype = pd.api.types.pandas_dtype(note["dtype"])
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(decode_column(column, {})).tz_localize("UTC").tz_convert(dtype.tz).array.copy()
    return dtype.__from_arrow__(column)


_DECODERS: Final[dict[str, Callable[[pa.ChunkedArray, Note], Any]]] = {
    "object": _decode_objects,
    "category": _decode_categories,
    "string": _decode_string,
    "arrow": lambda column, _: pd.ArrowDtype(column.type).__from_arrow__(column),
    "dtype": _decode_named,
}
