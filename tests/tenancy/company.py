"""A company of two teams on one Dagster, without servers: runs are submitted as the webserver and the daemon do it."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import yaml
from dagster._cli.job import _create_run
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

from mlrepro.tenancy import Identity
from mlrepro.tenancy.permissions import IdentifiedRequestContext
from tests.instances import dagster_home, open_instance
from tests.tenancy.files import small

POD = {"dagster-k8s/config": {"pod_spec_config": {"node_selector": {"pool": "large"}}}}

TENANTS = (
    small(
        "a:\n  code_locations: [{name: a, module: team, git_ref: v7}]\n  quota: {cpu: 8, memory: 32Gi}\n"
        "  limits: {runs: 3}\n"
        "  members: [{user: ana, role: launcher}, {user: eve, role: viewer}, {group: ops, role: editor}]",
        "b:\n  code_locations: [{name: b, module: team}]\n  quota: {cpu: 8, memory: 32Gi}\n  limits: {runs: 3}\n"
        "  members: [{user: bob, role: admin}]",
    )
    .replace("tenants:\n", "admins: [{user: root}]\ntenants:\n")
    .replace("instance:\n", "instance:\n  max_concurrent_runs: 4\n")
)


@dg.op
def work() -> int:
    return 1


@dg.job
def plain() -> None:
    work()


@dg.job(tags=POD)
def large() -> None:
    work()


@dg.op(pool="narrow")
def narrow_work() -> int:
    return 1


@dg.job
def pooled() -> None:
    narrow_work()


defs = dg.Definitions(jobs=[plain, large, pooled])


class Company:
    """Dagster with three code locations: a and b are tenants' of these names, c is nobody's."""

    def __init__(self, home: Path, instance: dg.DagsterInstance, process: WorkspaceProcessContext) -> None:
        self.home = home
        self.file = home / "tenants.yaml"
        self.instance = instance
        self.process = process

    def create(self, location: str, tags: Mapping[str, str] | None = None, job: str = "plain", **more: Any) -> str:
        """Create a run, as everybody who launches one does before it is submitted."""
        workspace = self.process.create_request_context()
        code = workspace.get_code_location(location)
        (repository,) = code.get_repositories().values()
        remote = repository.get_full_job(job)
        tags = {**remote.run_tags, **(tags or {})}
        if not more:
            return _create_run(self.instance, code, repository, remote, {}, tags, None, None).run_id
        origin, code_origin = remote.get_remote_origin(), remote.get_python_origin()
        made = dg.DagsterRun(
            job, tags=tags, remote_job_origin=origin, job_code_origin=code_origin, run_op_concurrency=None, **more
        )
        return self.instance.run_storage.add_run(made).run_id

    def tick(self, location: str, sensor: str) -> str:
        """The id of a tick of a sensor, as the daemon begins it."""
        repository = self.process.create_request_context().get_code_location(location).get_repositories()
        origin = next(iter(repository.values())).get_remote_origin().get_instigator_origin(sensor)
        state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
        if self.instance.get_instigator_state(origin.get_id(), state.selector_id) is None:
            self.instance.add_instigator_state(state)
        tick = self.instance.create_tick(
            TickData(
                origin.get_id(), sensor, InstigatorType.SENSOR, TickStatus.STARTED, 1.0, selector_id=state.selector_id
            )
        )
        return str(tick.tick_id)

    def by(self, user: str, *groups: str) -> IdentifiedRequestContext:
        """A request of a user whose identity was verified."""
        return IdentifiedRequestContext(identity=Identity(user, frozenset(groups)), **self._parts(source=object()))

    def unverified(self) -> WorkspaceRequestContext:
        """A request to a plain dagster-webserver, with headers that anybody can send."""
        headers = {"X-Forwarded-User": "ana", "Authorization": "Bearer x"}
        return self.process.create_request_context(SimpleNamespace(headers=headers))

    def daemon(self) -> WorkspaceRequestContext:
        """What the daemon submits with, and the command line."""
        return self.process.create_request_context()

    def _parts(self, source: object) -> dict[str, Any]:
        return {
            "instance": self.instance,
            "current_workspace": self.process.get_current_workspace(),
            "process_context": self.process,
            "version": None,
            "source": source,
            "read_only": False,
        }

    def submit(self, run_id: str, workspace: WorkspaceRequestContext) -> Mapping[str, str]:
        """Submit a run; its tags then."""
        submitted = self.instance.submit_run(run_id, workspace)
        assert submitted.status is dg.DagsterRunStatus.QUEUED
        return submitted.tags

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def coordinate(self, run_id: str, workspace: WorkspaceRequestContext) -> None:
        """Ask the coordinator alone, as `submit_run` of the instance does before it tells of the outcome."""
        self.instance.run_coordinator.submit_run(SubmitRunContext(self.run(run_id), workspace))

    def told(self, run_id: str) -> str:
        """What the run's log says."""
        entries = self.instance.all_logs(run_id)
        return "\n".join(
            (entry.dagster_event and entry.dagster_event.message) or entry.user_message for entry in entries
        )


@contextlib.contextmanager
def company(
    folder: Path, config: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
) -> Iterator[Company]:
    """Start it in an empty folder."""
    own_storage = "storage" in (settings or {})
    home = folder / "home"
    if own_storage:
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    else:
        dagster_home(home)
    file = home / "tenants.yaml"
    file.write_text(TENANTS)
    coordinator = {
        "module": "mlrepro.tenancy.coordinator",
        "class": "TenantRunCoordinator",
        "config": {"tenants_file": str(file), **(config or {})},
    }
    with (home / "dagster.yaml").open("a") as written:
        yaml.safe_dump({"run_coordinator": coordinator, **(settings or {})}, written)
    origins = [
        InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=__file__, attribute="defs"), location_name=name)
        for name in "abc"
    ]
    with (
        open_instance(home) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origins)) as process,
    ):
        yield Company(home, instance, process)
