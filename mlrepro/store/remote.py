"""Objects in a bucket or in memory, reached through obstore."""

import contextlib
import io
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from mlrepro.errors import StoreError
from mlrepro.store.objects import CHUNK, STORE_SCHEMA, Buffer, Listed, failed

_KEPT_IN_MEMORY: Final = 8 * 1024 * 1024
_PART: Final = 16 * 1024 * 1024
_PARTS_AT_ONCE: Final = 4

RENEWED_AFTER = 600.0
"""Seconds for which an object in a bucket counts as new. Garbage collection waits far longer than that."""

# obstore raises Python's own FileNotFoundError for a missing object, its own errors for the rest, and plain
# ValueError or OSError for what never reached the network.
# What a bucket answers, and what helps. In this order: the first that occurs in the answer counts.
_NO_RIGHT: Final = "These credentials lack the right: they must read, write and list below the store's URL"
_ADVICE: Final = {
    "NoSuchBucket": "The bucket does not exist: create it, or correct the store's URL",
    "InvalidAccessKeyId": "The credentials are wrong: check the access key",
    "SignatureDoesNotMatch": "The credentials are wrong: check the secret key",
    "ExpiredToken": "The credentials have expired: renew them",
    "InvalidToken": "The credentials are wrong: check the session token",
    "RequestTimeTooSkewed": "The clock of this machine is wrong: set it",
    "AuthorizationHeaderMalformed": "The region is wrong: set AWS_REGION, or the option region",
    "PermanentRedirect": "The region or the endpoint is wrong: set AWS_REGION and AWS_ENDPOINT_URL",
    "AccessDenied": _NO_RIGHT,
    "403 Forbidden": _NO_RIGHT,
    "error sending request": "It cannot be reached: check the endpoint and the network",
}
_MESSAGE: Final = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)

_ERRORS: Final = (BaseError, OSError, ValueError)


