"""A code location that is pushed and served: code server, webserver and daemon as processes of their own."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlrepro.bundles.pushing import Pushed, push
from mlrepro.store import Store, open_store
from tests.bundles.project import write_tree
from tests.deployment.programs import Programs, answers, environment, free_port

graphql = pytest.importorskip("dagster_graphql", reason="needs the package dagster-webserver")

ENDS = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
DAGSTER = """
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 1
    dequeue_interval_seconds: 1
    max_user_code_failure_retries: 10  # the daemon notices by itself, and later than the webserver, what is served
    user_code_failure_retry_delay: 1
"""
TENANTS = """
visibility: shared
instance:
  image: registry.example.com/all:1
  postgres: {host: db, cidrs: [10.0.0.0/24]}
  bucket: {store: "s3://ml/mlrepro", logs: "s3://ml/logs"}
tenants:
  sales:
    code_locations: [{name: pricing, image: "registry.example.com/pricing:1"}]
    quota: {cpu: 8, memory: 32Gi}
    members: [{user: eve, role: editor}]
"""
WORKSPACE = "load_from: [{{grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {location}}}}}]\n"


class Installation(Programs):
    """All of it.

    Args:
        folder: Where everything is.
        location: The code location: its module is ``<location>.definitions``.
        scope: Whose histories.
    """

    def __init__(self, folder: Path, location: str = "pricing", *, scope: str = "default") -> None:
        super().__init__(folder)
        self.location = location
        self.project = folder / "project"
        self.seen = 0
        self.code_port, self.web_port = free_port(), free_port()
        write_tree(
            folder,
            {"home/dagster.yaml": DAGSTER, "workspace.yaml": WORKSPACE.format(port=self.code_port, location=location)},
        )
        write_tree(folder, {"tenants.yaml": TENANTS})
        self.variables = environment(
            DAGSTER_HOME=str(folder / "home"),
            MLREPRO_STORE=str(folder / "store"),
            MLREPRO_SCOPE=scope,
            MLREPRO_BUNDLE_CACHE=str(folder / "cache"),
            GATE=str(folder / "gate"),
        )
        self.store: Store = open_store(str(folder / "store"), scope=scope)
        # ours changes nothing for a page of another site
        headers = {"Origin": self.url}
        self._client = graphql.DagsterGraphQLClient("127.0.0.1", port_number=self.web_port, headers=headers)

    def push(self, files: dict[str, str], **more: Any) -> Pushed:
        write_tree(self.project, files)
        cache = self.folder / "cache"
        return push(
            self.location, f"{self.location}.definitions", root=self.project, store=self.store, cache=cache, **more
        )

    @contextlib.contextmanager
    def code_server(self) -> Iterator[None]:
        self.seen = 0  # of its log
        arguments = ["mlrepro", "code-server", self.location, "-p", str(self.code_port), "--interval", "0.5"]
        with self.running("code", [*arguments, "--host", "127.0.0.1"], self.variables):
            self.wait_for_port("the code server", self.code_port)
            yield

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        with self.instance() as instance:
            # makes its databases: daemon and webserver would get in each other's way over that
            instance.get_runs_count()
            instance.all_instigator_state()
            instance.fetch_materializations(dg.AssetKey("nothing"), limit=1)
        with (
            self.code_server(),
            self.running("daemon", ["dagster-daemon", "run", "-w", "workspace.yaml"], self.variables),
            self.webserver(),
        ):
            yield

    @contextlib.contextmanager
    def webserver(self, *, ours: bool = False) -> Iterator[None]:
        """Dagster's own, or mlrepro's, where everybody is eve."""
        arguments = ["dagster-webserver"]
        if ours:
            arguments = ["mlrepro", "webserver", "--tenants", "tenants.yaml", "--home", "home"]
            arguments += ["--auth", "none", "--user", "eve"]
        place = ["-h", "127.0.0.1", "-p", str(self.web_port), "-w", "workspace.yaml"]
        with self.running("web", [*arguments, *place], self.variables):
            self.wait("the webserver", lambda: answers(f"{self.url}/server_info"))
            yield

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.folder / "home"))

    def ask(self, query: str) -> Any:
        return self._client._execute(query)

    def code_versions(self) -> dict[str, str]:
        """What the webserver shows of each asset's code; empty while the location does not load."""
        found = self.ask("{ assetNodes { assetKey { path } opVersion } }")["assetNodes"]
        return {"/".join(each["assetKey"]["path"]): each["opVersion"] for each in found}

    def location_error(self) -> str | None:
        """The error that the webserver shows of the only location; None where there is none."""
        (found,) = self.locations().values()
        return found

    def locations(self) -> dict[str, str | None]:
        """The error that the webserver shows of each location; None where there is none."""
        query = """{ workspaceOrError { ... on Workspace { locationEntries {
            name locationOrLoadError { __typename ... on PythonError { message causes { message } } }
        } } } }"""
        found = {
            each["name"]: each["locationOrLoadError"] for each in self.ask(query)["workspaceOrError"]["locationEntries"]
        }
        return {
            name: None if each["__typename"] == "RepositoryLocation" else json.dumps(each)
            for name, each in found.items()
        }

    def libraries(self) -> dict[str, str]:
        """What the webserver shows of the location's libraries; empty while it does not load."""
        query = """{ workspaceOrError { ... on Workspace { locationEntries {
            locationOrLoadError { ... on RepositoryLocation { dagsterLibraryVersions { name version } } }
        } } } }"""
        entries = self.ask(query)["workspaceOrError"]["locationEntries"]
        return {
            each["name"]: each["version"]
            for entry in entries
            for each in entry["locationOrLoadError"].get("dagsterLibraryVersions") or []
        }

    def launch(self, *assets: str) -> str:
        run_id: str = self._client.submit_job_execution(
            "__ASSET_JOB",
            repository_location_name=self.location,
            repository_name="__repository__",
            run_config={},
            asset_selection=[dg.AssetKey.from_user_string(each) for each in assets] or None,
        )
        return run_id

    def run(self, job: str, config: dict[str, Any] | None = None) -> str:
        run_id: str = self._client.submit_job_execution(
            job, repository_location_name=self.location, repository_name="__repository__", run_config=config or {}
        )
        return self.end(run_id)

    def end(self, run_id: str) -> str:
        """Wait until a run has succeeded."""
        self.wait("the end of a run", lambda: self._client.get_run_status(run_id) in ENDS)
        with self.instance() as instance:
            told = [entry.user_message or str(entry.dagster_event) for entry in instance.all_logs(run_id)]
        assert self._client.get_run_status(run_id) == dg.DagsterRunStatus.SUCCESS, "\n".join(told)
        return run_id

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        found: dg.DagsterRunStatus = self._client.get_run_status(run_id)
        return found

    def terminate(self, run_id: str) -> None:
        self._client.terminate_runs([run_id])

    def tag(self, run_id: str) -> str | None:
        with self.instance() as instance:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            return run.tags.get("mlrepro/workflow_version")

    def cache_of(self, run_id: str) -> dict[str, str]:
        """``hit`` or ``computed`` for each asset of a run."""
        with self.instance() as instance:
            records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
        found = [record.event_log_entry.asset_materialization for record in records]
        return {
            each.asset_key.to_user_string(): str(each.metadata["mlrepro/cache"].value)
            for each in found
            if each is not None
        }

    def log(self, name: str = "code") -> str:
        return (self.folder / f"{name}.log").read_text()

    def until_served(self, shown: str) -> float:
        """Seconds until the webserver shows a code version."""
        began = time.monotonic()
        self.wait(f"code {shown}", lambda: shown in self.code_versions().values())
        return time.monotonic() - began
