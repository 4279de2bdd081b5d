"""Running the code server of a location in this process, until it is told to end."""

import errno
import json
import logging
import signal
import socket as sockets
import threading
from typing import Any

from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.server import DagsterGrpcServer
from dagster._utils.log import configure_loggers

from mlrepro.bundles.code_server import INTERVAL, BundleApiServicer
from mlrepro.bundles.version_server import Settings
from mlrepro.errors import BundleError
from mlrepro.store import Store

_LOGGER = "dagster.code_server"


def serve(
    location: str,
    store: Store,
    *,
    port: int | None = None,
    socket: str | None = None,
    host: str = "localhost",
    interval: float = INTERVAL,
    max_workers: int | None = None,
    image: str | None = None,
    container_context: str | None = None,
    inject_env_vars: bool = False,
    startup_timeout: int = 0,
    log_level: str = "info",
) -> None:
    """Serve a code location until SIGINT or SIGTERM; then runs that its servers execute are waited for.

    Args:
        location: The code location.
        store: Where its history and bundles are.
        port: Port to serve on.
        socket: Or a socket.
        host: Address to serve on.
        interval: Seconds between two looks at the history.
        max_workers: Threads that serve.
        image: Default image of what is launched.
        container_context: Configuration of containers, as JSON.
        inject_env_vars: Whether the instance's environment variables are loaded.
        startup_timeout: Seconds that a version may take to load; 0 for no limit.
        log_level: Of this server and those of the versions.

    Raises:
        BundleError: An argument is no good, or the port is taken.
    """
    if (port is None) == (socket is None):
        raise BundleError("name the port to serve on (-p 4000), or a socket (-s PATH), and not both")
    if port is not None:
        _check_free(host, port)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupt)
    configure_loggers(formatter="colored", log_level=log_level.upper())
    logger = logging.getLogger(_LOGGER)
    ending = threading.Event()
    settings = Settings(
        location,
        image=image,
        container_context=_context(container_context),
        inject_env_vars=inject_env_vars,
        startup_timeout=startup_timeout,
        log_level=log_level.lower(),
    )
    logger.info(f"Code server of {location} on {f'port {port}' if port else socket}, from {store.url}")
    try:
        servicer = BundleApiServicer(store, settings, logger=logger, server_termination_event=ending, interval=interval)
        DagsterGrpcServer(
            server_termination_event=ending,
            dagster_api_servicer=servicer,
            logger=logger,
            port=port,
            socket=socket,
            host=host,
            threadpool_executor=FuturesAwareThreadPoolExecutor(max_workers=max_workers),
        ).serve()
    except KeyboardInterrupt:
        logger.info(f"Code server of {location} was interrupted")


def _interrupt(*_: object) -> None:
    """End, once the runs have; a second signal while they are waited for ends this process at once."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    raise KeyboardInterrupt


def _check_free(host: str, port: int) -> None:
    """With gRPC several servers may share a port: requests would go to one or the other, and nobody would be told."""
    try:
        addresses = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM)
    except (OSError, OverflowError) as error:
        raise BundleError(f"{host}:{port} is no address to serve on: {error}") from error
    for family, kind, protocol, _, address in addresses:
        with sockets.socket(family, kind, protocol) as tried:
            tried.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            try:
                tried.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise BundleError(f"port {port} of {host} is taken: name another by -p") from error
                if error.errno == errno.EADDRNOTAVAIL and len(addresses) > 1:
                    continue  # localhost has an address of IPv6 where there is no IPv6
                raise BundleError(f"{host}:{port} can't be served on: {error.strerror}") from error


def _context(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        read = json.loads(text)
    except ValueError as error:
        raise BundleError(f"--container-context is no JSON: {error}") from error
    if not isinstance(read, dict):
        raise BundleError("--container-context has to be a JSON object")
    return read
