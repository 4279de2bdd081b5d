"""Nobody is asked who they are: only on this machine, and only under its own name."""

import ipaddress
import socket
from typing import Final

from starlette.requests import HTTPConnection

from mlrepro.errors import NotAuthenticatedError, TenantsError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.identity_settings import IdentitySettings, NoneSettings

_NAMES: Final = frozenset({"localhost", "localhost."})
_OF_PROXIES: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def check_address(host: str | None, settings: IdentitySettings) -> None:
    """Refuse to listen where others could come in without being asked who they are.

    Args:
        host: Name or address to listen on; None or empty for all of the machine's.
        settings: ``identity:`` of ``tenants.yaml``.

    Raises:
        TenantsError: It is not this machine's loopback, and ``identity.none`` lets everybody in.

    Example:
        ``check_address("127.0.0.1", settings)``
    """
    if settings.none is None:
        return
    addresses = _addresses(host)
    foreign = [address for address in addresses if not address.is_loopback]
    if foreign or not addresses:
        shown = f"{host!r}" if host else "every address of this machine"
        named = f", which is {foreign[0]}" if foreign and str(foreign[0]) != host else ""
        told = f"identity.none lets everybody in as {settings.none.user}, so it is refused on {shown}{named}"
        raise TenantsError(f"{told}: listen on 127.0.0.1, or set up another way to know who asks")


class LocalAuthenticator:
    """Takes everybody on this machine for one user.

    Args:
        settings: Who that is.
    """

    ambient = True  # any page in a browser on this machine can send requests

    def __init__(self, settings: NoneSettings) -> None:
        self._user = settings.user

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """The one user."""
        # a page of evil.example whose name was made to lead to 127.0.0.1 is the same site for the browser, but
        # the name shows
        hosts = connection.headers.getlist("host")
        if len(hosts) != 1 or not _is_loopback_name(_without_port(hosts[0])):
            raise NotAuthenticatedError("without login this site has no other name than localhost and 127.0.0.1")
        client = connection.client.host if connection.client is not None else ""
        if not _is_loopback_name(client) or any(name in connection.headers for name in _OF_PROXIES):
            raise NotAuthenticatedError("without login nobody is let in from another machine, or through a proxy")
        return Identity(self._user)


def _addresses(host: str | None) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if not host:
        return []
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TenantsError(f"{host!r} is no address of this machine: {error}") from error
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _without_port(host: str) -> str:
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name if not rest or rest.startswith(":") else host
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_loopback_name(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() in _NAMES
