"""pandas frames, Series and Indexes as Arrow tables, with all that Arrow has no place for in the schema's metadata."""

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from mlrepro.store.formats import json_value
from mlrepro.store.formats.format import NotThisFormatError
from mlrepro.store.formats.pandas_columns import (
    Note,
    as_index,
    decode_column,
    encode_column,
    frequency,
    is_plain,
    string_dtype,
)

_INDEX: Final = "__index_{}__"


def to_table(value: Any) -> tuple[pa.Table, dict[str, Any]]:
    """A frame, Series or Index in canonical Arrow layout, and the notes that ``from_table`` needs.

    Raises:
        NotThisFormatError: Arrow cannot give the very same value back.
    """
    arrays: list[pa.Array] = []
    names: list[str] = []
    if isinstance(value, pd.Index):
        notes: dict[str, Any] = {"kind": "index", "index": _index(value, arrays, names)}
    elif isinstance(value, pd.Series):
        array, note = encode_column(value.array)
        arrays.append(array)
        names.append(value.name if type(value.name) is str and _is_utf8(value.name) else "0")
        notes = {"kind": "series", "column": note, "name": json_value.encode(value.name)}
        notes |= _common(value, arrays, names)
    else:
        names.extend(_column_names(value.columns))
        columns = []
        for position in range(value.shape[1]):
            array, note = encode_column(value.iloc[:, position].array)
            arrays.append(array)
            columns.append(note)
        notes = {"kind": "frame", "columns": columns, "labels": _labels(value.columns)}
        notes |= _common(value, arrays, names)
    return pa.Table.from_arrays(arrays, names=names), notes


def from_table(table: pa.Table, notes: dict[str, Any]) -> Any:
    """The value that ``to_table`` was given."""
    if notes["kind"] == "index":
        return _restore_index(table, notes["index"], 0)
    columns = [notes["column"]] if notes["kind"] == "series" else notes["columns"]
    index = _restore_index(table, notes["index"], len(columns))
    if notes["kind"] == "series":
        values = decode_column(table.column(0), columns[0])
        restored = _series(values, index)
        restored.name = json_value.decode(notes["name"])
    else:
        restored = _restore_frame(table, columns, index)
        restored.columns = _restore_labels(notes["labels"])
    if "attrs" in notes:
        restored.attrs = json_value.decode(notes["attrs"])
    return restored if notes.get("duplicates", True) else restored.set_flags(allows_duplicate_labels=False)


def as_type(value: Any, name: str) -> Any:
    """A restored value, or a table of another library, as the wanted pandas type."""
    if isinstance(value, pa.Table):
        value = value.to_pandas()
    if name == "pandas:DataFrame" and isinstance(value, pd.Series):
        return value.to_frame()
    if name == "pandas:Series" and isinstance(value, pd.DataFrame) and value.shape[1] == 1:
        return value.iloc[:, 0]
    return value


