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
        "env": [{"name": name, "value": value} for name, value in settings.pod_environment(tenants, tenant).items()],
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
    return {
        "storage": settings.storage(tenants, tenant, settings.PASSWORD),
        "compute_logs": settings.compute_logs(tenants, tenant),
        "run_launcher": {
            "module": "dagster_k8s",
            "class": "K8sRunLauncher",
            "config": _pods_of(tenants, tenant.namespace, tenant.service_account),
        },
        "telemetry": {"enabled": False},
    }


def run_launcher(tenants: Tenants, only: Named | None, tenants_file: str) -> dict[str, Any]:
    """The launcher of daemon and webserver, which holds each run to its tenant.

    The chart's own settings of a launcher do not reach one of another class, so all of them are here. Those of the
    tenant come before them.
    """
    namespace, account = tenants.instance.namespace, "default"  # may do nothing
    if only is not None:
        namespace, account = only.namespace, only.service_account
    config = {
        "tenants_file": tenants_file,
        "load_incluster_config": True,
        **_pods_of(tenants, namespace, account),
        "run_k8s_config": {
            "container_config": {"security_context": pods.CONTAINER_SECURITY},
            "pod_spec_config": {"security_context": pods.POD_SECURITY},
        },
    }
    return {"module": "mlrepro.tenancy.launcher", "class": "TenantRunLauncher", "config": config}


def _pods_of(tenants: Tenants, namespace: str, account: str) -> dict[str, Any]:
    made = settings.chart_name(tenants)
    return {
        "dagster_home": settings.DAGSTER_HOME,
        "instance_config_map": f"{made}-instance",
        "postgres_password_secret": tenants.instance.postgres.secret,
        "env_config_maps": [f"{made}-pipeline-env"],
        "job_namespace": namespace,
        "service_account_name": account,
        "image_pull_policy": "IfNotPresent",
    }
