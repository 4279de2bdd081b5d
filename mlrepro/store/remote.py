"""Objects in a bucket or in memory, reached through obstore."""

import contextlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from mlrepro.errors import NoRightError, StoreError
from mlrepro.store.insisting import insist, pages, was_repeated
from mlrepro.store.objects import CHUNK, STORE_SCHEMA, Buffer, Listed, failed
from mlrepro.store.outage import outage_of
from mlrepro.store.upload_progress import told

_KEPT_IN_MEMORY: Final = 8 * 1024 * 1024
_PART: Final = 16 * 1024 * 1024
_PARTS_AT_ONCE: Final = 4
_PAGE: Final = 1000

_TRIED_AGAIN: Final = re.compile(r"after \d+ retries")
"""What obstore says of a request that got no answer, or none but that the bucket is too busy."""

RENEWED_AFTER = 600.0
"""Seconds for which an object in a bucket counts as new. Garbage collection waits far longer than that."""

# obstore raises Python's own FileNotFoundError for a missing object, its own errors for the rest, and plain
# ValueError or OSError for what never reached the network.
# What a bucket answers, and what helps. In this order: the first that occurs in the answer counts.
_NO_RIGHT: Final = "These credentials lack the right: they must read, write and list below the store's URL"
_ELSEWHERE: Final = "The region or the endpoint is wrong: set AWS_REGION and AWS_ENDPOINT_URL"
_LATER: Final = "The server has trouble: run again when it is well"
_ADVICE: Final = {
    "169.254.169.254": (
        "No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile: AWS_PROFILE"
    ),
    "NoSuchBucket": "The bucket does not exist: create it, or correct the store's URL",
    "InvalidAccessKeyId": "The credentials are wrong: check the access key",
    "SignatureDoesNotMatch": "The credentials are wrong: check the secret key",
    "ExpiredToken": "The credentials have expired: renew them",
    "InvalidToken": "The credentials are wrong: check the session token",
    "RequestTimeTooSkewed": "The clock of this machine is wrong: set it",
    "AuthorizationHeaderMalformed": "The region is wrong: set AWS_REGION, or the option region",
    "PermanentRedirect": _ELSEWHERE,
    "Received redirect without LOCATION": _ELSEWHERE,
    "SlowDown": _LATER,
    "InternalError": _LATER,
    "ServiceUnavailable": _LATER,
    "500 Internal Server Error": _LATER,
    "503 Service Unavailable": _LATER,
    "AccessDenied": _NO_RIGHT,
    "403 Forbidden": _NO_RIGHT,
    "error sending request": "It cannot be reached: check the endpoint and the network",
}
_CODE: Final = re.compile(r"<Code>(.*?)</Code>", re.DOTALL)
_MESSAGE: Final = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)
_NO_CREDENTIALS: Final = re.compile(r"External AWS credential provider: (?:\w+: )?(.*)")

_ERRORS: Final = (BaseError, OSError, ValueError)

_LOOKED_FOR: Final = 15.0
"""Seconds for which a look-up, or a request that writes or reads a body, is repeated."""


@dataclass(frozen=True)
class Clients:
    """One bucket, three measures of patience.

    Attributes:
        look: For records and listings that are looked up: a run that computes instead waits for them.
        write: For small objects that are written: what was computed is worth a longer try.
        body: For the bytes of large objects, which take their time on a slow line.
        patience: Seconds for which what failed is tried again, but for look-ups.
    """

    look: Any
    write: Any
    body: Any
    patience: float = 60.0

    @classmethod
    def alike(cls, store: Any) -> "Clients":
        """One client for everything."""
        return cls(store, store, store)


