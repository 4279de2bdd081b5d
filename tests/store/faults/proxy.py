"""A bad network: a proxy before a real S3 server that answers some requests wrongly, late or never."""

import asyncio
import contextlib
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

FAULTS: Mapping[str, float] = {
    "503 instead of asking the server": 0.07,
    "503 after the server did it": 0.05,
    "reset before the server was asked": 0.05,
    "reset after the server did it": 0.05,
    "no answer, and the server was not asked": 0.015,
    "no answer, and the server did it": 0.015,
    "half of the answer": 0.05,
}
"""How often each happens; 30 % of all requests meet one."""

_SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


@dataclass
class BadNetwork:
    """A network between a client and a server.

    Attributes:
        endpoint: Where the client finds it.
        met: How often each fault happened, and how often none did (``""``).
        only: What a request begins with that may meet a fault, such as ``b"PUT"``.
    """

    server: str
    only: bytes = b""
    faults: Mapping[str, float] = field(default_factory=lambda: FAULTS)
    seed: int = 0
    endpoint: str = ""
    met: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._choice = random.Random(self.seed)
        self._host, self._port = urlsplit(self.server).hostname, urlsplit(self.server).port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All requests of one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one_request(reader, writer):
                pass
        writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass a request on, or do what is worse. Whether the connection can be used again."""
        request = await _message(reader)
        faults = self.faults if request.startswith(self.only) else {}
        (fault,) = self._choice.choices([*faults, ""], [*faults.values(), 1 - sum(faults.values())])
        self.met[fault] += 1
        answer = b""
        if "instead" not in fault and "not asked" not in fault and "before" not in fault:
            answer = await self._ask(request)
        if fault.startswith("503"):
            head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(_SLOW_DOWN)}\r\n\r\n"
            writer.write(head.encode() + _SLOW_DOWN)
        elif fault.startswith("reset"):
            writer.transport.abort()
            return False
        elif fault.startswith("no answer"):
            await reader.read()  # until the client gives up
            return False
        elif fault == "half of the answer":
            head_length = answer.index(b"\r\n\r\n") + 4
            writer.write(answer[: head_length + (len(answer) - head_length) // 2 if answer[head_length:] else -4])
            await writer.drain()
            return False
        else:
            writer.write(answer)
        await writer.drain()
        return True

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=2**26)
        try:
            writer.write(request)
            return await _message(reader, to_head=request.startswith(b"HEAD"))
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader, *, to_head: bool = False) -> bytes:
    """One request or answer, whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    if to_head or re.match(rb"HTTP/1.1 (1..|204|304)", head):
        return head
    if _CHUNKED.search(head):
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            size = await reader.readuntil(b"\r\n")
            body += size + await reader.readexactly(int(size, 16) + 2)
        return head + body
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length.group(1))) if length else b"")


@contextlib.contextmanager
def bad_network(server: str, **settings: object) -> Iterator[BadNetwork]:
    """A network that is bad while the block lasts."""
    network = BadNetwork(server, **settings)  # type: ignore[arg-type]
    loop = asyncio.new_event_loop()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(network.serve, "127.0.0.1", 0, limit=2**26)

    listening = loop.run_until_complete(listen())
    network.endpoint = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield network
    finally:
        listening.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
