"""Channels: named pointers to an asset's versions, each an append-only history (design, section 8).

``channels/<asset key…>/<channel>/<partition or _>/<n>.json``. Every entry holds the channel's whole state after it, so
that what a channel serves is read from its newest entry, however long its history is.
"""

import contextlib
import datetime as dt
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from mlrepro.catalog.history import Version, find_number, partition_of_part, partition_part
from mlrepro.errors import CacheWarning, ChannelError, StoreError
from mlrepro.store import Entry, Origin, Store, StoredValue

Kind = Literal["promotion", "rollback", "proposal", "release"]

SCHEMA: Final = 1

UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, StoreError)
"""What reading an entry raises that is none: somebody edited it, or a disk failed."""


@dataclass(frozen=True)
class Pointer:
    """A version that a channel points to, with all that loading it takes.

    Attributes:
        number: Its number in the asset's history.
        data_version: Dagster's data version of the materialization that made it.
        stored: What is in the store.
        input_hash: The result that it belongs to; None for an asset that mlrepro does not compute.
    """

    number: int
    data_version: str
    stored: StoredValue
    input_hash: str | None

    @classmethod
    def to(cls, version: Version) -> "Pointer":
        """Point to a version."""
        return cls(version.number, version.data_version, version.stored, version.input_hash)

    def is_same(self, other: "Pointer | None") -> bool:
        """Whether both have the same content, whatever their numbers."""
        return other is not None and self.content == other.content

    @property
    def content(self) -> str:
        """What tells its content: format and hash of its bytes, or what stands for them where there is no value."""
        # None is the same bytes whatever was done to get it
        without = self.stored.python_type == "builtins:NoneType"
        # the bytes of b"1" and of the number 1 are the same: only the format tells them apart
        return self.data_version if without else f"{self.stored.format}:{self.stored.content_hash}"

    def to_json(self) -> dict[str, Any]:
        """The pointer as a JSON object; `from_json` reads it."""
        return {
            "version": self.number,
            "data_version": self.data_version,
            "input_hash": self.input_hash,
            "output": self.stored.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], scope: str) -> "Pointer":
        """Read what `to_json` wrote.

        Args:
            data: The JSON object.
            scope: The scope of the history that it was read from.

        Raises:
            KeyError: A field is missing.
            TypeError: A field holds something else.
        """
        output = data["output"]
        texts = (data["data_version"], data["input_hash"] or "", output["format"], output["python_type"])
        numbers = (data["version"], output["size"])
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(each, int) for each in numbers):
            raise TypeError("expected a version")
        stored = StoredValue.from_json(output, Origin(scope, data["input_hash"]))
        return cls(data["version"], data["data_version"], stored, data["input_hash"])


@dataclass(frozen=True)
class ChannelName:
    """A channel of an asset, or of one of its partitions.

    Attributes:
        asset: Asset key of what is promoted, one part an element.
        channel: Name of the channel.
        partition: Partition key, or None.
    """

    asset: tuple[str, ...]
    channel: str
    partition: str | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """Key of the channel's own asset in Dagster: ``churn_model/production``."""
        return (*self.asset, self.channel)

    @property
    def history(self) -> tuple[str, ...]:
        """Name of its history in the store."""
        return ("channels", *self.asset, self.channel, partition_part(self.partition))

    def __str__(self) -> str:
        name = "/".join(part.replace("/", "\\/") for part in self.key)
        return name if self.partition is None else f"{name} (partition {self.partition})"


