"""The gate: nothing of Dagster sees a request before it is known whose it is."""

import logging
from collections.abc import Sequence
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mlrepro.errors import ForeignRequestError, IdentityUnavailableError, NotAuthenticatedError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.tenants_file import TenantsFile
from mlrepro.web.authentication.answers import answer
from mlrepro.web.authentication.authenticator import EXPIRES_KEY, IDENTITY_KEY, READ_ONLY_KEY, Authenticator
from mlrepro.web.authentication.origins import SAFE_METHODS, check_media_type, check_origin

NOT_AUTHENTICATED: Final = 4401
"""Code that a websocket is closed with that nobody vouches for, or not any more."""

NO_ROLE: Final = 4403
"""Code that a websocket is closed with whose user may not open it."""

_logger = logging.getLogger("mlrepro")


class _Refused(Exception):  # noqa: N818
    def __init__(self, status: int, title: str, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.title, self.text, self.headers = status, title, text, headers or {}


class Gate:
    """ASGI middleware that lets through whom somebody vouches for, and who has a role.

    Args:
        app: What is behind it.
        tenants: Who has which role.
        authenticators: The ways to know who asks, in the order in which they are tried.
        public_url: The site as browsers know it.
        path_prefix: What every path of the site begins with.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tenants: TenantsFile,
        authenticators: Sequence[Authenticator],
        public_url: str | None = None,
        path_prefix: str = "",
    ) -> None:
        self._app = app
        self._tenants = tenants
        self._authenticators = authenticators
        self._public_url = public_url
        self._prefix = path_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        for key in (IDENTITY_KEY, READ_ONLY_KEY, EXPIRES_KEY):
            scope.pop(key, None)
        connection = HTTPConnection(scope)
        method = scope.get("method", "GET")
        path = scope["path"].removeprefix(self._prefix) if self._prefix else scope["path"]
        if scope["type"] == "http" and method in {"GET", "HEAD"} and path in {"/healthz", "/server_info"}:
            if path == "/healthz":
                await PlainTextResponse("ok\n")(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        try:
            identity = await self._identity(connection, path)
        except _Refused as refused:
            await self._refuse(connection, refused, receive, send)
            return
        scope[IDENTITY_KEY] = identity
        scope[READ_ONLY_KEY] = scope["type"] == "http" and method in SAFE_METHODS
        if identity.expires is not None:
            scope[EXPIRES_KEY] = identity.expires
        await self._app(scope, receive, send)

    async def _identity(self, connection: HTTPConnection, path: str) -> Identity:
        try:
            for authenticator in self._authenticators:
                identity = await authenticator.identify(connection)
                if identity is not None:
                    break
            else:
                raise _Refused(401, "Not logged in", "no credentials were sent", {"WWW-Authenticate": "Bearer"})
            if authenticator.ambient:
                self._check_sender(connection, path)
        except NotAuthenticatedError as error:
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise _Refused(401, "Not logged in", str(error), headers) from error
        except IdentityUnavailableError as error:
            raise _Refused(503, "Try again later", str(error), {"Retry-After": "10"}) from error
        except ForeignRequestError as error:
            raise _Refused(403, "Refused", str(error)) from error
        if not self._tenants.tenants.roles(identity.user, identity.groups):
            raise _Refused(403, "No role", _known_as(identity))
        return identity

    def _check_sender(self, connection: HTTPConnection, path: str) -> None:
        if connection.scope["type"] == "websocket" or connection.scope["method"] not in SAFE_METHODS:
            check_origin(connection, self._public_url)
            if path == "/graphql" and connection.scope["type"] == "http":
                check_media_type(connection)

    async def _refuse(self, connection: HTTPConnection, refused: _Refused, receive: Receive, send: Send) -> None:
        scope = connection.scope
        client = connection.client.host if connection.client else "an unknown address"
        what = scope.get("method", "websocket")
        _logger.warning(f"refused {what} {scope['path'][:200]!r} from {client}: {refused.status}, {refused.text}")
        if scope["type"] == "websocket":
            code = NOT_AUTHENTICATED if refused.status == 401 else NO_ROLE if refused.status == 403 else 1013
            await send({"type": "websocket.close", "code": code, "reason": refused.title})
            return
        response: Response = answer(connection, refused.status, refused.title, refused.text)
        response.headers.update(refused.headers)
        await response(scope, receive, send)


def _known_as(identity: Identity) -> str:
    groups = ", ".join(sorted(identity.groups)[:20]) or "none"
    return (
        f"you are known as {identity.user} (groups: {groups}), and tenants.yaml gives that user no role: "
        "ask those who keep it"
    )
