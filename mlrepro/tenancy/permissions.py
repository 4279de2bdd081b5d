"""What a user may do, in Dagster's own terms: every mutation is checked by Dagster against these.

Dagster asks its request context for each permission, by code location, and the UI greys out what is not allowed.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from dagster import AssetCheckKey, AssetKey
from dagster._core.definitions.selector import JobSelector, ScheduleSelector, SensorSelector
from dagster._core.storage.tags import REPORTING_USER_TAG, USER_TAG
from dagster._core.workspace.context import BaseWorkspaceRequestContext, WorkspaceRequestContext
from dagster._core.workspace.permissions import (
    EDITOR_PERMISSIONS,
    LOCATION_SCOPED_PERMISSIONS,
    PermissionResult,
    Permissions,
)

from mlrepro.tenancy.access import Access
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.members import Role
from mlrepro.workflow_names import location_of

NEEDED: Final[Mapping[str, Role | None]] = {
    Permissions.LAUNCH_PIPELINE_EXECUTION: Role.LAUNCHER,
    Permissions.LAUNCH_PIPELINE_REEXECUTION: Role.LAUNCHER,
    Permissions.TERMINATE_PIPELINE_EXECUTION: Role.LAUNCHER,
    Permissions.LAUNCH_PARTITION_BACKFILL: Role.LAUNCHER,
    Permissions.CANCEL_PARTITION_BACKFILL: Role.LAUNCHER,
    Permissions.SCHEDULE_DRY_RUN: Role.LAUNCHER,
    Permissions.SENSOR_DRY_RUN: Role.LAUNCHER,
    Permissions.START_SCHEDULE: Role.EDITOR,
    Permissions.STOP_RUNNING_SCHEDULE: Role.EDITOR,
    Permissions.EDIT_SENSOR: Role.EDITOR,
    Permissions.UPDATE_SENSOR_CURSOR: Role.EDITOR,
    Permissions.EDIT_DYNAMIC_PARTITIONS: Role.EDITOR,
    Permissions.REPORT_RUNLESS_ASSET_EVENTS: Role.EDITOR,
    Permissions.WIPE_ASSETS: Role.EDITOR,
    Permissions.DELETE_PIPELINE_RUN: Role.EDITOR,
    Permissions.RELOAD_REPOSITORY_LOCATION: Role.EDITOR,
    Permissions.REFRESH_COMPONENT_STATE: Role.EDITOR,
    Permissions.EDIT_APP_MANAGED_COMPONENTS: Role.ADMIN,
    Permissions.RELOAD_WORKSPACE: None,
    Permissions.TOGGLE_AUTO_MATERIALIZE: None,
    Permissions.EDIT_CONCURRENCY_LIMIT: None,
}
"""The lowest role with a permission; None needs an administrator of the whole instance.