class ObstoreObjects:
    """Objects that obstore can reach.

    Args:
        store: The obstore store, rooted at the bucket.
        prefix: Path inside it that is the root, without slashes at its ends; may be empty.
        url: How the user wrote it, for messages.
    """

    ordered = True
    remote = True

    def __init__(self, store: Any, prefix: str, *, url: str) -> None:
        self._store = store
        self._prefix = prefix
        self.url = url

    def check(self, scope: str) -> None:
        """See Objects. One marker a scope is put twice at most: a store that takes it twice ignores put-if-absent."""
        key = f"{scope}/store.json"
        marker = b'{"schema":%d}\n' % STORE_SCHEMA
        try:
            ignored = self.create(key, marker) and self.create(key, marker)
        except StoreError:
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
        try:
            return bytes(obstore.get(self._store, self._path(key)).bytes())
        except FileNotFoundError as error:
            self._no_bucket(error)
            return None
        except _ERRORS as error:
            raise self._failed("read", key, error) from error

    def create(self, key: str, data: bytes) -> bool:
        """See Objects."""
        try:
            obstore.put(self._store, self._path(key), data, mode="create")
        except AlreadyExistsError:
            return False
        except _ERRORS as error:
            raise self._failed("write", key, error) from error
        return True

    def size(self, key: str) -> int | None:
        """See Objects."""
        try:
            return int(obstore.head(self._store, self._path(key))["size"])
        except FileNotFoundError:
            return None
        except _ERRORS as error:
            raise self._failed("look for", key, error) from error

    def chunks(self, key: str, into: memoryview | None = None) -> Iterator[memoryview] | None:
        """See Objects."""
        try:
            found = obstore.get(self._store, self._path(key))
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

    def upload(self, key: str, body: bytes | IO[bytes], *, multipart: bool) -> None:
        """Put an object, replacing what may be there."""
        try:
            obstore.put(
                self._store,
                self._path(key),
                body,
                use_multipart=multipart,
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except _ERRORS as error:
            raise self._failed("write", key, error) from error

    def copy(self, source: str, target: str) -> None:
        """See Objects."""
        try:
            obstore.copy(self._store, self._path(source), self._path(target))
        except (FileNotFoundError, *_ERRORS) as error:
            raise self._failed("copy", source, error) from error

    def move(self, source: str, target: str) -> None:
        """See Objects; a bucket copies, then deletes."""
        self.copy(source, target)
        self.delete(source)

    def delete(self, key: str) -> None:
        """See Objects."""
        try:
            obstore.delete(self._store, self._path(key))
        except FileNotFoundError:
            return
        except _ERRORS as error:
            raise self._failed("delete", key, error) from error

    def renew(self, key: str, size: int) -> bool:
        """See Objects; a bucket renews nothing, so what is not new already has to be sent again."""
        if size <= _KEPT_IN_MEMORY:
            return False  # to send it costs no more than to ask for it
        try:
            found = obstore.head(self._store, self._path(key))
        except FileNotFoundError:
            return False
        except _ERRORS as error:
            raise self._failed("look for", key, error) from error
        return bool(found["size"] == size and time.time() - found["last_modified"].timestamp() < RENEWED_AFTER)

    def names(self, folder: str) -> Iterator[str]:
        """See Objects; in text order."""
        path = self._path(folder)
        try:
            # Small pieces, so that who wants only the newest entry takes no more than the first page of the listing.
            for page in obstore.list(self._store, path, chunk_size=8):
                for item in page:
                    name = item["path"][len(path) + 1 :]
                    if "/" not in name:
                        yield name
        except FileNotFoundError as error:
            self._no_bucket(error)
        except _ERRORS as error:
            raise self._failed("list", folder, error) from error

    def latest(self, folder: str, suffix: str, limit: int) -> list[str]:
        """See Objects."""
        path = self._path(folder)
        try:
            listed = [item for page in obstore.list(self._store, path) for item in page]
        except FileNotFoundError as error:
            self._no_bucket(error)
            return []
        except _ERRORS as error:
            raise self._failed("list", folder, error) from error
        found = [(item["last_modified"], item["path"][len(path) + 1 :]) for item in listed]
        newest = sorted((each for each in found if each[1].endswith(suffix) and "/" not in each[1]), reverse=True)
        return [name for _, name in newest[:limit]]

    def folders(self, folder: str) -> tuple[list[str], bool]:
        """See Objects."""
        path = self._path(folder)
        try:
            found = obstore.list_with_delimiter(self._store, path)
        except FileNotFoundError as error:
            self._no_bucket(error)
            return [], False
        except _ERRORS as error:
            raise self._failed("list", folder, error) from error
        return sorted(item[len(path) + 1 :].rstrip("/") for item in found["common_prefixes"]), bool(found["objects"])

    def walk(self, folder: str) -> Iterator[Listed]:
        """See Objects."""
        path = self._path(folder)
        start = len(path) - len(folder)
        try:
            for page in obstore.list(self._store, path or None, chunk_size=1000):
                for item in page:
                    yield Listed(item["path"][start:], item["size"], item["last_modified"].timestamp())
        except FileNotFoundError as error:
            self._no_bucket(error)
        except _ERRORS as error:
            raise self._failed("list", folder, error) from error

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002 - a bucket has no local files
        """See Objects."""
        return None

    def _path(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _failed(self, doing: str, key: str, cause: BaseException) -> StoreError:
        text = str(cause)
        where = f"{self.url.rstrip('/')}/{key}"
        for code, advice in _ADVICE.items():
            if code in text:
                said = _MESSAGE.search(text)
                answer = f"{code}: {said.group(1)}" if said else code
                return StoreError(f"Could not {doing} {where} ({answer}). {advice}")
        return failed(doing, where, cause)

    def _no_bucket(self, error: FileNotFoundError) -> None:
        """S3 answers a missing bucket like a missing object; only its text tells the two apart."""
        if "NoSuchBucket" in str(error):
            raise self._failed("reach", "", error) from error


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
        self._file.seek(0)
        if self._size <= _KEPT_IN_MEMORY:
            self._objects.upload(key, self._file.read(), multipart=False)
        else:
            self._file.rollover()
            body: Any = self._file._file  # obstore wants a plain file
            assert isinstance(body, io.BufferedRandom)
            self._objects.upload(key, body, multipart=True)
