"""Code bundles on Kubernetes: runs and steps are pods that fetch the bundle which their run was submitted with."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mlrepro.catalog.workflows import append_rollback
from mlrepro.store import open_store
from mlrepro.tenancy.rendering import render
from tests.bundles.installation import DAGSTER, Installation
from tests.bundles.project import PROJECT, write_tree
from tests.deployment.pages import ROOT
from tests.deployment.programs import environment
from tests.kubernetes.double import CreatedJob, KubernetesDouble
from tests.store.s3_server import BUCKET, KEY, SECRET, S3Server, s3_server
from tests.tenancy.files import read

pytestmark = pytest.mark.slow

TENANTS = """
instance:
  image: registry.example.com/all:1
  postgres: {{host: db, cidrs: [10.0.0.0/24]}}
  bucket: {{store: "s3://{bucket}/pods", logs: "s3://{bucket}/logs", endpoint: "{endpoint}", region: us-east-1}}
tenants:
  sales:
    code_locations: [{{name: pricing, bundle: true, image: "registry.example.com/libraries:3"}}]
    quota: {{cpu: 64, memory: 256Gi}}
"""
WAITING = """
import os
import time
from pathlib import Path

import dagster as dg

from mlrepro import ml_asset, ml_definitions

GATE = Path(os.environ.get("GATE", "nowhere"))


def tell(context: dg.AssetExecutionContext) -> None:
    context.log.info(f"{{os.environ['MLREPRO_WORKFLOW_VERSION']}} {{os.environ['MLREPRO_BUNDLE']}}")


@ml_asset
def first(context: dg.AssetExecutionContext) -> int:
    tell(context)
    GATE.with_name("started-{factor}").touch()
    while not GATE.exists():
        time.sleep(0.1)
    return {factor}


@ml_asset
def second(context: dg.AssetExecutionContext, first: int) -> int:
    tell(context)
    return {factor} * first


defs = ml_definitions(assets=[first, second])
"""


class Pods(Installation):
    """An installation whose launcher starts pods, as `mlrepro tenants render` sets it up."""

    def __init__(self, folder: Path, s3: S3Server) -> None:
        super().__init__(folder)
        text = TENANTS.format(bucket=BUCKET, endpoint=s3.endpoint)
        config = {
            "tenants_file": str(folder / "tenants.yaml"),
            "service_account_name": "dagster-daemon",
            "instance_config_map": "dagster-instance",
            "dagster_home": str(folder / "home"),
            "job_namespace": "dagster",
            "load_incluster_config": False,
            "kubeconfig_file": str(folder / "kubeconfig"),
        }
        launcher = {"module": "mlrepro.tenancy.launcher", "class": "TenantRunLauncher", "config": config}
        settings = {
            **yaml.safe_load(DAGSTER),
            "run_launcher": launcher,
            "compute_logs": {
                "module": "dagster._core.storage.noop_compute_log_manager",
                "class": "NoOpComputeLogManager",
            },
        }
        write_tree(folder, {"tenants.yaml": text, "home/dagster.yaml": yaml.safe_dump(settings)})
        (server,) = yaml.safe_load(render(read(text))["helm/sales.code.yaml"])["deployments"]
        told = {each["name"]: each["value"] for each in server["env"]}
        told["MLREPRO_BUNDLE_CACHE"] = str(folder / "home/bundles")  # rendered is DAGSTER_HOME as images have it
        self.of_image = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "DAGSTER_HOME": str(folder / "home"),
            "DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS": "0.2",
            "GATE": str(folder / "gate"),
        }
        self.variables = environment(**self.of_image, **told, DAGSTER_CURRENT_IMAGE="registry.example.com/libraries:4")
        self.store = open_store(f"s3://{BUCKET}/pods", options=s3.options, scope="sales")

    @contextlib.contextmanager
    def cluster(self) -> Iterator[KubernetesDouble]:
        entry = [str(ROOT / "deployment/image/entry.sh")]
        with KubernetesDouble(
            self.folder / "pods", namespaces=["dagster", "sales"], environment=self.of_image, entrypoint=entry
        ) as double:
            double.write_kubeconfig(self.folder / "kubeconfig", "dagster")
            double.label("sales", "pod-security.kubernetes.io/enforce", "restricted")
            double.create("configmaps", "sales", {"metadata": {"name": "dagster-pipeline-env"}, "data": {}})
            secret = {"metadata": {"name": "dagster-postgresql-secret"}, "stringData": {"postgresql-password": "x"}}
            double.create("secrets", "sales", secret)
            yield double


@pytest.fixture
def installation() -> Iterator[Pods]:
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as name, s3_server(Path(name)) as s3:
        yield Pods(Path(name), s3)


def waiting(factor: int) -> dict[str, str]:
    return {**PROJECT, "pricing/definitions.py": WAITING.format(factor=factor)}


def variable(job: CreatedJob, name: str) -> str:
    """The only value that the pods of a Job find."""
    env: list[dict[str, Any]] = job.body["spec"]["template"]["spec"]["containers"][0]["env"]
    (value,) = {each["value"] for each in env if each["name"] == name}
    return str(value)


def jobs_of(double: KubernetesDouble, run_id: str) -> dict[str, CreatedJob]:
    """The run's own Job as ``run``, and those of its steps by their names."""
    return {
        job.labels.get("dagster/op", "run"): job for job in double.created if job.labels.get("dagster/run-id") == run_id
    }


