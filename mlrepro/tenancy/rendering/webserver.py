"""The webserver on Kubernetes: `mlrepro webserver` in a Deployment of its own, as the chart's runs one fixed command.

It is in the instance's namespace, and one serves all tenants, isolated ones too.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from mlrepro.tenancy.model import Named, Tenants
from mlrepro.tenancy.rendering import copies, launcher, network, pods, settings
from mlrepro.tenancy.rendering.text import as_yaml, yaml_file
from mlrepro.tenancy.tenants_file import VARIABLE

NAME: Final = "mlrepro-webserver"
PORT: Final = 3000
IDENTITY: Final = "mlrepro-identity"
"""Secret with what the section ``identity`` names: its keys are environment variables, and files in `SECRETS`."""

PAGES_SECRET: Final = "pages-secret"  # noqa: S105 - the name of a key
"""Its key with what signs the forms of the pages. Without it forms end with the pod that made them."""

SECRETS: Final = "/etc/mlrepro-identity"
ENDS_RUNS: Final = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete", "list"]},
)
"""All that it may do in a tenant's namespace: Dagster ends runs from the webserver. It starts nothing."""

_AUDIT: Final = "/var/lib/mlrepro"
_ISOLATED_HOME: Final = "/opt/mlrepro/home"
_SELECTOR: Final = {"app.kubernetes.io/name": NAME}
_PAGES: Final = {
    "name": "MLREPRO_PAGES_SECRET",
    "valueFrom": {"secretKeyRef": {"name": IDENTITY, "key": PAGES_SECRET, "optional": True}},
}
_RESOURCES: Final = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}


def webserver_files(tenants: Tenants) -> Iterator[tuple[str, str]]:
    """Each file's path and text. It has a dot, so that it is no tenant's."""
    yield "kubernetes/mlrepro.webserver.yaml", yaml_file(*manifests(tenants), about=["kubectl apply -f THIS"])


def account(tenants: Tenants) -> str:
    """As whom it runs."""
    return f"{tenants.instance.service_account}-webserver"


def manifests(tenants: Tenants) -> list[dict[str, Any]]:
    """All that it takes, in the order in which it is to be applied."""
    labels = {"app.kubernetes.io/managed-by": "mlrepro"} | pods.admitted()
    namespace = {"name": tenants.instance.namespace, "labels": labels}
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    service = {"selector": _SELECTOR, "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]}
    reached = network.webserver(tenants, _SELECTOR, PORT)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": namespace},
        _manifest(tenants, "v1", "ServiceAccount", account(tenants)),
        _manifest(tenants, "v1", "ConfigMap", copies.CONFIG_MAP, data={copies.NAME: copies.tenants_text(tenants)}),
        _manifest(tenants, "v1", "ConfigMap", NAME, data=_home(tenants)),
        _manifest(tenants, "v1", "PersistentVolumeClaim", f"{NAME}-audit", spec=storage),
        _manifest(tenants, "v1", "Service", NAME, spec=service),
        _manifest(tenants, "networking.k8s.io/v1", "NetworkPolicy", NAME, spec=reached),
        _manifest(tenants, "apps/v1", "Deployment", NAME, spec=_deployment(tenants)),
    ]


