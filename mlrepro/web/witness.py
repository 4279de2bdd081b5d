"""Writes down whom the gate, and the servers behind it, turned away."""

import threading
from typing import Final

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlrepro.errors import AuditError
from mlrepro.web.audit import AUDITED_KEY, AuditLog
from mlrepro.web.scope import identity_of, why_refused

_REFUSALS: Final = {401: "not authenticated", 403: "not allowed"}
_CLOSINGS: Final = {4401: "not authenticated", 4403: "not allowed"}
_LONGEST_PATH: Final = 200


class Witness:
    """ASGI middleware, before the gate, that writes refusals to the audit log.

    Anybody can be refused as often as they like. So that nobody fills the disk by it, which would stop everybody's
    mutations, a second has room for some refusals; how many more there were is said in the next entry.

    Args:
        app: The gate, and all behind it.
        audit: The audit log.
        most: How many refusals a second are written.
    """

    def __init__(self, app: ASGIApp, *, audit: AuditLog, most: int = 20) -> None:
        self._app = app
        self._audit = audit
        self._most = RateLimitItemPerSecond(most)
        self._pace = FixedWindowRateLimiter(MemoryStorage())
        self._lock = threading.Lock()
        self._left_out = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and look at the answer."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def seen(message: Message) -> None:
            why = why_refused(HTTPConnection(scope))
            if message["type"] == "http.response.start":
                why = why or _REFUSALS.get(message["status"])
            elif message["type"] == "websocket.close":
                why = why or _CLOSINGS.get(message.get("code", 0))
            if why is not None and not scope.get(AUDITED_KEY):
                self._write(scope, why)
            await send(message)

        await self._app(scope, receive, seen)

    def _write(self, scope: Scope, why: str) -> None:
        with self._lock:
            if not self._pace.hit(self._most):
                self._left_out += 1
                return
            left_out, self._left_out = self._left_out, 0
        connection = HTTPConnection(scope)
        target: dict[str, object] = {"path": scope["path"][:_LONGEST_PATH]}
        if left_out:
            target["left_out_before"] = left_out
        try:
            self._audit.asked(
                "request",
                connection=connection,
                identity=identity_of(connection),
                target=target,
                tenants=[],
                refused=why,
            )
        except AuditError:
            return  # it was refused, so nothing is done that would have to be known
