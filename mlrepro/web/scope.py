"""What the gate leaves in a request's scope."""

from typing import Final

from starlette.requests import HTTPConnection

from mlrepro.tenancy.identity import Identity

IDENTITY_KEY: Final = "mlrepro.identity"
READ_ONLY_KEY: Final = "mlrepro.read_only"


def identity_of(connection: HTTPConnection) -> Identity | None:
    """Whose request it is; None where no gate let it through."""
    found = connection.scope.get(IDENTITY_KEY)
    return found if isinstance(found, Identity) else None


def is_read_only(connection: HTTPConnection) -> bool:
    """Whether it may change nothing: a link on any page can make a browser send a GET, or open a websocket.

    The gate says so of what it lets through; what it did not see is not believed either.
    """
    if connection.scope["type"] != "http" or connection.scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return True
    return bool(connection.scope.get(READ_ONLY_KEY, True))
