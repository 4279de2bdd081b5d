"""Frames and tables as Arrow IPC files: pandas, polars and pyarrow, each readable as any other."""

import importlib
import json
import sys
from typing import Any, Final

import pyarrow as pa

from mlrepro.errors import MissingExtraError
from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats.arrow_layout import one_batch
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.stored import StoredValue, type_name

_KEY: Final = b"mlrepro"
_SCHEMA: Final = 1
_KINDS: Final = ("pandas", "polars", "pyarrow")


class SinkFile:
    """A sink as the file that pyarrow wants."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: Any) -> int:
        """Pass bytes on."""
        return self._sink.write(memoryview(data))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The sink stays open: its owner closes it."""
        self.closed = True


def to_table(value: Any) -> tuple[pa.Table, dict[str, Any], dict[str, Any]]:
    """A frame as a table, the notes that give back the very same frame, and its summary.

    Raises:
        NotThisFormatError: It is no frame, or Arrow cannot give the very same one back.
    """
    library = type_name(type(value)).partition(":")[0]
    if library not in _KINDS:
        raise NotThisFormatError("it is not a pandas, polars or pyarrow frame")
    module = _module(library)
    table, notes = module.to_table(value)
    return table, {"schema": _SCHEMA, "library": library, **notes}, module.summarize(value)


def from_table(table: pa.Table, notes: dict[str, Any], as_type: type | None) -> Any:
    """A frame of the type that was stored, or of another that is wanted.

    Another library gets the columns; a pandas index is left behind, as it is by that library's own conversions.
    """
    stored = notes.get("library")
    if stored is not None and notes.get("schema") != _SCHEMA:
        raise ValueError("the frame was stored by a later version of mlrepro: update it")
    wanted = type_name(as_type) if as_type is not None else ""
    library = wanted.partition(":")[0] if wanted in FORMAT.loads else stored
    if library is None:
        return table
    module = _module(library)
    if library == stored:
        return module.as_type(module.from_table(table, notes), wanted)
    if stored == "pandas":
        table = table.select([name for name in table.column_names if not name.startswith("__index_")])
    return module.as_type(table, wanted)


def _module(library: str) -> Any:
    if sys.modules.get(library) is None:
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise MissingExtraError(f"Reading or writing a {library} frame", library) from error
    return importlib.import_module(f"mlrepro.store.formats.{library}_arrow")


def _write(value: Any, sink: Sink) -> Written:
    table, notes, summary = to_table(value)
    text = json.dumps(notes, separators=(",", ":"), sort_keys=True)
    batch = one_batch(table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: text.encode()}))
    with pa.ipc.new_file(pa.PythonFile(SinkFile(sink), "w"), batch.schema) as writer:
        writer.write_batch(batch)
    return Written(summary=summary)


def _read(source: Source, _stored: StoredValue, as_type: type | None) -> Any:
    table = pa.ipc.open_file(pa.py_buffer(source.view())).read_all()
    metadata = dict(table.schema.metadata or {})
    notes = json.loads(metadata.pop(_KEY, b"{}"))
    return from_table(table.replace_schema_metadata(metadata or None), notes, as_type)


FORMAT = Format(
    "arrow",
    ".arrow",
    _write,
    _read,
    loads=frozenset(
        {
            "pandas:DataFrame",
            "pandas:Series",
            "polars:DataFrame",
            "polars:LazyFrame",
            "polars:Series",
            "pyarrow:Table",
            "pyarrow:RecordBatch",
        }
    ),
)
