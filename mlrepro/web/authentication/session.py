"""What a browser keeps of a login: who somebody is and until when, signed, in a cookie that no script reads."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from itsdangerous import BadData, URLSafeSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from mlrepro.errors import NotAuthenticatedError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.identity_settings import OidcSettings

LOGIN_SECONDS: Final = 600
"""How long somebody may take to log in at the provider."""

_LARGEST: Final = 4000
_SHORTEST_SECRET: Final = 32
_MOST_LOGINS: Final = 8


class SessionEndedError(NotAuthenticatedError):
    """A browser's session is over, or was made with other settings: logging in again helps."""


class Cookies:
    """Signed cookies of one site.

    Args:
        secret: What they are signed with.
        purpose: What they are good for; those of another purpose are not taken, though the secret is the same.
        secure: Whether the site is reached by https.
    """

    def __init__(self, secret: str, *, purpose: str, secure: bool) -> None:
        self._secret = secret
        self._purpose = purpose
        self._secure = secure

    def name(self, kind: str) -> str:
        """A cookie's name. Browsers take ``__Host-`` from this very host only, and over https only."""
        return f"{'__Host-' if self._secure else ''}mlrepro-{kind}"

    def put(self, response: Response, kind: str, content: Mapping[str, Any], *, seconds: int) -> None:
        """Give a browser a cookie.

        Raises:
            NotAuthenticatedError: It would be larger than browsers take.
        """
        value = self._serializer(kind).dumps({**content, "expires": time.time() + seconds})
        if len(value) > _LARGEST:
            raise NotAuthenticatedError(
                "user and groups are longer than a cookie may be: leave groups out at the provider"
            )
        response.set_cookie(
            self.name(kind), str(value), max_age=seconds, secure=self._secure, httponly=True, samesite="lax"
        )

    def get(self, connection: HTTPConnection, kind: str) -> dict[str, Any] | None:
        """What a cookie holds, None where there is none.

        Raises:
            SessionEndedError: It is too old, or not of this site.
        """
        value = connection.cookies.get(self.name(kind))
        if not value:
            return None
        try:
            content = self._serializer(kind).loads(value)
        except BadData:
            raise SessionEndedError("the cookie was not signed here, or with another secret") from None
        if content["expires"] <= time.time():
            raise SessionEndedError("the session has ended")
        return dict(content)

    def remove(self, response: Response, kind: str) -> None:
        """Have a browser forget a cookie."""
        response.delete_cookie(self.name(kind), secure=self._secure, httponly=True, samesite="lax")

    def _serializer(self, kind: str) -> URLSafeSerializer:
        signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeSerializer(self._secret, salt=f"{kind} {self._purpose}", signer_kwargs=signer)


def cookies_of(settings: OidcSettings, *, public_url: str, folder: Path) -> Cookies:
    """The cookies of a site.

    Args:
        settings: Whose logins they are of; those of another provider or client are not taken.
        public_url: The site as browsers know it.
        folder: Where paths of secrets begin.

    Raises:
        TenantsError: The secret is not there, or is too short.
    """
    secret = settings.session_secret.read(
        folder=folder, field="identity.oidc.session_secret", shortest=_SHORTEST_SECRET
    )
    purpose = f"{settings.issuer} {settings.client_id}"
    return Cookies(secret, purpose=purpose, secure=public_url.startswith("https:"))


class SessionAuthenticator:
    """Knows those who logged in here.

    Args:
        cookies: The site's.
    """

    ambient = True

    def __init__(self, cookies: Cookies) -> None:
        self._cookies = cookies

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """Whose request this is, as they logged in."""
        held = self._cookies.get(connection, "session")
        return Identity(held["user"], frozenset(held["groups"]), held["expires"]) if held else None


def forget_logins(request: HTTPConnection, response: Response, cookies: Cookies) -> None:
    """Have a browser forget the logins that it began, where these are many: their cookies go with each request."""
    begun = [name for name in request.cookies if name.startswith(cookies.name("login-"))]
    for name in begun if len(begun) >= _MOST_LOGINS else ():
        cookies.remove(response, name.removeprefix(cookies.name("")))


def login_kind(state: str) -> str:
    """Kind of the cookie of one login that was begun, so that two tabs do not spoil each other's."""
    return f"login-{hashlib.sha256(state.encode()).hexdigest()[:8]}"


def same(one: str, other: object) -> bool:
    """Whether two secrets are the same, in a time that tells nothing of them."""
    return isinstance(other, str) and hmac.compare_digest(one.encode(), other.encode())
