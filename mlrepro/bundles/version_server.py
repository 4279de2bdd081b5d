"""The process that serves one workflow version: Dagster's own gRPC server on the bundle's extracted tree."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dagster._api.get_server_id import sync_get_server_id
from dagster._api.list_repositories import sync_list_repositories_grpc
from dagster._core.instance.ref import InstanceRef
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.client import DagsterGrpcClient, client_heartbeat_thread
from dagster._grpc.constants import GrpcServerCommand
from dagster._grpc.server import GrpcServerProcess

from mlrepro.bundles.extracting import NO_BYTECODE, bundle_cache, fetch, keep
from mlrepro.catalog.workflows import WorkflowVersion
from mlrepro.errors import BundleError
from mlrepro.store import Store
from mlrepro.workflow_names import BUNDLE, WORKFLOW_VERSION

CONTEXT: Final = "mlrepro"
"""Key in the container context, which Dagster keeps with each run: the version that it was submitted with."""


@dataclass(frozen=True)
class Settings:
    """How the processes of versions are started; what `dagster code-server start` takes.

    Attributes:
        location: The code location.
        cache: Where bundles are extracted.
        instance: The instance to pass on; by default each finds its own.
        image: Default image of what the servers launch.
        container_context: Configuration of containers that they launch.
        heartbeat_ttl: Seconds after which a server whose parent is gone ends, once its runs have.
        startup_timeout: Seconds that one may take to load; 0 for no limit.
        log_level: Of their logs.
        inject_env_vars: Whether the instance's environment variables are loaded.
    """

    location: str
    cache: Path = field(default_factory=bundle_cache)
    instance: InstanceRef | None = None
    image: str | None = None
    container_context: Mapping[str, Any] = field(default_factory=dict)
    heartbeat_ttl: int = 30
    startup_timeout: int = 0
    log_level: str = "info"
    inject_env_vars: bool = False


class VersionServer:
    """A running server of one version. It is told to end with `retire`, and ends once the runs that it executes have.

    Args:
        version: What it serves.
        store: Where the bundle is.
        settings: How it is started.

    Raises:
        BundleError: The bundle can't be had.
        DagsterUserCodeProcessError: The definitions do not load.
    """

    def __init__(self, version: WorkflowVersion, store: Store, settings: Settings) -> None:
        self.version = version
        self.users = 0
        self.retired = False
        self._cache = settings.cache
        if version.bundle is None:
            raise BundleError(f"{version.name} has no code bundle: its image {version.image} serves it")
        digest = version.bundle.content_hash
        tree = fetch(store, digest, settings.cache)
        with _Surroundings({BUNDLE: digest, WORKFLOW_VERSION: version.name, **NO_BYTECODE}):
            self.process = GrpcServerProcess(
                instance_ref=settings.instance,
                server_command=GrpcServerCommand.API_GRPC,
                location_name=settings.location,
                loadable_target_origin=LoadableTargetOrigin(
                    module_name=version.module,
                    attribute=version.attribute,
                    working_directory=str(tree / version.import_from),
                ),
                heartbeat=True,
                heartbeat_timeout=settings.heartbeat_ttl,
                startup_timeout=settings.startup_timeout,
                cwd=str(tree),
                log_level=settings.log_level,
                inject_env_vars_from_instance=settings.inject_env_vars,
                container_image=version.image or settings.image,
                container_context=container_context(settings.container_context, version, settings.cache),
            )
        self.client: DagsterGrpcClient = self.process.create_client()
        self._ended = threading.Event()
        self._heartbeat = threading.Thread(
            target=client_heartbeat_thread,
            args=(self.client, self._ended),
            name=f"heartbeat-{version.name}",
            daemon=True,
        )
        self._heartbeat.start()
        try:
            # the process answers, whether its code has loaded or not
            sync_list_repositories_grpc(self.client)
            self.id = sync_get_server_id(self.client)
        except BaseException:
            self.retire()
            raise

    def keep(self) -> None:
        """Note that the tree is in use."""
        if self.version.bundle is not None:
            keep(self._cache, self.version.bundle.content_hash)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.server_process.poll() is None

    def retire(self) -> None:
        """Have it end as soon as the runs that it executes have ended."""
        self._ended.set()
        self.process.shutdown_server()

    def wait(self) -> None:
        """Wait until it has ended."""
        self._heartbeat.join()
        self.process.wait()


def container_context(given: Mapping[str, Any], version: WorkflowVersion, cache: Path) -> dict[str, Any]:
    """What Dagster keeps with each run of a version, and what containers that are launched for it get.

    Pods extract the bundle to the same path, as Dagster looks for the code where the server had it.

    Args:
        given: The user's own.
        version: The version.
        cache: Where bundles are extracted.

    Example:
        >>> version = WorkflowVersion("pricing", 1, {"of": 1, "digest": "", "module": "m"})
        >>> container_context({"docker": {}}, version, Path("/c"))["mlrepro"]
        {'workflow_version': 'pricing@v1', 'number': 1}
    """
    digest = None if version.bundle is None else version.bundle.content_hash
    variables = {WORKFLOW_VERSION: version.name}
    if digest is not None:
        variables |= {BUNDLE: digest, "MLREPRO_BUNDLE_CACHE": str(cache)}
    pods = dict(given.get("k8s") or {})
    pods["env"] = [*pods.get("env", ()), *({"name": name, "value": value} for name, value in variables.items())]
    said = {"workflow_version": version.name, "number": version.of} | ({} if digest is None else {"bundle": digest})
    return {**given, "k8s": pods, CONTEXT: said}


class _Surroundings:
    """Environment variables while a process is started: Dagster hands this process's own on. One at a time."""

    _lock: Final = threading.Lock()

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __enter__(self) -> None:
        self._lock.acquire()
        self._before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._lock.release()
