"""A str as UTF-8 text, on request. The default for str is JSON, which keeps ``"1"`` and ``1`` apart."""

from typing import Any

from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.stored import StoredValue


def _write(value: Any, sink: Sink) -> Written:
    if type(value) is not str:
        raise NotThisFormatError("it is not a str")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise NotThisFormatError(f"it has no UTF-8: {error}") from error
    sink.write(data)
    return Written(summary={"length": len(value)})


def _read(source: Source, _stored: StoredValue, _as_type: type | None) -> str:
    return bytes(source.read()).decode()


FORMAT = Format("text", ".txt", _write, _read)
