"""Serving an application at an address, until it is told to stop."""

import errno
import socket

import uvicorn
from starlette.types import ASGIApp

from mlrepro.errors import WebserverError


def listen(host: str, port: int) -> socket.socket:
    """Take an address.

    Args:
        host: Name or address of this machine.
        port: The port. 0: any that is free.

    Raises:
        WebserverError: Somebody else has it, or it is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, protocol)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise WebserverError(f"port {port} of {host} is taken: name another by --port") from error
        raise WebserverError(f"can't listen at {host}, port {port}: {error.strerror or error}") from error
    taken.set_inheritable(True)
    return taken


def serve(app: ASGIApp, listening: socket.socket, *, log_level: str) -> None:
    """Serve an application at an address, until Ctrl-C or SIGTERM.

    Args:
        app: The application.
        listening: The address.
        log_level: Of uvicorn.
    """
    config = uvicorn.Config(app, log_level=log_level, server_header=False)
    uvicorn.Server(config).run(sockets=[listening])
