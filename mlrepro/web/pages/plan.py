"""What materializing a selection would do: what records tell, and what the code location's own code has found.

Code locations are other processes, often in other containers, and what a run would look up depends on their code,
their environment and their resources. So records are asked first: Dagster's own knowledge of what has changed since
each asset was materialized. The look-up itself is a run of the job ``mlrepro_plan``, where runs of that location are.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, cast

from dagster import AssetKey, DagsterEventType
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import StaleStatus
from dagster._core.definitions.partitions.context import partition_loading_context
from pydantic import BaseModel, Field
from starlette.requests import Request

from mlrepro.definitions.plan_job import PLAN_JOB
from mlrepro.errors import FormError, NotHereError
from mlrepro.execution.selecting import selected_keys
from mlrepro.io_managers.facts import PREFIX
from mlrepro.tenancy.members import Role
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.known import Known
from mlrepro.web.pages.launching import Launches, launch_job
from mlrepro.web.pages.page import Built, Query
from mlrepro.web.pages.running import read_run

MOST: Final = 200


class PlanQuery(Query):
    """What would be materialized."""

    selection: str | None = Field(
        default=None, description="In Dagster's asset selection syntax: *churn_model, group:training.", max_length=2000
    )
    location: str | None = Field(default=None, description="Only assets of this code location.", max_length=200)
    partition: str | None = Field(
        default=None, description="Partition key, where assets have partitions.", max_length=1000
    )
    asked: str | None = Field(
        default=None, description="Id of a run of the job mlrepro_plan, whose answer is shown.", max_length=200
    )


class Planned(BaseModel):
    """What is known of one asset."""

    name: str
    location: str
    status: Literal["fresh", "stale", "missing", "source"] = Field(
        description="fresh: neither its code nor its inputs changed since its newest materialization."
    )
    causes: list[str] = Field(description="What changed since.")
    page: str


class Exact(BaseModel):
    """What a run would find for one asset."""

    asset: str
    verdict: str
    reason: str
    version: int | None
    seconds: float | None


class LookUp(BaseModel):
    """What the code location's own code was asked, and what it found."""

    run_id: str
    status: str
    finished: bool
    user: str | None
    when: dt.datetime | None
    error: str | None
    assets: list[Exact]
    page: str


class Plan(BaseModel):
    """A plan."""

    selection: str | None
    location: str | None
    partition: str | None
    partitioned: bool = Field(description="Whether assets of it have partitions, so that a run is of one.")
    locations: list[str]
    assets: list[Planned]
    left_out: int = Field(description="Assets beyond the first 200.")
    may: bool = Field(description="Whether the user may launch it.")
    why_not: str | None
    can_look_up: bool = Field(description="Whether the code location has the job that asks its code.")
    found: LookUp | None = Field(description="What the code location's own code found.")


def plan(asked: Asked, query: PlanQuery) -> Built:
    """Tell what records know of a selection.

    Raises:
        AssetDefinitionError: The selection can't be read, or selects nothing.
    """
    locations = sorted({known.location for known in asked.assets if asked.scope_of(known) is not None})
    chosen = selected(asked, query) if query.selection else []
    shown = chosen[:MOST]
    of = {known.location for known in chosen}
    why_not = None if query.selection is None else _why_not(asked, of)
    answer = Plan(
        selection=query.selection,
        location=query.location,
        partition=query.partition,
        partitioned=any(known.partitioned for known in chosen),
        locations=locations,
        assets=[_planned(asked, known, query.partition) for known in shown],
        left_out=len(chosen) - len(shown),
        may=bool(chosen) and why_not is None,
        why_not=why_not,
        can_look_up=len(of) == 1 and _has_job(asked, chosen[0]),
        found=_found(asked, query.asked) if query.asked else None,
    )
    return Built(answer, {"tab": "plan"})


def selected(asked: Asked, query: PlanQuery) -> list[Known]:
    """The assets of a selection, what is upstream first.

    Raises:
        AssetDefinitionError: It can't be read, or selects nothing.
        NotHereError: It selects nothing in that code location.
    """
    graph = asked.context.asset_graph
    keys = selected_keys(cast("AssetGraph", graph), query.selection or "*")
    found = [known for known in (asked.assets.get(key) for key in graph.toposorted_asset_keys if key in keys) if known]
    seen = [known for known in found if asked.scope_of(known) is not None and query.location in (None, known.location)]
    if not seen:
        raise NotHereError(f"{query.selection} selects nothing here")
    return seen