@dataclass(frozen=True)
class ChannelEntry:
    """One entry of a channel's history, with the channel's state after it.

    Attributes:
        name: The channel.
        number: 1, 2, 3, …
        kind: What was done: a ``promotion``, a ``rollback``, a ``proposal`` that waits for approval, the ``release``
            of a version from quarantine.
        before: What the channel served before.
        after: What it serves from this entry on; the same as before for a proposal or a release.
        when: When, UTC.
        who: Who.
        reason: Why, in the words of who did it.
        run_id: The run that did it, or None.
        sensor: The sensor that decided it, or None.
        gates: What each gate said: ``{"gate": …, "passed": …, "said": …}``.
        metrics: Metrics of what is served, as known when it was promoted: ``{"evaluation.auc": 0.83}``.
        proposed: A version that waits for approval, or None.
        proposed_metrics: Its metrics.
        approvers: Who may approve what is promoted; empty for anybody.
        quarantined: Versions that are not promoted again, by content: ``{"version": 4, "who": …, "when": …}``.
        served: Numbers of all versions that the channel ever served.
        export: Where what is served is written to, or None.
    """

    name: ChannelName
    number: int
    kind: Kind
    before: Pointer | None
    after: Pointer | None
    when: dt.datetime
    who: str
    reason: str = ""
    run_id: str | None = None
    sensor: str | None = None
    gates: tuple[Mapping[str, Any], ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    proposed: Pointer | None = None
    proposed_metrics: Mapping[str, float] = field(default_factory=dict)
    approvers: tuple[str, ...] = ()
    quarantined: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    served: tuple[int, ...] = ()
    export: str | None = None

    def quarantined_like(self, version: Version) -> str | None:
        """Why a version's content is not promoted again; None if it may be."""
        why = self.quarantined.get(Pointer.to(version).content)
        if why is None:
            return None
        reason = f": {why['reason']}" if why.get("reason") else ""
        when = str(why.get("when"))[:16].replace("T", " ")
        return (
            f"v{version.number} is quarantined since {why.get('who')} rolled back from v{why.get('version')} on"
            f" {when}{reason}"
        )

    def to_json(self) -> dict[str, Any]:
        """The entry as it is kept in the store."""
        return {
            "schema": SCHEMA,
            "asset": list(self.name.asset),
            "channel": self.name.channel,
            "partition": self.name.partition,
            "kind": self.kind,
            "from": self.before.to_json() if self.before else None,
            "to": self.after.to_json() if self.after else None,
            "when": self.when.isoformat(),
            "who": self.who,
            "reason": self.reason,
            "run_id": self.run_id,
            "sensor": self.sensor,
            "gates": [dict(gate) for gate in self.gates],
            "metrics": dict(self.metrics),
            "proposed": self.proposed.to_json() if self.proposed else None,
            "proposed_metrics": dict(self.proposed_metrics),
            "approvers": list(self.approvers),
            "quarantined": {content: dict(why) for content, why in self.quarantined.items()},
            "served": list(self.served),
            "export": self.export,
        }


def newest_entry(store: Store, name: ChannelName) -> ChannelEntry | None:
    """What a channel is now; None if nothing was ever promoted or proposed. The cost does not grow with the history."""
    return next(entries_of(store, name), None)


def entries_of(store: Store, name: ChannelName, scope: str | None = None) -> Iterator[ChannelEntry]:
    """List a channel's entries, newest first. Those that are damaged are left out, with a warning.

    Args:
        store: Where the channel is.
        name: The channel.
        scope: Whose channel; by default the own scope's, which is the only one that can be moved.
    """
    for entry in store.entries(name.history, scope=scope):
        if (parsed := read_entry(name, entry, scope or store.scope)) is not None:
            yield parsed


def read_entry(name: ChannelName, entry: Entry, scope: str) -> ChannelEntry | None:
    """Read an entry of a channel's history; None, with a warning, for one that is none."""
    try:
        return _parse(name, entry.number, checked(entry.body), scope)
    except UNREADABLE:
        message = f"entry {entry.number} of the channel {name} is damaged in the store and is passed over"
        warnings.warn(message, CacheWarning, stacklevel=2)
        return None


def checked(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an entry's body if the store would take it again, as it does in the entries that come after it.

    Raises:
        ValueError: There is a NaN or an infinite number in it.
    """
    json.dumps(body, allow_nan=False)
    return body


def list_in(body: Mapping[str, Any], field: str) -> list[Any]:
    """A list in an entry.

    Raises:
        KeyError: There is none.
        TypeError: It is something else: a text would be taken for the list of its letters.
    """
    found = body[field]
    if not isinstance(found, list):
        raise TypeError(f"expected a list of {field}")
    return found


def channels_of(store: Store, asset: Sequence[str]) -> list[ChannelName]:
    """List the channels of an asset, those of each partition by itself."""
    prefix = ("channels", *asset)
    return [
        ChannelName(tuple(asset), history[-2], partition_of_part(history[-1]))
        for history in store.histories(prefix)
        if len(history) == len(prefix) + 2
    ]


def served_version(store: Store, name: ChannelName) -> Version | None:
    """The version that a channel serves, with what is known of it; None if it serves nothing."""
    pointer = served_pointer(store, name)
    return version_at(store, name, pointer) if pointer is not None else None


def served_pointer(store: Store, name: ChannelName, *, only: str | None = None) -> Pointer | None:
    """What a channel serves: the own scope's, else that of the first scope that has one; None if it serves nothing.

    Args:
        store: The store.
        name: The channel.
        only: The only scope to look in.
    """
    newest = next(_readable(store, name, only), None)
    return newest.after if newest is not None else None


def served_with(store: Store, name: ChannelName, data_version: str) -> Pointer | None:
    """The pointer of the newest entry that served a data version; None if none ever did."""
    for entry in _readable(store, name):
        if entry.after is not None and data_version in (entry.after.data_version, entry.after.stored.content_hash):
            return entry.after
    return None


def _readable(store: Store, name: ChannelName, only: str | None = None) -> Iterator[ChannelEntry]:
    """The entries of the own scope's channel, else those of the first scope that has one."""
    for scope in (store.scope, *store.read_scopes) if only is None else (only,):
        found = False
        for entry in entries_of(store, name, scope):
            found = True
            yield entry
        if found:
            return


def version_at(store: Store, name: ChannelName, pointer: Pointer) -> Version:
    """The version that a pointer means, with its entry where the asset's history still has it."""
    with contextlib.suppress(StoreError):  # the pointer says enough where the asset's history can't be read
        found = find_number(store, name.asset, name.partition, pointer.number)
        if found is not None and Pointer.to(found).is_same(pointer):
            return found
    body = {"data_version": pointer.data_version, "input_hash": pointer.input_hash, "output": pointer.stored.to_json()}
    return Version(name.asset, name.partition, pointer.number, pointer.stored, body)


def no_such_channel(store: Store, name: ChannelName) -> ChannelError:
    """Say that a channel serves nothing, and which channels there are."""
    known = sorted({str(each) for each in channels_of(store, name.asset)})
    there = f"there are {', '.join(known[:8])}" if known else "the asset has no channel"
    return ChannelError(
        f"{name} serves nothing in {store.url} (scope {store.scope}; {there}): materialize the channel, or promote a"
        " version to it"
    )


def _parse(name: ChannelName, number: int, body: Mapping[str, Any], scope: str) -> ChannelEntry:
    when = dt.datetime.fromisoformat(body["when"])
    return ChannelEntry(
        name=name,
        number=number,
        kind=cast("Kind", str(body["kind"])),
        before=_pointer(body["from"], scope),
        after=_pointer(body["to"], scope),
        when=when if when.tzinfo else when.replace(tzinfo=dt.UTC),
        who=str(body["who"]),
        reason=str(body.get("reason") or ""),
        run_id=body.get("run_id"),
        sensor=body.get("sensor"),
        gates=tuple(dict(gate) for gate in list_in(body, "gates")),
        metrics=_metrics(body.get("metrics")),
        proposed=_pointer(body.get("proposed"), scope),
        proposed_metrics=_metrics(body.get("proposed_metrics")),
        approvers=tuple(str(each) for each in list_in(body, "approvers")),
        quarantined={str(content): dict(why) for content, why in body["quarantined"].items()},
        served=tuple(int(each) for each in list_in(body, "served")),
        export=body.get("export"),
    )


def _metrics(data: Mapping[str, Any] | None) -> dict[str, float]:
    return {str(key): float(value) for key, value in (data or {}).items()}


def _pointer(data: Mapping[str, Any] | None, scope: str) -> Pointer | None:
    return None if data is None else Pointer.from_json(data, scope)
