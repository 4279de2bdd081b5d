"""A file, streamed. Its content counts, its name and its place do not."""

from pathlib import Path, PurePosixPath
from typing import Any, Final

from mlrepro.errors import UnstorableValueError
from mlrepro.store.blobs import Sink, Source
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.objects import CHUNK
from mlrepro.store.scratch import scratch_folder
from mlrepro.store.stored import StoredValue

_READ_ONLY: Final = 0o444


def stream(path: Path, sink: Sink) -> int:
    """Copy a file into a sink in bounded memory; the number of bytes.

    Raises:
        UnstorableValueError: It cannot be read, or it changed while it was.
    """
    size = 0
    try:
        with path.open("rb", buffering=0) as file:
            expected = path.stat().st_size
            # A new buffer each time: the last one may still be being hashed.
            while count := file.readinto(buffer := bytearray(CHUNK)):
                sink.write(memoryview(buffer)[:count])
                size += count
                if size % (8 * CHUNK) == 0:
                    sink.catch_up()
    except OSError as error:
        raise UnstorableValueError(f"The file {path} cannot be stored because it cannot be read: {error}") from error
    if size != expected:
        raise UnstorableValueError(
            f"The file {path} changed while it was being stored: close it before returning its path"
        )
    return size


def read_as_path(source: Source, stored: StoredValue) -> Path:
    """A checked, read-only copy of the blob, under the name that the file had when it was stored."""
    name = PurePosixPath(str(stored.summary.get("name", ""))).name
    path = scratch_folder() / (name if name not in {"", ".", ".."} and "\0" not in name else "value")
    source.save(path)
    path.chmod(_READ_ONLY)
    return path


def _write(value: Any, sink: Sink) -> Written:
    if not isinstance(value, Path):
        raise NotThisFormatError("it is not a pathlib.Path")
    if not value.exists():
        raise UnstorableValueError(
            f"The path {value} cannot be stored because nothing is there: write the file before returning its path"
        )
    if not value.is_file():
        raise NotThisFormatError(f"{value} is not a regular file")
    return Written(summary={"name": value.name, "length": stream(value, sink)})


def _read(source: Source, stored: StoredValue, as_type: type | None) -> Path | bytes:
    return bytes(source.read()) if as_type is bytes else read_as_path(source, stored)


FORMAT = Format("file", "", _write, _read, loads=frozenset({"builtins:bytes"}))
