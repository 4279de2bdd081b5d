"""The file of API tokens: the hash of each, whose it is and until when, never the token."""

import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from mlrepro.errors import TokensError

PREFIX: Final = "mlr_"
"""How every token begins, so that scanners of source code know one when they see it."""

_RANDOM_BYTES: Final = 32
_ID_DIGITS: Final = 12


class Token(BaseModel):
    """A token as the file holds it.

    Attributes:
        sha256: Hash of the token. A token is 32 random bytes, so no slower hash is needed.
        user: Whose requests those with the token are.
        groups: Their groups.
        created: Since when there is the token.
        expires: Until when it is good; None: until it is revoked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    user: str = Field(min_length=1)
    groups: tuple[str, ...] = ()
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @property
    def id(self) -> str:
        """What names it in lists and logs; the token can't be found from it."""
        return self.sha256[:_ID_DIGITS]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(default=1, ge=1, le=1)
    tokens: list[Token] = []


def sha256(token: str) -> str:
    """The hash under which a token stands in the file."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(file: Path) -> list[Token]:
    """All tokens of a file.

    Raises:
        TokensError: It can't be read, anybody may write it, or it is no such file.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read()
    except OSError as error:
        raise TokensError(f"{file} can't be read: {error.strerror}. `mlrepro tokens create` makes it") from error
    if mode & stat.S_IWOTH:
        raise TokensError(f"{file} may be written by everybody, who so could be anybody: chmod 600 {file}")
    try:
        return _File.model_validate_json(text).tokens
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TokensError(f"{file} is no file of tokens: {where}{': ' if where else ''}{first['msg']}") from error


def create_token(
    file: Path,
    user: str,
    groups: Iterable[str] = (),
    *,
    now: datetime | None = None,
    expires: datetime | None = None,
) -> str:
    """Add a token. The file is made if there is none.

    Args:
        file: The file.
        user: Whose requests those with the token are.
        groups: Their groups.
        now: Since when there is the token.
        expires: Until when it is good. Default: until it is revoked.

    Returns:
        The token, which is nowhere else.

    Raises:
        TokensError: The file can't be read or written, or a name can't be one.
    """
    groups = list(groups)
    for name in (user, *groups):
        if not name or name != name.strip() or not name.isprintable():
            raise TokensError(f"{name!r} is no name of a user or a group: it is empty, or has spaces around it")
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    since = now or datetime.now(UTC).replace(microsecond=0)
    entry = Token(sha256=sha256(token), user=user, groups=tuple(sorted(set(groups))), created=since, expires=expires)
    with _locked(file):
        _write(file, [*(read_tokens(file) if file.exists() else []), entry])
    return token


def revoke_token(file: Path, identifier: str) -> Token:
    """Remove a token.

    Args:
        file: The file.
        identifier: Its id, as `list` shows it, or the token itself.

    Raises:
        TokensError: There is none, or the file can't be read or written.
    """
    with _locked(file):
        tokens = read_tokens(file)
        digest = sha256(identifier)
        gone = [token for token in tokens if identifier == token.id or digest == token.sha256]
        if len(gone) != 1:
            named = "that token" if identifier.startswith(PREFIX) else f"a token {identifier!r}"
            raise TokensError(f"{file} has not {named}: `mlrepro tokens list {file}` shows what it has")
        _write(file, [token for token in tokens if token is not gone[0]])
    return gone[0]


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    # the file itself is replaced, so a lock on it would hold nobody back
    lock = file.with_name(f".{file.name}.lock")
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TokensError(f"{file} can't be written: {lock}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(file: Path, tokens: list[Token]) -> None:
    text = _File(tokens=tokens).model_dump_json(indent=2) + "\n"
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.resolve().parent)  # for its owner only
    except OSError as error:
        raise TokensError(f"{file} can't be written: {error.strerror}") from error
    made = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        made.replace(file.resolve())  # where it is a link, what that leads to
    except OSError as error:
        made.unlink(missing_ok=True)
        raise TokensError(f"{file} can't be written: {error.strerror}") from error
