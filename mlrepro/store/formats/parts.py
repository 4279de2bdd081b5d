"""The further blobs that a folder or a tree consists of."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any, Final

from mlrepro.errors import BlobDamagedError, StoreError
from mlrepro.store.blobs import Blob, Source
from mlrepro.store.keys import check_sha256
from mlrepro.store.stored import StoredValue

HAVE_PARTS: Final = frozenset({"folder", "tree"})
"""Formats whose blob lists further ones; these may all be empty."""

_GARBLED: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def parts_of(source: Source, stored: StoredValue) -> Iterator[Blob]:
    """Every blob that a value needs besides its own, also those of the folders in a tree.

    Args:
        source: The value's own blob.
        stored: Its description.

    Raises:
        BlobMissingError: A manifest is gone.
        BlobDamagedError: A manifest is not what was stored.
    """
    with _damaged_if_garbled(source):
        yield from _parts(source, stored)


def _parts(source: Source, stored: StoredValue) -> Iterator[Blob]:
    if stored.format == "folder":
        yield from _files(json.loads(bytes(source.read())))
    elif stored.format == "tree":
        manifest = json.loads(bytes(source.read()))
        if "pickled" in manifest:
            yield _blob(manifest["pickled"])
        for part in manifest["parts"]:
            yield _blob(part)
            if part["format"] == "folder":
                yield from _files(json.loads(bytes(source.part(_blob(part)).read())))


def has_pickles(source: Source, stored: StoredValue) -> bool:
    """Whether loading a value unpickles something: the value itself, or a part of a tree.

    Args:
        source: The value's own blob; it is read only for a tree.
        stored: Its description.

    Raises:
        BlobMissingError: A tree's manifest is gone.
        BlobDamagedError: A tree's manifest is not what was stored.
    """
    if stored.format != "tree":
        return stored.format == "pickle"
    with _damaged_if_garbled(source):
        manifest = json.loads(bytes(source.read()))
        return "pickled" in manifest or any(part["format"] in {"pickle", "tree"} for part in manifest["parts"])


def _files(manifest: dict[str, Any]) -> Iterator[Blob]:
    for entry in manifest["folder"].values():
        if "sha256" in entry:
            yield _blob(entry)


def _blob(entry: dict[str, Any]) -> Blob:
    try:
        return Blob(check_sha256(entry["sha256"], "content hash"), int(entry["size"]))
    except StoreError as error:
        raise ValueError(str(error)) from error


@contextlib.contextmanager
def _damaged_if_garbled(source: Source) -> Iterator[None]:
    """Somebody may have stored whatever they like under a hash: it is no manifest for that."""
    try:
        yield
    except _GARBLED as error:
        raise BlobDamagedError(f"The object {source.blob.digest} is no list of parts: {error}") from error
