"""Fixtures for tests on Kubernetes. They run on the double, or on the cluster that the environment names.

``MLREPRO_TEST_KUBECONFIG``
    The kubeconfig of a real cluster. Without it the tests run on the double, and nothing else here is read.
``MLREPRO_TEST_IMAGE``
    An image with mlrepro and its extras ``k8s`` and ``postgres``, and ``dagster`` on its PATH. The tests' own modules
    come to the pods in a ConfigMap.
``MLREPRO_TEST_POSTGRES_URL``
    A database that may create others, under an address that holds here and in the pods.
``MLREPRO_TEST_STORE``
    A place for values that holds here and in the pods: ``s3://bucket/prefix``. The pods get the variables in
    ``HANDED_ON``, as far as they are set here.
``MLREPRO_TEST_NAMESPACE`` and ``MLREPRO_TEST_SERVICE_ACCOUNT``
    Where the Jobs go, and as whom they run: ``mlrepro-test`` and ``default`` unless set. The account must be allowed
    to create, get, list and delete Jobs and Pods there, and to list Events.
"""

import contextlib
import os
import tempfile
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._utils.merger import deep_merge_dicts

from tests.kubernetes.deployment import Cluster, Deployment
from tests.kubernetes.double import KubernetesDouble
from tests.postgres import PostgresError, throwaway_postgres

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
HANDED_ON = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
)
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def _needed(name: str) -> str:
    if name not in os.environ:
        pytest.fail(f"a real cluster needs {name} as well: see {Path(__file__).name}")
    return os.environ[name]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster that the environment names, or the double."""
    namespace = os.environ.get("MLREPRO_TEST_NAMESPACE", "mlrepro-test")
    account = os.environ.get("MLREPRO_TEST_SERVICE_ACCOUNT", "default")
    given = os.environ.get("MLREPRO_TEST_KUBECONFIG")
    if given is None:
        folder = tmp_path_factory.mktemp("kubernetes")
        environment = {"PYTHONPATH": str(ROOT)}
        with KubernetesDouble(folder / "pods", namespaces=[namespace], environment=environment) as double:
            double.write_kubeconfig(folder / "kubeconfig", namespace)
            yield Cluster(folder / "kubeconfig", namespace, "mlrepro:test", account, {}, double)
    else:
        # here a link to the given file, in the pods a file of their own: the launcher's settings name one path for both
        with tempfile.TemporaryDirectory(prefix="mlrepro-test-") as name:
            folder = Path(name)
            kubeconfig = folder / "kubeconfig"
            kubeconfig.symlink_to(Path(given).absolute())
            code = f"mlrepro-test-{uuid.uuid4().hex[:8]}"
            image = _needed("MLREPRO_TEST_IMAGE")
            cluster = Cluster(kubeconfig, namespace, image, account, _in_pods(folder, code), None)
            with _config_map(cluster, code):
                yield cluster


def _modules() -> dict[str, Path]:
    """What the pods must be able to import, by the key in the ConfigMap."""
    files = [ROOT / "tests" / "__init__.py", *sorted(HERE.rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix().replace("/", "."): path for path in files}


def _in_pods(folder: Path, code: str) -> dict[str, Any]:
    items = [{"key": key, "path": path.relative_to(ROOT).as_posix()} for key, path in _modules().items()]
    items.append({"key": "kubeconfig", "path": "kubeconfig"})
    return {
        "volumes": [{"name": "tests", "config_map": {"name": code, "items": items}}],
        "volume_mounts": [{"name": "tests", "mount_path": str(folder), "read_only": True}],
        "env_vars": [f"PYTHONPATH={folder}", *(name for name in HANDED_ON if name in os.environ)],
    }


@contextlib.contextmanager
def _config_map(cluster: Cluster, name: str) -> Iterator[None]:
    from kubernetes import client

    inside: dict[str, Any] = {
        "clusters": [
            {
                "name": "cluster",
                "cluster": {
                    "server": "https://kubernetes.default.svc",
                    "certificate-authority": f"{SERVICE_ACCOUNT}/ca.crt",
                },
            }
        ],
        "users": [{"name": "pod", "user": {"tokenFile": f"{SERVICE_ACCOUNT}/token"}}],
        "contexts": [{"name": "pod", "context": {"cluster": "cluster", "user": "pod", "namespace": cluster.namespace}}],
        "current-context": "pod",
    }
    data = {key: path.read_text() for key, path in _modules().items()} | {"kubeconfig": yaml.safe_dump(inside)}
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)
    cluster.core.create_namespaced_config_map(cluster.namespace, body)
    try:
        yield
    finally:
        cluster.core.delete_namespaced_config_map(name, cluster.namespace)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database server whose user may create databases."""
    if "MLREPRO_TEST_KUBECONFIG" in os.environ:
        yield _needed("MLREPRO_TEST_POSTGRES_URL")
        return
    try:
        with throwaway_postgres() as url:
            yield url
    except PostgresError as error:
        pytest.skip(str(error))


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database, dropped after the test."""
    import psycopg2

    name = f"mlrepro_test_{uuid.uuid4().hex[:12]}"
    with contextlib.closing(psycopg2.connect(postgres_url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        yield urllib.parse.urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def instance_settings() -> dict[str, Any]:
    """What a test module adds to dagster.yaml, or changes in it, by a fixture of the same name."""
    return {}


@pytest.fixture
def pod_environment() -> dict[str, str]:
    """What a test module adds to the environment of every pod, by a fixture of the same name."""
    return {}


@pytest.fixture
def deployment(
    cluster: Cluster,
    database: str,
    instance_settings: dict[str, Any],
    pod_environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[Deployment]:
    """Dagster on the cluster, with nothing in its storage or its store yet. Its Jobs are deleted after the test."""
    home = tmp_path / "home"
    home.mkdir()
    if cluster.double:
        store = (tmp_path / "store").as_uri()
    else:
        store = f"{_needed('MLREPRO_TEST_STORE').rstrip('/')}/{uuid.uuid4().hex}"
    settings = deep_merge_dicts(_settings(cluster, home, database, store, pod_environment), instance_settings)
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        deployment = Deployment(instance, cluster, store)
        try:
            yield deployment
        finally:
            deployment.delete_jobs()


def _settings(cluster: Cluster, home: Path, database: str, store: str, environment: dict[str, str]) -> dict[str, Any]:
    variables = {
        "DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS": "0.2",  # how often a run looks whether it can go on
        "MLREPRO_TEST_STORE": store,
        **environment,
    }
    given = [*cluster.launcher_config.get("env_vars", []), *(f"{name}={value}" for name, value in variables.items())]
    launcher = {
        "service_account_name": cluster.service_account,
        "instance_config_map": "not-mounted",  # workers get the instance's settings as an argument
        "dagster_home": str(home),
        "job_image": cluster.image,
        "image_pull_policy": "IfNotPresent",
        "load_incluster_config": False,
        "kubeconfig_file": str(cluster.kubeconfig),
        "job_namespace": cluster.namespace,
        # where a namespace has a quota, pods that name no limits are refused
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        **cluster.launcher_config,
        "env_vars": given,
    }
    return {
        "telemetry": {"enabled": False},
        "storage": {"postgres": {"postgres_url": database}},
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
    }
