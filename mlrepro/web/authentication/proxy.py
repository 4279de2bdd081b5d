"""Headers of a proxy that shares a secret with the webserver."""

import hmac

from starlette.requests import HTTPConnection

from mlrepro.errors import NotAuthenticatedError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.identity_settings import ProxySettings
from mlrepro.web.authentication.headers import check_name, header


class ProxyAuthenticator:
    """Believes a proxy that knows the secret.

    Args:
        settings: Names of the headers.
        secret: What the proxy sends to prove that it is the proxy.
    """

    ambient = True

    def __init__(self, settings: ProxySettings, secret: str) -> None:
        self._settings = settings
        self._secret = secret.encode()

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """Whose request this is, as the proxy says."""
        names = self._settings
        secret = header(connection, names.secret_header)
        user = header(connection, names.user_header)
        groups = header(connection, names.groups_header) if names.groups_header else None
        if secret is None and user is None and groups is None:
            return None
        if secret is None:
            raise NotAuthenticatedError(f"{names.user_header} was sent without the proxy's {names.secret_header}")
        if not hmac.compare_digest(secret.encode(), self._secret):
            raise NotAuthenticatedError(f"{names.secret_header} holds another secret than the proxy's")
        if user is None:
            return None  # the proxy lets somebody through whom it does not know: other ways may
        return Identity(check_name(user, names.user_header), self._groups(groups or ""))

    def _groups(self, text: str) -> frozenset[str]:
        parts = (part.strip() for part in text.split(self._settings.groups_separator))
        return frozenset(check_name(part, f"a group in {self._settings.groups_header}") for part in parts if part)
