"""A way to a server that can be opened and closed: an outage, as clients see it."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Gate:
    """Listens at a port while it is open, and passes bytes on to the server behind it.

    Attributes:
        port: Where clients knock. While the gate is closed nobody listens there.
        behind: Port of the server.
    """

    port: int
    behind: int
    _listening: socket.socket | None = None
    _passing: list[socket.socket] = field(default_factory=list)

    def open(self) -> None:
        """Let clients through."""
        listening = socket.create_server(("127.0.0.1", self.port))
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def close(self) -> None:
        """Refuse new clients, and reset those that are talking."""
        if self._listening is not None:
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        for each in self._passing:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._listening, self._passing = None, []

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", self.behind))
                self._passing += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def closed_gate(behind: int) -> Iterator[Gate]:
    """A gate to a server's port that nobody has opened yet."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    gate = Gate(port, behind)
    try:
        yield gate
    finally:
        gate.close()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]
