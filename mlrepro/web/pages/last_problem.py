"""The last problem of an asset: its model was rolled back, a gate failed, a run did, or it came out otherwise."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from dagster import AssetKey, DagsterEventType, DagsterRunStatus, RunsFilter
from dagster._core.storage.event_log.base import AssetRecord
from pydantic import BaseModel, Field

from mlrepro.catalog import Version
from mlrepro.catalog.channels import ChannelEntry, ChannelName
from mlrepro.web.pages.asked import Asked, Found
from mlrepro.web.pages.known import Known
from mlrepro.web.pages.refusals import refusals_of
from mlrepro.web.pages.texts import moment

_MOST_FAILURES: Final = 10

Channels = Sequence[tuple[ChannelName, ChannelEntry | None]]
"""The channels of an asset, each with its newest entry."""


class Problem(BaseModel):
    """The last thing that went wrong."""

    kind: str = Field(description="rollback, gate, run or nondeterministic.")
    text: str
    when: dt.datetime | None
    page: str


class Problems:
    """Finds the last problem of each asset that a page shows.

    Args:
        asked: Who asks.
        records: What Dagster has of the assets, and of their channels.
    """

    def __init__(self, asked: Asked, records: Mapping[AssetKey, AssetRecord]) -> None:
        self._asked = asked
        self._records = records
        self._failed = _failed_runs(asked, records)

    def last(self, known: Known, newest: Version | None, channels: Channels, found: Found) -> Problem | None:
        """The last problem of an asset; None if all is well.

        Args:
            known: The asset.
            newest: Its newest version.
            channels: Its channels.
            found: The asset as pages name it.
        """
        problems = [*self._of_channels(known, channels, found), *self._of_runs([known])]
        if newest is not None and newest.body.get("nondeterministic"):
            page = self._asked.version_page(known.name, newest.number, found.scope, found.partition)
            told = f"v{newest.number} came out otherwise than before, from the same code and inputs"
            when = moment(newest.body.get("created"))
            problems.append(Problem(kind="nondeterministic", text=told, when=when, page=page))
        return max(problems, key=lambda problem: problem.when.timestamp() if problem.when else 0.0, default=None)

    def _of_channels(self, known: Known, channels: Channels, found: Found) -> Iterator[Problem]:
        refused: set[str] = set()
        for name, entry in channels:
            page = self._asked.channel_page(str(ChannelName(name.asset, name.channel)), found.scope, name.partition)
            if entry is not None and entry.kind == "rollback":
                told = f"{name.channel} rolled back to v{entry.after.number if entry.after else '?'}"
                reason = f": {entry.reason}" if entry.reason else ""
                yield Problem(kind="rollback", text=told + reason, when=entry.when, page=page)
            for refusal in refusals_of(self._asked, name):
                if refusal.is_after(entry):
                    refused.add(refusal.run_id)
                    yield Problem(kind="gate", text=refusal.said, when=refusal.when, page=f"{page}#gates")
        # the step of a channel fails for a gate, too, and that is told already
        yield from self._of_runs(self._asked.assets.channels_of(known), but=refused)

    def _of_runs(self, assets: Sequence[Known], but: Collection[str] = ()) -> Iterator[Problem]:
        for each in assets:
            record = self._records.get(each.key)
            run_id = record.asset_entry.last_run_id if record else None
            if run_id in self._failed and run_id not in but:
                when, told = self._failed[run_id].get(each.key, (None, ""))
                if told:
                    yield Problem(kind="run", text=told, when=when, page=self._asked.run_page(run_id))


def _failed_runs(
    asked: Asked, records: Mapping[AssetKey, AssetRecord]
) -> dict[str, dict[AssetKey, tuple[dt.datetime | None, str]]]:
    """Of the assets whose last run failed: when, and why that asset's step did."""
    last = {record.asset_entry.last_run_id for record in records.values()}
    run_ids = [run_id for run_id in last if run_id is not None]
    if not run_ids:
        return {}
    failed = asked.instance.get_runs(
        RunsFilter(run_ids=run_ids, statuses=[DagsterRunStatus.FAILURE]), limit=_MOST_FAILURES
    )
    found: dict[str, dict[AssetKey, tuple[dt.datetime | None, str]]] = {}
    for run in failed:
        steps = {
            entry.step_key: (entry.timestamp, _said(entry.dagster_event))
            for entry in asked.instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
        }
        by_asset: dict[AssetKey, tuple[dt.datetime | None, str]] = {}
        for key in run.asset_selection or records:
            step = steps.get("__".join(key.path))
            if step is not None:
                by_asset[key] = (dt.datetime.fromtimestamp(step[0], dt.UTC), step[1])
        found[run.run_id] = by_asset
    return found


def _said(event: Any) -> str:
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)[:500]
    error = data.error.cause or data.error if data.error else None
    return str(error.message).strip()[:500] if error else "the step failed"
