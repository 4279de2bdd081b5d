"""Appending one entry for one decision, whatever a bucket answers."""

import contextlib
from collections.abc import Mapping
from typing import Any

from mlrepro.errors import MlreproError
from mlrepro.store import Entry, Store
from mlrepro.store.history import Make
from mlrepro.store.records import from_bytes, to_bytes


def append_once(store: Store, history: tuple[str, ...], make: Make) -> Entry | None:
    """Append to a history as `Store.append` does, and notice an entry that was taken though the answer was another.

    Where a bucket's answer is lost, the entry is sent again, and its place is taken: by itself. Made anew from what is
    newest then, a rollback would go back twice. So bodies have to differ: by their time, and by who made them.
    """
    tried: Entry | None = None
    taken = False

    def unless_taken(newest: Entry | None) -> Mapping[str, Any] | None:
        nonlocal tried, taken
        taken = tried is not None and newest is not None and _is_there(store, history, tried, newest)
        body = None if taken else make(newest)
        if body is not None:
            # as a reader will see it
            tried = Entry(newest.number + 1 if newest is not None else 1, from_bytes(to_bytes(body)))
        return body

    appended = store.append(history, unless_taken)
    return tried if taken else appended


def _is_there(store: Store, history: tuple[str, ...], tried: Entry, newest: Entry) -> bool:
    if newest.number <= tried.number:
        return newest == tried
    with contextlib.suppress(MlreproError):
        return store.entry(history, tried.number) == tried
    return False