A permission that is not here, because a later Dagster added it, needs an administrator as well.
"""

DAGSTER_USER_TAG: Final = "dagster/user"
"""Run tag with the verified user."""

_GET = "nothing can be changed by GET or over the websocket: send it by POST"
_ADMIN = "only an administrator of this Dagster may do that"


class IdentifiedRequestContext(WorkspaceRequestContext):
    """What one request of a known user sees and may do.

    Args:
        identity: Whose request it is.
        access: What they may touch. Default: nothing.
        **parts: As `WorkspaceRequestContext` takes them. What those would allow does not matter.
    """

    def __init__(self, *, identity: Identity, access: Access | None = None, **parts: Any) -> None:
        super().__init__(**{**parts, "read_only": True})
        self.identity = identity
        self.access = access or Access(identity, is_admin=False, roles={}, owners={})
        self.resolved = 0  # fields of the answer so far

    @property
    def permissions(self) -> Mapping[str, PermissionResult]:
        """What they may do everywhere: all, or nothing."""
        return _everywhere(self.access.is_admin, self.access.read_only)

    def permissions_for_location(self, *, location_name: str) -> Mapping[str, PermissionResult]:
        """What they may do in a code location; what it can't serve is its own."""
        access, name = self.access, location_of(location_name)
        return _in_location(access.is_admin, access.role(name), access.owners.get(name), access.read_only)

    def permissions_for_owner(self, *, owner: str) -> Mapping[str, PermissionResult]:  # noqa: ARG002 -- Dagster's name
        """Nothing: what an asset's code says of its owners gives nobody rights."""
        return {}

    def has_permission_for_location(self, permission: str, location_name: str) -> bool:
        """Whether they may do something in a code location.

        A location that is not loaded is nobody's: Dagster's own fallback is asked for by name, so that a change of it
        can't open anything.
        """
        self._checked_permissions.add(permission)
        if not self.has_code_location_name(location_name):
            return self.has_permission(permission)
        found = self.permissions_for_location(location_name=location_name).get(permission)
        return found is not None and found.enabled

    def has_permission_for_selector(
        self,
        permission: str,
        selector: AssetKey | AssetCheckKey | JobSelector | ScheduleSelector | SensorSelector,
    ) -> bool:
        """Whether they may do something to an asset, a job, a schedule or a sensor.

        Of an asset that several code locations define, Dagster looks at one. Here each of them counts, so that nobody
        gets rights over an asset by defining it again.
        """
        self._checked_permissions.add(permission)
        if isinstance(selector, AssetKey | AssetCheckKey):
            locations = self.locations_of(selector)
        else:
            locations = {selector.location_name}
        if not locations:
            return self.has_permission(permission)
        return all(self.has_permission_for_location(permission, name) for name in locations)

    def locations_of(self, key: AssetKey | AssetCheckKey) -> set[str]:
        """The code locations that define an asset, or the asset of a check; those that only read it do not count."""
        graph = self.asset_graph
        asset = key.asset_key if isinstance(key, AssetCheckKey) else key
        checked = {graph.get_repository_handle(key).location_name} if graph.has(key) and asset != key else set()
        if not graph.has(asset):
            return checked
        infos = graph.get(asset).repo_scoped_asset_infos
        # a location that depends on an asset of another has a node of it, which can't be executed there
        running = [info for info in infos if info.asset_node.is_executable]
        return checked | {info.asset_node.repository_handle.location_name for info in running or infos}

    def has_code_location_name(self, name: str) -> bool:
        """Whether a code location is loaded; Dagster would describe each of them to find out."""
        return name in self._current_workspace.code_location_entries

    @property
    def show_instance_config(self) -> bool:
        """``dagster.yaml`` is shown to administrators alone."""
        return self.access.is_admin

    def get_viewer_tags(self) -> dict[str, str]:
        """Tags of what they launch."""
        return {DAGSTER_USER_TAG: self.identity.user, USER_TAG: self.identity.user}

    def get_reporting_user_tags(self) -> dict[str, str]:
        """Tags of what they report; a new dictionary, as Dagster adds to it."""
        return {DAGSTER_USER_TAG: self.identity.user, REPORTING_USER_TAG: self.identity.user}

    def again(self) -> "IdentifiedRequestContext":
        """The same request with the workspace as it is by now."""
        return type(self)(
            identity=self.identity,
            access=self.access,
            instance=self.instance,
            current_workspace=self.process_context.get_current_workspace(),  # type: ignore[attr-defined]
            process_context=self.process_context,
            version=self.version,
            source=self.source,
        )

    def reload_code_location(self, name: str) -> BaseWorkspaceRequestContext:
        """Reload a code location. What comes back is the same user's; Dagster's own would be nobody's."""
        self.process_context.reload_code_location(name)
        after = self.again()
        entries = after._current_workspace.code_location_entries
        if name not in entries and (served := entries.get(location_of(name))):
            # what could not be served is served: Dagster shows the entry of the name that was asked for
            after._current_workspace = after._current_workspace.with_code_location(name, served)
        return after

    def reload_workspace(self) -> BaseWorkspaceRequestContext:
        """Reload every code location."""
        self.process_context.reload_workspace()
        return self.again()


def needed_role(permission: str) -> Role | None:
    """The lowest role with a permission in its own tenant; None needs an administrator of all."""
    return NEEDED.get(permission)


@lru_cache(maxsize=8)
def _everywhere(admin: bool, read_only: bool) -> Mapping[str, PermissionResult]:
    reason = _GET if read_only else _ADMIN
    return {
        name: _result(admin and not read_only and possible, reason) for name, possible in EDITOR_PERMISSIONS.items()
    }


@lru_cache(maxsize=4096)
def _in_location(admin: bool, held: Role | None, owner: str | None, read_only: bool) -> Mapping[str, PermissionResult]:
    results: dict[str, PermissionResult] = {}
    for name in LOCATION_SCOPED_PERMISSIONS:
        needed = needed_role(name)
        if read_only:
            enough, reason = False, _GET
        elif owner is None or needed is None:
            enough, reason = admin, _ADMIN
        else:
            enough = admin or (held is not None and held.rank >= needed.rank)
            have = f"yours is {held}" if held is not None else "you have none there"
            reason = f"this takes the role {needed} in tenant {owner}, and {have}"
        # what Dagster gives to nobody, such as components managed in the UI, nobody gets
        results[name] = _result(enough and EDITOR_PERMISSIONS[name], reason)
    return results


def _result(enabled: bool, reason: str) -> PermissionResult:
    return PermissionResult(enabled=enabled, disabled_reason=None if enabled else reason)
