"""Who launched a run: a verified user, or what launches by itself; never whom the run's own tags name.

A run's tags come from code as well: from its job, and from the `RunRequest` of a schedule or a sensor. What Dagster
adds comes after those, so it tells whether a schedule or a sensor launched the run. All else is looked up where such
code does not write: in the backfill, or in the run that is tried again.
"""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import dagster as dg
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, PartitionBackfill
from dagster._core.storage.tags import (
    AUTO_MATERIALIZE_TAG,
    AUTO_OBSERVE_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    AUTOMATION_CONDITION_TAG,
    BACKFILL_ID_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
    TICK_ID_TAG,
)
from dagster._core.workspace.context import BaseWorkspaceRequestContext

from mlrepro.errors import RunRefusedError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.permissions import IdentifiedRequestContext
from mlrepro.tenancy.tags import USER_TAG

AUTOMATION: Final = "automation"
"""Who launched what follows from the assets' own conditions."""

_BY_ITSELF: Final = (AUTOMATION_CONDITION_TAG, AUTO_MATERIALIZE_TAG, AUTO_OBSERVE_TAG)


@dataclass(frozen=True)
class Submitter:
    """Who launched a run.

    Attributes:
        name: As results, versions and channels name them.
        identity: The user, where this very request is theirs.
        backfill: The backfill of a user that the run belongs to.
        location: The code location of the sensor that asked for the backfill that the run belongs to. Dagster lets a
            sensor ask for any asset that way.
        by_hand: Whether it was launched by a command on a machine that has the database.
    """

    name: str
    identity: Identity | None = None
    backfill: PartitionBackfill | None = None
    location: str | None = None
    by_hand: bool = False


def submitter_of(run: dg.DagsterRun, workspace: BaseWorkspaceRequestContext, instance: dg.DagsterInstance) -> Submitter:
    """Who launched a run.

    Args:
        run: The run, as it was created.
        workspace: What it was submitted with.
        instance: Where runs and backfills are.

    Raises:
        RunRefusedError: Nobody can say who it was.
    """
    if isinstance(workspace, IdentifiedRequestContext):
        return Submitter(workspace.identity.user, identity=workspace.identity)
    if getattr(workspace, "source", None) is not None:
        raise RunRefusedError(
            "this run came through a webserver that does not know who asks: launch it through `mlrepro webserver`"
        )
    retried = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    if retried is not None and retried.tags.get(AUTO_RETRY_RUN_ID_TAG) == run.run_id:
        return Submitter(retried.tags.get(USER_TAG) or AUTOMATION)
    backfill = _backfill(run, instance)
    tick = run.tags.get(TICK_ID_TAG)
    # a sensor's code may name any backfill for its run, but the tick is Dagster's: it is that of the run's own backfill
    if backfill is not None and tick and (backfill.tags or {}).get(TICK_ID_TAG) == tick:
        return _of_tick(backfill, tick, instance)
    if name := _instigator(run.tags):
        return Submitter(name)
    if backfill is not None:
        return _of_backfill(backfill, instance)
    return Submitter(f"cli:{_account()}", by_hand=True)


def _instigator(tags: Mapping[str, str]) -> str | None:
    if any(tags.get(tag) for tag in _BY_ITSELF):
        return AUTOMATION
    if sensor := tags.get(SENSOR_NAME_TAG):
        return f"sensor:{sensor}"
    if schedule := tags.get(SCHEDULE_NAME_TAG):
        return f"schedule:{schedule}"
    return AUTOMATION if tags.get(TICK_ID_TAG) else None


def _backfill(run: dg.DagsterRun, instance: dg.DagsterInstance) -> PartitionBackfill | None:
    """The backfill that a run belongs to: one that is over launches nothing."""
    number = run.tags.get(BACKFILL_ID_TAG)
    found = instance.get_backfill(number) if number else None
    return found if found is not None and found.status not in BULK_ACTION_TERMINAL_STATUSES else None


def _of_backfill(backfill: PartitionBackfill, instance: dg.DagsterInstance) -> Submitter:
    tags = backfill.tags or {}
    # Dagster adds the tick to what a sensor asks for, after the sensor's own tags
    if tick := tags.get(TICK_ID_TAG):
        return _of_tick(backfill, tick, instance)
    if user := tags.get(USER_TAG):
        return Submitter(user, backfill=backfill)
    raise RunRefusedError(
        f"nobody knows who launched backfill {backfill.backfill_id}: launch it through `mlrepro webserver`"
    )


def _of_tick(backfill: PartitionBackfill, number: str, instance: dg.DagsterInstance) -> Submitter:
    """The sensor that asked for a backfill, as its tick has it: the backfill's own tags may say anything."""
    try:
        assert instance.schedule_storage is not None, "there is a tick"
        tick = instance.schedule_storage.get_tick(int(number))
        state = instance.get_instigator_state(tick.instigator_origin_id, str(tick.tick_data.selector_id))
    except (DagsterInvariantViolationError, ValueError):
        state = None
    if state is None:
        raise RunRefusedError(f"nobody knows which sensor asked for backfill {backfill.backfill_id}: launch it by hand")
    automatic = any((backfill.tags or {}).get(tag) for tag in _BY_ITSELF)
    name = AUTOMATION if automatic else f"{state.instigator_type.value.lower()}:{state.instigator_name}"
    return Submitter(name, location=state.origin.repository_origin.code_location_origin.location_name)


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without an entry in the user database
        return f"uid {os.getuid()}"
