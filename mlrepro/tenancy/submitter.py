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
        by_hand: Whether it was launched by a command on a machine that has the database.
    """

    name: str
    identity: Identity | None = None
    backfill: PartitionBackfill | None = None
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
    if name := _instigator(run.tags):
        return Submitter(name)
    if backfill := _backfill(run, instance):
        return _of_backfill(backfill)
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


def _of_backfill(backfill: PartitionBackfill) -> Submitter:
    tags = backfill.tags or {}
    # Dagster adds the tick to what a sensor asks for, after the sensor's own tags
    if tags.get(TICK_ID_TAG):
        return Submitter(_instigator(tags) or AUTOMATION)
    if user := tags.get(USER_TAG):
        return Submitter(user, backfill=backfill)
    raise RunRefusedError(
        f"nobody knows who launched backfill {backfill.backfill_id}: launch it through `mlrepro webserver`"
    )


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without an entry in the user database
        return f"uid {os.getuid()}"
