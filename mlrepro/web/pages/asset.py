"""An asset: its metrics over its versions, what its channels did, its versions in a table, a look at its data."""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, Field

from mlrepro.catalog import Version
from mlrepro.catalog.channels import ChannelEntry, ChannelName
from mlrepro.catalog.pins import pins
from mlrepro.comparison.changing import changes_between, in_a_line, sections
from mlrepro.comparison.facts import Compared, read_facts
from mlrepro.comparison.metrics import Number
from mlrepro.comparison.records import Records, at_once
from mlrepro.errors import NotHereError
from mlrepro.store import Store
from mlrepro.web.pages.asked import Asked, Found
from mlrepro.web.pages.history import History, partitions_of, read_history
from mlrepro.web.pages.known import Known
from mlrepro.web.pages.page import Built, Query, Told
from mlrepro.web.pages.preview import Preview, preview_of
from mlrepro.web.pages.refusals import Refusal, refusals_of
from mlrepro.web.pages.rights import Rights, rights_of

ROWS: Final = 25
_MOST_PARTITIONS: Final = 300
_MOST_EVALUATIONS: Final = 12
_NUMBER: Final = re.compile(r"v(\d+)")


class AssetQuery(Query):
    """Which asset, and from where on."""

    key: str = Field(description="The asset's key as Dagster writes it: team/churn_model.", max_length=2000)
    scope: str | None = Field(default=None, description="Whose history. Default: its own.", max_length=100)
    partition: str | None = Field(default=None, description="Partition key.", max_length=1000)
    before: int | None = Field(default=None, ge=1, le=10**11, description="Only versions before this one.")


class VersionRow(BaseModel):
    """One version."""

    number: int
    created: Told
    who: Told
    run_id: Told
    seconds: float | None
    size: int
    format: str
    content_hash: str
    metrics: dict[str, Number]
    inputs: str = Field(description="Versions of what it was made from, in a line.")
    changed: dict[str, str] = Field(description="What differs from the version before it, by kind, a line each.")
    nondeterministic: bool
    marks: list[str] = Field(description="Channels that serve it, and `pinned`.")
    page: str
    run_page: str | None


class ChannelRow(BaseModel):
    """A channel of the asset."""

    channel: str
    version: int | None
    since: dt.datetime | None
    passed_over: Refusal | None = Field(description="The version that did not pass its gates since it moved last.")
    page: str


class Point(BaseModel):
    """A version in the plots."""

    number: int
    created: Told
    metrics: dict[str, Number]


class Moved(BaseModel):
    """A promotion, a rollback, a pin or the release of one."""

    channel: str
    kind: str
    before: int | None
    after: int
    when: str
    who: str
    reason: str


class Asset(BaseModel):
    """An asset."""

    asset: Found
    newest: int | None
    versions: list[VersionRow] = Field(description="A page of versions, newest first.")
    earlier: int | None = Field(description="Give this as `before` for the page after; None on the last one.")
    history: list[Point] = Field(description="The versions that the plots show, oldest first.")
    moves: list[Moved]
    channels: list[ChannelRow]
    pinned: str | None = Field(description="Who holds it at which version, and why.")
    pinned_at: int | None = Field(description="That version.")
    rights: Rights = Field(description="Whether the user may release the pin.")
    partitions: list[str]
    preview: Preview | None
    download: str | None


def asset(asked: Asked, query: AssetQuery) -> Built:
    """Show an asset.

    Raises:
        NotHereError: There is none that the user sees.
        StoreError: The store can't be read.
    """
    store, known, key = asked.store_of(query.key, query.scope)
    partition = query.partition
    partitioned = known is not None and known.partitioned
    partitions = partitions_of(store, key, _MOST_PARTITIONS) if partitioned else []
    if partitioned and partition is None and partitions:
        partition = partitions[-1]
    past = read_history(
        store,
        key,
        partition,
        channels=[each.key.path[-1] for each in asked.assets.channels_of(known)] if known else (),
        evaluations=evaluations_of(asked, known),
        before=query.before,
    )
    if not past.versions and known is None:
        raise NotHereError(f"there is no asset {query.key} here")
    found = asked.found(key, known, store, partition)
    pin = pins(store).get((key, partition))
    shown = past.versions[:ROWS]
    channels = [channel_row(asked, name, entries, store.scope) for name, entries in past.entries.items()]
    rows = version_rows(asked, found.name, store, past, shown)
    newest = past.versions[0] if past.versions else None
    answer = Asset(
        asset=found,
        newest=newest.number if newest else None,
        versions=rows,
        earlier=shown[-1].number if shown and shown[-1].number > 1 else None,
        history=[
            Point(number=version.number, created=version.body.get("created"), metrics=dict(metrics))
            for version, metrics in zip(past.versions[::-1], past.metrics[::-1], strict=True)
        ],
        moves=[Moved(**vars(move)) for move in past.moves],
        channels=channels,
        pinned=str(pin) if pin else None,
        pinned_at=pin.pointer.number if pin else None,
        rights=rights_of(asked, known),
        partitions=partitions,
        preview=preview_of(newest, Records(store)) if newest else None,
        download=asked.page("download", of=f"{found.name}@v{newest.number}", scope=store.scope, partition=partition)
        if newest
        else None,
    )
    page = page_of_point(asked, found.name, store.scope, partition)
    kinds = {move.kind for move in past.moves}
    return Built(answer, {"plots": past.plots(key), "point": page, "kinds": kinds, "known": known})


