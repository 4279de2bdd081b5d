"""Results: what was computed under an input hash. The first record wins; what replaces it is appended beside it.

``results/<2 hex>/<input hash>.json`` is created put-if-absent and never changed. Two small histories may lie beside it:
``<input hash>.replacements`` for records that stand in for the first (its blobs are lost, it is too old, someone asked
for a fresh one), and ``<input hash>.deviations`` for computations of the same input that gave something else. A miss is
one request, a hit two: the record, and the look for a replacement. Who looks many up asks once for the marks of all
replaced results, ``replaced/<input hash>.json``, and saves the second.
"""

import contextlib
import itertools
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlrepro.errors import StoreError
from mlrepro.store import history, records
from mlrepro.store.keys import check_sha256, replaced_folder, replaced_key, result_history, result_key
from mlrepro.store.objects import Objects
from mlrepro.store.stored import Origin, StoredValue

_PAUSE: Final = 0.05

_TRIES: Final = 40
"""How often a record is put where the place is neither free nor readable; with the pauses, two seconds."""

Usable = Callable[[dict[str, Any]], bool]
"""Whether a record will do: its blobs are there, it is young enough."""

Refusal = Callable[[str, dict[str, Any]], str | None]
"""From a scope and a record in it to why that does not count (nobody who is trusted vouches for it), or None."""


@dataclass(frozen=True, slots=True)
class FoundResult:
    """A result and where it was found.

    Attributes:
        record: The record as it was stored.
        scope: The scope that holds it.
    """

    record: dict[str, Any]
    scope: str


def values_of(record: Mapping[str, Any], origin: Origin | None = None) -> Iterator[StoredValue]:
    """What a result has in the store, by the outputs that its record lists.

    Args:
        record: A result's record.
        origin: Who says so, where it matters.

    Raises:
        KeyError: A field is missing.
        TypeError, AttributeError, StoreError: One holds something else.
    """
    for output in record.get("outputs", {}).values():
        yield from values_of_output(output, origin)


def values_of_output(output: Mapping[str, Any], origin: Origin | None = None) -> Iterator[StoredValue]:
    """What one output of a result has in the store: nothing, one value, or one a partition. Raises as ``values_of``."""
    if output.get("stored"):
        yield StoredValue.from_json(output["stored"], origin)
    for stored in (output.get("partitions") or {}).values():
        yield StoredValue.from_json(stored, origin)


def value_in(record: Mapping[str, Any], content_hash: str, origin: Origin) -> StoredValue | None:
    """The output of a result that has some content; None if none has, or if the record is not as it should be."""
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError, StoreError):
        return next((each for each in values_of(record, origin) if each.content_hash == content_hash), None)
    return None


def names(record: Mapping[str, Any], stored: StoredValue) -> bool:
    """Whether a record says that this very value, in this very format, is one of its outputs."""
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError, StoreError):
        return any(
            (each.content_hash, each.format) == (stored.content_hash, stored.format) for each in values_of(record)
        )
    return False


def put(
    objects: Objects, scope: str, input_hash: str, record: Mapping[str, Any], refusal: Refusal
) -> tuple[dict[str, Any], bool]:
    """Store a record unless there is one; the record that now stands, and whether it is ours.

    A record that holds the place but is garbled or refused will not do: ours becomes its replacement.
    """
    check_sha256(input_hash, "input hash")
    data = records.sealed(record)
    key = result_key(scope, input_hash)
    found = _create(objects, key, data)
    if found is None:
        return records.from_bytes(data), True
    standing = _parse(objects, key, found)
    if standing is not None and refusal(scope, standing) is None:
        return standing, False
    return replace(objects, scope, input_hash, record), True


