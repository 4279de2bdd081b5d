"""JSON Web Tokens that a proxy adds, once it knows who asks."""

from dataclasses import replace

from starlette.requests import HTTPConnection

from mlrepro.errors import NotAuthenticatedError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.identity_settings import JwtSettings
from mlrepro.tenancy.token_file import PREFIX
from mlrepro.web.authentication.headers import bearer, header
from mlrepro.web.authentication.issuer import Issuer
from mlrepro.web.authentication.verifying import Verifier, identity_of


class JwtAuthenticator:
    """Believes the tokens of an issuer, whoever brings them.

    Args:
        settings: Where a token stands, and what it must say.
    """

    ambient = True  # the proxy adds it to whatever a browser sends with the proxy's own cookie

    def __init__(self, settings: JwtSettings) -> None:
        self._settings = settings
        self._verifier = Verifier(settings, settings.audience, Issuer(settings))

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """Whose request this is, as the issuer says."""
        name = self._settings.header
        token = bearer(connection) if name.lower() == "authorization" else header(connection, name)
        if token is None or token.startswith(PREFIX):
            return None
        if not token:
            raise NotAuthenticatedError(f"header {name} holds no token")
        claims = await self._verifier.claims(token)
        return replace(identity_of(claims, self._settings), expires=float(claims["exp"]) + self._settings.leeway)
