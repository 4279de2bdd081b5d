"""Moving a channel: each verb appends one entry that is made from the newest one, whoever else moves it meanwhile."""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlrepro.catalog.appending import append_once
from mlrepro.catalog.channels import (
    ChannelEntry,
    ChannelName,
    Pointer,
    entries_of,
    newest_entry,
    no_such_channel,
    read_entry,
    version_at,
)
from mlrepro.catalog.history import Version, find_number
from mlrepro.catalog.keeping import keep
from mlrepro.catalog.names import VersionName
from mlrepro.errors import (
    BlobMissingError,
    ChannelError,
    ChannelMovedError,
    NothingToRollBackToError,
    QuarantinedError,
)
from mlrepro.store import Entry, Store

AS_BEFORE = ""
"""Stands for the path that what is served was written to before."""


@dataclass(frozen=True)
class Mover:
    """Who moves a channel, and why: what an entry says of it.

    Attributes:
        who: A person's name.
        reason: Why, in their words.
        run_id: The run that does it, or None.
        sensor: The sensor that decided it, or None.
    """

    who: str
    reason: str = ""
    run_id: str | None = None
    sensor: str | None = None


def promote(
    store: Store,
    name: ChannelName,
    version: Version,
    mover: Mover,
    *,
    gates: Sequence[Mapping[str, Any]] = (),
    metrics: Mapping[str, float] | None = None,
    approvers: Sequence[str] | None = None,
    export: str | None = AS_BEFORE,
) -> ChannelEntry | None:
    """Point a channel to a version. What it serves is kept in the own scope from then on.

    Where a channel names who approves, promoting by hand is approving: nobody else does it.

    Args:
        store: Where the channel is.
        name: The channel.
        version: What it shall serve.
        mover: Who says so.
        gates: What each gate said.
        metrics: What is known of the version: a later one is compared with it. What is not a number is left out.
        approvers: Who may approve, as the channel's definition says; empty for anybody. Default: as the channel's
            history says.
        export: Where what is served is written to, None for nowhere. Default: where it was before.

    Returns:
        The new entry; None if the channel serves this content already.

    Raises:
        ChannelError: Somebody else has to approve.
        QuarantinedError: The channel was rolled back from this content.
        BlobMissingError: The version's bytes are gone.
        StoreError: The store failed.
    """
    pointer = Pointer.to(version)
    keep(store, version)

    def make(newest: ChannelEntry | None) -> ChannelEntry | None:
        who = _approving(newest, name, mover, approvers)
        check_quarantine(newest, name, version)
        if newest is not None and pointer.is_same(newest.after):
            # a proposal of what is served is settled
            return _next(newest, name, "promotion", mover, proposed=None, approvers=who) if newest.proposed else None
        return _next(
            newest,
            name,
            "promotion",
            mover,
            after=pointer,
            approvers=who,
            gates=tuple(gates),
            metrics=_numbers(metrics),
            proposed=None,
            export=_path(newest, export),
        )

    return _append(store, name, make)


def propose(
    store: Store,
    name: ChannelName,
    version: Version,
    mover: Mover,
    *,
    gates: Sequence[Mapping[str, Any]] = (),
    metrics: Mapping[str, float] | None = None,
    approvers: Sequence[str] = (),
    export: str | None = AS_BEFORE,
) -> ChannelEntry | None:
    """Have a version wait for approval; the channel goes on serving what it serves.

    Args:
        store: Where the channel is.
        name: The channel.
        version: What it shall serve.
        mover: Who says so.
        gates: What each gate said.
        metrics: What is known of the version. What is not a number is left out.
        approvers: Who may approve it; empty for anybody.
        export: Where what is served is written to, None for nowhere. Default: where it was before.

    Returns:
        The new entry; None if the version waits already, or is served.

    Raises:
        QuarantinedError: The channel was rolled back from this content.
        BlobMissingError: The version's bytes are gone.
    """
    pointer = Pointer.to(version)
    keep(store, version)

    def make(newest: ChannelEntry | None) -> ChannelEntry | None:
        check_quarantine(newest, name, version)
        if newest is not None and (pointer.is_same(newest.after) or pointer.is_same(newest.proposed)):
            return None
        return _next(
            newest,
            name,
            "proposal",
            mover,
            proposed=pointer,
            proposed_metrics=_numbers(metrics),
            approvers=tuple(approvers),
            gates=tuple(gates),
            export=_path(newest, export),
        )

    return _append(store, name, make)


