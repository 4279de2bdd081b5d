"""A webserver of two teams for tests: real instances and code servers, and users whom tests vouch for by a header."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from dagster import AssetCheckKey, AssetKey, DagsterInstance
from dagster._daemon.asset_daemon import get_auto_materialize_paused
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from mlrepro.tenancy import Identity, TenantsFile
from mlrepro.web.assembly import Settings, application
from mlrepro.web.witness import Witness
from tests.deployment.pages import ROOT

USER_HEADER = "x-test-user"

TENANTS = """\
visibility: {visibility}
instance:
  image: registry.example.com/all:1
  postgres: {{host: db, cidrs: [10.0.0.0/24]}}
  bucket: {{store: "s3://ml/mlrepro", logs: "s3://ml/logs"}}
admins: [{{user: root}}]
tenants:
  delay:
    description: Predicts how late a flight will be.
    code_locations: [{{name: delay, module: tests.web.delay_definitions}}]
    quota: {{cpu: 8, memory: 32Gi}}
    members:
      - {{user: vera, role: viewer}}
      - {{user: lars, role: launcher}}
      - {{user: eve, role: editor}}
      - {{user: ada, role: admin}}
      - {{group: both, role: editor}}
  aircraft:
    code_locations: [{{name: fleet, module: tests.web.fleet_definitions}}]
    quota: {{cpu: 8, memory: 32Gi}}
    members:
      - {{user: bob, role: admin}}
      - {{group: both, role: editor}}
"""
"""vera, lars, eve and ada are of team delay, bob is of team aircraft, root is the instance's, and rita is nobody's."""

WORKSPACE = """\
load_from:
{entries}
"""

DAGSTER = """\
run_coordinator: {module: dagster.core.run_coordinator, class: QueuedRunCoordinator}
telemetry: {enabled: false}
nux: {enabled: false}
"""
"""Runs wait in the queue, and as there is no daemon they stay there: that is the effect that tests look for."""


class Vouching:
    """Stands where the gate stands, and believes a header. Nothing but tests has such a thing."""

    def __init__(self, app: ASGIApp, groups: dict[str, set[str]]) -> None:
        self._app = app
        self._groups = groups

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        user = headers.get(USER_HEADER.encode(), b"").decode()
        if user:
            scope["mlrepro.identity"] = Identity(user, frozenset(self._groups.get(user, ())))
            scope["mlrepro.read_only"] = scope.get("method") in {"GET", "HEAD", "OPTIONS"}
        await self._app(scope, receive, send)


class Installation:
    """What a webserver serves, and who asks it.

    Args:
        folder: Where everything is.
        app: The webserver.
    """

    def __init__(self, folder: Path, app: ASGIApp) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self._instances: dict[str, DagsterInstance] = {}
        self._client = TestClient(app, raise_server_exceptions=False)

    @property
    def audit_file(self) -> Path:
        return self.folder / "audit.jsonl"

    @property
    def tenants_file(self) -> Path:
        return self.folder / "tenants.yaml"

    def instance(self, home: str = "") -> DagsterInstance:
        """Dagster's own view of what is there, beside the webserver's."""
        if home not in self._instances:
            self._instances[home] = self._stack.enter_context(DagsterInstance.from_config(str(self.folder / home)))
        return self._instances[home]

    def close(self) -> None:
        """Close what was opened beside the webserver."""
        self._stack.close()

    def state(self, home: str = "") -> dict[str, Any]:
        """All in an instance that a mutation could have changed."""
        instance = self.instance(home)
        keys = [AssetKey(f"{team}_{what}") for team in ("delay", "fleet") for what in ("model", "letters", "daily")]
        keys.append(AssetKey("shared_model"))
        partitions = ("days", "delay_regions", "fleet_regions")
        return {
            "runs": {run.run_id: (run.status, dict(run.tags)) for run in instance.get_runs()},
            "backfills": {each.backfill_id: (each.status, dict(each.tags)) for each in instance.get_backfills()},
            "instigators": {
                state.instigator_origin_id: (state.status, state.instigator_data)
                for state in instance.all_instigator_state()
            },
            "partitions": {name: instance.get_dynamic_partitions(name) for name in partitions},
            "events": {
                key.to_user_string(): [
                    record.storage_id
                    for record in instance.fetch_materializations(key, limit=1000).records
                    + instance.fetch_observations(key, limit=1000).records
                ]
                for key in keys
            },
            "checks": [
                each.id
                for team in ("delay", "fleet")
                for each in instance.event_log_storage.get_asset_check_execution_history(
                    AssetCheckKey(AssetKey(f"{team}_model"), "fine"), limit=1000
                )
            ],
            "limits": instance.event_log_storage.get_concurrency_keys(),
            "paused": get_auto_materialize_paused(instance),
        }

    def servers(self, tenant: str | None = None) -> dict[str, Any]:
        """Each code location's server: another after a reload."""
        query = "{workspaceOrError {... on Workspace {locationEntries {name updatedTimestamp}}}}"
        entries = self.user("root", tenant).post(query).json()["data"]["workspaceOrError"]["locationEntries"]
        return {entry["name"]: entry["updatedTimestamp"] for entry in entries}

    def user(self, name: str | None, tenant: str | None = None) -> "User":
        return User(self._client, name, f"/tenants/{tenant}" if tenant else "")

    def audited(self) -> list[dict[str, Any]]:
        """All entries of the audit log."""
        if not self.audit_file.exists():
            return []
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]


