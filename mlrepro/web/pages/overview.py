"""The overview: every asset with its newest version, what its channels serve, and what the cache saved."""

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from dagster import AssetKey
from dagster._core.storage.event_log.base import AssetRecord
from pydantic import BaseModel, Field

from mlrepro.catalog.channels import ChannelEntry, ChannelName, entries_of
from mlrepro.catalog.history import newest_version
from mlrepro.comparison.metrics import Number, own_metrics
from mlrepro.comparison.records import at_once
from mlrepro.comparison.shown import number
from mlrepro.execution.savings import Saved
from mlrepro.store import Store
from mlrepro.web.pages.asked import Asked, Found
from mlrepro.web.pages.history import newest_versions
from mlrepro.web.pages.known import Known
from mlrepro.web.pages.last_problem import Problem, Problems
from mlrepro.web.pages.page import Built, Query, Told
from mlrepro.web.pages.sparkline import Sparkline, sparkline
from mlrepro.web.pages.tally import WEEK

ROWS: Final = 50
_SPARKS: Final = 16
_BACK: Final = 50
"""Entries that are looked back for when a channel began to serve what it serves."""


class OverviewQuery(Query):
    """What the overview is narrowed to."""

    tenant: str | None = Field(default=None, description="Only assets of this tenant.", max_length=200)
    group: str | None = Field(default=None, description="Only assets of this group.", max_length=200)
    q: str | None = Field(default=None, description="Only assets whose key contains this.", max_length=200)
    page: int = Field(default=1, ge=1, le=100_000, description="Which page of the list.")


class Newest(BaseModel):
    """An asset's newest version."""

    number: int
    created: Told
    who: Told
    size: int
    metrics: dict[str, Number]
    page: str


class Served(BaseModel):
    """What a channel serves."""

    channel: str
    version: int | None
    since: dt.datetime | None
    who: Told
    waiting: int | None = Field(description="Number of the version that waits for approval.")
    rolled_back: bool
    page: str
    version_page: str | None


class Row(BaseModel):
    """One asset."""

    asset: Found
    newest: Newest | None
    channels: list[Served]
    problem: Problem | None
    hit_rate: float | None
    steps: int


class Savings(BaseModel):
    """What the cache saved."""

    hits: int
    steps: int
    hit_rate: float | None
    seconds_saved: float

    @classmethod
    def of(cls, saved: Saved) -> "Savings":
        """From what was counted."""
        return cls(
            hits=saved.hits, steps=saved.steps, hit_rate=saved.hit_rate, seconds_saved=round(saved.seconds_saved, 3)
        )


class Overview(BaseModel):
    """The overview."""

    assets: list[Row]
    total: int = Field(description="How many assets there are that fit, on all pages.")
    page: int
    pages: int
    tenants: list[str]
    groups: list[str]
    week: Savings
    ever: Savings
    counted: bool = Field(description="Whether all of the event log has been counted; until then sums grow.")


