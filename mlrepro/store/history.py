"""Histories: numbered entries that are only ever appended, by creating the next number."""

import contextlib
import itertools
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

_MOST_SKIPPED: Final = 100
"""Unreadable entries in a row that are passed over; each costs a request."""

_LONG: Final = 50
"""Entries from which on a history's newest number is remembered: a bucket lists a page of up to 1,000 of them."""

_MOST_SEEN: Final = 50_000

_SCHEMA: Final = 1

_seen: Final[dict[tuple[str, str], int]] = {}
"""Numbers that this process has seen taken, by store and folder: the newest is not far behind."""


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
"""From the newest entry (None if there is none or it cannot be read) to the next one's body; None appends nothing."""


class _DamagedEntryError(StoreError):
    """An entry is there, but says nothing."""


def append(objects: Objects, scope: str, history: tuple[str, ...], make: Make) -> Entry | None:
    """Append to a history; of several writers each gets a number of its own.

    Args:
        objects: The store's objects.
        scope: Whose history.
        history: Its name.
        make: Called with the newest entry, again after each lost race. One that is damaged counts as unknown, with a
            warning, so that it does not stand in the way of all that come after it.

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
        last = _newest_number(objects, folder, after)
        body = make(_read_or_warn(objects, scope, history, last) if last else None)
        if body is None:
            return None
        number = last + 1
        record = {"schema": _SCHEMA, "history": list(history), "number": number, "entry": dict(body)}
        data = records.sealed(record)
        if objects.create(f"{folder}/{entry_name(number)}", data):
            # Read back from the bytes, so that the writer sees what every reader will see.
            return Entry(number, records.from_bytes(data)["entry"])
        if time.monotonic() > give_up:
            raise StoreError(
                f"Could not append to {'/'.join(history)} in {objects.url}: other writers were faster for "
                f"{_PATIENCE:.0f} seconds. Look for a process that appends to it in a loop, then run again"
            )
        after = number
        time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, _LONGEST_PAUSE)


def newest(objects: Objects, scope: str, history: tuple[str, ...]) -> Entry | None:
    """The newest readable entry, or None. Its cost does not grow with the history.

    Args:
        objects: The store's objects.
        scope: Whose history.
        history: Its name.
    """
    return next(entries(objects, scope, history), None)


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
    where = f"{objects.url.rstrip('/')}/{key}"
    try:
        name, found, body = _parse(data)
    except ValueError as error:
        raise _DamagedEntryError(f"Entry {where} is damaged: {error}. Restore it from a backup") from error
    if name != history and "/".join(name).lower() == "/".join(history).lower():
        # A file system that does not tell A from a would mix two histories up.
        raise StoreError(
            f"{objects.url} holds {'/'.join(name)} where {'/'.join(history)} was looked for. "
            "Its file system does not distinguish upper and lower case: rename one of the two"
        )
    if (name, found) != (history, number):
        raise _DamagedEntryError(f"Entry {where} is damaged: it holds another one's bytes. Restore it from a backup")
    return Entry(number, body)


def _parse(data: bytes) -> tuple[tuple[str, ...], object, dict[str, Any]]:
    """Name of the history, number and body; ValueError if the bytes are no entry."""
    record = records.from_bytes(data)
    name, body = record.get("history"), record.get("entry")
    if not isinstance(name, list) or not all(isinstance(part, str) for part in name) or not isinstance(body, dict):
        raise ValueError("expected the history's name and an entry")
    return tuple(name), record.get("number"), body


def _read_or_warn(objects: Objects, scope: str, history: tuple[str, ...], number: int) -> Entry | None:
    try:
        return read(objects, scope, history, number)
    except (_DamagedEntryError, UnknownVersionError) as error:
        warnings.warn(f"An entry of a history is passed over: {error}", stacklevel=2)
        return None


def entries(objects: Objects, scope: str, history: tuple[str, ...], limit: int | None = None) -> Iterator[Entry]:
    """Entries, newest first. Those that are damaged or missing are passed over, with a warning.

    Args:
        objects: The store's objects.
        scope: Whose history.
        history: Its name.
        limit: At most so many; None for all.
    """
    return itertools.islice(_readable(objects, scope, history), limit)


def _readable(objects: Objects, scope: str, history: tuple[str, ...]) -> Iterator[Entry]:
    skipped = 0
    for number in range(_newest_number(objects, history_folder(scope, history), 0), 0, -1):
        entry = _read_or_warn(objects, scope, history, number)
        if entry is not None:
            skipped = 0
            yield entry
            continue
        skipped += 1
        if skipped == _MOST_SKIPPED:
            warnings.warn(
                f"Entries of {'/'.join(history)} in scope {scope!r} of {objects.url} below {number} are left out: "
                f"{skipped} in a row cannot be read",
                stacklevel=2,
            )
            return


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
    others = (name for name in objects.names(folder) if entry_number(name))
    for name in itertools.chain([entry_name(1)], itertools.islice(others, _MOST_SKIPPED)):
        data = objects.get(f"{folder}/{name}")
        with contextlib.suppress(ValueError):
            if data is not None:
                return _parse(data)[0]
    warnings.warn(
        f"No entry in {objects.url.rstrip('/')}/{folder} can be read, so its history is left out", stacklevel=2
    )
    return None


def _newest_number(objects: Objects, folder: str, after: int) -> int:
    """The number of the newest entry, or 0. ``after`` is a number that is known to be taken."""
    place = (objects.url, folder)
    taken = after or _seen.get(place, 0)
    if taken and not after and objects.size(f"{folder}/{entry_name(taken)}") is None:
        taken = 0  # the history was removed and began anew
    if objects.ordered and not taken:
        number = next(filter(None, (entry_number(name) or 0 for name in objects.names(folder))), 0)
    else:
        number = _last_after(objects, folder, taken)
    if number >= _LONG:
        if len(_seen) >= _MOST_SEEN:
            _seen.clear()
        _seen[place] = number
    return number


def _last_after(objects: Objects, folder: str, taken: int) -> int:
    """Numbers are dense, so the last one is found by doubling and halving."""
    low, step = taken, 1
    while objects.size(f"{folder}/{entry_name(low + step)}") is not None:
        low, step = low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if objects.size(f"{folder}/{entry_name(middle)}") is not None:
            low = middle
        else:
            high = middle
    # An entry that was lost ends the search too early: then there is one behind the gap.
    lost = objects.size(f"{folder}/{entry_name(low + 2)}") is not None
    return max(low, *(entry_number(name) or 0 for name in objects.names(folder))) if lost else low
