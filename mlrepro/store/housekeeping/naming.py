"""What a record names: digests, values, and the blobs that a value consists of."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mlrepro.errors import BlobDamagedError, BlobMissingError, StoreError
from mlrepro.store import records
from mlrepro.store.blobs import Blob, Source
from mlrepro.store.formats.parts import parts_of
from mlrepro.store.keys import blob_key, history_folder, trash_key
from mlrepro.store.objects import Objects
from mlrepro.store.stored import StoredValue

_DIGEST: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def digests_in(data: bytes) -> set[str]:
    """Everything in a record's bytes that could be a digest, whatever the record's schema.

    Example:
        >>> sorted(digests_in(b'{"blob": "' + b"5eed" * 16 + b'"}')) == ["5eed" * 16]
        True
    """
    return {found.decode() for found in _DIGEST.findall(data)}


def values_in(record: Any) -> Iterator[StoredValue]:
    """Every stored value that a record describes, however deep."""
    left = [record]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            value = _value(each)
            if value is not None:
                yield value
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)


def inputs_in(record: dict[str, Any]) -> Iterator[StoredValue]:
    """The values that a result was computed from, as far as its record says how they are stored."""
    inputs = record.get("inputs")
    for origin in inputs.values() if isinstance(inputs, dict) else ():
        try:
            value = StoredValue.from_input(origin["content_hash"], origin["stored_as"])
        except (KeyError, TypeError, ValueError, AttributeError, StoreError):
            continue
        if type(value.size) is int and type(value.parts_size) is int:
            yield value


def _value(data: dict[str, Any]) -> StoredValue | None:
    if not {"content_hash", "format", "python_type", "size"} <= data.keys():
        return None
    try:
        value = StoredValue.from_json(data)
    except (KeyError, TypeError, ValueError, StoreError):
        return None
    return value if type(value.size) is int and type(value.parts_size) is int else None


def entry_in(data: bytes, scope: str, folder: str, number: int) -> tuple[tuple[str, ...], dict[str, Any]]:
    """A history's name and an entry's body.

    Args:
        data: The entry's bytes.
        scope: The scope it lies in.
        folder: Its history's folder below the scope.
        number: The number that its file's name says.

    Raises:
        ValueError: It is damaged, or another one's.
    """
    record = records.from_bytes(data)
    name, body = record.get("history"), record.get("entry")
    if not isinstance(name, list) or not all(isinstance(part, str) for part in name) or not isinstance(body, dict):
        raise ValueError("expected the history's name and an entry")
    try:
        lies_in = history_folder(scope, tuple(name))
    except StoreError as error:
        raise ValueError(str(error)) from error
    if (lies_in, record.get("number")) != (f"{scope}/{folder}", number):
        raise ValueError("it holds another one's bytes")
    return tuple(name), body


def parts_found(objects: Objects, scopes: Sequence[str], stored: StoredValue) -> list[Blob]:
    """The further blobs of a value; nothing in the store is touched, whatever its state.

    Raises:
        BlobMissingError: A manifest is in none of the scopes, nor in their trash.
        BlobDamagedError: A manifest is damaged.
        StoreError: The store failed.
    """
    source = _Untouched(objects, scopes, Blob(stored.content_hash, stored.size))
    try:
        return list(parts_of(source, stored))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BlobDamagedError(f"The object {stored.content_hash} is no list of parts: {error!r}") from error


class _Untouched(Source):
    """A blob that is read where it lies, without moving what is damaged and without taking back what is set aside."""

    def __init__(self, objects: Objects, scopes: Sequence[str], blob: Blob) -> None:
        self._objects = objects
        self._scopes = scopes
        self.blob = blob

    def read(self) -> memoryview:
        damaged = False
        for scope in self._scopes:
            place = blob_key(scope, self.blob.digest)
            for key in (place, trash_key(place)):
                data = self._objects.get(key)
                if data is not None and hashlib.sha256(data).hexdigest() == self.blob.digest:
                    return memoryview(data)
                damaged |= data is not None
        if damaged:
            raise BlobDamagedError(f"The object {self.blob.digest} is damaged")
        raise BlobMissingError(f"The object {self.blob.digest} is missing")

    def part(self, blob: Blob) -> "_Untouched":
        return _Untouched(self._objects, self._scopes, blob)