def get(
    objects: Objects,
    scopes: Sequence[str],
    input_hash: str,
    usable: Usable | None,
    replaced: Collection[str] | None,
    refusal: Refusal,
    refused: list[str],
) -> FoundResult | None:
    """The first usable record in the first scope that has one.

    In each scope the newest replacement comes first, the first record last. Only a result in ``replaced`` is looked for
    replacements, where that is given. Why records were refused is added to ``refused``.
    """
    check_sha256(input_hash, "input hash")
    for scope in scopes:
        key = result_key(scope, input_hash)
        data = objects.get(key)
        if data is None:
            continue
        first = _parse(objects, key, data)
        # Whoever asked for a fresh result wants that one from then on, so a replacement comes before what it replaced.
        unreplaced = replaced is not None and input_hash not in replaced
        replacements = iter(()) if unreplaced else _history(objects, scope, input_hash, "replacements")
        for record in itertools.chain(replacements, () if first is None else (first,)):
            if usable is not None and not usable(record):
                continue
            if (why := refusal(scope, record)) is None:
                return FoundResult(record, scope)
            refused.append(f"the result {input_hash[:12]} in scope {scope!r} does not count: {why}")
    return None


def replace(objects: Objects, scope: str, input_hash: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Append a record that stands in for the first, unless the newest replacement says the same.

    Where the scope has no first record (what is replaced was found in another scope), the record becomes that: without
    a first one, ``get`` would not look for replacements.
    """
    data = records.sealed(record)
    is_first = _create(objects, result_key(scope, check_sha256(input_hash, "input hash")), data) is None

    def unless_same(newest: history.Entry | None) -> Mapping[str, Any] | None:
        if newest is None:
            return None if is_first else record
        # A replacement may be older than the first record, where that was lost: it would be found before ours.
        return None if records.sealed(newest.body) == data else record

    # the mark first: one without a replacement costs a look, a replacement without one would not be found
    objects.create(replaced_key(scope, input_hash), b"{}\n")
    history.append(objects, scope, result_history(input_hash, "replacements"), unless_same)
    return records.from_bytes(data)


def replaced(objects: Objects, scopes: Sequence[str]) -> frozenset[str]:
    """Input hashes of the results that were replaced in any of the scopes."""
    names = (name for scope in scopes for name in objects.names(replaced_folder(scope)))
    return frozenset(name.removesuffix(".json") for name in names)


def note_deviation(objects: Objects, scope: str, input_hash: str, record: Mapping[str, Any]) -> None:
    """Append a record of a computation that gave something else than the standing one."""
    history.append(
        objects, scope, result_history(check_sha256(input_hash, "input hash"), "deviations"), lambda _newest: record
    )


def deviations(objects: Objects, scopes: Sequence[str], input_hash: str) -> list[dict[str, Any]]:
    """Deviations that were noted under an input hash in any of the scopes, newest first in each."""
    check_sha256(input_hash, "input hash")
    return [record for scope in scopes for record in _history(objects, scope, input_hash, "deviations")]


def _create(objects: Objects, key: str, data: bytes) -> bytes | None:
    """Put a first record; None where ours is that now, else the bytes of the one that was faster."""
    for _ in range(_TRIES):
        if objects.create(key, data):
            return None
        found = objects.get(key)
        if found is not None:
            return found
        # A bucket may refuse one of two writers and then lose the other: the place is free again.
        time.sleep(_PAUSE)
    raise StoreError(
        f"Could not store the result {objects.url.rstrip('/')}/{key}: its place is taken by something that cannot be "
        "read, such as a folder. Move that away"
    )


def _history(objects: Objects, scope: str, input_hash: str, kind: str) -> Iterator[dict[str, Any]]:
    try:
        for entry in history.entries(objects, scope, result_history(input_hash, kind)):
            yield entry.body
    except StoreError as error:
        warnings.warn(f"Skipped {kind} of the result {input_hash}: {error}", stacklevel=2)


def _parse(objects: Objects, key: str, data: bytes) -> dict[str, Any] | None:
    try:
        return records.from_bytes(data)
    except ValueError as error:
        warnings.warn(
            f"The result record {objects.url.rstrip('/')}/{key} is damaged and counts as a cache miss: {error}",
            stacklevel=2,
        )
        return None
