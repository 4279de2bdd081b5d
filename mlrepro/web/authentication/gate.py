"""The gate: nothing of Dagster sees a request before it is known whose it is."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlrepro.errors import ForeignRequestError, IdentityUnavailableError, NotAuthenticatedError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.tenants_file import TenantsFile
from mlrepro.web.authentication.answers import UNAVAILABLE, answer, wants_page
from mlrepro.web.authentication.authenticator import EXPIRES_KEY, IDENTITY_KEY, READ_ONLY_KEY, Authenticator
from mlrepro.web.authentication.ending import run_until
from mlrepro.web.authentication.login import Login
from mlrepro.web.authentication.origins import SAFE_METHODS, check_media_type, check_origin
from mlrepro.web.authentication.pages import LoginPages
from mlrepro.web.authentication.session import SessionEndedError

NOT_AUTHENTICATED: Final = 4401
"""Code that a websocket is closed with that nobody vouches for, or not any more."""

NO_ROLE: Final = 4403
"""Code that a websocket is closed with whose user may not open it."""

TRY_LATER: Final = 1013
"""Code that a websocket is closed with of which can't be said now whose it is."""

NO_ROLE_TITLE: Final = "No role"

_logger = logging.getLogger("mlrepro")


class _Refused(Exception):  # noqa: N818 -- an answer, not a mistake
    def __init__(
        self, status: int, title: str, text: str, challenge: str = "", *, login: bool = False, reason: str = ""
    ) -> None:
        super().__init__(text)
        self.status, self.title, self.text, self.challenge, self.login = status, title, text, challenge, login
        self.reason = reason or text


class Gate:
    """ASGI middleware that lets through whom somebody vouches for, and who has a role.

    Args:
        app: What is behind it.
        tenants: Who has which role.
        authenticators: The ways to know who asks, in the order in which they are tried.
        public_url: The site as browsers know it.
        path_prefix: What every path of the site begins with.
        login: Where browsers log in.
        recheck: Seconds after which an open websocket's user is looked at again.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tenants: TenantsFile,
        authenticators: Sequence[Authenticator],
        public_url: str | None = None,
        path_prefix: str = "",
        login: Login | None = None,
        recheck: float = 30.0,
    ) -> None:
        self._app = app
        self._tenants = tenants
        self._authenticators = authenticators
        self._public_url = public_url
        self._prefix = path_prefix
        self._login = login
        self._pages = (
            LoginPages(login, tenants, public_url=public_url, path_prefix=path_prefix) if login and public_url else None
        )
        self._recheck = recheck

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        for key in (IDENTITY_KEY, READ_ONLY_KEY, EXPIRES_KEY):
            scope.pop(key, None)
        path = scope["path"].removeprefix(self._prefix) if self._prefix else scope["path"]
        if scope["type"] == "http" and (opened := await self._opened(scope, path, receive)) is not None:
            await opened(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            identity = await self._identity(connection, path)
        except _Refused as refused:
            await self._refuse(connection, refused, receive, send)
            return
        scope[IDENTITY_KEY] = identity
        scope[READ_ONLY_KEY] = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        if identity.expires is not None:
            scope[EXPIRES_KEY] = identity.expires
        if scope["type"] == "websocket":
            over = partial(self._over, connection, path, identity)
            await run_until(self._app, scope, receive, send, over=over)
        else:
            await self._app(scope, receive, send)

    async def _opened(self, scope: Scope, path: str, receive: Receive) -> ASGIApp | None:
        """What answers at the few places that are open to everybody."""
        if scope["method"] in {"GET", "HEAD"} and path == "/healthz":
            return PlainTextResponse("ok\n")
        if scope["method"] in {"GET", "HEAD"} and path == "/server_info":
            return self._app
        if path == "/auth" or path.startswith("/auth/"):
            if self._pages is None:
                return PlainTextResponse("nobody logs in here\n", 404)
            request = Request(dict(scope), receive)
            scope["query_string"] = b""  # the server's access log shows it, and it may hold a code
            return await self._pages.answer(request, path)
        return None

    async def _identity(self, connection: HTTPConnection, path: str) -> Identity:
        try:
            for authenticator in self._authenticators:
                identity = await authenticator.identify(connection)
                if identity is not None:
                    break
            else:
                raise _Refused(401, "Not logged in", "no credentials were sent", "Bearer", login=True)
            if authenticator.ambient:
                self._check_sender(connection, path)
        except NotAuthenticatedError as error:
            ended = isinstance(error, SessionEndedError)
            raise _Refused(401, "Not logged in", str(error), 'Bearer error="invalid_token"', login=ended) from error
        except IdentityUnavailableError as error:
            raise _Refused(503, "Try again later", UNAVAILABLE, reason=str(error)) from error
        except ForeignRequestError as error:
            raise _Refused(403, "Refused", str(error)) from error
        if not self._tenants.tenants.roles(identity.user, identity.groups):
            raise _Refused(403, NO_ROLE_TITLE, _known_as(identity))
        return identity

    def _check_sender(self, connection: HTTPConnection, path: str) -> None:
        if connection.scope["type"] == "websocket" or connection.scope["method"] not in SAFE_METHODS:
            check_origin(connection, self._public_url)
            # with an instance for each tenant, each has its own
            if path.endswith("/graphql") and connection.scope["type"] == "http":
                check_media_type(connection)

    async def _over(self, connection: HTTPConnection, path: str, identity: Identity) -> Message:
        """Wait until an open websocket's user would not be let in any more."""
        while True:
            left = math.inf if identity.expires is None else identity.expires - time.time()
            await asyncio.sleep(max(0.0, min(self._recheck, left)))
            reason = "the session has ended"
            if identity.expires is None or identity.expires > time.time():
                try:
                    found = await self._identity(connection, path)
                except _Refused as refused:
                    if refused.status == 503:
                        continue  # who was let in stays until it is known that they may not
                    reason = refused.text
                else:
                    if found == identity:
                        continue
                    reason = "user or groups changed"
            _logger.warning(f"closed the websocket {path[:200]!r} of {identity.user!r}: {reason}")
            return {"type": "websocket.close", "code": NOT_AUTHENTICATED, "reason": "not logged in any more"}

    async def _refuse(self, connection: HTTPConnection, refused: _Refused, receive: Receive, send: Send) -> None:
        scope = connection.scope
        client = connection.client.host if connection.client else "an unknown address"
        what = scope.get("method", "websocket")
        invited = refused.login and self._login is not None and wants_page(connection)
        told = f"refused {what} {scope['path'][:200]!r} from {client}: {refused.status}, {refused.reason}"
        _logger.log(logging.INFO if invited else logging.WARNING, told)
        if scope["type"] == "websocket":
            code = NOT_AUTHENTICATED if refused.status == 401 else NO_ROLE if refused.status == 403 else TRY_LATER
            await send({"type": "websocket.close", "code": code, "reason": refused.title})
            return
        if invited and self._login is not None:
            response: Response = self._login.invitation(connection)
        else:
            more = self._pages.log_out if self._pages is not None and refused.title == NO_ROLE_TITLE else ""
            response = answer(connection, refused.status, refused.title, refused.text, more=more)
            if refused.challenge:
                response.headers["WWW-Authenticate"] = refused.challenge
        await response(scope, receive, send)


def _known_as(identity: Identity) -> str:
    groups = ", ".join(sorted(identity.groups)[:20]) or "none"
    return (
        f"you are known as {identity.user} (groups: {groups}), and tenants.yaml gives that user no role: "
        "ask those who keep it"
    )
