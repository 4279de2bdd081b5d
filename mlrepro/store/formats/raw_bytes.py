"""bytes as they are."""

from pathlib import Path
from typing import Any

from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats.file import read_as_path
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.stored import StoredValue


def _write(value: Any, sink: Sink) -> Written:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise NotThisFormatError("it is not bytes")
    sink.write(value)
    return Written(summary={"length": len(value)})


def _read(source: Source, stored: StoredValue, as_type: type | None) -> bytes | Path:
    if as_type is not None and issubclass(as_type, Path):
        return read_as_path(source, stored)
    return bytes(source.read())


FORMAT = Format("bytes", ".bin", _write, _read, loads=frozenset({"pathlib:Path"}))