def approve(
    store: Store, name: ChannelName, number: int | None, mover: Mover, *, approvers: Sequence[str] | None = None
) -> ChannelEntry:
    """Promote the version that waits for approval.

    Args:
        store: Where the channel is.
        name: The channel.
        number: Which version the person looked at; None for whichever waits.
        mover: The person.
        approvers: Who may approve, as the channel's definition says. Default: as its history says.

    Raises:
        ChannelError: No version waits, or another one does, or somebody else has to approve.
        QuarantinedError: The channel was rolled back from its content since.
        BlobMissingError: Its bytes are gone since.
    """

    def make(newest: ChannelEntry | None) -> ChannelEntry:
        if newest is None or newest.proposed is None:
            raise ChannelError(f"no version of {name} waits for approval")
        if number is not None and newest.proposed.number != number:
            raise ChannelError(f"v{newest.proposed.number} of {name} waits for approval, not v{number}")
        who = _approving(newest, name, mover, approvers)
        version = version_at(store, name, newest.proposed)
        check_quarantine(newest, name, version)
        keep(store, version)
        return _next(
            newest,
            name,
            "promotion",
            mover,
            after=newest.proposed,
            approvers=who,
            proposed=None,
            gates=_gates_of_proposal(store, newest),
            metrics=newest.proposed_metrics,
        )

    entry = _append(store, name, make)
    assert entry is not None, "an approval always appends"
    return entry


def roll_back(
    store: Store,
    name: ChannelName,
    mover: Mover,
    *,
    to: int | None = None,
    expected: int | None = None,
    approvers: Sequence[str] | None = None,
) -> ChannelEntry:
    """Point a channel back to an earlier version, and quarantine the one that it came from.

    Going back to what was served takes nobody's approval. To a version that never was, it is a promotion.

    Args:
        store: Where the channel is.
        name: The channel.
        mover: Who says so, and why.
        to: Number of the version. Default: the newest one before the present that the channel has served, that is not
            quarantined, and whose bytes are there.
        expected: Number of the channel's entry that the decision was made on.
        approvers: Who may approve, as the channel's definition says. Default: as its history says.

    Raises:
        NothingToRollBackToError: There is no such version.
        QuarantinedError: The version asked for is quarantined.
        ChannelMovedError: The channel moved since the decision.
        ChannelError: The channel serves nothing; or the version asked for is the present one or a newer one, or was
            never served and somebody else has to approve it.
        BlobMissingError: The bytes of the version asked for are gone.
    """

    def make(newest: ChannelEntry | None) -> ChannelEntry:
        if newest is None or newest.after is None:
            raise no_such_channel(store, name)
        if expected is not None and newest.number != expected:
            raise ChannelMovedError(
                f"{name} moved since this was decided (entry {newest.number}, not {expected}): it serves"
                f" v{newest.after.number} now, by {newest.who}, and stays there"
            )
        target, metrics = _named_target(store, newest, to) if to is not None else _default_target(store, newest)
        if target.number not in newest.served:
            _approving(newest, name, mover, approvers)
        quarantined = {
            **newest.quarantined,
            newest.after.content: {
                "version": newest.after.number,
                "data_version": newest.after.data_version,
                "who": mover.who,
                "when": _now().isoformat(),
                "reason": mover.reason,
            },
        }
        return _next(newest, name, "rollback", mover, after=target, metrics=metrics, quarantined=quarantined)

    entry = _append(store, name, make)
    assert entry is not None, "a rollback always appends"
    return entry


def release(store: Store, name: ChannelName, number: int, mover: Mover) -> ChannelEntry:
    """Let a version that was rolled back from be promoted again.

    Raises:
        ChannelError: It is not quarantined.
    """

    def make(newest: ChannelEntry | None) -> ChannelEntry:
        kept = dict(newest.quarantined) if newest else {}
        lifted = [each for each, why in kept.items() if why.get("version") == number]
        if not lifted and (again := find_number(store, name.asset, name.partition, number)) is not None:
            # the same content was made again under another number
            lifted = [each for each in kept if each == Pointer.to(again).content]
        if not lifted:
            held = ", ".join(f"v{why.get('version')}" for why in kept.values()) or "none is"
            raise ChannelError(f"v{number} of {name} is not quarantined ({held})")
        for each in lifted:
            del kept[each]
        return _next(newest, name, "release", mover, quarantined=kept)

    entry = _append(store, name, make)
    assert entry is not None, "a release always appends"
    return entry


def _path(newest: ChannelEntry | None, export: str | None) -> str | None:
    if export != AS_BEFORE:
        return export
    return newest.export if newest is not None else None


def _approving(
    newest: ChannelEntry | None, name: ChannelName, mover: Mover, said: Sequence[str] | None
) -> tuple[str, ...]:
    """Who may approve for a channel; refuses a mover who is not among them.

    Raises:
        ChannelError: With who may.
    """
    approvers = tuple(said) if said is not None else newest.approvers if newest is not None else ()
    if approvers and mover.who not in approvers:
        raise ChannelError(
            f"{mover.who} may not approve for {name}: {', '.join(approvers)} may, by `mlrepro approve` or"
            " `mlrepro promote`"
        )
    return approvers


def check_quarantine(newest: ChannelEntry | None, name: ChannelName, version: Version) -> None:
    """Refuse a version that the channel was rolled back from.

    Raises:
        QuarantinedError: With who did that, when and why.
    """
    why = newest.quarantined_like(version) if newest else None
    if why is not None:
        raise QuarantinedError(
            f"{name}: {why}. To allow it again: mlrepro release {VersionName(name.asset, version.number)}"
            f" --channel {name.channel}"
        )


