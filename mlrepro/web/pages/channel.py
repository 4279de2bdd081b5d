"""A channel: what it serves, how it came to that, its gates, its quarantine; and the forms that move it."""

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from dagster import AssetKey
from pydantic import BaseModel, Field

from mlrepro.catalog import Version, VersionName, parse_version_name
from mlrepro.catalog.channels import ChannelEntry, ChannelName, Pointer, entries_of, version_at
from mlrepro.catalog.history import find_number
from mlrepro.comparison.metrics import Number
from mlrepro.errors import NotHereError, VersionNameError
from mlrepro.store import Store
from mlrepro.web.pages.asked import Asked, Found
from mlrepro.web.pages.asset import evaluations_of, page_of_point
from mlrepro.web.pages.downstream import Downstream, downstream_of
from mlrepro.web.pages.history import newest_versions, read_history
from mlrepro.web.pages.known import Known
from mlrepro.web.pages.page import Built, Query
from mlrepro.web.pages.refusals import Gate, Refusal, refusals_of
from mlrepro.web.pages.rights import Rights, approvers_of, may_approve, rights_of

_MOST_ENTRIES: Final = 200
_MOST_CHOICES: Final = 30


class ChannelQuery(Query):
    """Which channel."""

    key: str = Field(description="Key of the channel's own asset: team/churn_model/production.", max_length=2000)
    scope: str | None = Field(default=None, description="Whose history. Default: its own.", max_length=100)
    partition: str | None = Field(default=None, description="Partition key.", max_length=1000)
    to: int | None = Field(default=None, ge=1, le=10**11, description="The version that rolling back is previewed for.")


class Pointed(BaseModel):
    """A version that a channel serves, or would."""

    number: int
    page: str
    metrics: dict[str, Number]


class Entry(BaseModel):
    """One entry of a channel's history, or a version that it passed over."""

    number: int | None = Field(description="None for a version that did not pass its gates: the channel did not move.")
    kind: str = Field(description="promotion, rollback, proposal, release; gate for a version that was passed over.")
    before: int | None
    after: int | None
    when: dt.datetime
    who: str
    reason: str
    sensor: str | None
    run_page: str | None
    gates: list[Gate]


class Quarantined(BaseModel):
    """A version that is not promoted again until somebody releases it."""

    version: int
    who: str
    when: str
    reason: str


class Back(BaseModel):
    """What rolling back would do."""

    to: int
    page: str
    downstream: list[Downstream]


class Channel(BaseModel):
    """A channel."""

    asset: Found
    model: Found
    channel: str
    entry: int | None = Field(description="Number of its newest entry.")
    served: Pointed | None
    since: dt.datetime | None
    by: str | None
    waiting: Pointed | None
    approvers: list[str]
    may_approve: bool = Field(description="Whether the user is one of those who may approve, and promote by hand.")
    passed_over: Refusal | None = Field(description="The version that did not pass its gates since it moved last.")
    gates: list[Gate] = Field(description="What the gates said last.")
    gates_of: int | None = Field(description="Of which version.")
    quarantine: list[Quarantined]
    history: list[Entry]
    candidates: list[int] = Field(description="Newest versions that could be promoted.")
    earlier: list[int] = Field(description="Versions that it could go back to.")
    back: Back | None
    rights: Rights


def channel(asked: Asked, query: ChannelQuery) -> Built:
    """Show a channel.

    Raises:
        NotHereError: There is none that the user sees.
        StoreError: The store can't be read.
    """
    store, known, name = channel_of(asked, query.key, query.scope, query.partition)
    entries = list(itertools.islice(entries_of(store, name), _MOST_ENTRIES))
    if not entries and known is None:
        raise NotHereError(f"there is no channel {query.key} here")
    newest = entries[0] if entries else None
    began = next((entry for entry in entries if entry.kind in {"promotion", "rollback"}), None)
    refused = refusals_of(asked, name, _MOST_ENTRIES)
    passed_over = refused[0] if refused and refused[0].is_after(newest) else None
    model = asked.assets.get(AssetKey(list(name.asset)))
    pointed = _Pointing(asked, name, store)
    earlier = _earlier(store, name, newest)
    back = query.to if query.to in earlier else next(iter(earlier), None)
    rights = rights_of(asked, known)
    approvers = approvers_of(known, newest)
    history = sorted(
        [*(_entry(asked, entry) for entry in entries), *(_passed_over(each) for each in refused)],
        key=lambda each: each.when,
        reverse=True,
    )
    judged = next((entry for entry in history if entry.gates), None)
    answer = Channel(
        asset=asked.found(name.key, known, store, name.partition),
        model=asked.found(name.asset, model, store, name.partition),
        channel=name.channel,
        entry=newest.number if newest else None,
        served=pointed(newest.after, newest.metrics) if newest and newest.after else None,
        since=began.when if began and newest and newest.after else None,
        by=began.who if began and newest and newest.after else None,
        waiting=pointed(newest.proposed, newest.proposed_metrics) if newest and newest.proposed else None,
        approvers=list(approvers),
        may_approve=rights.may and may_approve(asked.user, approvers),
        passed_over=passed_over,
        gates=judged.gates if judged else [],
        gates_of=judged.after if judged else None,
        quarantine=_quarantine(newest),
        history=history,
        candidates=_candidates(store, name, newest),
        earlier=earlier,
        back=_back(asked, known, store, name, newest, back),
        rights=rights,
    )
    past = read_history(
        store,
        name.asset,
        name.partition,
        channels=[name.channel],
        evaluations=evaluations_of(asked, model),
    )
    page = page_of_point(asked, answer.model.name, store.scope, name.partition)
    kinds = {move.kind for move in past.moves}
    return Built(answer, {"plots": past.plots(name.asset)[:3], "point": page, "kinds": kinds})