class User:
    """Somebody who sends requests.

    Args:
        client: By which.
        name: Who. None: nobody knows them.
        prefix: What the paths begin with.
    """

    def __init__(self, client: TestClient, name: str | None, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix
        self.headers = {USER_HEADER: name} if name else {}

    def request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        return self._client.request(method, self._prefix + path, headers=headers, follow_redirects=False, **more)

    def post(self, query: str, variables: dict[str, Any] | None = None) -> httpx2.Response:
        return self.request("POST", "/graphql", json={"query": query, "variables": variables or {}})

    def get(self, query: str, variables: dict[str, Any] | None = None) -> httpx2.Response:
        params = {"query": query, "variables": json.dumps(variables or {})}
        return self.request("GET", "/graphql", params=params)

    def over_websocket(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The first answer to an operation over the websocket."""
        with self._client.websocket_connect(
            f"{self._prefix}/graphql", subprotocols=["graphql-ws"], headers=self.headers
        ) as socket:
            socket.send_json({"type": "connection_init"})
            socket.receive_json()
            socket.send_json({"type": "start", "id": "1", "payload": {"query": query, "variables": variables or {}}})
            return dict(socket.receive_json())


def installation_files(folder: Path, visibility: str) -> None:
    """Write what `mlrepro webserver` needs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tenants.yaml").write_text(TENANTS.format(visibility=visibility))
    locations = {"delay": "delay", "aircraft": "fleet"}
    each = {name: [location] for name, location in locations.items()}
    for home, names in ({"": list(locations.values())} if visibility == "shared" else each).items():
        (folder / home).mkdir(exist_ok=True)
        (folder / home / "dagster.yaml").write_text(DAGSTER)
        entries = "\n".join(
            f"  - python_module: {{module_name: tests.web.{name}_definitions, location_name: {name},"
            f" working_directory: {ROOT}}}"
            for name in names
        )
        (folder / home / "workspace.yaml").write_text(WORKSPACE.format(entries=entries))


@contextlib.contextmanager
def installation(folder: Path, visibility: str, groups: dict[str, set[str]] | None = None) -> Iterator[Installation]:
    """Start code servers and open instances, until the end."""
    installation_files(folder, visibility)
    settings = Settings(tenants=TenantsFile(folder / "tenants.yaml"), home=folder)
    with application(settings) as (app, audit):
        found = Installation(folder, Witness(Vouching(app, groups or {"gina": {"both"}}), audit=audit))
        with contextlib.closing(found):
            yield found
