"""Who asks: identities are verified here, and nobody else gets past the gate."""

from collections.abc import Sequence
from pathlib import Path

from starlette.types import ASGIApp

from mlrepro.errors import TenantsError
from mlrepro.tenancy.identity_settings import IdentitySettings
from mlrepro.tenancy.tenants_file import TenantsFile
from mlrepro.web.authentication.authenticator import EXPIRES_KEY, IDENTITY_KEY, READ_ONLY_KEY, Authenticator
from mlrepro.web.authentication.gate import Gate
from mlrepro.web.authentication.json_web_token import JwtAuthenticator
from mlrepro.web.authentication.login import Login
from mlrepro.web.authentication.loopback import LocalAuthenticator, check_address
from mlrepro.web.authentication.proxy import ProxyAuthenticator
from mlrepro.web.authentication.redaction import hide_in_server_logs
from mlrepro.web.authentication.session import SessionAuthenticator, cookies_of
from mlrepro.web.authentication.tokens import TokenAuthenticator

__all__ = ["EXPIRES_KEY", "IDENTITY_KEY", "READ_ONLY_KEY", "Authenticator", "authenticators", "check_address", "gate"]

_SHORTEST_SECRET = 16


def gate(
    app: ASGIApp, tenants: TenantsFile, *, authenticators: Sequence[Authenticator] | None = None, path_prefix: str = ""
) -> ASGIApp:
    """Put the gate before an application. It is to be the outermost of all.

    What ``identity:`` says counts from the start of the program, who has which role as it is at each request.

    Args:
        app: What only those with an identity and a role are to reach.
        tenants: ``tenants.yaml``.
        authenticators: The ways to know who asks. Default: those of ``identity:``.
        path_prefix: What every path of the site begins with.

    Raises:
        TenantsError: ``identity:`` is missing, or names a secret that is not there.

    Example:
        ``uvicorn.run(gate(webserver, TenantsFile("tenants.yaml")))``
    """
    settings, folder = _settings(tenants), tenants.path.parent
    hide_in_server_logs(_secret_headers(settings))
    login = None
    if settings.oidc is not None and settings.public_url is not None:
        login = Login(settings.oidc, public_url=settings.public_url, folder=folder, path_prefix=path_prefix)
    return Gate(
        app,
        tenants=tenants,
        authenticators=_authenticators(settings, folder=folder) if authenticators is None else authenticators,
        public_url=settings.public_url,
        path_prefix=path_prefix,
        login=login,
    )


def authenticators(settings: IdentitySettings, *, folder: Path) -> list[Authenticator]:
    """The ways to know who asks, in the order in which they are tried.

    Args:
        settings: ``identity:`` of ``tenants.yaml``.
        folder: Where the paths in it begin: the folder of ``tenants.yaml``.

    Raises:
        TenantsError: A secret is not there, or is too short.
        TokensError: The file of API tokens can't be read.
    """
    found: list[Authenticator] = []
    if settings.tokens is not None:
        found.append(TokenAuthenticator(folder / settings.tokens.file))
    if settings.proxy is not None:
        secret = settings.proxy.secret.read(folder=folder, field="identity.proxy.secret", shortest=_SHORTEST_SECRET)
        found.append(ProxyAuthenticator(settings.proxy, secret))
    if settings.jwt is not None:
        found.append(JwtAuthenticator(settings.jwt))
    if settings.oidc is not None and settings.public_url is not None:
        cookies = cookies_of(settings.oidc, public_url=settings.public_url, folder=folder)
        found.append(SessionAuthenticator(cookies))
    if settings.none is not None:
        found.append(LocalAuthenticator(settings.none))
    return found


_authenticators = authenticators  # `gate` has an argument of the name


def _secret_headers(settings: IdentitySettings) -> list[str]:
    proxys = [settings.proxy.secret_header] if settings.proxy else []
    return [*proxys, *([settings.jwt.header] if settings.jwt else [])]


def _settings(tenants: TenantsFile) -> IdentitySettings:
    settings = tenants.tenants.identity
    if settings is None:
        raise TenantsError(f"{tenants.path} has no identity: it must say how the webserver knows who asks")
    return settings
