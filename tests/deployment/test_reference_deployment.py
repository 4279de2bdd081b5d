"""deployment/dagster.yaml at work: runs launched as the UI does, store and logs on S3, events in PostgreSQL."""

import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlrepro import load
from mlrepro.catalog.channels import ChannelName, entries_of
from mlrepro.store import open_store
from tests.deployment.shared_installation import Installation
from tests.postgres import PostgresError, throwaway_postgres
from tests.store.other_servers import client
from tests.store.s3_server import BUCKET, S3Server, s3_server

pytestmark = pytest.mark.slow
pytest.importorskip("dagster_aws", reason="needs the package dagster-aws")
graphql = pytest.importorskip("dagster_graphql", reason="needs the package dagster-webserver")

LOCATION = """
    import dagster as dg

    from mlrepro import channel, ml_asset, ml_definitions


    class TrainConfig(dg.Config):
        strength: float = 0.9


    @ml_asset
    def churn_model(config: TrainConfig) -> dict[str, float]:
        print(f"training with strength {config.strength}")
        return {"strength": config.strength}


    @ml_asset
    def evaluation(churn_model: dict[str, float]) -> dict[str, float]:
        return {"auc": churn_model["strength"]}


    production = channel("production", churn_model)
    defs = ml_definitions(assets=[churn_model, evaluation, production])
"""


CHANNELS = {dg.AssetKey(["churn_model", "production"])}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def installation(s3: S3Server) -> Iterator[Installation]:
    # a code server's socket needs a short path
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:
        try:
            with throwaway_postgres() as database:
                made = Installation(Path(folder), database, s3, textwrap.dedent(LOCATION))
                with made.started():
                    yield made
        except PostgresError as error:
            pytest.skip(str(error))


class Operator:
    """What somebody does with the installation over GraphQL, which is all that the UI has."""

    def __init__(self, installation: Installation, instance: dg.DagsterInstance) -> None:
        self.installation = installation
        self.instance = instance
        self._client = graphql.DagsterGraphQLClient("127.0.0.1", port_number=installation.web_port)

    def run(self, job: str, **config: Any) -> str:
        """Launch a run and wait until it has succeeded; its id."""
        run_id: str = self._client.submit_job_execution(
            job,
            repository_location_name="shop",
            repository_name="__repository__",
            run_config={"ops": config} if config else {},
        )
        ends = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
        self.installation.wait(f"the end of {job}", lambda: self._client.get_run_status(run_id) in ends)
        assert self._client.get_run_status(run_id) == dg.DagsterRunStatus.SUCCESS, self.errors(run_id)
        return run_id

    def train(self, strength: float) -> str:
        return self.run("__ASSET_JOB", churn_model={"config": {"strength": strength}})

    def cache(self, run_id: str) -> dict[str, str]:
        """``hit`` or ``computed`` for each asset of a run but its channels."""
        records = self.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
        found = [record.event_log_entry.asset_materialization for record in records]
        return {
            each.asset_key.to_user_string(): str(each.metadata["mlrepro/cache"].value)
            for each in found
            if each is not None and each.asset_key not in CHANNELS
        }

    def errors(self, run_id: str) -> str:
        return "\n".join(entry.user_message or str(entry.dagster_event) for entry in self.instance.all_logs(run_id))


@pytest.fixture
def operator(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    for name, value in installation.variables.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield Operator(installation, instance)


def test_train_again_for_nothing_and_roll_back(operator: Operator, s3: S3Server) -> None:
    first = operator.train(0.9)
    assert operator.cache(first) == {"churn_model": "computed", "evaluation": "computed"}
    again = operator.train(0.9)
    assert operator.cache(again) == {"churn_model": "hit", "evaluation": "hit"}
    assert "training with strength 0.9" in printed(s3, first)
    assert printed(s3, again) == "", "no step was started, so none printed"

    operator.train(0.7)
    store = open_store(operator.installation.store)
    assert load("churn_model@production", store=store) == {"strength": 0.7}

    rollback = operator.run("rollback", rollback={"config": {"asset": "churn_model/production", "reason": "weak"}})
    assert load("churn_model@production", store=store) == {"strength": 0.9}
    newest = next(entries_of(store, ChannelName(("churn_model",), "production")))
    assert (newest.kind, newest.reason, newest.run_id) == ("rollback", "weak", rollback)

    assert list(operator.installation.home.rglob("*.db")) == [], "no program kept events in its home"
    assert not list(operator.installation.home.rglob("store.json")), "nor results"


def printed(s3: S3Server, run_id: str) -> str:
    """What the steps of a run printed, as the bucket has it."""
    boto3 = client(s3)
    prefix = f"dagster-logs/storage/{run_id}/"
    found = boto3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return "\n".join(boto3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read().decode() for each in found)
