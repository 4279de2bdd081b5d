"""`mlrepro code-server`: Dagster's proxy of a code server, with the workflow history in the place of the reload button.

A version that the history names is started beside the one that serves; when it answers, requests go to it. The old one
ends after the runs that it executes. A run that waited in the queue goes to a server of the version that it was
submitted with, which is in its record.
"""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from dagster._core.errors import DagsterUserCodeProcessError
from dagster._core.instance import DagsterInstance
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.client import DEFAULT_GRPC_TIMEOUT
from dagster._grpc.proxy_server import DagsterProxyApiServicer
from dagster._grpc.types import (
    CanCancelExecutionRequest,
    ExecuteExternalJobArgs,
    ListRepositoriesResponse,
    StartRunResult,
)
from dagster._record import copy
from dagster._serdes import deserialize_value, serialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from mlrepro.bundles import service_state
from mlrepro.bundles.server_id import ServerId
from mlrepro.bundles.service_state import HISTORY, Problem
from mlrepro.bundles.version_server import CONTEXT, Settings, VersionServer
from mlrepro.catalog.workflows import WorkflowVersion, current_version, unknown_location, workflow_version
from mlrepro.errors import BundleError, MlreproError, UnknownVersionError
from mlrepro.store import Store
from mlrepro.workflow_names import WORKFLOW_VERSION_TAG

INTERVAL: Final = 2.0
"""Seconds between two looks at the history."""

_AGAIN: Final = 30.0
"""Seconds after which a version that could not be served is tried again."""

_IDLE: Final = 60.0
"""Seconds that the server of an earlier version waits for the next run from the queue."""


