"""What the gate leaves in a request's scope."""

from starlette.requests import HTTPConnection

from mlrepro.tenancy.identity import Identity
from mlrepro.web.authentication.authenticator import IDENTITY_KEY, READ_ONLY_KEY

_REFUSED_KEY = "mlrepro.refused"


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


def mark_refused(connection: HTTPConnection, why: str) -> None:
    """Have it written to the audit log that this request asked for what is not its user's, or is nobody's."""
    connection.scope[_REFUSED_KEY] = why


def why_refused(connection: HTTPConnection) -> str | None:
    """Why a request was marked as refused; None if it was not."""
    why = connection.scope.get(_REFUSED_KEY)
    return None if why is None else str(why)