def channel_of(
    asked: Asked, key: str, scope: str | None, partition: str | None
) -> tuple[Store, Known | None, ChannelName]:
    """Find a channel by the key of its own asset.

    Raises:
        NotHereError: The user sees no such channel.
        VersionNameError: It is no key of a channel.
    """
    path = parse_version_name(f"{key}@latest").asset
    if len(path) < 2:
        raise VersionNameError(f"{key!r} names no channel: write its key, such as churn_model/production")
    store, known, _ = asked.store_of(key, scope)
    if known is not None and not known.is_channel:
        raise NotHereError(f"{key} is no channel")
    return store, known, ChannelName(path[:-1], path[-1], partition)


class _Pointing:
    def __init__(self, asked: Asked, name: ChannelName, store: Store) -> None:
        self._asked, self._name, self._store = asked, name, store

    def __call__(self, pointer: Pointer, metrics: Mapping[str, float]) -> Pointed:
        asset = str(VersionName(self._name.asset, None))
        page = self._asked.version_page(asset, pointer.number, self._store.scope, self._name.partition)
        # the model's metrics stand there under its own name and under its last part
        own = {key.removeprefix(f"{asset}."): value for key, value in metrics.items()}
        short = f"{self._name.asset[-1]}."
        return Pointed(
            number=pointer.number,
            page=page,
            metrics={key: value for key, value in own.items() if not (key.startswith(short) and short != f"{asset}.")},
        )


def _quarantine(newest: ChannelEntry | None) -> list[Quarantined]:
    held = newest.quarantined.values() if newest else ()
    return [
        Quarantined(
            version=why["version"] if isinstance(why.get("version"), int) else 0,
            who=str(why.get("who") or ""),
            when=str(why.get("when") or ""),
            reason=str(why.get("reason") or ""),
        )
        for why in held
    ]


def _entry(asked: Asked, entry: ChannelEntry) -> Entry:
    after = entry.proposed if entry.kind == "proposal" else entry.after
    return Entry(
        number=entry.number,
        kind=entry.kind,
        before=entry.before.number if entry.before else None,
        after=after.number if after else None,
        when=entry.when,
        who=entry.who,
        reason=entry.reason,
        sensor=entry.sensor,
        run_page=asked.run_page(entry.run_id) if isinstance(entry.run_id, str) else None,
        gates=[Gate.of(gate) for gate in entry.gates],
    )


def _passed_over(refusal: Refusal) -> Entry:
    return Entry(
        number=None,
        kind="gate",
        before=None,
        after=refusal.version,
        when=refusal.when,
        who="",
        reason=refusal.said,
        sensor=None,
        run_page=refusal.run_page,
        gates=refusal.gates,
    )


def _candidates(store: Store, name: ChannelName, newest: ChannelEntry | None) -> list[int]:
    served = newest.after if newest else None
    return [
        version.number
        for version in newest_versions(store, name.asset, name.partition, most=_MOST_CHOICES)
        if not Pointer.to(version).is_same(served) and not (newest and newest.quarantined_like(version))
    ]


def _earlier(store: Store, name: ChannelName, newest: ChannelEntry | None) -> list[int]:
    if newest is None or newest.after is None:
        return []
    now = newest.after
    numbers: Sequence[int] = sorted((each for each in newest.served if each < now.number), reverse=True)
    found = (find_number(store, name.asset, name.partition, number) for number in numbers[:_MOST_CHOICES])
    return [
        version.number
        for version in found
        if version is not None and not Pointer.to(version).is_same(now) and not newest.quarantined_like(version)
    ]


def _back(
    asked: Asked, known: Known | None, store: Store, name: ChannelName, newest: ChannelEntry | None, to: int | None
) -> Back | None:
    target: Version | None = find_number(store, name.asset, name.partition, to) if to is not None else None
    if target is None or newest is None:
        return None
    there = version_at(store, name, Pointer.to(target))
    asset = str(VersionName(name.asset, None))
    page = asked.version_page(asset, there.number, store.scope, name.partition)
    below = downstream_of(asked, known, store, there) if known is not None else []
    return Back(to=there.number, page=page, downstream=below)
