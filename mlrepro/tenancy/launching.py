"""What may be launched: a tenant's own code, by its members, with nothing of another's."""

import os
from collections.abc import Iterable, Mapping
from typing import Final

import dagster as dg
from dagster._core.storage.tags import (
    BACKFILL_ID_TAG,
    PARENT_RUN_ID_TAG,
    PRIORITY_TAG,
    ROOT_RUN_ID_TAG,
)
from dagster._core.workspace.context import BaseWorkspaceRequestContext

from mlrepro.errors import RunRefusedError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.members import Role
from mlrepro.tenancy.model import Tenants
from mlrepro.tenancy.submitter import Submitter
from mlrepro.tenancy.tags import NOBODY, REFUSED_TAG, TENANT_TAG

HIGHEST_PRIORITY: Final = 10
"""Of a run among those of its own tenant, and with a minus the lowest."""

_PODS: Final = "dagster-k8s/"
_CODE_SERVER: Final = ".dagster/grpc_info"  # whom Dagster asks to end the run


def location_of(run: dg.DagsterRun) -> str:
    """The code location that a run is to be executed in."""
    origin = run.remote_job_origin
    return origin.location_name if origin else ""


def tenant_of(run: dg.DagsterRun, tenants: Tenants) -> str:
    """The tenant whose code a run executes, `NOBODY` where the code location is nobody's."""
    return tenants.owner(location_of(run)) or NOBODY


def check_launch(
    run: dg.DagsterRun,
    submitter: Submitter,
    *,
    tenants: Tenants,
    workspace: BaseWorkspaceRequestContext,
    instance: dg.DagsterInstance,
) -> None:
    """Refuse a run that may not be launched by whoever asks for it.

    Args:
        run: The run, as it was created.
        submitter: Who asks for it.
        tenants: Who may what.
        workspace: Where the run's job is defined.
        instance: Where other runs are.

    Raises:
        RunRefusedError: It may not be launched.
    """
    tenant = tenant_of(run, tenants)
    if submitter.identity is not None:
        _check_member(submitter.identity, tenant, location_of(run), tenants)
    elif submitter.location is not None:
        _check_sensor(submitter, submitter.location, tenant, tenants)
    elif submitter.by_hand:
        _check_machine(tenant)
    earlier = _earlier(run, instance)
    admin = submitter.identity is not None and tenants.is_admin(submitter.identity.user, submitter.identity.groups)
    if not admin:
        _check_earlier(earlier, tenant, tenants)
    if submitter.identity is not None:
        known = [job_tags(run, workspace), *(other.tags for other in earlier if _was_allowed(other))]
        _check_tags(run.tags, known, tenant)
        _check_backfill(run, earlier, instance)
        _check_priority(run.tags)
    elif submitter.backfill is not None:
        _check_tags(submitter.backfill.tags or {}, [], tenant)
        _check_priority(submitter.backfill.tags or {})


def _check_member(identity: Identity, tenant: str, location: str, tenants: Tenants) -> None:
    if tenants.is_admin(identity.user, identity.groups):
        return
    if tenant == NOBODY:
        raise RunRefusedError(
            f"code location {location} belongs to no tenant: only admins launch it. Name it in tenants.yaml"
        )
    role = tenants.roles(identity.user, identity.groups).get(tenant)
    if role is None or role.rank < Role.LAUNCHER.rank:
        held = f"is {role} of" if role else "does not belong to"
        raise RunRefusedError(
            f"{identity.user} {held} tenant {tenant}, and may not launch what is in code location {location}:"
            f" that takes the role {Role.LAUNCHER}"
        )


def _check_sensor(submitter: Submitter, location: str, tenant: str, tenants: Tenants) -> None:
    owner = tenants.owner(location) or NOBODY
    if owner != tenant:
        raise RunRefusedError(
            f"{submitter.name} in code location {location} is tenant {owner}'s, and asks for assets of tenant {tenant}:"
            " a sensor launches its own tenant's only"
        )


def _check_machine(tenant: str) -> None:
    """Who has the database may do anything with it; a tenant's own processes are kept to what is the tenant's."""
    own = os.environ.get("MLREPRO_TENANT")
    if own and own != tenant:
        raise RunRefusedError(f"this process is tenant {own}'s (MLREPRO_TENANT), and launches nothing of {tenant}")


def _earlier(run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The runs that this one goes on from, as far as they still exist."""
    named = (run.parent_run_id, run.root_run_id, run.tags.get(PARENT_RUN_ID_TAG), run.tags.get(ROOT_RUN_ID_TAG))
    found = (instance.get_run_by_id(number) for number in dict.fromkeys(named) if number)
    return [other for other in found if other is not None]


def _was_allowed(run: dg.DagsterRun) -> bool:
    return run.tags.get(REFUSED_TAG) != "true" and run.status is not dg.DagsterRunStatus.NOT_STARTED


def _check_earlier(earlier: Iterable[dg.DagsterRun], tenant: str, tenants: Tenants) -> None:
    for other in earlier:
        owner = tenant_of(other, tenants)
        if owner != tenant:
            raise RunRefusedError(
                f"run {other.run_id}, which this one goes on from, is not tenant {tenant}'s: launch it afresh"
            )


def job_tags(run: dg.DagsterRun, workspace: BaseWorkspaceRequestContext) -> Mapping[str, str]:
    """The tags that the run's job has in the code."""
    origin = run.remote_job_origin
    if origin is None:
        return {}
    repository = workspace.get_code_location(origin.location_name).get_repository(
        origin.repository_origin.repository_name
    )
    if not repository.has_job(run.job_name):
        return {}
    job = repository.get_full_job(run.job_name)
    return {**job.tags, **job.run_tags}


def _check_tags(tags: Mapping[str, str], known: Iterable[Mapping[str, str]], tenant: str) -> None:
    """Refuse tags that only code or Dagster may give a run. A run that goes on from another has that one's."""
    for tag, value in tags.items():
        if any(other.get(tag) == value for other in known):
            continue
        if tag == TENANT_TAG and value != tenant:
            raise RunRefusedError(f"the tag {tag}: {value} is not for users to set: this run is of tenant {tenant}")
        if tag.startswith(_PODS) or tag == _CODE_SERVER:
            raise RunRefusedError(
                f"the tag {tag} may not be given to a run: say what steps need by @ml_asset(resources=...),"
                " and what the run needs by the tags of its job"
            )


def _check_backfill(run: dg.DagsterRun, earlier: Iterable[dg.DagsterRun], instance: dg.DagsterInstance) -> None:
    number = run.tags.get(BACKFILL_ID_TAG)
    if number and all(other.tags.get(BACKFILL_ID_TAG) != number for other in earlier) and instance.get_backfill(number):
        raise RunRefusedError(f"backfill {number} did not launch this run: leave out the tag {BACKFILL_ID_TAG}")


def allowed_priority(given: str) -> bool:
    """Whether a user may give a run this priority.

    Example:
        >>> allowed_priority("-10"), allowed_priority("11"), allowed_priority("first")
        (True, False, False)
    """
    try:
        return abs(int(given)) <= HIGHEST_PRIORITY
    except ValueError:
        return False


def _check_priority(tags: Mapping[str, str]) -> None:
    given = tags.get(PRIORITY_TAG, "0")
    if not allowed_priority(given):
        raise RunRefusedError(
            f"{PRIORITY_TAG} is {given!r}: give a whole number from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY},"
            " which counts among the tenant's own runs"
        )