def _named_target(store: Store, newest: ChannelEntry, number: int) -> tuple[Pointer, Mapping[str, float]]:
    """The version that somebody asked for, as the channel served it, or as the asset has it."""
    present = newest.after
    assert present is not None, "checked before"
    if number == present.number:
        raise ChannelError(f"{newest.name} serves v{number} already")
    if number > present.number:
        raise ChannelError(
            f"v{number} is newer than v{present.number}, which {newest.name} serves: promote it (mlrepro promote"
            f" {'/'.join(newest.name.asset)}@v{number} --channel {newest.name.channel})"
        )
    found = _Past(store, newest).find(number)
    if found is None:
        served = ", ".join(f"v{each}" for each in newest.served if each < present.number) or "nothing"
        raise NothingToRollBackToError(
            f"{newest.name} can't go back to v{number}: there is no such version (it served {served} before)"
        )
    version, metrics = found
    check_quarantine(newest, newest.name, version)
    try:
        keep(store, version)
    except BlobMissingError as error:
        raise BlobMissingError(f"{newest.name} can't go back to v{number}: {error}") from error
    return Pointer.to(version), metrics


def _default_target(store: Store, newest: ChannelEntry) -> tuple[Pointer, Mapping[str, float]]:
    present = newest.after
    assert present is not None, "checked before"
    past = _Past(store, newest)
    lost: list[str] = []
    for number in sorted((each for each in set(newest.served) if each < present.number), reverse=True):
        version, metrics = past.find(number) or (None, {})
        if version is None or Pointer.to(version).is_same(present) or newest.quarantined_like(version):
            continue
        try:
            keep(store, version)
        except BlobMissingError:
            lost.append(f"v{number}")
        else:
            return Pointer.to(version), metrics
    gone = f"; the bytes of {', '.join(lost)} are gone" if lost else ""
    held = ", ".join(f"v{why.get('version')}" for why in newest.quarantined.values())
    raise NothingToRollBackToError(
        f"{newest.name} serves v{present.number} and has nothing to roll back to: it served no earlier version that is"
        f" not quarantined ({f'quarantined: {held}' if held else 'none is quarantined'}{gone}). Name one with --to"
    )


class _Past:
    """What a channel served, by version number. Its history is read once, and no further back than is asked for."""

    def __init__(self, store: Store, newest: ChannelEntry) -> None:
        self._store = store
        self._newest = newest
        self._entries = entries_of(store, newest.name)
        self._served: dict[int, ChannelEntry] = {}

    def find(self, number: int) -> tuple[Version, Mapping[str, float]] | None:
        """A version as it was served last, with its metrics then; else as the asset has it; None if there is none."""
        name = self._newest.name
        if number in self._newest.served:
            while number not in self._served and (entry := next(self._entries, None)) is not None:
                if entry.after is not None:
                    self._served.setdefault(entry.after.number, entry)
        entry = self._served.get(number)
        if entry is not None and entry.after is not None:
            return version_at(self._store, name, entry.after), entry.metrics
        version = find_number(self._store, name.asset, name.partition, number)
        return None if version is None else (version, {})


def _gates_of_proposal(store: Store, newest: ChannelEntry) -> tuple[Mapping[str, Any], ...]:
    proposals = (entry for entry in entries_of(store, newest.name) if entry.kind == "proposal")
    return next((each.gates for each in proposals if newest.proposed and newest.proposed.is_same(each.proposed)), ())


def _next(newest: ChannelEntry | None, name: ChannelName, kind: Any, mover: Mover, **changes: Any) -> ChannelEntry:
    """The entry after the newest one: its state, but for what changes."""
    present = newest.after if newest else None
    facts: dict[str, Any] = {
        "after": present,
        "metrics": newest.metrics if newest else {},
        "proposed": newest.proposed if newest else None,
        "proposed_metrics": newest.proposed_metrics if newest else {},
        "approvers": newest.approvers if newest else (),
        "quarantined": newest.quarantined if newest else {},
        "export": newest.export if newest else None,
        **changes,
    }
    if facts["proposed"] is None:
        facts["proposed_metrics"] = {}
    served = set(newest.served if newest else ()) | ({facts["after"].number} if facts["after"] else set())
    return ChannelEntry(
        name=name,
        number=(newest.number if newest else 0) + 1,
        kind=kind,
        before=present,
        when=_now(),
        who=mover.who,
        reason=mover.reason,
        run_id=mover.run_id,
        sensor=mover.sensor,
        served=tuple(sorted(served)),
        **facts,
    )


def _append(
    store: Store, name: ChannelName, make: Callable[[ChannelEntry | None], ChannelEntry | None]
) -> ChannelEntry | None:
    made: ChannelEntry | None = None

    def body(newest: Entry | None) -> Mapping[str, Any] | None:
        nonlocal made
        # the newest sound entry: one that is damaged must not make the channel begin anew
        sound = read_entry(name, newest, store.scope) if newest is not None else None
        made = make(sound or newest_entry(store, name))
        return None if made is None else made.to_json()

    appended = append_once(store, name.history, body)
    return None if appended is None or made is None else replace(made, number=appended.number)


def _numbers(metrics: Mapping[str, float] | None) -> dict[str, float]:
    return {key: float(value) for key, value in (metrics or {}).items() if math.isfinite(value)}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
