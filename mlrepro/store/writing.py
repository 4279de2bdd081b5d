"""Writing a value: the first format that can hold it does."""

from typing import Any

from mlrepro.errors import UnstorableValueError
from mlrepro.store.blobs import Sink
from mlrepro.store.formats import candidates, get_format
from mlrepro.store.formats.format import NotThisFormatError
from mlrepro.store.stored import StoredValue, type_name


def write(value: Any, sink: Sink, format_name: str | None = None) -> StoredValue:
    """Write a value into a sink, in the named format or in the best that can hold it.

    Raises:
        UnknownFormatError: There is no such format.
        UnstorableValueError: None can hold it; nothing was stored.
    """
    reasons: list[str] = []
    for name in candidates(value) if format_name is None else (format_name,):
        chosen = get_format(name)
        try:
            with sink.opened():
                written = chosen.write(value, sink)
        except NotThisFormatError as error:
            reasons.append(f"{name}: {error}")
            continue
        assert sink.blob is not None
        return StoredValue(
            content_hash=sink.blob.digest,
            format=name,
            python_type=type_name(type(value)),
            size=sink.blob.size,
            references=written.references,
            summary=written.summary,
            parts_size=written.parts_size,
        )
    asked = f" as {format_name!r}" if format_name else ""
    advice = "Leave the format out, or return what it can hold" if format_name else "Return another kind of value"
    raise UnstorableValueError(
        f"A value of type {type_name(type(value))} cannot be stored{asked} ({'; '.join(reasons)}). {advice}"
    )
