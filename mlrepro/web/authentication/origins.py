"""Requests that another site made a browser send: refused where the browser adds credentials by itself."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from mlrepro.errors import ForeignRequestError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Links and pictures on any page send the first, with cookies."""

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def check_origin(connection: HTTPConnection, public_url: str | None) -> None:
    """Refuse what is not sent by a page of this site.

    Args:
        connection: A websocket's handshake, or a request with an unsafe method.
        public_url: The site as browsers know it. Default: what the ``Host`` header names.

    Raises:
        ForeignRequestError: Another site sent it, or nothing says that this one did.
    """
    if connection.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForeignRequestError("another site sent it, says Sec-Fetch-Site")
    origins = connection.headers.getlist("origin")
    if len(origins) != 1:
        told = "no Origin says which site sent it; programs take an API token" if not origins else "it has two Origins"
        raise ForeignRequestError(told)
    if not _same(origins[0], connection, public_url):
        own = f", and this one is {public_url}" if public_url else ""
        raise ForeignRequestError(f"the site {origins[0][:200]!r} sent it{own}")


def check_media_type(connection: HTTPConnection) -> None:
    """Refuse what an HTML form can send, to the GraphQL endpoint.

    Dagster takes ``text/plain; application/json`` for JSON, and reads the query of a form's URL.

    Raises:
        ForeignRequestError: It is no JSON.
    """
    sent = connection.headers.getlist("content-type")
    media_type = sent[0].partition(";")[0].strip().lower() if len(sent) == 1 else ""
    if media_type not in {"application/json", "application/graphql"}:
        raise ForeignRequestError("GraphQL is taken as application/json only")


def _same(origin: str, connection: HTTPConnection, public_url: str | None) -> bool:
    sent = _place(origin)
    if sent is None:
        return False
    if public_url is not None:
        return sent == _place(public_url)
    hosts = connection.headers.getlist("host")
    scheme, host, port = sent
    # whether TLS ends before this server is not known here, so https is as good as http; never the other way round
    secure = connection.scope.get("scheme") in {"https", "wss"}
    return (
        len(hosts) == 1
        and not (secure and scheme == "http")
        and _place(f"{scheme}://{hosts[0]}")
        == (
            scheme,
            host,
            port,
        )
    )


def _place(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None where a browser would never write it so."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or url != url.strip():
        return None
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]
