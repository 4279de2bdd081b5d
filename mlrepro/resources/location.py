"""Where the store is when nobody says: environment first, then Dagster's own home."""

import os
from pathlib import Path

from mlrepro.errors import StoreError

FOLDER = "mlrepro"
"""Name of the store's folder inside DAGSTER_HOME."""


def default_store_url(instance_folder: str | None = None) -> str:
    """Find the store: ``MLREPRO_STORE``, else the folder ``mlrepro`` in ``DAGSTER_HOME``.

    Args:
        instance_folder: Folder of the Dagster instance at hand, for a run whose instance has no DAGSTER_HOME
            (`dagster dev` without one, or a test). Such a store lives as long as the instance does.

    Raises:
        StoreError: If none of them is set.

    Example:
        >>> os.environ["MLREPRO_STORE"] = "s3://ml/store"
        >>> default_store_url()
        's3://ml/store'
    """
    if url := os.environ.get("MLREPRO_STORE"):
        return url
    if home := os.environ.get("DAGSTER_HOME"):
        return str(Path(home).expanduser() / FOLDER)
    if instance_folder:
        return str(Path(instance_folder) / FOLDER)
    raise StoreError(
        "no store is configured: set MLREPRO_STORE to a folder or URL (s3://bucket/prefix), set DAGSTER_HOME,"
        " or name one with --store URL or ReproStore(url=...)"
    )


def default_read_scopes() -> tuple[str, ...]:
    """Name the scopes that are read besides the own one: ``MLREPRO_READ_SCOPES=shared,pricing``, else ``shared``.

    Example:
        >>> default_read_scopes()
        ('shared',)
    """
    said = os.environ.get("MLREPRO_READ_SCOPES")
    return ("shared",) if said is None else tuple(name.strip() for name in said.split(",") if name.strip())


def default_scope() -> str:
    """Name the scope whose histories are ours: ``MLREPRO_SCOPE``, else ``default``.

    Example:
        >>> default_scope()
        'default'
    """
    return os.environ.get("MLREPRO_SCOPE") or "default"
