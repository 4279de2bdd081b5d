"""Frames as Parquet, on request: smaller than Arrow IPC, and slower.

Its bytes name the version of the library that wrote them, so another version gives another content hash.
"""

import json
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats import arrow
from mlrepro.store.formats.arrow_layout import one_batch
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.stored import StoredValue

_KEY: Final = b"mlrepro"


def _write(value: Any, sink: Sink) -> Written:
    table, notes, summary = arrow.to_table(value)
    text = json.dumps(notes, separators=(",", ":"), sort_keys=True)
    batch = one_batch(table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: text.encode()}))
    try:
        pq.write_table(pa.Table.from_batches([batch]), pa.PythonFile(arrow.SinkFile(sink), "w"), compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise NotThisFormatError(f"Parquet cannot hold it: {error}") from error
    return Written(summary=summary)


def _read(source: Source, _stored: StoredValue, as_type: type | None) -> Any:
    table = pq.read_table(pa.BufferReader(pa.py_buffer(source.read())))
    metadata = dict(table.schema.metadata or {})
    notes = json.loads(metadata.pop(_KEY, b"{}"))
    return arrow.from_table(table.replace_schema_metadata(metadata or None), notes, as_type)


FORMAT = Format("parquet", ".parquet", _write, _read, loads=arrow.FORMAT.loads)
