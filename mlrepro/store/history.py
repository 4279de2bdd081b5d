"""Histories: numbered entries that are only ever appended, by creating the next number."""

import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlrepro.errors import StoreError, UnknownVersionError
from mlrepro.store import records
from mlrepro.store.keys import LAST_ENTRY, decode_segment, entry_name, entry_number, history_folder
from mlrepro.store.objects import Objects

_PATIENCE: Final = 120.0
"""Seconds that an append goes on trying against other writers."""

_LONGEST_PAUSE: Final = 0.2

_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a history.

    Attributes:
        number: 1 for the first, 2 for the next, without gaps.
        body: What was appended.
    """

    number: int
    body: dict[str, Any]


Make = Callable[[Entry | None], Mapping[str, Any] | None]
"""From the newest entry (None in an empty history) to the next one's body, or None to append nothing."""


def append(objects: Objects, scope: str, history: tuple[str, ...], make: Make) -> Entry | None:
    """Append to a history; of several writers each gets a number of its own.

    Args:
        objects: The store's objects.
        scope: Whose history.
        history: Its name.
        make: Called with the newest entry, again after each lost race.

    Returns:
        The new entry, or None where ``make`` wanted none.

    Raises:
        StoreError: Others were faster for two minutes, or the store failed.
    """
    folder = history_folder(scope, history)
    give_up = time.monotonic() + _PATIENCE
    pause = 0.002
    after = 0
    while True:
        last = newest(objects, scope, history, after=after)
        body = make(last)
        if body is None:
            return None
        number = last.number + 1 if last else 1
        record = {"schema": _SCHEMA, "history": list(history), "number": number, "entry": dict(body)}
        data = records.to_bytes(record)
        if objects.create(f"{folder}/{entry_name(number)}", data):
            # Read back from the bytes, so that the writer sees what every reader will see.
            return Entry(number, records.from_bytes(data)["entry"])
        if time.monotonic() > give_up:
            raise StoreError(
                f"Could not append to {'/'.join(history)} in {objects.url}: other writers were faster for "
                f"{_PATIENCE:.0f} seconds. Look for a process that appends to it in a loop, then run again"
            )
        after = last.number if last else 0
        time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, _LONGEST_PAUSE)


def newest(objects: Objects, scope: str, history: tuple[str, ...], *, after: int = 0) -> Entry | None:
    """The newest entry, or None. Its cost does not grow with the history.

    Args:
        objects: The store's objects.
        scope: Whose history.
        history: Its name.
        after: A number that is known to exist.
    """
    number = _newest_number(objects, history_folder(scope, history), after)
    return read(objects, scope, history, number) if number else None


def read(objects: Objects, scope: str, history: tuple[str, ...], number: int) -> Entry:
    """One entry.

    Raises:
        UnknownVersionError: There is none of that number.
        StoreError: It is there but cannot be read.
    """
    key = f"{history_folder(scope, history)}/{entry_name(number)}" if 0 < number < LAST_ENTRY else None
    data = objects.get(key) if key else None
    if data is None:
        raise UnknownVersionError(f"{'/'.join(history)} has no entry {number} in scope {scope!r} of {objects.url}")
    try:
        record = records.from_bytes(data)
        name, body = tuple(record["history"]), dict(record["entry"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"Entry {objects.url.rstrip('/')}/{key} is damaged: {error}. Restore it from a backup"
        ) from error
    if record.get("number") != number:
        raise StoreError(f"Entry {objects.url.rstrip('/')}/{key} is damaged: it holds another one's bytes")
    if name != history:
        # A file system that does not tell A from a would mix two histories up.
        raise StoreError(
            f"{objects.url} holds {'/'.join(name)} where {'/'.join(history)} was looked for. "
            "Its file system does not distinguish upper and lower case: rename one of the two"
        )
    return Entry(number, body)


def entries(objects: Objects, scope: str, history: tuple[str, ...], limit: int | None = None) -> Iterator[Entry]:
    """Entries, newest first.

    Args:
        objects: The store's objects.
        scope: Whose history.
        history: Its name.
        limit: At most so many; None for all.
    """
    last = _newest_number(objects, history_folder(scope, history), 0)
    lowest = 0 if limit is None else max(0, last - limit)
    for number in range(last, lowest, -1):
        yield read(objects, scope, history, number)


def histories(objects: Objects, scope: str, prefix: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Names of the histories whose names begin with the prefix, in the order of their paths."""
    yield from _below(objects, scope, history_folder(scope, prefix), prefix)


def _below(objects: Objects, scope: str, folder: str, name: tuple[str, ...] | None) -> Iterator[tuple[str, ...]]:
    subfolders, has_objects = objects.folders(folder)
    if has_objects:
        found = name or _name_inside(objects, folder)
        if found is not None:
            yield found
    for subfolder in subfolders:
        part = decode_segment(subfolder)
        yield from _below(objects, scope, f"{folder}/{subfolder}", (*name, part) if name and part else None)


def _name_inside(objects: Objects, folder: str) -> tuple[str, ...] | None:
    """A name was too long for its path: every entry knows it."""
    data = objects.get(f"{folder}/{entry_name(1)}")
    try:
        return tuple(records.from_bytes(data)["history"]) if data else None
    except (ValueError, KeyError, TypeError):
        warnings.warn(
            f"The first entry in {objects.url.rstrip('/')}/{folder} is damaged, so its history is left out",
            stacklevel=2,
        )
        return None


def _newest_number(objects: Objects, folder: str, after: int) -> int:
    if objects.ordered:
        numbers = (entry_number(name) for name in objects.names(folder))
        return next((number for number in numbers if number is not None), 0)
    # Numbers are dense, so the last one is found by doubling and halving.
    low, step = after, 1
    while objects.size(f"{folder}/{entry_name(low + step)}") is not None:
        low, step = low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if objects.size(f"{folder}/{entry_name(middle)}") is not None:
            low = middle
        else:
            high = middle
    return low
