"""Who computed it: what results, versions and channels say of runs of users, sensors and backfills, with the daemon."""

import os
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._cli.job import _create_run
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from mlrepro import versions
from mlrepro.catalog.channels import ChannelName, entries_of
from mlrepro.store import Store, open_store
from mlrepro.tenancy import Identity
from mlrepro.tenancy.permissions import IdentifiedRequestContext
from tests.deployment.programs import Programs, environment, free_port
from tests.tenancy.company import TENANTS

pytestmark = pytest.mark.slow

LOCATION = """
    import dagster as dg

    from mlrepro import channel, ml_asset, ml_definitions


    @ml_asset
    def model() -> dict[str, float]:
        return {"auc": 0.9}


    @ml_asset(partitions_def=dg.StaticPartitionsDefinition(["x", "y"]))
    def scores() -> dict[str, float]:
        return {"f1": 0.7}


    @ml_asset
    def watched() -> dict[str, float]:
        return {"seen": 1.0}


    production = channel("production", model)
    train = dg.define_asset_job("train", [model, production])


    @dg.sensor(target=[watched], default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=5)
    def watch():
        forged = {"dagster/user": "root", "user": "root", "mlrepro/tenant": "b", "dagster/backfill": "anas"}
        return dg.RunRequest(run_key="once", tags=forged)


    defs = ml_definitions(assets=[model, scores, watched, production], jobs=[train], sensors=[watch])
"""


class Team:
    """Tenant a's code server and the daemon, as processes, and a user at the webserver."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, process: WorkspaceProcessContext) -> None:
        self.programs = Programs(folder)
        self.instance, self.process = instance, process
        self.store: Store = open_store((folder / "store").as_uri())

    def launch(self, user: str, job: str) -> str:
        daemons = self.process.create_request_context()
        code = daemons.get_code_location("a")
        (repository,) = code.get_repositories().values()
        remote = repository.get_full_job(job)
        run = _create_run(self.instance, code, repository, remote, {}, {"dagster/user": "root"}, None, None)
        parts: dict[str, Any] = {
            "instance": self.instance,
            "current_workspace": self.process.get_current_workspace(),
            "process_context": self.process,
            "version": None,
            "source": object(),
            "read_only": False,
        }
        self.instance.submit_run(run.run_id, IdentifiedRequestContext(identity=Identity(user), **parts))
        return run.run_id

    def backfill(self, user: str, number: str) -> None:
        workspace = self.process.create_request_context()
        made = PartitionBackfill.from_asset_partitions(
            backfill_id=number,
            asset_graph=workspace.asset_graph,
            backfill_timestamp=1.7e9,
            tags={"dagster/user": user},
            asset_selection=[dg.AssetKey("scores")],
            partition_names=["x"],
            dynamic_partitions_store=self.instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        self.instance.add_backfill(made)

    def computed(self, asset: str, partition: str | None = None) -> dict[str, str]:
        """Who computed an asset: as its version says, and the result that is stored."""
        (version,) = versions(asset, partition=partition, store=self.store)
        assert version.input_hash is not None
        found = self.store.get_result(version.input_hash)
        assert found is not None
        return {"version": version.body["who"], "result": found.record["who"]}


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    with tempfile.TemporaryDirectory(prefix="team-") as name:  # a code server's socket needs a short path
        folder = Path(name)
        home = folder / "home"
        home.mkdir()
        (folder / "team.py").write_text(textwrap.dedent(LOCATION))
        (folder / "tenants.yaml").write_text(TENANTS)
        (home / "dagster.yaml").write_text(
            "telemetry: {enabled: false}\n"
            "run_coordinator: {module: mlrepro.tenancy.coordinator, class: TenantRunCoordinator}\n"
        )
        port = free_port()
        (folder / "workspace.yaml").write_text(
            f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {port}, location_name: a}}}}]\n"
        )
        told = {
            "DAGSTER_HOME": str(home),
            "MLREPRO_STORE": (folder / "store").as_uri(),
            "MLREPRO_TENANTS": str(folder / "tenants.yaml"),
        }
        programs = Programs(folder)
        code = ["dagster", "code-server", "start", "-f", "team.py", "-h", "127.0.0.1", "-p", str(port)]
        with pytest.MonkeyPatch.context() as patch, programs.running("code", code, environment(**told)):
            for variable in [each for each in os.environ if each.startswith("MLREPRO_")]:
                patch.delenv(variable)
            for variable, value in told.items():
                patch.setenv(variable, value)
            programs.wait_for_port("the code server", port)
            target = WorkspaceFileTarget([str(folder / "workspace.yaml")])
            with dg.DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as process:
                team = Team(folder, instance, process)
                team.programs = programs
                team.launch("ana", "train")
                team.backfill("ana", "anas")
                daemon = ["dagster-daemon", "run", "-w", "workspace.yaml"]
                with programs.running("daemon", daemon, environment(**told)):
                    programs.wait("three runs", lambda: len(ended(instance)) == 3, 240)
                    yield team


def ended(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return [run for run in instance.get_runs() if run.is_finished]


def test_a_users_run(team: Team) -> None:
    assert team.computed("model") == {"version": "ana", "result": "ana"}


def test_a_channel_that_it_moves(team: Team) -> None:
    (entry,) = entries_of(team.store, ChannelName(("model",), "production"))
    assert entry.who == "ana"


def test_a_users_backfill(team: Team) -> None:
    assert team.computed("scores", "x") == {"version": "ana", "result": "ana"}


def test_a_sensor_that_claims_to_be_somebody_else(team: Team) -> None:
    assert team.computed("watched") == {"version": "sensor:watch", "result": "sensor:watch"}


def test_all_are_the_tenants_whose_code_it_is(team: Team) -> None:
    found = ended(team.instance)
    assert {run.status for run in found} == {dg.DagsterRunStatus.SUCCESS}
    assert {run.tags["mlrepro/tenant"] for run in found} == {"a"}