class BundleApiServicer(DagsterProxyApiServicer):
    """Serves the version that a code location's history names.

    Args:
        store: Where the history and the bundles are.
        settings: How servers are started.
        logger: Takes what happens.
        server_termination_event: Set when the server is to end.
        interval: Seconds between two looks at the history.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        logger: logging.Logger,
        server_termination_event: threading.Event,
        interval: float = INTERVAL,
    ) -> None:
        self._store = store
        self._settings = settings
        self._interval = interval
        self._current: VersionServer | None = None
        self._others: dict[int, tuple[VersionServer, threading.Timer]] = {}
        self._servers_lock = threading.Lock()
        self._number = 0
        self._failed: tuple[int, float] | None = None
        self._problem: Problem | None = None
        self._id = ServerId()
        self._wake = threading.Event()
        super().__init__(
            loadable_target_origin=LoadableTargetOrigin(),  # each version has one of its own
            fixed_server_id=None,
            container_image=settings.image,
            container_context=dict(settings.container_context),
            inject_env_vars_from_instance=settings.inject_env_vars,
            location_name=settings.location,
            log_level=settings.log_level,
            startup_timeout=settings.startup_timeout,
            server_termination_event=server_termination_event,
            instance_ref=settings.instance,
            logger=logger,
            server_heartbeat=False,
            server_heartbeat_timeout=30,
            heartbeat_ttl=settings.heartbeat_ttl,
            defs_state_info=None,
        )
        self._following = threading.Thread(target=self._follow, name="workflow-history", daemon=True)
        self._following.start()

    @property
    def served(self) -> WorkflowVersion | None:
        """The version that is served now."""
        return None if self._current is None else self._current.version

    # Following the history

    def _reload_location(self) -> None:
        """Dagster calls this once at the start."""
        self._move()

    def ReloadCode(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 -- Dagster's names
        """The reload button: look at the history now, and start the version anew."""
        self._failed = None
        self._move(anew=True)
        return dagster_api_pb2.ReloadCodeReply()

    def _follow(self) -> None:
        while not self._server_termination_event.is_set():
            self._wake.wait(self._interval)
            if self._server_termination_event.is_set() or self._shutdown_once_executions_finish_event.is_set():
                return
            self._move()
            if self._current is not None:
                self._current.keep()

    def _move(self, *, anew: bool = False) -> None:
        """Serve what the history names; whatever goes wrong leaves what is served in service."""
        with self._reload_lock:
            if self._shutdown_once_executions_finish_event.is_set():
                return
            try:
                wanted = current_version(self._store, self._settings.location)
                if wanted is None:
                    raise unknown_location(self._store, self._settings.location)
            except MlreproError:
                self._say_failed(HISTORY, "can't be followed")
                return
            serving = self._current
            if wanted.number < self._number:
                # an entry that can't be read any more is no reason to go back
                wanted = serving.version if serving is not None else wanted
            self._number = max(self._number, wanted.number)
            if serving is not None and not anew and serving.is_alive and serving.version.of == wanted.of:
                self._say_well(serving)
                return
            if self._was_tried(wanted.number):
                return
            try:
                server = self._start(wanted)
            except Exception:  # noqa: BLE001 -- whatever the project raises while it loads
                self._failed = (wanted.number, time.monotonic() + _AGAIN)
                self._say_failed(f"v{wanted.of}", "can't be served")
                return
            self._switch(server)

    def _was_tried(self, number: int) -> bool:
        return self._failed is not None and self._failed[0] == number and time.monotonic() < self._failed[1]

    def _start(self, version: WorkflowVersion) -> VersionServer:
        server = VersionServer(version, self._store, self._settings)
        # so that Dagster's own shutting down waits for it
        self._grpc_server_registry._all_processes.append(server.process)
        return server

    def _switch(self, server: VersionServer) -> None:
        with self._servers_lock:
            old, self._current = self._current, server
            self._client = server.client  # type: ignore[assignment]  # Dagster declares no types for it
            self._load_error = None
            self._failed = self._problem = None
            idle = old is not None and self._may_retire(old)
        self._announce()
        self._logger.info(f"Serving {server.version.name} of code location {self._settings.location}")
        if old is not None and idle:
            old.retire()

    def _say_failed(self, what: str, why: str) -> None:
        """Tell the log and, by the location's libraries, the UI that something is not served."""
        raised = sys.exception()
        if isinstance(raised, DagsterUserCodeProcessError) and raised.user_code_process_error_infos:
            error = raised.user_code_process_error_infos[0]
        else:
            error = serializable_error_info_from_exc_info(sys.exc_info())
        serving = "nothing is served" if self._current is None else f"{self._current.version.name} stays in service"
        cause = str(raised) if isinstance(raised, MlreproError) else _innermost(error).message.strip()
        before, self._problem = self._problem, Problem(what, f"{why}, {serving}: {cause}")
        if self._current is None:
            self._load_error = error  # type: ignore[assignment]  # Dagster declares no types for it
        if self._problem != before and self._current is None and isinstance(raised, UnknownVersionError):
            self._logger.warning(f"Waiting for a first version: {raised}; it is served as soon as it is there")
        elif self._problem != before:
            self._logger.error(f"{self._settings.location}@{what} {self._problem.told}")
        if before is None or before.what != what:
            self._announce()

    def _say_well(self, serving: VersionServer) -> None:
        """What is wanted is served: what could not be is wanted no more, or was read in the end."""
        if self._problem is not None:
            self._failed = self._problem = None
            self._announce()
            self._logger.info(f"{serving.version.name} of code location {self._settings.location} is what is wanted")

    def _announce(self) -> None:
        """Have webserver and daemon load the location again."""
        server = "" if self._current is None else self._current.id
        self._id.follow(f"{server}/{self._problem.what if self._problem else ''}")

    # Requests

    @contextlib.contextmanager
    def _using(self) -> Iterator[VersionServer]:
        """The server that serves, which is not ended meanwhile."""
        with self._servers_lock:
            server = self._current
            if server is None:
                raise BundleError(f"{self._settings.location} serves nothing yet")
            server.users += 1
        try:
            yield server
        finally:
            self._release(server)

    def _release(self, server: VersionServer) -> None:
        with self._servers_lock:
            server.users -= 1
            idle = server is not self._current and self._may_retire(server)
        if idle:
            server.retire()

    def _may_retire(self, server: VersionServer) -> bool:
        """Whether nobody uses a server any more; true once. Under the lock."""
        if server.users or server.retired:
            return False
        server.retired = True
        return True

    def _query(self, api_name: str, request: Any, _context: Any, timeout: int = DEFAULT_GRPC_TIMEOUT) -> Any:
        with self._using() as server:
            return server.client._get_response(api_name, request, timeout)

    def _streaming_query(
        self, api_name: str, request: Any, _context: Any, timeout: int = DEFAULT_GRPC_TIMEOUT
    ) -> Iterator[Any]:
        with self._using() as server:
            yield from server.client._get_streaming_response(api_name, request, timeout)

    def Ping(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer for oneself, so that the location's error is shown where nothing can be served."""
        if self._current is None:
            return dagster_api_pb2.PingReply(echo=request.echo)
        return self._query("Ping", request, context)

    def GetServerId(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 -- Dagster's names
        """When the id changes, webserver and daemon load the location again."""
        return dagster_api_pb2.GetServerIdReply(server_id=self._id.current)

    def ListRepositories(self, request: Any, context: Any) -> Any:  # noqa: N802 -- Dagster's name
        """What the version's server says, and what is served."""
        reply = super().ListRepositories(request, context)  # type: ignore[no-untyped-call]
        said = deserialize_value(reply.serialized_list_repositories_response_or_error)
        serving, problem = self._current, self._problem
        if serving is None or not isinstance(said, ListRepositoriesResponse):
            return reply
        libraries = {
            **(said.dagster_library_versions or {}),
            **service_state.libraries(self._settings.location, serving.version.name, problem),
        }
        told = serialize_value(copy(said, dagster_library_versions=libraries))
        return dagster_api_pb2.ListRepositoriesReply(serialized_list_repositories_response_or_error=told)

    # Runs

    def StartRun(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 -- Dagster's names
        """Launch a run with the version that it was submitted with."""
        arguments = deserialize_value(request.serialized_execute_run_args, ExecuteExternalJobArgs)
        if self._shutdown_once_executions_finish_event.is_set():
            return _not_started("the code server is shutting down")
        try:
            assert arguments.instance_ref is not None
            with DagsterInstance.from_ref(arguments.instance_ref) as instance:
                run = instance.get_run_by_id(arguments.run_id)
                with self._server_for(run) as server:
                    # by this server, which executes it: what is served by the time that somebody asks is another thing
                    instance.add_run_tags(arguments.run_id, {WORKFLOW_VERSION_TAG: server.version.name})
                    self._run_clients[arguments.run_id] = server.client
                    return server.client._get_response("StartRun", request)
        except MlreproError as error:
            return _not_started(str(error))
        except Exception:  # noqa: BLE001 -- the launcher is told, and the run fails with it
            return _not_started(None, serializable_error_info_from_exc_info(sys.exc_info()))

    def CanCancelExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Ask the server that executes the run, which may not be the one that serves."""
        asked = deserialize_value(request.serialized_can_cancel_execution_request, CanCancelExecutionRequest)
        client = self._run_clients.get(asked.run_id)
        if client is None:
            return self._query("CanCancelExecution", request, context)
        return client._get_response("CanCancelExecution", request)

    @contextlib.contextmanager
    def _server_for(self, run: DagsterRun | None) -> Iterator[VersionServer]:
        number = submitted_with(run)
        with self._servers_lock:
            server = self._current
            if server is not None and number in {None, server.version.of} and server.is_alive:
                server.users += 1
            else:
                server = None
        if server is None:
            server = self._earlier(number)
        try:
            yield server
        finally:
            self._release(server)

    def _earlier(self, number: int | None) -> VersionServer:
        """A server of a version that is not the one served, kept for the next run from the queue; it is in use."""
        if number is None:
            raise BundleError(f"{self._settings.location} serves nothing: mlrepro push makes a version")
        with self._reload_lock:
            with self._servers_lock:
                kept = self._others.pop(number, None)
                if kept is not None:
                    kept[1].cancel()
                server = kept[0] if kept is not None and kept[0].is_alive else None
                current = self._current
                if server is None and current is not None and current.is_alive and current.version.of == number:
                    server = current  # it came back meanwhile
            if server is None:
                try:
                    server = self._start(workflow_version(self._store, self._settings.location, number))
                except MlreproError as error:
                    raise BundleError(
                        f"the run was submitted with {self._settings.location}@v{number}, which can't be served any"
                        f" more: {error}. Launch it again to run it with what is served now"
                    ) from error
                server.users += 1  # for as long as it is kept
            with self._servers_lock:
                server.users += 1
                if server is not self._current:
                    timer = threading.Timer(_IDLE, self._forget, (number, server))
                    timer.daemon = True
                    self._others[number] = (server, timer)
                    timer.start()
            return server

    def _forget(self, number: int, server: VersionServer) -> None:
        with self._servers_lock:
            kept = self._others.get(number)
            if kept is None or kept[0] is not server:
                return
            del self._others[number]
        self._release(server)

    def cleanup(self) -> None:
        """End: the servers first, each after its runs."""
        self._shutdown_once_executions_finish_event.set()
        self._wake.set()
        with self._servers_lock:
            timers = [timer for _, timer in self._others.values()]
            servers = [server for server, _ in self._others.values()]
            servers += [self._current] if self._current is not None else []
            self._others.clear()
        for timer in timers:
            timer.cancel()
        for server in servers:
            server.retire()
        super().cleanup()  # type: ignore[no-untyped-call]
        self._following.join()


def submitted_with(run: DagsterRun | None) -> int | None:
    """The version that a run's record names, None where it was submitted to something else."""
    if run is None or run.job_code_origin is None:
        return None
    context = run.job_code_origin.repository_origin.container_context or {}
    number = (context.get(CONTEXT) or {}).get("number")
    return number if type(number) is int else None


def _not_started(message: str | None, error: SerializableErrorInfo | None = None) -> Any:
    result = StartRunResult(success=False, message=message, serializable_error_info=error)
    return dagster_api_pb2.StartRunReply(serialized_start_run_result=serialize_value(result))


def _innermost(error: SerializableErrorInfo) -> SerializableErrorInfo:
    while error.cause is not None:
        error = error.cause
    return error