def overview(asked: Asked, query: OverviewQuery) -> Built:
    """List the assets that a user sees."""
    counted = asked.tally.catch_up()
    seen = [known for known in asked.assets.versioned if asked.scope_of(known) is not None]
    fitting = [known for known in seen if _fits(asked, known, query)]
    pages = max(1, -(-len(fitting) // ROWS))
    page = min(query.page, pages)
    shown = fitting[(page - 1) * ROWS : page * ROWS]
    narrowed = None if len(fitting) == len(list(asked.assets.versioned)) else _with_channels(asked, fitting)
    reader = _Reader(asked, shown)
    read = at_once(reader.row, shown)
    answer = Overview(
        assets=[row for row, _ in read],
        total=len(fitting),
        page=page,
        pages=pages,
        tenants=sorted(asked.sight.own),
        groups=sorted({known.group for known in seen}),
        week=Savings.of(asked.tally.saved(narrowed, days=WEEK)),
        ever=Savings.of(asked.tally.saved(narrowed)),
        counted=counted,
    )
    return Built(answer, {"sparks": [spark for _, spark in read], "query": query})


def _fits(asked: Asked, known: Known, query: OverviewQuery) -> bool:
    if query.tenant is not None and asked.owners.get(known.location) != query.tenant:
        return False
    if query.group is not None and known.group != query.group:
        return False
    return query.q is None or query.q.casefold() in known.name.casefold()


def _with_channels(asked: Asked, chosen: Sequence[Known]) -> list[str]:
    return [known.name for each in chosen for known in (each, *asked.assets.channels_of(each))]


class _Reader:
    """Reads what the rows of one page show: a query of Dagster for all, and a few requests of the store each."""

    def __init__(self, asked: Asked, shown: Sequence[Known]) -> None:
        self._asked = asked
        channels = [channel for known in shown for channel in asked.assets.channels_of(known)]
        keys = [known.key for known in (*shown, *channels)]
        self._records: Mapping[AssetKey, AssetRecord] = {
            record.asset_entry.asset_key: record for record in asked.instance.get_asset_records(keys)
        }
        self._problems = Problems(asked, self._records)

    def row(self, known: Known) -> tuple[Row, Sparkline | None]:
        """One row, and the line of its metric."""
        asked = self._asked
        scope = asked.scope_of(known)
        store = asked.sight.store(scope) if scope is not None else None
        assert store is not None, "only what is seen is listed"
        key = tuple(known.key.path)
        partition = self._partition(known)
        newest = newest_version(store, key, partition)
        channels = [
            (name, *_served(asked, store, name))
            for each in asked.assets.channels_of(known)
            for name in [ChannelName(key, each.key.path[-1], partition)]
        ]
        spark = None
        if newest is not None and own_metrics(newest, None):
            spark = sparkline(newest_versions(store, key, partition, most=_SPARKS))
        told = next((entry.metrics for _, _, entry in channels if entry is not None and entry.metrics), None)
        if spark is None and told:
            name = next(iter(told))
            said = f"{name} of what {channels[0][1].channel} serves, when it was promoted"
            spark = Sparkline(name, "", (0.0, 0.0), said, number(told[name]))
        saved = asked.tally.saved([known.name])
        found = asked.found(key, known, store, partition)
        row = Row(
            asset=found,
            newest=None
            if newest is None
            else Newest(
                number=newest.number,
                created=newest.body.get("created"),
                who=newest.body.get("who"),
                size=newest.stored.size + newest.stored.parts_size,
                metrics=own_metrics(newest, None),
                page=asked.version_page(known.name, newest.number, store.scope, partition),
            ),
            channels=[served for _, served, _ in channels],
            problem=self._problems.last(known, newest, [(name, entry) for name, _, entry in channels], found),
            hit_rate=saved.hit_rate,
            steps=saved.steps,
        )
        return row, spark

    def _partition(self, known: Known) -> str | None:
        """Of a partitioned asset, the partition that was materialized last."""
        record = self._records.get(known.key) if known.partitioned else None
        last = record.asset_entry.last_materialization if record else None
        event = last.dagster_event if last else None
        return event.partition if event else None


def _served(asked: Asked, store: Store, name: ChannelName) -> tuple[Served, ChannelEntry | None]:
    entries = itertools.islice(entries_of(store, name), _BACK)
    newest = next(entries, None)
    began = newest
    for entry in entries:
        if began is None or began.kind in {"promotion", "rollback"}:
            break
        began = entry
    key = str(ChannelName(name.asset, name.channel))
    after = newest.after if newest else None
    served = Served(
        channel=name.channel,
        version=after.number if after else None,
        since=began.when if began and after else None,
        who=began.who if began and after else None,
        waiting=newest.proposed.number if newest and newest.proposed else None,
        rolled_back=newest is not None and newest.kind == "rollback",
        page=asked.channel_page(key, store.scope, name.partition),
        version_page=asked.version_page("/".join(name.asset), after.number, store.scope, name.partition)
        if after
        else None,
    )
    return served, newest
