"""Websockets live longer than rights: one whose user has lost theirs is closed."""

from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlrepro.web.people import People
from mlrepro.web.scope import identity_of

_NO_ROLE: Final = 4403


class LiveAccess:
    """ASGI middleware that looks again, at each message of a websocket, whether its user may see it.

    Args:
        app: What the websocket talks to.
        people: Who may do what.
        tenant: Whose instance it is; None where all share it.
    """

    def __init__(self, app: ASGIApp, *, people: People, tenant: str | None) -> None:
        self._app = app
        self._people = people
        self._tenant = tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on until then."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        if not self._may(scope):
            await send({"type": "websocket.close", "code": _NO_ROLE, "reason": "No role"})
            return
        closed = False

        async def watched(message: Message) -> None:
            nonlocal closed
            if closed:
                return
            if message["type"] == "websocket.send" and not self._may(scope):
                closed = True
                await send({"type": "websocket.close", "code": _NO_ROLE, "reason": "No role"})
                return
            await send(message)

        await self._app(scope, receive, watched)

    def _may(self, scope: Scope) -> bool:
        identity = identity_of(HTTPConnection(scope))
        if identity is None:
            return False
        return self._people.may_see(self._people.access(identity, read_only=True), self._tenant)
