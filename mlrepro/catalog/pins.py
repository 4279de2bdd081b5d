"""Pins: an asset held at one of its versions, until somebody releases it (design, section 8).

All pins of a scope are one history, ``pins/<n>.json``, and each entry holds all pins after it: a run learns of every
pin with one look.
"""

import datetime as dt
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from mlrepro.catalog.appending import append_once
from mlrepro.catalog.channels import UNREADABLE, Pointer, checked, list_in
from mlrepro.catalog.history import Version, newest_version, versions_of
from mlrepro.catalog.keeping import keep
from mlrepro.catalog.moving import Mover
from mlrepro.catalog.names import VersionName
from mlrepro.errors import CacheWarning, ChannelError, NothingToRollBackToError
from mlrepro.store import Entry, Store

_HISTORY: Final = ("pins",)
SCHEMA: Final = 1

Pinned = Mapping[tuple[tuple[str, ...], str | None], "Pin"]
"""All pins of a scope, by asset and partition."""


@dataclass(frozen=True)
class Pin:
    """An asset, or one of its partitions, that is held at a version.

    Attributes:
        asset: Asset key, one part an element.
        partition: Partition key, or None.
        pointer: The version.
        who: Who pinned it.
        when: When, UTC.
        reason: Why.
        run_id: The run that did it, or None.
    """

    asset: tuple[str, ...]
    partition: str | None
    pointer: Pointer
    who: str
    when: dt.datetime
    reason: str
    run_id: str | None

    @property
    def name(self) -> str:
        """The asset as people write it."""
        of = f" (partition {self.partition})" if self.partition is not None else ""
        return f"{VersionName(self.asset, None)}{of}"

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return (
            f"{self.name} is pinned at v{self.pointer.number} by {self.who} since {self.when:%Y-%m-%d %H:%M} UTC{why}"
        )

    def to_json(self) -> dict[str, Any]:
        """The pin as a JSON object."""
        return {
            "asset": list(self.asset),
            "partition": self.partition,
            "to": self.pointer.to_json(),
            "who": self.who,
            "when": self.when.isoformat(),
            "reason": self.reason,
            "run_id": self.run_id,
        }


@dataclass(frozen=True)
class PinEntry:
    """One entry of the history of pins.

    Attributes:
        number: 1, 2, 3, …
        kind: What was done.
        pin: The pin that was set or released.
        who: Who did it.
        when: When, UTC.
        reason: Why.
        run_id: The run that did it, or None.
        pins: All pins after it.
    """

    number: int
    kind: Literal["pin", "release"]
    pin: Pin
    who: str
    when: dt.datetime
    reason: str
    run_id: str | None
    pins: tuple[Pin, ...]


def pins(store: Store) -> Pinned:
    """Find all pins of the store's own scope: a listing and a record, however many there are or were."""
    return _by_place(next(pin_entries(store), None))


def pin_entries(store: Store) -> Iterator[PinEntry]:
    """List what was pinned and released, newest first. Entries that are damaged are left out, with a warning."""
    for entry in store.entries(_HISTORY):
        if (parsed := _read(store, entry)) is not None:
            yield parsed


def pin(
    store: Store, asset: Sequence[str], mover: Mover, *, partition: str | None = None, to: int | None = None
) -> PinEntry:
    """Hold an asset at a version: from now on its materializations replay that one.

    Args:
        store: Where its versions are.
        asset: Asset key, one part an element.
        mover: Who says so, and why.
        partition: Partition key, or None.
        to: Number of the version. Default: the newest one before the present whose content is another and whose bytes
            are there.

    Raises:
        NothingToRollBackToError: There is no such version.
        ChannelError: The version was not computed by mlrepro, so that nothing could hold it.
        BlobMissingError: Its bytes are gone.
    """
    place = (tuple(asset), partition)

    def make(held: Pinned) -> Pin:
        version = _target(store, *place, to, held.get(place))
        if version.input_hash is None:
            raise ChannelError(
                f"{VersionName(version.asset, None)} is not computed by mlrepro, so that a pin could not hold it: make"
                " it an @ml_asset, or put a channel on it and roll that back"
            )
        keep(store, version)
        return Pin(*place, Pointer.to(version), mover.who, dt.datetime.now(dt.UTC), mover.reason, mover.run_id)

    return _append(store, "pin", mover, make)


