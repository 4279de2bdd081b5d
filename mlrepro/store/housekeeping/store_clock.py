"""The time by the clock that dates a store's objects."""

import time
import uuid

from mlrepro.errors import StoreError
from mlrepro.store.keys import scratch_key
from mlrepro.store.objects import Objects


def now(objects: Objects, scope: str, *, write: bool) -> float:
    """The time by the clock that dates the scope's objects, in seconds since 1970.

    A small object is written and its time read back, so that this machine's clock cannot make young objects look old.

    Args:
        objects: The store's objects.
        scope: The scope.
        write: Whether the time has to be that one; otherwise a folder, or a bucket that cannot be written, takes this
            machine's.
    """
    try:
        if write or objects.remote:
            return _time_of_probe(objects, scratch_key(scope))
    except StoreError:
        if write:
            raise
    return time.time()


def _time_of_probe(objects: Objects, folder: str) -> float:
    probe = f"{folder}/{uuid.uuid4().hex}.probe"
    objects.create(probe, b"")
    try:
        for item in objects.walk(folder):
            if item.key == probe:
                return item.modified
    finally:
        objects.delete(probe)
    raise StoreError(f"{objects.url} does not list what was just written to it, so nothing can be collected there")
