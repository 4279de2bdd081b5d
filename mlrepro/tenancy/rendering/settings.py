"""Parts of a ``dagster.yaml`` that a machine, the chart and a tenant's namespace have in common."""

from typing import Any, Final

from mlrepro.tenancy.location import CodeLocation
from mlrepro.tenancy.model import Named, Tenants

DAGSTER_HOME: Final = "/opt/dagster/dagster_home"
PASSWORD: Final = "DAGSTER_PG_PASSWORD"  # noqa: S105 - the name that dagster-k8s gives it
_LOGS: Final = "dagster"
UPLOAD_INTERVAL: Final = 30
"""Seconds until the UI shows what a running step has printed."""

MONITORING: Final = {
    "start_timeout_seconds": 900,  # longer than a stuck pod is waited for, which says what keeps it
    "cancel_timeout_seconds": 180,
    "poll_interval_seconds": 30,
}
RETRIES: Final = {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """The parts of a URL such as ``s3://bucket/prefix``; the prefix may be empty.

    Example:
        >>> bucket_and_prefix("s3://ml/mlrepro")
        ('ml', 'mlrepro')
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, prefix


def logs_place(tenants: Tenants, tenant: Named | None) -> tuple[str, str]:
    """Bucket and prefix of captured output: of all together, or of one tenant where they are isolated."""
    bucket, prefix = bucket_and_prefix(tenants.instance.bucket.logs)
    prefix = prefix or _LOGS
    return bucket, f"{prefix}/{tenant.name}" if tenants.isolated and tenant is not None else prefix


def database(tenants: Tenants, tenant: Named | None) -> tuple[str, str]:
    """Database and user of Dagster's storage: of all together, or of one tenant where they are isolated."""
    postgres = tenants.instance.postgres
    if not tenants.isolated or tenant is None:
        return postgres.database, postgres.user
    own = tenant.name.replace("-", "_")
    return f"{postgres.database}_{own}", f"{postgres.user}_{own}"


def password(variable: str, tenant: Named | None) -> str:
    """The environment variable with a database's password: one each where tenants are isolated.

    The webserver, which logs in to all of them, has one environment.
    """
    return variable if tenant is None else f"{variable}_{tenant.name.upper().replace('-', '_')}"


def storage(tenants: Tenants, tenant: Named | None, password: str) -> dict[str, Any]:
    """PostgreSQL; the password comes from an environment variable."""
    postgres = tenants.instance.postgres
    name, user = database(tenants, tenant)
    return {
        "postgres": {
            "postgres_db": {
                "username": user,
                "password": {"env": password},
                "hostname": postgres.host,
                "port": postgres.port,
                "db_name": name,
            }
        }
    }


def compute_logs(tenants: Tenants, tenant: Named | None) -> dict[str, Any]:
    """Captured output in the bucket."""
    bucket, prefix = logs_place(tenants, tenant)
    told = tenants.instance.bucket
    config = {
        "bucket": bucket,
        "prefix": prefix,
        "region": told.region,
        "skip_empty_files": True,
        "upload_interval": UPLOAD_INTERVAL,
    }
    return {
        "module": "dagster_aws.s3.compute_log_manager",
        "class": "S3ComputeLogManager",
        "config": config | ({"endpoint_url": told.endpoint} if told.endpoint else {}),
    }


def daemon_account(tenants: Tenants) -> str:
    """As whom webserver and daemon run. In a tenant's own namespace that is somebody else than its pods."""
    name = tenants.instance.service_account
    return f"{name}-daemon" if tenants.isolated else name


def run_coordinator(tenants_file: str | None = None) -> dict[str, Any]:
    """Who queues runs. Its limits are in ``tenants.yaml``, which it reads at work."""
    # a code location that is moved or started again costs no run: one that can't be started waits, and is tried again
    config: dict[str, Any] = {"max_user_code_failure_retries": 3, "user_code_failure_retry_delay": 20}
    if tenants_file:
        config["tenants_file"] = tenants_file
    return {"module": "mlrepro.tenancy.coordinator", "class": "TenantRunCoordinator", "config": config}


def chart_name(tenants: Tenants) -> str:
    """How the names begin of what Dagster's chart makes."""
    release = tenants.instance.release
    return release if "dagster" in release else f"{release}-dagster"


def environment(tenants: Tenants, tenant: Named) -> dict[str, str]:
    """Environment variables of a tenant's code: its scope, its store, its bucket."""
    own = {
        "MLREPRO_TENANT": tenant.name,
        "MLREPRO_SCOPE": tenant.scope,
        "MLREPRO_READ_SCOPES": ",".join(scope for scope in tenant.readable if scope != tenant.scope),
    }
    prefix = tenants.instance.path_prefix  # without one, a tenant's code links to /mlrepro by itself
    pages = {"MLREPRO_PAGES": f"{prefix}/mlrepro"} if prefix else {}
    return own | pages | store_environment(tenants)


def store_environment(tenants: Tenants) -> dict[str, str]:
    """Environment variables that say where the store is."""
    bucket = tenants.instance.bucket
    told = {"MLREPRO_STORE": bucket.store, "AWS_REGION": bucket.region, "AWS_DEFAULT_REGION": bucket.region}
    return told | ({"AWS_ENDPOINT_URL": bucket.endpoint} if bucket.endpoint else {})


def pod_environment(tenants: Tenants, tenant: Named) -> dict[str, str]:
    """The same for pods, whose steps are pods too."""
    return environment(tenants, tenant) | {"MLREPRO_EXECUTOR": "kubernetes"}


def bundle_server(location: CodeLocation) -> dict[str, str]:
    """Environment variables of a pod that serves bundles: what `mlrepro code-server`, which the image starts, is told.

    Pods of runs and steps extract bundles to the same path, as Dagster looks for the code where the server had it.
    """
    return {
        "MLREPRO_CODE_LOCATION": location.name,
        "MLREPRO_BUNDLE_CACHE": bundle_cache(DAGSTER_HOME),
        "DAGSTER_CODE_SERVER_HOST": "0.0.0.0",  # noqa: S104 - network policies say who gets there
        "DAGSTER_CODE_SERVER_PORT": str(location.port),
    }


def bundle_cache(home: str) -> str:
    """Where pods have bundles, below their ``DAGSTER_HOME``, which has to be writable anyway."""
    return f"{home}/bundles"