def _common(value: Any, arrays: list[pa.Array], names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": len(value), "index": _index(value.index, arrays, names)}
    if value.attrs:
        found["attrs"] = json_value.encode(value.attrs)
    if not value.flags.allows_duplicate_labels:
        found["duplicates"] = False
    return found


def _column_names(labels: Any) -> list[str]:
    """Names for Arrow: the labels themselves where they are distinct texts, else their numbers."""
    names = list(labels)
    if (
        all(type(name) is str and _is_utf8(name) and not name.startswith("__index_") for name in names)
        and labels.is_unique
    ):
        return names
    return [str(position) for position in range(len(names))]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _index(index: Any, arrays: list[pa.Array], names: list[str]) -> dict[str, Any]:
    """Notes on an index; what is not a range becomes columns behind the others."""
    found: dict[str, Any] = {"names": [json_value.encode(name) for name in index.names]}
    if isinstance(index, pd.RangeIndex):
        return found | {"range": [index.start, index.stop, index.step]}
    levels = [index] if index.nlevels == 1 else [index.get_level_values(number) for number in range(index.nlevels)]
    columns: list[Note] = []
    for number, level in enumerate(levels):
        array, note = encode_column(level.array)
        arrays.append(array)
        names.append(_INDEX.format(number))
        columns.append(note)
    found["levels"] = columns
    found["multi"] = isinstance(index, pd.MultiIndex)
    return found | frequency(index)


def _restore_index(table: pa.Table, notes: dict[str, Any], first: int) -> Any:
    names = [json_value.decode(name) for name in notes["names"]]
    if "range" in notes:
        return pd.RangeIndex(*notes["range"], name=names[0])
    arrays = [decode_column(table.column(first + number), note) for number, note in enumerate(notes["levels"])]
    if notes["multi"]:
        return pd.MultiIndex.from_arrays([as_index(array) for array in arrays], names=names)
    index = as_index(arrays[0], names[0])
    if "freq" in notes:
        index.freq = notes["freq"]
    return index


def _restore_frame(table: pa.Table, columns: list[Note], index: Any) -> Any:
    if not columns:
        return pd.DataFrame(index=index)
    plain = [is_plain(note) for note in columns]
    # pyarrow gathers plain columns of one type in one block. The others get a stand-in there, then take its place.
    stand_in = pa.chunked_array([pa.array(np.zeros(table.num_rows, "f2"))])
    gathered = pa.Table.from_arrays(
        [table.column(position) if plain[position] else stand_in for position in range(len(columns))],
        names=[str(position) for position in range(len(columns))],
    )
    if any(plain):
        frame = gathered.to_pandas(ignore_metadata=True, date_as_object=True)
        frame.index = index
        for position, note in enumerate(columns):
            if not plain[position]:
                frame.isetitem(position, _series(decode_column(table.column(position), note), index))
        return frame
    decoded = (decode_column(table.column(position), note) for position, note in enumerate(columns))
    return pd.DataFrame({position: _series(values, index) for position, values in enumerate(decoded)}, copy=False)


def _series(values: Any, index: Any) -> Any:
    """A Series of exactly these values; pandas would guess another type for objects."""
    return pd.Series(values, index=index, dtype=values.dtype, copy=False)


def _labels(labels: Any) -> dict[str, Any]:
    """Column labels as JSON; there are few of them."""
    found: dict[str, Any] = {"names": [json_value.encode(name) for name in labels.names]}
    if isinstance(labels, pd.RangeIndex):
        return found | {"range": [labels.start, labels.stop, labels.step]}
    if isinstance(labels, pd.MultiIndex):
        levels = (labels.get_level_values(number) for number in range(labels.nlevels))
        return found | {"levels": [_labels(level) for level in levels]}
    dtype = labels.dtype
    if isinstance(dtype, pd.StringDtype):
        na = "NA" if dtype.na_value is pd.NA else "nan"
        values = [None if label is dtype.na_value or label != label else label for label in labels]
        return found | {"string": dtype.storage, "na": na, "values": json_value.encode(values)}
    if isinstance(dtype, pd.DatetimeTZDtype) or (isinstance(dtype, np.dtype) and dtype.kind in "mM"):
        zone = getattr(dtype, "tz", None)
        if zone is not None and pd.api.types.pandas_dtype(str(dtype)) != dtype:
            raise NotThisFormatError(f"the dtype {dtype} of its column labels is not known by its name")
        return found | {"dtype": str(dtype), "times": labels.asi8.tolist()} | frequency(labels)
    if isinstance(dtype, np.dtype) and dtype.kind in "biufO" and dtype.isnative:
        return found | {"dtype": dtype.str, "values": json_value.encode(labels.tolist())}
    raise NotThisFormatError(f"its column labels have the dtype {dtype}")


def _restore_labels(notes: dict[str, Any]) -> Any:
    names = [json_value.decode(name) for name in notes["names"]]
    if "range" in notes:
        return pd.RangeIndex(*notes["range"], name=names[0])
    if "levels" in notes:
        return pd.MultiIndex.from_arrays([_restore_labels(level) for level in notes["levels"]], names=names)
    if "string" in notes:
        return pd.Index(pd.array(json_value.decode(notes["values"]), dtype=string_dtype(notes)), name=names[0])
    if "times" in notes:
        return _restore_times(notes, names[0])
    values = json_value.decode(notes["values"])
    array = np.empty(len(values), dtype=notes["dtype"])
    for position, value in enumerate(values):
        array[position] = value
    return as_index(array, names[0])


def _restore_times(notes: dict[str, Any], name: Any) -> Any:
    dtype = pd.api.types.pandas_dtype(notes["dtype"])
    times = np.array(notes["times"], dtype="i8")
    if isinstance(dtype, pd.DatetimeTZDtype):
        labels = pd.DatetimeIndex(times.view(f"M8[{dtype.unit}]")).tz_localize("UTC").tz_convert(dtype.tz)
    else:
        labels = pd.Index(times.view(dtype))
    if "freq" in notes:
        labels.freq = notes["freq"]
    labels.name = name
    return labels


def summarize(value: Any) -> dict[str, Any]:
    """Rows and columns with their dtypes."""
    if isinstance(value, pd.DataFrame):
        return {
            "rows": len(value),
            "columns": {str(name): str(dtype) for name, dtype in zip(value.columns, value.dtypes, strict=True)},
        }
    return {"rows": len(value), "dtype": str(value.dtype)}
