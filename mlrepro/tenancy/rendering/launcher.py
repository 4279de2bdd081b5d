"""How Dagster starts a tenant's runs and steps: the container context, and the launcher in its own namespace."""

from typing import Any

from mlrepro.tenancy.model import Named, Tenants
from mlrepro.tenancy.rendering import pods, settings


def container_context(tenants: Tenants, tenant: Named) -> dict[str, Any]:
    """What a code server tells Dagster of the pods that its runs are to be."""
    return {
        "namespace": tenant.namespace,
        "service_account_name": tenant.service_account,
        "image_pull_policy": "IfNotPresent",
        "env": [{"name": name, "value": value} for name, value in settings.environment(tenants, tenant).items()],
        "env_secrets": tenant.tenant.secrets,
        "labels": {"mlrepro/tenant": tenant.name},
        "resources": pods.step_resources(tenant),
        "run_k8s_config": {
            "container_config": {"security_context": pods.CONTAINER_SECURITY},
            "pod_spec_config": {
                "security_context": pods.POD_SECURITY,
                "node_selector": pods.node_selector(tenant),
                "tolerations": pods.tolerations(tenant),
            },
        },
    }


def instance_settings(tenants: Tenants, tenant: Named) -> dict[str, Any]:
    """The ``dagster.yaml`` that a tenant's run workers and steps read."""
    instance = tenants.instance
    return {
        "storage": settings.storage(tenants, tenant, "DAGSTER_PG_PASSWORD"),
        "compute_logs": settings.compute_logs(tenants, tenant),
        "run_launcher": {
            "module": "dagster_k8s",
            "class": "K8sRunLauncher",
            "config": {
                "dagster_home": settings.DAGSTER_HOME,
                "instance_config_map": f"{instance.release}-instance",
                "postgres_password_secret": instance.postgres.secret,
                "env_config_maps": [f"{instance.release}-pipeline-env"],
                "job_namespace": tenant.namespace,
                "service_account_name": tenant.service_account,
                "image_pull_policy": "IfNotPresent",
            },
        },
        "telemetry": {"enabled": False},
    }
