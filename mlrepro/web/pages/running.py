"""A run as a page shows it: its steps, what was a hit and why, how long each took."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.execution.stats import StepEventStatus
from pydantic import BaseModel, Field

from mlrepro.errors import NotHereError
from mlrepro.execution.cascade import MOVED_TAG
from mlrepro.io_managers.facts import PREFIX
from mlrepro.io_managers.provenance import USER_TAGS
from mlrepro.web.pages.asked import Asked

_MOST_EVENTS: Final = 5_000
_MOST_LINES: Final = 12
_HITS: Final = frozenset({"hit", "pinned", "served"})


class Step(BaseModel):
    """A step of a run."""

    step: str
    assets: list[str]
    status: str
    outcome: str | None = Field(
        description="hit, served, pinned, computed; what was done to a channel; None if unknown."
    )
    why: str
    version: int | None
    seconds: float | None
    saved: float
    start: float | None = Field(description="Seconds after the run began.")


class Run(BaseModel):
    """A run."""

    id: str
    job: str
    status: str
    finished: bool
    location: str | None
    user: str | None
    launched: dt.datetime | None
    seconds: float | None
    hits: int
    computed: int
    seconds_saved: float
    steps: list[Step]
    said: list[str] = Field(description="What its steps said in the log, where it moved something.")
    error: str | None
    followed_by: list[str] = Field(description="Ids of the runs that materialize what stands downstream.")
    dagster: str
    page: str


def read_run(asked: Asked, run_id: str) -> Run:
    """Read a run.

    Raises:
        NotHereError: There is none here.
    """
    instance = asked.instance
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        raise NotHereError(f"there is no run {run_id[:100]} here")
    run = record.dagster_run
    began, ended = record.start_time, record.end_time
    steps = _steps(instance, run, began)
    origin = run.remote_job_origin
    moved = _MOVES.get(run.job_name)
    return Run(
        id=run.run_id,
        job=run.job_name,
        status=run.status.value,
        finished=run.is_finished,
        location=origin.location_name if origin else None,
        user=next((run.tags[tag] for tag in USER_TAGS if run.tags.get(tag)), None),
        launched=record.create_timestamp.replace(tzinfo=dt.UTC)
        if record.create_timestamp.tzinfo is None
        else record.create_timestamp,
        seconds=ended - began if began and ended else None,
        hits=sum(step.outcome in _HITS for step in steps),
        computed=sum(step.outcome == "computed" for step in steps),
        seconds_saved=sum(step.saved for step in steps),
        steps=steps,
        said=_said(instance, run) if moved else [],
        error=_error(instance, run),
        followed_by=[each.run_id for each in instance.get_runs(RunsFilter(tags={MOVED_TAG: run.run_id}), limit=5)]
        if moved
        else [],
        dagster=asked.run_page(run.run_id),
        page=asked.page("run", id=run.run_id),
    )


_MOVES: Final = {"rollback": True, "promote": True, "release": True}


def _steps(instance: DagsterInstance, run: DagsterRun, began: float | None) -> list[Step]:
    facts: dict[str, dict[str, Any]] = {}
    assets: dict[str, list[str]] = {}
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)[:_MOST_EVENTS]:
        materialization = entry.asset_materialization
        if materialization is None or entry.step_key is None:
            continue
        assets.setdefault(entry.step_key, []).append(materialization.asset_key.to_user_string())
        facts.setdefault(
            entry.step_key, {name: getattr(value, "value", None) for name, value in materialization.metadata.items()}
        )
    stats = sorted(instance.get_run_step_stats(run.run_id), key=lambda each: (each.start_time or 1e12, each.step_key))
    return [
        Step(
            step=each.step_key,
            assets=assets.get(each.step_key, []),
            status=each.status.value if each.status else StepEventStatus.IN_PROGRESS.value,
            outcome=_outcome(facts.get(each.step_key, {})),
            why=_why(facts.get(each.step_key, {})),
            version=_int(facts.get(each.step_key, {}).get(f"{PREFIX}version")),
            seconds=each.end_time - each.start_time if each.end_time and each.start_time else None,
            saved=_number(facts.get(each.step_key, {}).get(f"{PREFIX}seconds_saved")),
            start=each.start_time - began if each.start_time and began else None,
        )
        for each in stats
    ]


def _outcome(facts: Mapping[str, Any]) -> str | None:
    told = facts.get(f"{PREFIX}cache") or facts.get(f"{PREFIX}moved")
    return str(told) if told else None


def _why(facts: Mapping[str, Any]) -> str:
    outcome = facts.get(f"{PREFIX}cache")
    if outcome == "hit":
        where = " (shared)" if facts.get(f"{PREFIX}scope") == "shared" else ""
        return f"computed by {facts.get(f'{PREFIX}computed_by')}{where}"
    if outcome in _HITS:
        return str(facts.get(f"{PREFIX}{outcome}") or "")
    if f"{PREFIX}moved" in facts:
        told = f"{facts.get(f'{PREFIX}before')} to {facts.get(f'{PREFIX}serves')}"
        reason = facts.get(f"{PREFIX}reason")
        return f"{told}: {reason}" if reason else told
    return str(facts.get(f"{PREFIX}because") or "")


def _said(instance: DagsterInstance, run: DagsterRun) -> list[str]:
    lines = [
        entry.user_message
        for entry in instance.all_logs(run.run_id)
        if not entry.is_dagster_event and entry.step_key is not None and entry.user_message
    ]
    return [line[:2000] for line in lines[:_MOST_LINES]]


def _error(instance: DagsterInstance, run: DagsterRun) -> str | None:
    if run.status is not DagsterRunStatus.FAILURE:
        return None
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE):
        data = entry.dagster_event.step_failure_data if entry.dagster_event else None
        if data is not None and data.user_failure_data is not None and data.user_failure_data.description:
            return str(data.user_failure_data.description)[:2000]
        if data is not None and data.error is not None:
            return str((data.error.cause or data.error).message).strip()[:2000]
    return "it failed before any step did: its page in Dagster tells more"


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