class ObstoreObjects:
    """Objects that obstore can reach.

    Args:
        clients: Obstore's stores, rooted at the bucket.
        prefix: Path inside it that is the root, without slashes at its ends; may be empty.
        url: How the user wrote it, for messages.
        place: What tells the bucket from others: where it does not answer, look-ups fail at once for a while.
    """

    ordered = True
    remote = True

    def __init__(self, clients: Clients, prefix: str, *, url: str, place: str | None = None) -> None:
        self._clients = clients
        self._prefix = prefix
        self.url = url
        self._outage = outage_of(place or url)

    def check(self, scope: str) -> None:
        """See Objects. One marker a scope is put twice at most: a store that takes it twice ignores put-if-absent."""
        key = f"{scope}/store.json"
        marker = b'{"schema":%d}\n' % STORE_SCHEMA
        try:
            # of other bytes, so that it is not taken for the first, whose answer was lost
            ignored = self.create(key, marker) and self.create(key, marker + b"\n")
        except NoRightError:
            # A bucket that is missing refuses writes as forbidden, but says so when it is read.
            self.get(key)
            raise
        if ignored:
            raise StoreError(
                f"{self.url} ignores put-if-absent (If-None-Match: *), so two writers could overwrite each other. "
                "Use a store that honours it: Amazon S3, Google Cloud Storage, Azure, MinIO, SeaweedFS, Ceph, a folder"
            )

    def get(self, key: str) -> bytes | None:
        """See Objects."""
        found = None
        with self._looking("read", key):
            found = insist(lambda: obstore.get(self._clients.look, self._path(key)).bytes(), seconds=_LOOKED_FOR)
        return None if found is None else bytes(found)

    def create(self, key: str, data: bytes) -> bool:
        """See Objects."""
        asked = 0

        def put() -> None:
            nonlocal asked
            asked += 1
            obstore.put(self._clients.write, self._path(key), data, mode="create")

        try:
            insist(put, seconds=self._clients.patience)
        except AlreadyExistsError as error:
            # Where an answer was lost and the request was sent again, it may be our own that is there.
            return (asked > 1 or was_repeated(error)) and self.get(key) == data
        except _ERRORS as error:
            raise self._failed("write", key, error) from error
        self._outage.over()
        return True

    def size(self, key: str) -> int | None:
        """See Objects."""
        found = self._head(key)
        return None if found is None else int(found["size"])

    def _head(self, key: str) -> Any:
        self._outage.check()
        try:
            return obstore.head(self._clients.look, self._path(key))
        except FileNotFoundError:
            return None
        except _ERRORS as error:
            raise self._unanswered("look for", key, self._reason(key, error)) from error

    def _reason(self, key: str, refused: BaseException) -> BaseException:
        """The answer to HEAD has no text, so that a wrong clock looks like a missing right: GET tells the two apart."""
        if re.search(r"status code: 4\d\d|403 Forbidden", str(refused)):
            try:
                obstore.get_range(self._clients.look, self._path(key), start=0, length=1)
            except FileNotFoundError:
                return refused
            except _ERRORS as told:
                return told
        return refused

    def chunks(self, key: str, into: memoryview | None = None) -> Iterator[memoryview] | None:
        """See Objects."""
        try:
            found = insist(lambda: obstore.get(self._clients.body, self._path(key)), seconds=self._clients.patience)
        except FileNotFoundError as error:
            self._no_bucket(error)
            return None
        except _ERRORS as error:
            raise self._failed("read", key, error) from error
        return self._pieces(key, found, into)

    def _pieces(self, key: str, found: Any, into: memoryview | None) -> Iterator[memoryview]:
        position = 0
        stream = iter(found.stream(min_chunk_size=CHUNK))
        while True:
            try:
                piece = memoryview(next(stream)).cast("B")
            except StopIteration:
                return
            except _ERRORS as error:
                raise self._failed("read", key, error) from error
            end = position + len(piece)
            if into is not None and end <= len(into):
                into[position:end] = piece
                piece = into[position:end]
            position = end
            yield piece

    def map(self, key: str) -> memoryview | None:  # noqa: ARG002 - a bucket has nothing to map
        """See Objects."""
        return None

    @contextlib.contextmanager
    def spool(self, scope: str) -> Iterator["RemoteSpool"]:  # noqa: ARG002 - a bucket needs no scratch folder of its own
        """See Objects. What is small waits in memory, the rest in a local temporary file."""
        with tempfile.SpooledTemporaryFile(max_size=_KEPT_IN_MEMORY, prefix="mlrepro-") as file:
            yield RemoteSpool(self, file)

    def upload(self, key: str, body: Callable[[], bytes | Iterator[bytes]], *, multipart: bool) -> None:
        """Put an object, replacing what may be there. Its bytes are asked for anew with each try."""

        def put() -> None:
            obstore.put(
                self._clients.body if multipart else self._clients.write,
                self._path(key),
                body(),
                use_multipart=multipart,
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )

        try:
            insist(put, seconds=self._clients.patience)
        except _ERRORS as error:
            raise self._failed("write", key, error) from error
        self._outage.over()

    def copy(self, source: str, target: str) -> None:
        """See Objects."""
        try:
            insist(
                lambda: obstore.copy(self._clients.body, self._path(source), self._path(target)),
                seconds=self._clients.patience,
            )
        except (FileNotFoundError, *_ERRORS) as error:
            raise self._failed("copy", source, error) from error

    def move(self, source: str, target: str) -> None:
        """See Objects; a bucket copies, then deletes."""
        self.copy(source, target)
        self.delete(source)

    def delete(self, key: str) -> None:
        """See Objects."""
        try:
            insist(lambda: obstore.delete(self._clients.write, self._path(key)), seconds=self._clients.patience)
        except FileNotFoundError:
            return
        except _ERRORS as error:
            raise self._failed("delete", key, error) from error

    def renew(self, key: str, size: int) -> bool:
        """See Objects; a bucket renews nothing, so what is not new already has to be sent again."""
        if size <= _KEPT_IN_MEMORY:
            return False  # to send it costs no more than to ask for it
        found = self._head(key)
        if found is None:
            return False
        return bool(found["size"] == size and time.time() - found["last_modified"].timestamp() < RENEWED_AFTER)

    def names(self, folder: str) -> Iterator[str]:
        """See Objects; in text order."""
        path = self._path(folder)
        # Small pieces, so that who wants only the newest entry takes no more than the first page of the listing.
        for item in self._list(folder, chunk_size=8):
            name = item["path"][len(path) + 1 :]
            if "/" not in name:
                yield name

    def latest(self, folder: str, suffix: str, limit: int) -> list[str]:
        """See Objects."""
        path = self._path(folder)
        listed = self._list(folder, chunk_size=_PAGE)
        found = [(item["last_modified"], item["path"][len(path) + 1 :]) for item in listed]
        newest = sorted((each for each in found if each[1].endswith(suffix) and "/" not in each[1]), reverse=True)
        return [name for _, name in newest[:limit]]

    def folders(self, folder: str) -> tuple[list[str], bool]:
        """See Objects."""
        path = self._path(folder).rstrip("/")
        start = len(path) + 1 if path else 0
        found: Any = {"common_prefixes": [], "objects": []}
        with self._looking("list", folder):
            found = insist(lambda: obstore.list_with_delimiter(self._clients.look, path or None), seconds=_LOOKED_FOR)
        return sorted(item[start:].rstrip("/") for item in found["common_prefixes"]), bool(found["objects"])

    def walk(self, folder: str) -> Iterator[Listed]:
        """See Objects."""
        path = self._path(folder)
        start = len(path) - len(folder)
        for item in self._list(folder, chunk_size=_PAGE):
            yield Listed(item["path"][start:], item["size"], item["last_modified"].timestamp())

    def _list(self, folder: str, *, chunk_size: int) -> Iterator[Any]:
        """What a listing tells of all objects below a folder."""
        with self._looking("list", folder):
            for page in pages(self._clients.look, self._path(folder) or None, size=chunk_size, seconds=_LOOKED_FOR):
                yield from page

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002 - a bucket has no local files
        """See Objects."""
        return None

    def _path(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    @contextlib.contextmanager
    def _looking(self, doing: str, key: str) -> Iterator[None]:
        """Look something up. What is missing is passed over; a bucket that does not answer is soon asked no more."""
        self._outage.check()
        try:
            yield
        except FileNotFoundError as error:
            self._no_bucket(error)
        except _ERRORS as error:
            raise self._unanswered(doing, key, error) from error

    def _unanswered(self, doing: str, key: str, cause: BaseException) -> StoreError:
        error = self._failed(doing, key, cause)
        if _TRIED_AGAIN.search(str(cause)):
            self._outage.note(error)
        return error

    def _failed(self, doing: str, key: str, cause: BaseException) -> StoreError:
        text = str(cause)
        where = f"{self.url.rstrip('/')}/{key}"
        if told := _NO_CREDENTIALS.search(text):
            return StoreError(f"Could not {doing} {where}: {told.group(1)}")
        for mark, advice in _ADVICE.items():
            if mark in text:
                kind = NoRightError if advice is _NO_RIGHT else StoreError
                return kind(f"Could not {doing} {where} ({_answer(text) or mark}). {advice}")
        if answer := _answer(text):
            return StoreError(f"Could not {doing} {where}: {answer}")
        return failed(doing, where, cause)

    def _no_bucket(self, error: FileNotFoundError) -> None:
        """S3 answers a missing bucket like a missing object; only its text tells the two apart."""
        if "NoSuchBucket" in str(error):
            raise self._failed("reach", "", error) from error


def _answer(text: str) -> str | None:
    """What S3 answered, on one line; None if it answered nothing."""
    found = [part.group(1) for pattern in (_CODE, _MESSAGE) if (part := pattern.search(text))]
    return " ".join(": ".join(found).split()) or None


class RemoteSpool:
    """Bytes that wait for their name before they are uploaded."""

    def __init__(self, objects: ObstoreObjects, file: "tempfile.SpooledTemporaryFile[bytes]") -> None:
        self._objects = objects
        self._file = file
        self._size = 0

    def write(self, data: Buffer) -> None:
        """See Spool."""
        try:
            self._size += self._file.write(data)
        except OSError as error:
            raise failed("write", f"a temporary file for {self._objects.url}", error) from error

    def sync(self) -> None:
        """See Spool; a bucket keeps what it has taken."""

    def publish(self, key: str) -> None:
        """See Spool."""
        if self._size <= _KEPT_IN_MEMORY:
            self._file.seek(0)
            data = self._file.read()
            self._objects.upload(key, lambda: data, multipart=False)
        else:
            where = f"{self._objects.url.rstrip('/')}/{key}"
            self._objects.upload(key, lambda: told(self._file, self._size, where), multipart=True)