def told_by(installation: Pods, run_id: str) -> set[str]:
    """What the steps of a run said of the code that they are."""
    with installation.instance() as instance:
        return {
            f"{entry.step_key} {entry.user_message}"
            for entry in instance.all_logs(run_id)
            if entry.user_message and "pricing@v" in entry.user_message and entry.step_key
        }


def test_a_run_and_its_pods_keep_to_one_bundle_while_the_location_moves_on(installation: Pods) -> None:
    digests = {1: installation.push(waiting(1)).packed.digest}
    with installation.cluster() as double, installation.started():
        installation.wait("the first version", lambda: installation.libraries().get("pricing@v1") == "in service")
        in_flight = installation.launch("first", "second")
        installation.wait("the first step", (installation.folder / "started-1").exists)
        queued = installation.launch("first", "second")
        for factor in (2, 3):
            digests[factor] = installation.push(waiting(factor)).packed.digest
            served = f"pricing@v{factor}"
            installation.wait(served, lambda served=served: served in installation.libraries())  # type: ignore[misc]
        late = installation.launch("first", "second")
        assert set(jobs_of(double, in_flight)) == {"run", "first"}, "the second step has not started"
        (installation.folder / "gate").touch()
        for run_id, factor, jobs in (
            (in_flight, 1, {"run", "first", "second"}),
            (queued, 1, {"run"}),  # all is known by then
            (late, 3, {"run", "first", "second"}),
        ):
            installation.end(run_id)
            made = jobs_of(double, run_id)
            assert set(made) == jobs
            assert {job.namespace for job in made.values()} == {"sales"}
            assert {variable(job, "MLREPRO_BUNDLE") for job in made.values()} == {digests[factor]}
            assert {variable(job, "MLREPRO_WORKFLOW_VERSION") for job in made.values()} == {f"pricing@v{factor}"}
            assert installation.tag(run_id) == f"pricing@v{factor}"
            said = f"pricing@v{factor} {digests[factor]}"
            assert told_by(installation, run_id) == {f"{step} {said}" for step in jobs - {"run"}}

        append_rollback(installation.store, "pricing", 1, who="ben")
        installation.wait("the rollback", lambda: installation.libraries().get("pricing@v1") == "in service")
        back = installation.end(installation.launch("first", "second"))
        assert set(jobs_of(double, back)) == {"run"}
        assert installation.cache_of(back) == {"first": "hit", "second": "hit"}
        with installation.instance() as instance:
            tagged = instance.get_runs(dg.RunsFilter(tags={"mlrepro/workflow_version": "pricing@v1"}))
        assert {run.run_id for run in tagged} == {in_flight, queued, back}
