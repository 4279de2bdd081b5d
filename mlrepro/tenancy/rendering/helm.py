"""Values for Dagster's charts: ``dagster`` for the instance, ``dagster-user-deployments`` for each tenant's code.

Each tenant's code servers are a release of their own in its namespace. They tell Dagster where their runs and steps are
to start, and as whom: there, too.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mlrepro.tenancy.location import CodeLocation
from mlrepro.tenancy.model import Named, Tenants
from mlrepro.tenancy.names import CODE_RELEASE
from mlrepro.tenancy.rendering import copies, launcher, pods, settings
from mlrepro.tenancy.rendering.text import yaml_file
from mlrepro.tenancy.tenants_file import VARIABLE

# who reads the context: the server that the chart starts, or whichever an image starts by itself
_CONTEXT_OF: Final = {
    True: ("DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT",),
    False: ("DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT", "DAGSTER_CONTAINER_CONTEXT"),
}


def helm_files(tenants: Tenants) -> Iterator[tuple[str, str]]:
    """Each file's path and text."""
    release = tenants.instance.release
    if not tenants.isolated:
        about = [f"helm upgrade --install {release} dagster/dagster -n {tenants.instance.namespace} -f THIS"]
        yield "helm/dagster.yaml", yaml_file(_instance(tenants, list(tenants), None), about=about)
    for tenant in tenants:
        if tenants.isolated:
            about = [f"helm upgrade --install {release} dagster/dagster -n {tenant.namespace} -f THIS"]
            yield f"helm/{tenant.name}.dagster.yaml", yaml_file(_instance(tenants, [tenant], tenant), about=about)
        chart = "dagster/dagster-user-deployments"
        about = [f"helm upgrade --install {CODE_RELEASE} {chart} -n {tenant.namespace} -f THIS"]
        yield f"helm/{tenant.name}.code.yaml", yaml_file(_code(tenants, tenant), about=about)


def _instance(tenants: Tenants, served: Sequence[Named], only: Named | None) -> dict[str, Any]:
    instance = tenants.instance
    database, user = settings.database(tenants, only)
    image = {"image": _image(instance.image)} if instance.image else {}
    servers = [
        {"host": f"{code.name}.{tenant.namespace}.svc.cluster.local", "port": code.port, "name": code.name}
        for tenant in served
        for code in tenant.locations
    ]
    security = {"podSecurityContext": pods.POD_SECURITY, "securityContext": pods.CONTAINER_SECURITY}
    return {
        "global": {"postgresqlSecretName": instance.postgres.secret, "dagsterHome": settings.DAGSTER_HOME},
        "serviceAccount": {"create": True, "name": settings.daemon_account(tenants), "annotations": {}},
        **({"rbacEnabled": False} if only else {}),
        "dagsterWebserver": {
            **image,
            "replicaCount": 0,  # the manifests have one that asks who somebody is
            **security,
            "workspace": {"enabled": True, "servers": servers},
        },
        "dagsterDaemon": {
            "enabled": True,
            **image,
            **security,
            "runCoordinator": {
                "enabled": True,
                "type": "CustomRunCoordinator",
                "config": {"customRunCoordinator": settings.run_coordinator(copies.FILE)},
            },
            "env": [{"name": VARIABLE, "value": copies.FILE}],
            "volumeMounts": [copies.MOUNT],
            "volumes": [copies.VOLUME],
            "runMonitoring": {
                "enabled": True,
                "startTimeoutSeconds": settings.MONITORING["start_timeout_seconds"],
                "cancelTimeoutSeconds": settings.MONITORING["cancel_timeout_seconds"],
                "pollIntervalSeconds": settings.MONITORING["poll_interval_seconds"],
            },
            "runRetries": {
                "enabled": settings.RETRIES["enabled"],
                "maxRetries": settings.RETRIES["max_retries"],
                "retryOnAssetOrOpFailure": settings.RETRIES["retry_on_asset_or_op_failure"],
            },
        },
        "dagster-user-deployments": {"enabled": True, "enableSubchart": False, "deployments": []},
        "runLauncher": {
            "type": "CustomRunLauncher",
            "config": {"customRunLauncher": launcher.run_launcher(tenants, only, copies.FILE)},
        },
        "computeLogManager": {"type": "S3ComputeLogManager", "config": {"s3ComputeLogManager": _logs(tenants, only)}},
        "postgresql": {
            "enabled": False,
            "postgresqlHost": instance.postgres.host,
            "postgresqlUsername": user,
            "postgresqlDatabase": database,
            "service": {"port": instance.postgres.port},
        },
        "generatePostgresqlPasswordSecret": False,
        "telemetry": {"enabled": False},
    }


def _logs(tenants: Tenants, only: Named | None) -> dict[str, Any]:
    config = settings.compute_logs(tenants, only)["config"]
    names = {
        "bucket": "bucket",
        "prefix": "prefix",
        "region": "region",
        "endpoint_url": "endpointUrl",
        "skip_empty_files": "skipEmptyFiles",
        "upload_interval": "uploadInterval",
    }
    return {names[name]: value for name, value in config.items()}


def _code(tenants: Tenants, tenant: Named) -> dict[str, Any]:
    return {
        "dagsterHome": settings.DAGSTER_HOME,
        "postgresqlSecretName": tenants.instance.postgres.secret,
        # the manifests beside this file make both, with fewer rights than the chart would give
        "serviceAccount": {"create": False, "name": tenant.service_account, "annotations": {}},
        "rbacEnabled": False,
        "deployments": [_deployment(tenants, tenant, location) for location in tenant.locations],
    }


def _deployment(tenants: Tenants, tenant: Named, location: CodeLocation) -> dict[str, Any]:
    image = location.image or tenants.instance.image
    args = ["-m", location.module] if location.module else location.args
    annotations = {"mlrepro/git-ref": location.git_ref} if location.git_ref else {}
    context = json.dumps({"k8s": launcher.container_context(tenants, tenant)}, sort_keys=True)
    variables = settings.pod_environment(tenants, tenant) | dict.fromkeys(_CONTEXT_OF[bool(args)], context)
    if location.bundle:
        variables |= settings.bundle_server(location)
    return {
        "name": location.name,
        **({"image": _image(image)} if image else {}),
        **({"dagsterApiGrpcArgs": args} if args else {}),
        "port": location.port,
        # what the chart would pass on lacks nodes, tolerations and security: the variables below pass on all of it
        "includeConfigInLaunchedRuns": {"enabled": False},
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "envSecrets": [{"name": secret} for secret in tenant.tenant.secrets],
        "labels": {"mlrepro/tenant": tenant.name},
        "annotations": annotations,
        "nodeSelector": pods.node_selector(tenant),
        "tolerations": pods.tolerations(tenant),
        "podSecurityContext": pods.POD_SECURITY,
        "securityContext": pods.CONTAINER_SECURITY,
        "resources": pods.step_resources(tenant),
    }


def _image(image: str) -> dict[str, str]:
    """As the chart has it, which puts a colon between repository and tag."""
    repository, at, digest = image.partition("@")
    if at:
        bare = repository.rpartition(":")[0] if ":" in repository.rpartition("/")[2] else repository
        algorithm, _, value = digest.partition(":")
        return {"repository": f"{bare}@{algorithm}", "tag": value, "pullPolicy": "IfNotPresent"}
    name, _, tag = image.rpartition(":")
    return {"repository": name, "tag": tag, "pullPolicy": "IfNotPresent"}
