"""API tokens, for machines."""

import threading
import time
from pathlib import Path

from starlette.requests import HTTPConnection

from mlrepro.errors import IdentityUnavailableError, NotAuthenticatedError, TokensError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.token_file import PREFIX, Token, read_tokens, sha256
from mlrepro.web.authentication.headers import bearer, check_name


class TokenAuthenticator:
    """Knows the tokens of a file, which is read again when it changes.

    A file that is gone or damaged lets nobody in: who was revoked by the last change must not get in by it.

    Args:
        file: What `mlrepro tokens` writes.

    Raises:
        TokensError: It can't be read.
    """

    ambient = False  # no browser sends one by itself

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}
        self._reread()

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """Whose request this is, by its token."""
        token = bearer(connection)
        if token is None or not token.startswith(PREFIX):
            return None
        try:
            self._reread()
        except TokensError as error:
            raise IdentityUnavailableError(str(error)) from error
        # found by the hash: how long that takes tells nothing of the tokens that there are
        entry = self._tokens.get(sha256(token))
        if entry is None:
            raise NotAuthenticatedError("the API token is unknown, or was revoked")
        expires = entry.expires.timestamp() if entry.expires else None
        if expires is not None and expires <= time.time():
            raise NotAuthenticatedError(f"the API token {entry.id} of {entry.user!r} has expired")
        groups = frozenset(check_name(group, "a group of the API token") for group in entry.groups)
        return Identity(check_name(entry.user, "the API token's user"), groups, expires)

    def _reread(self) -> None:
        with self._lock:
            try:
                found = self._file.stat()
                state = (found.st_mtime_ns, found.st_size, found.st_ino)
            except OSError:
                state = None
            if state is not None and state == self._seen:
                return
            self._seen, self._tokens = None, {}
            self._tokens = {token.sha256: token for token in read_tokens(self._file)}
            self._seen = state
