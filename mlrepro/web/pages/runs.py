"""Runs: one that is followed live, and two side by side."""

import datetime as dt
from typing import Final

from dagster import AssetKey, RunsFilter
from pydantic import BaseModel, Field

from mlrepro.io_managers.provenance import USER_TAGS
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.page import Built, Query
from mlrepro.web.pages.running import Run, Step, read_run

_LISTED: Final = 30


class RunQuery(Query):
    """Which run."""

    id: str = Field(description="Id of the run.", max_length=200)
    back: str | None = Field(default=None, description="Key of the channel or asset that it moves.", max_length=2000)
    scope: str | None = Field(default=None, description="Its scope.", max_length=100)
    partition: str | None = Field(default=None, description="Its partition.", max_length=1000)


class RunPage(BaseModel):
    """A run, and those that follow from it."""

    run: Run
    following: list[Run]


class RunsQuery(Query):
    """Which runs are compared."""

    of: list[str] = Field(default=[], description="Ids of two runs.", max_length=2)


class Listed(BaseModel):
    """A run in a list."""

    id: str
    job: str
    status: str
    user: str | None
    location: str | None
    launched: dt.datetime | None
    seconds: float | None
    page: str


class Pair(BaseModel):
    """A step of either run."""

    step: str
    first: Step | None
    second: Step | None


class RunsPage(BaseModel):
    """Newest runs, and two of them side by side."""

    runs: list[Listed]
    compared: list[Run]
    steps: list[Pair]


def run(asked: Asked, query: RunQuery) -> Built:
    """Show a run while it goes on, and what follows from it.

    Raises:
        NotHereError: There is none here.
    """
    found = read_run(asked, query.id)
    following = [read_run(asked, each) for each in found.followed_by]
    going_on = not found.finished or any(not each.finished for each in following)
    return Built(
        RunPage(run=found, following=following), {"going_on": going_on, "back": _back(asked, query), "tab": "runs"}
    )


def runs(asked: Asked, query: RunsQuery) -> Built:
    """List the newest runs, or put two side by side.

    Raises:
        NotHereError: One is not here.
    """
    compared = [read_run(asked, each) for each in query.of]
    pairs: list[Pair] = []
    if len(compared) == 2:
        first, second = ({step.step: step for step in each.steps} for each in compared)
        pairs = [
            Pair(step=name, first=first.get(name), second=second.get(name)) for name in dict.fromkeys([*first, *second])
        ]
    answer = RunsPage(runs=[] if len(compared) == 2 else _newest(asked), compared=compared, steps=pairs)
    longest = max((step.seconds or 0.0 for each in compared for step in each.steps), default=0.0)
    return Built(answer, {"tab": "runs", "longest": longest or 1.0})


def _back(asked: Asked, query: RunQuery) -> tuple[str, str] | None:
    """Path of the page that the run was launched from, and what it shows."""
    if query.back is None:
        return None
    known = asked.assets.get(AssetKey.from_user_string(query.back))
    if known is not None and not known.is_channel:
        return asked.asset_page(query.back, query.scope, query.partition), "asset"
    return asked.channel_page(query.back, query.scope, query.partition), "channel"


def _newest(asked: Asked) -> list[Listed]:
    listed = []
    for record in asked.instance.get_run_records(RunsFilter(), limit=_LISTED):
        each = record.dagster_run
        origin = each.remote_job_origin
        listed.append(
            Listed(
                id=each.run_id,
                job="assets" if each.job_name.startswith("__") else each.job_name,
                status=each.status.value,
                user=next((each.tags[tag] for tag in USER_TAGS if each.tags.get(tag)), None),
                location=origin.location_name if origin else None,
                launched=record.create_timestamp.replace(tzinfo=dt.UTC)
                if record.create_timestamp.tzinfo is None
                else record.create_timestamp,
                seconds=record.end_time - record.start_time if record.end_time and record.start_time else None,
                page=asked.page("run", id=each.run_id),
            )
        )
    return listed