def partition_of(asked: Asked, chosen: Sequence[Known], query: PlanQuery) -> str | None:
    """The partition that a run of assets is of; None where none of them has partitions.

    Raises:
        FormError: One has to be named, or there is none of that name.
    """
    partitioned = [known for known in chosen if known.partitioned]
    if not query.partition:
        if partitioned:
            raise FormError(f"{partitioned[0].name} has partitions: name one here; of several Dagster makes a backfill")
        return None
    if not partitioned:
        raise FormError("nothing of the selection has partitions: leave the partition out")
    for known in partitioned:
        if not _has_partition(asked, known, query.partition):
            raise FormError(f"{known.name} has no partition {query.partition[:100]!r}")
    return query.partition


def _has_partition(asked: Asked, known: Known, partition: str) -> bool:
    partitions = asked.context.asset_graph.get(AssetKey(known.key.path)).partitions_def
    with partition_loading_context(dynamic_partitions_store=asked.instance):
        return partitions is not None and partitions.has_partition_key(partition)


def look_up(asked: Asked, server: Launches, request: Request, query: PlanQuery) -> str:
    """Launch the run that asks the code location's own code what a run would find.

    Returns:
        Path of the page that shows it.

    Raises:
        NotAllowedError: The user may not launch runs there.
        FormError: The selection is of several code locations, or its location has no such job, or no such partition.
    """
    chosen = selected(asked, query)
    if len({known.location for known in chosen}) > 1:
        raise FormError("choose a code location: each is asked by itself")
    if not _has_job(asked, chosen[0]):
        raise FormError(f"{chosen[0].location} has no job {PLAN_JOB}: ml_definitions adds it, or plan_job() does")
    keys = [f'key:"{known.name}"' for known in chosen]
    partition = partition_of(asked, chosen, query)
    config = {"selection": keys, **({"partition": partition} if partition else {})}
    run_id = launch_job(server, request, chosen[0], PLAN_JOB, config)
    return asked.page("plan", selection=query.selection, location=query.location, partition=partition, asked=run_id)


def _has_job(asked: Asked, known: Known) -> bool:
    location = asked.context.get_code_location(known.location)
    return location.get_repository(known.repository).has_job(PLAN_JOB)


def _found(asked: Asked, run_id: str) -> LookUp:
    run = read_run(asked, run_id)
    if run.job != PLAN_JOB:
        raise NotHereError(f"run {run_id[:100]} made no plan")
    told: Any = None
    for entry in asked.instance.all_logs(run.id, of_type=DagsterEventType.STEP_OUTPUT):
        event = entry.dagster_event
        said = event.step_output_data.metadata.get(f"{PREFIX}plan") if event else None
        told = getattr(said, "value", None) or told
    rows = told.get("assets") if isinstance(told, Mapping) else None
    return LookUp(
        run_id=run.id,
        status=run.status,
        finished=run.finished,
        user=run.user,
        when=run.launched,
        error=run.error,
        assets=[
            Exact(
                asset=str(row.get("asset")),
                verdict=str(row.get("verdict")),
                reason=str(row.get("reason") or _whose(row)),
                version=row.get("version"),
                seconds=row.get("seconds"),
            )
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, Mapping)
        ],
        page=run.page,
    )


def _whose(row: Mapping[str, Any]) -> str:
    return f"computed by {row['computed_by']}" if row.get("computed_by") else ""


def _why_not(asked: Asked, locations: set[str]) -> str | None:
    if len(locations) > 1:
        return f"it is of {len(locations)} code locations: choose one, a run has one"
    access = replace(asked.context.access, read_only=False)  # it was asked for by GET, and is sent by POST
    for location in locations:
        if not access.reaches(Role.LAUNCHER, location):
            held = access.role(location)
            return f"it takes the role launcher in {location}, and {f'yours is {held}' if held else 'you have none'}"
    return None


def _planned(asked: Asked, known: Known, partition: str | None) -> Planned:
    status, causes = "source", []
    node = asked.context.asset_graph.get(AssetKey(known.key.path))
    if node.is_materializable:
        loader = asked.context.stale_status_loader
        of = partition if known.partitioned else None
        if known.partitioned and not of:
            status, causes = "stale", ["it has partitions: name one"]
        elif of and not _has_partition(asked, known, of):
            status, causes = "missing", ["it has no such partition"]
        else:
            found = loader.get_status(known.key, of)
            status = {StaleStatus.FRESH: "fresh", StaleStatus.MISSING: "missing"}.get(found, "stale")
            causes = (
                [_cause(cause) for cause in loader.get_stale_causes(known.key, of)[:5]] if status == "stale" else []
            )
    page = asked.channel_page if known.is_channel else asked.asset_page
    return Planned(
        name=known.name,
        location=known.location,
        status=cast('Literal["fresh", "stale", "missing", "source"]', status),
        causes=list(dict.fromkeys(causes)),
        page=page(known.name, asked.scope_of(known)),
    )


def _cause(cause: Any) -> str:
    of = f" ({cause.dependency.asset_key.to_user_string()})" if cause.dependency else ""
    return f"{cause.reason}{of}"
