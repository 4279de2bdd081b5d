"""The audit log: who asked to change what, when, from where, and whether it was done.

A file of JSON, a line for each entry, that is only ever added to. Of a mutation there are two entries: what was asked
for, written before anything is done, and what came of it. If the first can't be written, nothing is done.
"""

import json
import logging
import os
import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.requests import HTTPConnection

from mlrepro.errors import AuditError
from mlrepro.tenancy.identity import Identity

_LONGEST: Final = 1000

MOST_ASKED: Final = "1000/minute"
"""Changes that one user may ask for."""

AUDITED_KEY: Final = "mlrepro.audited"
"""Key of the ASGI scope: True where an entry was written for the request."""

_logger = logging.getLogger("mlrepro")


class AuditLog:
    """An audit log in a file.

    Several processes may write to one: each entry is one write to a file that is open for appending.

    Of each user it takes so much and no more, as who fills the disk keeps everybody from changing anything. What was
    not taken is counted in their next entry.

    Args:
        path: The file. It is made, for its owner alone, if it is not there.
        most: What a user may ask for, as `limits` reads it.

    Raises:
        AuditError: It can't be written.
    """

    def __init__(self, path: Path, *, most: str = MOST_ASKED) -> None:
        self.path = path
        self._most = parse(most)
        self._pace = FixedWindowRateLimiter(MemoryStorage())
        self._left_out: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._file: int | None = None
        self._seen: tuple[int, int] | None = None
        self._cut = False
        with self._lock:
            self._open()

    def asked(
        self,
        what: str,
        *,
        connection: HTTPConnection | None,
        identity: Identity | None,
        target: Mapping[str, Any],
        tenants: list[str],
        refused: str | None = None,
    ) -> str:
        """Write down what was asked for.

        Args:
            what: The mutation, or the endpoint.
            connection: How it came.
            identity: Who asked, None where nobody vouched for them.
            target: What it would touch: names and ids.
            tenants: Whose that is.
            refused: Why it is not done; None if it will be.

        Returns:
            The entry's id, for `done`.

        Raises:
            AuditError: It can't be written, so it must not be done.
        """
        user = identity.user if identity else None
        if user is not None and not self._pace.hit(self._most, user):
            self._left_out[user] += 1
            allowed = str(self._most).replace(" per 1 ", " changes a ")
            raise AuditError(f"{user} may ask for {allowed}, and did so: try again later")
        left_out = self._left_out.pop(user, 0) if user is not None else 0
        entry_id = uuid.uuid4().hex
        if connection is not None:
            connection.scope[AUDITED_KEY] = True
        entry = {
            "time": _now(),
            "id": entry_id,
            "entry": "asked",
            "user": user,
            "groups": sorted(identity.groups) if identity else [],
            **_source(connection),
            "what": what,
            "target": dict(target),
            "tenants": tenants,
            "allowed": refused is None,
        }
        if refused is not None:
            entry["why"] = refused[:_LONGEST]
        if left_out:
            entry["left_out_before"] = left_out
        self._write(entry)
        return entry_id

    def done(self, entry_id: str, outcome: Mapping[str, Any]) -> None:
        """Write down what came of it. It was done, so that a log which can't be written now is only told of."""
        try:
            self._write({"time": _now(), "id": entry_id, "entry": "done", **outcome})
        except AuditError:
            _logger.exception(f"the outcome of {entry_id} is missing in the audit log")

    def _write(self, entry: Mapping[str, Any]) -> None:
        line = (json.dumps(entry, ensure_ascii=True, default=str) + "\n").encode()
        with self._lock:
            try:
                file = self._open()
                # one write, so that lines of several processes do not mix; what a full disk cut off is no entry, and
                # must not take the next one with it
                line = b"\n" + line if self._cut else line
                self._cut = os.write(file, line) != len(line)
                if self._cut:
                    raise OSError("the disk took only a part of it")  # noqa: TRY301
            except OSError as error:
                raise AuditError(
                    f"the audit log {self.path} can't be written ({error.strerror or error}), so nothing may be changed"
                ) from error

    def _open(self) -> int:
        # who rotates logs moves the file away: then the next entry begins a new one
        try:
            found = self.path.stat()
            there = (found.st_dev, found.st_ino)
        except FileNotFoundError:
            there = None
        except OSError as error:
            raise AuditError(f"the audit log {self.path} can't be read: {error.strerror}") from error
        if self._file is not None and there == self._seen:
            return self._file
        if self._file is not None:
            os.close(self._file)
            self._file = None
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AuditError(
                f"the audit log {self.path} can't be written: {error.strerror}. Name another by --audit"
            ) from error
        made = os.fstat(self._file)
        self._seen = (made.st_dev, made.st_ino)
        self._cut = made.st_size > 0 and _last_byte(self.path) != b"\n"
        return self._file


def _last_byte(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1)
    except OSError:
        return b""  # it may be written, and not read


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _source(connection: HTTPConnection | None) -> dict[str, Any]:
    if connection is None:
        return {"from": None, "by": None}
    by = connection.scope.get("method") or connection.scope["type"]
    return {"from": connection.client.host if connection.client else None, "by": by}