def release_pin(store: Store, asset: Sequence[str], mover: Mover, *, partition: str | None = None) -> PinEntry:
    """Let an asset be computed again.

    Raises:
        ChannelError: It is not pinned.
    """
    place = (tuple(asset), partition)

    def make(held: Pinned) -> Pin:
        if place in held:
            return held[place]
        name = str(VersionName(tuple(asset), None)) + (f" (partition {partition})" if partition is not None else "")
        known = ", ".join(sorted(each.name for each in held.values())) or "nothing is"
        raise ChannelError(f"{name} is not pinned in {store.url} ({known})")

    return _append(store, "release", mover, make)


def _target(store: Store, asset: tuple[str, ...], partition: str | None, to: int | None, held: Pin | None) -> Version:
    name = VersionName(asset, None)
    newest = newest_version(store, asset, partition)
    if newest is None:
        of = f", partition {partition}," if partition is not None else ""
        raise NothingToRollBackToError(f"{name}{of} has no versions in {store.url}: materialize it first")
    present = held.pointer if held else Pointer.to(newest)
    lost: list[str] = []
    for version in versions_of(store, asset, partition):
        if version.number == to:
            return version
        if to is None and version.number < present.number and not Pointer.to(version).is_same(present):
            if store.has_value(version.stored):
                return version
            lost.append(f"v{version.number}")
    if to is not None:
        raise NothingToRollBackToError(f"{name} has no v{to}: its newest version is v{newest.number}")
    gone = f" (the bytes of {', '.join(lost)} are gone)" if lost else ""
    raise NothingToRollBackToError(
        f"{name} is at v{present.number} and has no earlier version with another content{gone}"
    )


def _append(store: Store, kind: Literal["pin", "release"], mover: Mover, make: Callable[[Pinned], Pin]) -> PinEntry:
    """Append what ``make`` makes of the pins that there are, whoever else pins and releases meanwhile."""
    made: list[PinEntry] = []

    def body(newest: Entry | None) -> Mapping[str, Any]:
        # the newest sound entry: one that is damaged must not release what is pinned
        sound = _read(store, newest) if newest is not None else None
        held = _by_place(sound or next(pin_entries(store), None))
        pin = make(held)
        others = tuple(each for each in held.values() if (each.asset, each.partition) != (pin.asset, pin.partition))
        after = (*others, pin) if kind == "pin" else others
        now = dt.datetime.now(dt.UTC)
        made[:] = [PinEntry(0, kind, pin, mover.who, now, mover.reason, mover.run_id, after)]
        return {
            "schema": SCHEMA,
            "kind": kind,
            "pin": pin.to_json(),
            "who": mover.who,
            "when": now.isoformat(),
            "reason": mover.reason,
            "run_id": mover.run_id,
            "pins": [each.to_json() for each in after],
        }

    entry = append_once(store, _HISTORY, body)
    assert entry is not None, "a pin always appends"
    return replace(made[0], number=entry.number)


def _by_place(entry: PinEntry | None) -> Pinned:
    return {(pin.asset, pin.partition): pin for pin in entry.pins} if entry is not None else {}


def _read(store: Store, entry: Entry) -> PinEntry | None:
    """Read an entry; None, with a warning, for one that is none."""
    try:
        body = checked(entry.body)
        return PinEntry(
            number=entry.number,
            kind=cast("Literal['pin', 'release']", str(body["kind"])),
            pin=_pin(body["pin"], store.scope),
            who=str(body["who"]),
            when=_time(body["when"]),
            reason=str(body.get("reason") or ""),
            run_id=body.get("run_id"),
            pins=tuple(_pin(each, store.scope) for each in list_in(body, "pins")),
        )
    except UNREADABLE:
        message = f"entry {entry.number} of the pins in {store.url} is damaged and is passed over"
        warnings.warn(message, CacheWarning, stacklevel=2)
        return None


def _pin(data: Mapping[str, Any], scope: str) -> Pin:
    return Pin(
        asset=tuple(str(part) for part in list_in(data, "asset")),
        partition=data["partition"],
        pointer=Pointer.from_json(data["to"], scope),
        who=str(data["who"]),
        when=_time(data["when"]),
        reason=str(data.get("reason") or ""),
        run_id=data.get("run_id"),
    )


def _time(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
