"""Headers that say who asks: each once, under its very name, and in UTF-8."""

from typing import Final

from starlette.requests import HTTPConnection

from mlrepro.errors import NotAuthenticatedError

_LONGEST_NAME: Final = 320


def header(connection: HTTPConnection, name: str) -> str | None:
    """The header's value, None where it was not sent.

    Raises:
        NotAuthenticatedError: It was sent twice, also under a name that servers take for the same
            (``X_Forwarded_Email``), or it is no UTF-8.
    """
    wanted = name.lower().encode()
    found = [(key, value) for key, value in connection.scope["headers"] if key.lower().replace(b"_", b"-") == wanted]
    if any(key.lower() != wanted for key, _ in found):
        raise NotAuthenticatedError(f"a header was sent that differs from {name} only by _ and -")
    if len(found) > 1:
        raise NotAuthenticatedError(f"header {name} was sent {len(found)} times")
    try:
        return found[0][1].decode().strip() if found else None
    except UnicodeDecodeError as error:
        raise NotAuthenticatedError(f"header {name} is not UTF-8") from error


def bearer(connection: HTTPConnection) -> str | None:
    """The token of ``Authorization: Bearer``, None where there is none.

    Raises:
        NotAuthenticatedError: The header was sent twice.
    """
    kind, _, token = (header(connection, "Authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def check_name(name: object, what: str) -> str:
    """A user's or a group's name, as it may stand in logs and tags.

    Args:
        name: The name.
        what: What it names, as the error says.

    Raises:
        NotAuthenticatedError: It is no text, empty, too long, or holds what can't be printed.
    """
    if not isinstance(name, str):
        raise NotAuthenticatedError(f"{what} is no text")
    if not name or name != name.strip():
        raise NotAuthenticatedError(f"{what} is empty, or has spaces around it")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise NotAuthenticatedError(f"{what} is longer than {_LONGEST_NAME} characters, or can't be printed")
    return name
