"""A rollback sensor under the real `dagster-daemon`, with the code location in a process of its own."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import pytest

from mlrepro.catalog.channels import ChannelEntry, ChannelName, entries_of
from mlrepro.store import Store, open_store
from tests.instances import dagster_home

pytestmark = pytest.mark.slow

LOCATION = """
import dagster as dg

from mlrepro import Metric, channel, ml_asset, ml_definitions, rollback_sensor


class TrainConfig(dg.Config):
    strength: float = 0.9


@ml_asset
def churn_model(config: TrainConfig) -> dict[str, float]:
    return {"strength": config.strength}


@ml_asset
def evaluation(churn_model: dict[str, float]) -> dict[str, float]:
    return {"auc": churn_model["strength"]}


production = channel("production", churn_model, gates=[Metric("evaluation", "auc") >= 0.8])


@ml_asset(ins={"model": dg.AssetIn(production.key)})
def predictions(model: dict[str, float]) -> list[float]:
    return [model["strength"]] * 3


@ml_asset
def report(predictions: list[float]) -> float:
    return sum(predictions)


def full_moon(view):
    raise RuntimeError("no calendar")


defs = ml_definitions(
    assets=[churn_model, evaluation, production, predictions, report, dg.AssetSpec("live_quality")],
    sensors=[
        rollback_sensor(
            production,
            when=[full_moon, Metric("live_quality", "auc") < 0.75],
            name="watchdog",
            minimum_interval_seconds=10,
        )
    ],
)
"""

NAME = ChannelName(("churn_model",), "production")
Found = TypeVar("Found")


class Deployment:
    """A Dagster home with a code location, a code server and a daemon."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = dagster_home(folder / "home")
        (folder / "shop.py").write_text(textwrap.dedent(LOCATION))
        self.port = _free_port()
        (folder / "workspace.yaml").write_text(
            f"load_from:\n  - grpc_server:\n      host: localhost\n      port: {self.port}\n      location_name: shop\n"
        )
        self.running: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLREPRO_")},
            "DAGSTER_HOME": str(self.home),
            "PYTHONPATH": str(folder),
        }

    @contextmanager
    def process(self, log: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start one of Dagster's programs; it ends with the block, and with it all that it started."""
        with (self.folder / log).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running.append(process)
        try:
            yield process
        finally:
            self.running.remove(process)
            with_group(process, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                with_group(process, signal.SIGKILL)
                process.wait()

    def code_server(self) -> Any:
        return self.process(
            "code.log", "dagster", "api", "grpc", "-f", "shop.py", "-h", "localhost", "-p", str(self.port)
        )

    def daemon(self) -> Any:
        return self.process("daemon.log", "dagster._daemon", "run", "-w", "workspace.yaml")

    def materialize(self, strength: float) -> None:
        """Train, evaluate, promote and predict, in a run of this process."""
        spec = importlib.util.spec_from_file_location("shop", self.folder / "shop.py")
        assert spec is not None
        assert spec.loader is not None
        shop = importlib.util.module_from_spec(spec)
        sys.modules["shop"] = shop
        try:
            spec.loader.exec_module(shop)
            job = shop.defs.resolve_implicit_global_asset_job_def()
            config = {"ops": {"churn_model": {"config": {"strength": strength}}}}
            with dg.DagsterInstance.from_config(str(self.home)) as instance:
                assert job.execute_in_process(instance=instance, run_config=config).success
        finally:
            del sys.modules["shop"]

    def store(self) -> Store:
        return open_store(str(self.home / "mlrepro"))

    def entries(self) -> list[ChannelEntry]:
        return list(entries_of(self.store(), NAME))

    def wait(self, what: str, found: Callable[[], Found | None], seconds: float = 120) -> Found:
        """Wait until something is there; if it never is, the logs tell why."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and all(process.returncode or process.poll() is None for process in self.running):
            if (it := found()) is not None:
                return it
            time.sleep(0.2)
        logs = "\n".join(f"{path.name}:\n{path.read_text()[-4000:]}" for path in self.folder.glob("*.log"))
        pytest.fail(f"{what} did not come\n{logs}")


def with_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process that was started here, and what it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def ticks(instance: dg.DagsterInstance) -> list[Any]:
    """The sensor's finished ticks, newest first."""
    found = [state for state in instance.all_instigator_state() if state.instigator_name == "watchdog"]
    if not found:
        return []
    all_of_them = instance.get_ticks(found[0].instigator_origin_id, found[0].selector_id)
    return [tick for tick in all_of_them if tick.status.value != "STARTED"]


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    # a socket's path has to be short
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:
        made = Deployment(Path(folder))
        monkeypatch.setenv("DAGSTER_HOME", str(made.home))
        yield made


def test_from_the_bad_metric_to_the_finished_rollback_within_two_ticks(deployment: Deployment) -> None:
    deployment.materialize(0.9)
    deployment.materialize(0.85)
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(deployment.home)))
        stack.enter_context(deployment.code_server())
        daemon = stack.enter_context(deployment.daemon())
        quiet = deployment.wait("the first tick", lambda: next(iter(ticks(instance)), None))
        assert quiet.status.value == "SKIPPED"
        assert "churn_model/production stays at v2" in quiet.skip_reason
        assert "the condition full_moon is broken: RuntimeError: no calendar" in quiet.skip_reason

        bad = time.time()
        instance.report_runless_asset_event(dg.AssetMaterialization("live_quality", metadata={"auc": 0.6}))

        def finished() -> dg.RunRecord | None:
            records = instance.get_run_records(dg.RunsFilter(job_name="rollback"))
            return next((record for record in records if record.dagster_run.is_finished), None)

        record = deployment.wait("the rollback's run", finished)
        run = record.dagster_run
        assert run.is_success
        assert record.end_time is not None
        passed = [tick for tick in ticks(instance) if bad < tick.timestamp <= record.end_time]
        assert 1 <= len(passed) <= 2, f"{record.end_time - bad:.1f} s, {len(passed)} ticks"

        rollback, *_ = deployment.entries()
        assert (rollback.kind, rollback.number, rollback.sensor) == ("rollback", 3, "watchdog")
        assert rollback.after is not None
        assert rollback.after.number == 1
        assert rollback.reason == "live_quality.auc is 0.6, below 0.75"
        assert rollback.run_id == run.run_id
        assert run.tags["dagster/sensor_name"] == "watchdog"

        channel = dg.AssetKey(["churn_model", "production"])
        for asset in (channel, dg.AssetKey("predictions"), dg.AssetKey("report")):
            newest, middle, oldest = instance.fetch_materializations(asset, limit=3).records
            versions = [_data_version(each) for each in (newest, middle, oldest)]
            assert versions[0] == versions[2] != versions[1], f"{asset} is as it was with v1"
            if asset != channel:
                assert newest.asset_materialization is not None
                assert newest.asset_materialization.metadata["mlrepro/cache"].value == "hit"

        with_group(daemon, signal.SIGKILL)
        daemon.wait()
        before = len(ticks(instance))
        stack.enter_context(deployment.daemon())
        deployment.wait("two ticks of the new daemon", lambda: True if len(ticks(instance)) >= before + 2 else None)
        assert all(tick.status.value == "SKIPPED" for tick in ticks(instance)[:2])
        assert len(deployment.entries()) == 3
        assert instance.get_runs_count(dg.RunsFilter(job_name="rollback")) == 1


def _data_version(record: dg.EventLogRecord) -> str:
    return (record.event_log_entry.tags or {})["dagster/data_version"]