def evaluations_of(asked: Asked, known: Known | None) -> list[str]:
    """Names of the assets nearby downstream whose metrics may speak of an asset."""
    if known is None:
        return []
    near = asked.assets.downstream([known.key], _MOST_EVALUATIONS)
    return [each.name for each in near if not each.is_channel and asked.scope_of(each) == asked.scope_of(known)]


def version_rows(asked: Asked, name: str, store: Store, past: History, shown: Sequence[Version]) -> list[VersionRow]:
    """Describe versions, each with what differs from the one before it."""
    records = Records(store)
    metrics = {version.number: each for version, each in zip(past.versions, past.metrics, strict=True)}
    by_number = {version.number: version for version in past.versions}
    earlier = [by_number.get(version.number - 1) for version in shown]
    needed = {version.number: version for version in (*shown, *filter(None, earlier))}
    read = at_once(lambda version: read_facts(version, f"v{version.number}", records), needed.values())
    facts: dict[int, Compared] = dict(zip(needed, read, strict=True))
    marks = past.served()
    pin = pins(store).get((past.versions[0].asset, past.versions[0].partition)) if past.versions else None
    if pin is not None:
        marks.setdefault(pin.pointer.number, []).append("pinned")
    return [
        _row(asked, name, facts[version.number], facts.get(version.number - 1), metrics[version.number], marks)
        for version in shown
    ]


def _row(
    asked: Asked,
    name: str,
    compared: Compared,
    before: Compared | None,
    metrics: Mapping[str, Number],
    marks: Mapping[int, list[str]],
) -> VersionRow:
    version = compared.version
    changed = sections(changes_between(before, compared)) if before is not None else {}
    run_id = version.body.get("run_id")
    return VersionRow(
        number=version.number,
        created=compared.created,
        who=version.body.get("who"),
        run_id=run_id,
        seconds=compared.seconds,
        size=compared.size,
        format=version.stored.format,
        content_hash=version.stored.content_hash,
        metrics=dict(metrics),
        inputs=inputs_line(compared.evidence.record),
        changed={kind: in_a_line(changes) for kind, changes in changed.items()},
        nondeterministic=bool(version.body.get("nondeterministic")),
        marks=marks.get(version.number, []),
        page=asked.version_page(name, version.number, _scope(compared), version.partition),
        run_page=asked.run_page(run_id) if isinstance(run_id, str) else None,
    )


def _scope(compared: Compared) -> str | None:
    origin = compared.version.stored.origin
    return origin.scope if origin else None


def inputs_line(record: Mapping[str, Any]) -> str:
    """Say in a line which versions something was made from."""
    inputs = record.get("inputs")
    if not isinstance(inputs, Mapping):
        return ""
    told = [
        f"{name} v{origin['version']}" if isinstance(origin.get("version"), int) else str(name)
        for name, origin in inputs.items()
        if isinstance(origin, Mapping)
    ]
    return ", ".join(told[:6]) + (f" and {len(told) - 6} more" if len(told) > 6 else "")


def channel_row(asked: Asked, name: ChannelName, entries: Sequence[ChannelEntry], scope: str) -> ChannelRow:
    """Say what a channel serves, from its entries, newest first."""
    newest = entries[0] if entries else None
    began = next((entry for entry in entries if entry.kind in {"promotion", "rollback"}), None)
    refused = next(iter(refusals_of(asked, name)), None)
    serves = newest is not None and newest.after is not None
    return ChannelRow(
        channel=name.channel,
        version=newest.after.number if newest and newest.after else None,
        since=began.when if began and serves else None,
        passed_over=refused if refused and refused.is_after(newest) else None,
        page=asked.channel_page(str(ChannelName(name.asset, name.channel)), scope, name.partition),
    )


def page_of_point(asked: Asked, name: str, scope: str, partition: str | None) -> Callable[[str], str]:
    """From what a plot says of a version, ``v3: 0.81``, to its page."""

    def page(said: str) -> str:
        number = _NUMBER.match(said)
        return asked.version_page(name, int(number[1]) if number else 1, scope, partition)

    return page
