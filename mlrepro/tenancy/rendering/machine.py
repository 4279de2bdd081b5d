"""``workspace.yaml`` and ``dagster.yaml`` for a single machine."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlrepro.tenancy.location import CodeLocation
from mlrepro.tenancy.model import Named, Tenants
from mlrepro.tenancy.rendering import settings
from mlrepro.tenancy.rendering.text import yaml_file


def machine_files(tenants: Tenants) -> Iterator[tuple[str, str]]:
    """Each file's path and text: one pair for all, or a pair for each tenant where they are isolated."""
    if not tenants.isolated:
        yield from _pair("machine", tenants, list(tenants), None)
        return
    for tenant in tenants:
        yield from _pair(f"machine/{tenant.name}", tenants, [tenant], tenant)


def _pair(folder: str, tenants: Tenants, served: Sequence[Named], only: Named | None) -> Iterator[tuple[str, str]]:
    dagster = {
        "storage": settings.storage(tenants, only, settings.password("DAGSTER_POSTGRES_PASSWORD", only)),
        "compute_logs": settings.compute_logs(tenants, only),
        "run_coordinator": settings.run_coordinator(),
        "run_monitoring": {"enabled": True, **settings.MONITORING},
        "run_retries": settings.RETRIES,
        "telemetry": {"enabled": False},
    }
    about = [
        "Copy to $DAGSTER_HOME/dagster.yaml of the webserver, the daemon and every code server.",
        "Webserver and daemon are to run with MLREPRO_TENANTS, the path of tenants.yaml: they read it at work.",
    ]
    yield f"{folder}/dagster.yaml", yaml_file(dagster, about=about)
    entries = [_entry(location) for tenant in served for location in tenant.locations]
    needed = [f"{tenant.name}: {_variables(tenants, tenant)}" for tenant in served]
    about = ["Its code servers are to run with these variables, and with credentials of the tenant's own:", *needed]
    yield f"{folder}/workspace.yaml", yaml_file({"load_from": entries}, about=about)


def _variables(tenants: Tenants, tenant: Named) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.environment(tenants, tenant).items())


def _entry(location: CodeLocation) -> dict[str, Any]:
    if location.module is None:
        # of bundles it is `mlrepro code-server NAME -p PORT`
        host = location.host or ("localhost" if location.bundle else location.name)
        return {"grpc_server": {"host": host, "port": location.port, "location_name": location.name}}
    module = {"module_name": location.module, "location_name": location.name}
    folder = {"working_directory": location.working_directory} if location.working_directory else {}
    return {"python_module": module | folder}
