"""The webserver's application, put together: instances, code locations, guards, and who may come in."""

import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dagster import DagsterInstance, DagsterInvalidConfigError
from dagster import __version__ as dagster_version
from dagster._core.storage.cloud_storage_compute_log_manager import CloudStorageComputeLogManager
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_graphql import __version__ as dagster_graphql_version
from dagster_webserver.version import __version__ as dagster_webserver_version
from graphene import Schema
from starlette.types import ASGIApp

from mlrepro.errors import WebserverError
from mlrepro.resources.location import FOLDER
from mlrepro.tenancy import TenantsFile
from mlrepro.web.audit import AuditLog
from mlrepro.web.guarded_schema import guarded_schema
from mlrepro.web.pages import Site
from mlrepro.web.people import People
from mlrepro.web.server import IdentifiedWebserver
from mlrepro.web.sites import Sites
from mlrepro.web.workspace import ServedWorkspace
from mlrepro.workflow_names import location_of

_UNSET: Final = re.compile(r'environment variable "([^"]+)" which is not set')

_logger = logging.getLogger("mlrepro")

# as dagster-webserver sets them
_STATEMENT_TIMEOUT = 15_000
_POOL_RECYCLE = 3600
_POOL_MAX_OVERFLOW = 20


@dataclass(frozen=True)
class Settings:
    """Where the webserver finds what it serves.

    Attributes:
        tenants: ``tenants.yaml``.
        home: Folder with ``dagster.yaml``; of isolated tenants, folder with a folder for each.
        workspaces: ``workspace.yaml`` of the instance that all share. Default: the one in ``home``.
        audit: The audit log. Default: ``audit.jsonl`` in ``home``.
        path_prefix: What all paths begin with.
        code_server_log_level: Of code servers that are started here.
        live_data_poll_rate: How often the UI looks for news, in milliseconds.
    """

    tenants: TenantsFile
    home: Path
    workspaces: Sequence[Path] = field(default=())
    audit: Path | None = None
    path_prefix: str = ""
    code_server_log_level: str = "info"
    live_data_poll_rate: int = 2000


@contextlib.contextmanager
def application(settings: Settings) -> Iterator[tuple[ASGIApp, AuditLog]]:
    """Open all instances and code locations, and make the application. It believes the gate before it.

    Yields the application, and the audit log.

    Args:
        settings: Where everything is.

    Raises:
        WebserverError: Something is missing, or code locations and tenants do not fit together.
        AuditError: The audit log can't be written.
    """
    if not settings.home.is_dir():
        raise WebserverError(f"{settings.home} is no folder: --home names the one with dagster.yaml")
    people = People(settings.tenants)
    audit = AuditLog(settings.audit or settings.home / "audit.jsonl")
    schema = guarded_schema(audit)
    with contextlib.ExitStack() as stack:
        if people.tenants.isolated:
            yield _isolated(settings, people, schema, audit, stack), audit
        else:
            yield _shared(settings, people, schema, audit, stack), audit


def _shared(
    settings: Settings, people: People, schema: Schema, audit: AuditLog, stack: contextlib.ExitStack
) -> ASGIApp:
    files = list(settings.workspaces) or [settings.home / "workspace.yaml"]
    target = _target(files)
    names = _names(target, files)
    wanted = {location.name: each.name for each in people.tenants for location in each.locations}
    _check(names, wanted, files)
    for name in sorted(set(names) - set(wanted)):
        _logger.warning(f"code location {name} is no tenant's: everybody sees it, and only administrators touch it")
    context = stack.enter_context(_process_context(settings.home, target, settings))
    return _site(context, settings, people, schema, audit, tenant=None)


def _isolated(
    settings: Settings, people: People, schema: Schema, audit: AuditLog, stack: contextlib.ExitStack
) -> ASGIApp:
    if settings.workspaces:
        raise WebserverError(
            f"{settings.tenants.path} says isolated: each tenant's workspace.yaml is in its folder of {settings.home},"
            " so leave --workspace out"
        )
    targets = {}
    for each in people.tenants:
        home = settings.home / each.name
        if not (home / "dagster.yaml").is_file():
            raise WebserverError(
                f"tenant {each.name} has no {home / 'dagster.yaml'}: `mlrepro tenants render` makes machine/,"
                " which is what --home names"
            )
        files = [home / "workspace.yaml"]
        targets[each.name] = _target(files)
        names = _names(targets[each.name], files)
        _check(names, {location.name: each.name for location in each.locations}, files)
        for name in names:
            if (owner := people.tenants.owner(name)) != each.name:
                whose = f"tenant {owner}'s" if owner else "no tenant's"
                raise WebserverError(f"{files[0]} has code location {name}, which is {whose}: take it out")
    sites = {}
    for name, target in targets.items():
        context = stack.enter_context(_process_context(settings.home / name, target, settings))
        keep_copies_apart(context.instance, stack)
        sites[name] = _site(context, settings, people, schema, audit, tenant=name)
    info = {
        "dagster_webserver_version": dagster_webserver_version,
        "dagster_version": dagster_version,
        "dagster_graphql_version": dagster_graphql_version,
    }
    return Sites(sites, people=people, path_prefix=settings.path_prefix, info=info)