def _manifest(tenants: Tenants, version: str, kind: str, name: str, **parts: Any) -> dict[str, Any]:
    labels = {**_SELECTOR, "app.kubernetes.io/managed-by": "mlrepro"}
    metadata = {"name": name, "namespace": tenants.instance.namespace, "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def _served(tenants: Tenants) -> list[tuple[str, list[Named], Named | None]]:
    """Each instance that it shows: its folder below the home, its tenants, and whose alone it is."""
    if tenants.isolated:
        return [(f"{tenant.name}/", [tenant], tenant) for tenant in tenants]
    return [("", list(tenants), None)]


def _home(tenants: Tenants) -> dict[str, str]:
    """The files of its home. Keys of a ConfigMap have no slashes."""
    files = {}
    for folder, served, only in _served(tenants):
        files[_key(folder, "dagster.yaml")] = as_yaml(_instance(tenants, only))
        servers = [
            {
                "grpc_server": {
                    "host": f"{code.name}.{tenant.namespace}.svc.cluster.local",
                    "port": code.port,
                    "location_name": code.name,
                }
            }
            for tenant in served
            for code in tenant.locations
        ]
        files[_key(folder, "workspace.yaml")] = as_yaml({"load_from": servers})
    return files


def _key(folder: str, name: str) -> str:
    return folder.replace("/", ".") + name


def _instance(tenants: Tenants, only: Named | None) -> dict[str, Any]:
    return {
        "storage": settings.storage(tenants, only, settings.password(settings.PASSWORD, only)),
        "compute_logs": settings.compute_logs(tenants, only),
        "run_coordinator": settings.run_coordinator(copies.FILE),
        "run_launcher": launcher.run_launcher(tenants, only, copies.FILE),
        "run_monitoring": {"enabled": True, **settings.MONITORING},
        "run_retries": settings.RETRIES,
        "telemetry": {"enabled": False},
    }


def _deployment(tenants: Tenants) -> dict[str, Any]:
    home = _ISOLATED_HOME if tenants.isolated else settings.DAGSTER_HOME
    # a change of code locations or settings takes a new pod; tenants.yaml is read again by itself
    digest = hashlib.sha256(as_yaml(_home(tenants)).encode()).hexdigest()
    pod = {
        "serviceAccountName": account(tenants),
        "automountServiceAccountToken": True,
        "securityContext": pods.POD_SECURITY,
        "containers": [_container(tenants, home)],
        "volumes": [
            copies.VOLUME,
            {"name": "home", "configMap": {"name": NAME, "items": _items(tenants)}},
            {"name": "audit", "persistentVolumeClaim": {"claimName": f"{NAME}-audit"}},
            {"name": "identity", "secret": {"secretName": IDENTITY, "optional": True, "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},  # one at a time writes the audit log
        "selector": {"matchLabels": _SELECTOR},
        "template": {"metadata": {"labels": _SELECTOR, "annotations": {"mlrepro/home": digest}}, "spec": pod},
    }


def _items(tenants: Tenants) -> list[dict[str, str]]:
    names = ("dagster.yaml", "workspace.yaml")
    return [
        {"key": _key(folder, name), "path": f"{folder}{name}"} for folder, _, _ in _served(tenants) for name in names
    ]


def _container(tenants: Tenants, home: str) -> dict[str, Any]:
    command = ["mlrepro", "webserver", "--tenants", copies.FILE, "--home", home, "--audit", f"{_AUDIT}/audit.jsonl"]
    workspace = [] if tenants.isolated else ["-w", f"{home}/workspace.yaml"]
    prefix = tenants.instance.path_prefix
    answers = {"httpGet": {"path": f"{prefix}/server_info", "port": "http"}, "timeoutSeconds": 3}
    return {
        "name": "webserver",
        "image": tenants.instance.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*command, *workspace, "-h", "0.0.0.0", "-p", str(PORT)],  # noqa: S104 - reached by its Service
        "env": [{"name": name, "value": value} for name, value in _variables(tenants, home).items()]
        + [_secret(tenants, only) for _, _, only in _served(tenants)]
        + [_PAGES],
        "envFrom": [{"secretRef": {"name": IDENTITY, "optional": True}}],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": {**answers, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {**answers, "periodSeconds": 10, "failureThreshold": 3},
        "livenessProbe": {**answers, "periodSeconds": 20, "failureThreshold": 6},
        "resources": _RESOURCES,
        "securityContext": pods.CONTAINER_SECURITY,
        "volumeMounts": [
            copies.MOUNT,
            {"name": "home", "mountPath": home, "readOnly": True},
            {"name": "audit", "mountPath": _AUDIT},
            {"name": "identity", "mountPath": SECRETS, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    }


def _variables(tenants: Tenants, home: str) -> dict[str, str]:
    told = {VARIABLE: copies.FILE} | settings.store_environment(tenants)
    return ({} if tenants.isolated else {"DAGSTER_HOME": home}) | told


def _secret(tenants: Tenants, only: Named | None) -> dict[str, Any]:
    """The database's password; of isolated tenants one each, under the tenant's name."""
    key = "postgresql-password" if only is None else only.name
    reference = {"name": tenants.instance.postgres.secret, "key": key}
    return {"name": settings.password(settings.PASSWORD, only), "valueFrom": {"secretKeyRef": reference}}
