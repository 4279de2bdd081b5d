"""The code locations that the webserver shows: also what can't be served, beside what stays in service for it."""

import threading
from typing import Any

from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.workspace import CodeLocationEntry, CurrentWorkspace
from dagster_shared.error import SerializableErrorInfo

from mlrepro.bundles.service_state import Problem, problem_of
from mlrepro.workflow_names import location_of


class ServedWorkspace(WorkspaceProcessContext):
    """Dagster's process context, where a version that can't be served is a failed location of its own.

    In Dagster an entry is a location or an error. So ``pricing`` goes on with the version in service, and beside it
    ``pricing@v5`` has failed: Dagster's UI warns of it on every page, and shows the error.

    Args:
        *parts: As Dagster's.
        **more: As Dagster's.
    """

    def __init__(self, *parts: Any, **more: Any) -> None:
        self._shown_lock = threading.Lock()
        self._shown: tuple[CurrentWorkspace, CurrentWorkspace] | None = None
        super().__init__(*parts, **more)

    def get_current_workspace(self) -> CurrentWorkspace:
        """What there is now. The same object as long as nothing changes, as it keeps the graph of all assets."""
        loaded = super().get_current_workspace()
        with self._shown_lock:
            if self._shown is None or self._shown[0] is not loaded:
                self._shown = loaded, _with_problems(loaded)
            return self._shown[1]

    def reload_code_location(self, name: str) -> None:
        """Reload a location; what can't be served is tried again by the location that it is of."""
        super().reload_code_location(location_of(name))


def _with_problems(loaded: CurrentWorkspace) -> CurrentWorkspace:
    failed = {}
    for name, entry in loaded.code_location_entries.items():
        libraries = entry.code_location.get_dagster_library_versions() if entry.code_location else None
        problem = problem_of(name, libraries or {})
        if problem is not None and isinstance(entry.origin, GrpcServerCodeLocationOrigin):
            failed[f"{name}@{problem.what}"] = _failed(entry, problem)
    # none of them can take the place of a location
    return CurrentWorkspace({**failed, **loaded.code_location_entries}) if failed else loaded


def _failed(entry: CodeLocationEntry, problem: Problem) -> CodeLocationEntry:
    origin = entry.origin
    assert isinstance(origin, GrpcServerCodeLocationOrigin)
    name = f"{origin.location_name}@{problem.what}"
    return CodeLocationEntry(
        origin=origin._replace(location_name=name),
        code_location=None,
        load_error=SerializableErrorInfo(f"{name} {problem.told}\n", [], "BundleError"),
        load_status=entry.load_status,
        display_metadata={"location": origin.location_name},
        update_timestamp=entry.update_timestamp,
        version_key=entry.version_key,
        definitions_source=entry.definitions_source,
    )