def _site(
    context: WorkspaceProcessContext,
    settings: Settings,
    people: People,
    schema: Schema,
    audit: AuditLog,
    *,
    tenant: str | None,
) -> ASGIApp:
    prefix = settings.path_prefix if tenant is None else f"{settings.path_prefix}/tenants/{tenant}"
    home = settings.home if tenant is None else settings.home / tenant
    store = os.environ.get("MLREPRO_STORE") or str(home.resolve() / FOLDER)
    return IdentifiedWebserver(
        context,
        people=people,
        schema=schema,
        audit=audit,
        tenant=tenant,
        path_prefix=prefix,
        live_data_poll_rate=settings.live_data_poll_rate,
        pages=Site(people=people, store=store, tenant=tenant, prefix=prefix),
    ).create_asgi_app()


def _target(files: Sequence[Path]) -> WorkspaceFileTarget:
    for file in files:
        if not file.is_file():
            raise WebserverError(f"{file} is not there: -w names a workspace.yaml, `mlrepro tenants render` makes one")
    return WorkspaceFileTarget(paths=[os.fspath(file) for file in files])


def _names(target: WorkspaceFileTarget, files: Sequence[Path]) -> list[str]:
    told = ", ".join(map(str, files))
    try:
        names = [origin.location_name for origin in target.create_origins()]
    except Exception as error:
        raise WebserverError(f"{told} can't be read: {_first_line(error)}") from error
    for name in names:
        if (of := location_of(name)) != name:
            # such names have the rights of the location that they are of
            raise WebserverError(f"{told} has code location {name}, which would be what {of} can't serve: rename it")
    return names


def _check(names: Sequence[str], wanted: dict[str, str], files: Sequence[Path]) -> None:
    for name, tenant in sorted(wanted.items()):
        if name not in names:
            told = ", ".join(map(str, files))
            raise WebserverError(
                f"tenant {tenant} has code location {name}, which {told} lacks: render it anew, or add the location"
            )


@contextlib.contextmanager
def _process_context(home: Path, target: WorkspaceFileTarget, settings: Settings) -> Iterator[WorkspaceProcessContext]:
    with _instance(home) as instance:
        instance.optimize_for_webserver(_STATEMENT_TIMEOUT, _POOL_RECYCLE, _POOL_MAX_OVERFLOW)
        with ServedWorkspace(
            instance,
            version=dagster_webserver_version,
            workspace_load_target=target,
            code_server_log_level=settings.code_server_log_level,
        ) as context:
            yield context


def _instance(home: Path) -> DagsterInstance:
    try:
        instance = DagsterInstance.from_config(os.fspath(home.resolve()))
        # Dagster makes these when they are first used, which would be within somebody's request
        for _ in (instance.run_coordinator, instance.run_launcher, instance.compute_log_manager, instance.scheduler):
            pass
    except Exception as error:
        # a mistake in the file, a variable that is not set, a database that is away: each has errors of its own
        raise WebserverError(f"the Dagster instance of {home} can't be opened: {_first_line(error)}") from error
    return instance


def keep_copies_apart(instance: DagsterInstance, stack: contextlib.ExitStack) -> None:
    """Give an instance a folder of its own for its copies of captured output that is in a bucket.

    Dagster puts those of every instance into the one folder for temporary files, by run: whoever knew another tenant's
    run could read the copy through their own instance.

    Args:
        instance: A tenant's.
        stack: Removes the folder in the end.
    """
    manager = instance.compute_log_manager
    if isinstance(manager, CloudStorageComputeLogManager):
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlrepro-logs-"))
        own = LocalComputeLogManager(folder)
        manager._local_manager = own  # type: ignore[attr-defined]  # Dagster's managers of buckets all have it
        assert manager.local_manager is own, "Dagster keeps its copies elsewhere by now"


def _first_line(error: Exception) -> str:
    if isinstance(error, DagsterInvalidConfigError):
        # its own first line shows the schema of the field, and not what is wrong
        text = "\n".join(each.message for each in error.errors)
        unset = sorted(set(_UNSET.findall(text)))
        if unset:
            return f"dagster.yaml takes {', '.join(unset)} from the environment, where it is not set"
        return next(iter(text.strip().splitlines()), type(error).__name__)
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
