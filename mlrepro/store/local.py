"""Objects in a local folder, written durably.

obstore's LocalStore never calls fsync, so what was reported as stored could be gone after a power cut. Here every
object is synced before it gets its name, and the folder after.
"""

import contextlib
import errno
import mmap
import os
import stat
import uuid
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from mlrepro.errors import StoreError
from mlrepro.store.keys import scratch_key
from mlrepro.store.objects import CHUNK, Buffer, FolderInPlaceError, Listed, failed


class LocalObjects:
    """Objects as files below a root folder.

    Args:
        root: The folder; made where it is missing.
        url: How the user wrote it, for messages.
        durable: Whether to fsync. Without it a power cut may lose what was just stored (never mix it up: names are
            only given to whole files, but the file system may not have written them yet).
    """

    ordered = False
    remote = False

    def __init__(self, root: Path, *, url: str, durable: bool = True) -> None:
        self.root = root
        self.url = url
        self.durable = durable
        self._synced: set[Path] = set()

    def check(self, scope: str) -> None:
        """See Objects. A scratch file proves that the scope can be written; hard links prove put-if-absent."""
        with self._spool(scope, "probe the store in") as spool:
            first, second = (self._file(f"{scratch_key(scope)}/{uuid.uuid4().hex}.probe") for _ in range(2))
            try:
                os.link(spool.path, first)
                with contextlib.suppress(FileExistsError):
                    os.link(spool.path, first)
                    raise StoreError(f"The file system of {self.url} ignores put-if-absent, so it cannot hold a store")
            except OSError as error:
                if error.errno in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}:
                    message = (
                        f"The file system of {self.url} has no hard links, which put-if-absent needs: use another one"
                    )
                    raise StoreError(message) from error
                raise failed("write to the store in", self.url, error) from error
            finally:
                for path in (first, second):
                    path.unlink(missing_ok=True)

    def get(self, key: str) -> bytes | None:
        """See Objects."""
        try:
            return self._file(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            self._no_folder(error)
            return None
        except OSError as error:
            raise failed("read", str(self._file(key)), error) from error

    def create(self, key: str, data: bytes) -> bool:
        """See Objects: a synced scratch file gets its name by ``link``, which fails where the name is taken."""
        target = self._file(key)
        if self.size(key) is not None:
            return False
        with self._spool(key.split("/", 1)[0], "write") as spool:
            spool.write(data)
            spool.sync()
            try:
                self._make_folder(target.parent)
                os.link(spool.path, target)
            except FileExistsError:
                return False
            except OSError as error:
                raise failed("write", str(target), error) from error
        self.sync_folder(target.parent)
        return True

    def size(self, key: str) -> int | None:
        """See Objects."""
        try:
            found = self._file(key).stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            self._no_folder(error)
            return None
        except OSError as error:
            raise failed("look for", str(self._file(key)), error) from error
        return None if stat.S_ISDIR(found.st_mode) else found.st_size

    def chunks(self, key: str, into: memoryview | None = None) -> Iterator[memoryview] | None:
        """See Objects."""
        path = self._file(key)
        try:
            file = path.open("rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            self._no_folder(error)
            return None
        except OSError as error:
            raise failed("read", str(path), error) from error
        return read_file(file, into)

    def map(self, key: str) -> memoryview | None:
        """See Objects. Blobs are replaced as a whole, so the file behind the map does not change."""
        try:
            with self._file(key).open("rb", buffering=0) as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            # Missing, empty, or on a file system that cannot map: reading will say what there is to say.
            return None
        if hasattr(mmap, "MADV_SEQUENTIAL"):
            with contextlib.suppress(OSError):
                mapped.madvise(mmap.MADV_SEQUENTIAL)
        return memoryview(mapped)

    def spool(self, scope: str) -> "contextlib.AbstractContextManager[LocalSpool]":
        """See Objects. The scratch file lies in ``<scope>/tmp``, where housekeeping can tell it from an object."""
        return self._spool(scope, "write")

    @contextlib.contextmanager
    def _spool(self, scope: str, doing: str) -> Iterator["LocalSpool"]:
        folder = self._file(scratch_key(scope))
        path = folder / f"{os.getpid()}-{uuid.uuid4().hex}"
        try:
            self._make_folder(folder)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise failed(doing, str(folder), error) from error
        try:
            yield LocalSpool(self, path, descriptor)
        finally:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def copy(self, source: str, target: str) -> None:
        """See Objects."""
        if self._link(source, target):
            return
        pieces = self.chunks(source)
        if pieces is None:
            raise StoreError(f"Could not copy {self._file(source)}: it is not there")
        with self._spool(target.split("/", 1)[0], "write") as spool:
            for piece in pieces:
                spool.write(piece)
            spool.sync()
            spool.publish(target)

    def _link(self, source: str, target: str) -> bool:
        """Give an object a second name, which costs nothing: objects never change. Some file systems cannot."""
        target_file = self._file(target)
        scratch = self._file(scratch_key(target.split("/", 1)[0])) / f"{os.getpid()}-{uuid.uuid4().hex}"
        try:
            for folder in (scratch.parent, target_file.parent):
                self._make_folder(folder)
            os.link(self._file(source), scratch)
            os.utime(scratch)
            scratch.replace(target_file)
            scratch.unlink(missing_ok=True)  # where both were one file already, replacing does nothing
        except OSError:
            return False
        self.sync_folder(target_file.parent)
        return True

    def move(self, source: str, target: str) -> None:
        """See Objects."""
        path = self._file(target)
        try:
            self._make_folder(path.parent)
            self._file(source).replace(path)
            os.utime(path)
        except OSError as error:
            raise failed("move", str(self._file(source)), error) from error
        self.sync_folder(path.parent)

    def delete(self, key: str) -> None:
        """See Objects."""
        try:
            self._file(key).unlink(missing_ok=True)
        except OSError as error:
            raise failed("delete", str(self._file(key)), error) from error

    def renew(self, key: str, size: int) -> bool:
        """See Objects."""
        if self.size(key) != size:
            return False
        try:
            os.utime(self._file(key))
        except OSError:  # gone meanwhile, or another user's
            return False
        return True

    def names(self, folder: str) -> Iterator[str]:
        """See Objects; in no order."""
        for item in self._scan(folder):
            if not item.is_dir():
                yield item.name

    def latest(self, folder: str, suffix: str, limit: int) -> list[str]:
        """See Objects."""
        found = []
        for item in self._scan(folder):
            with contextlib.suppress(OSError):  # it is gone
                if item.name.endswith(suffix) and not item.is_dir():
                    found.append((item.stat().st_mtime_ns, item.name))
        return [name for _, name in sorted(found, reverse=True)[:limit]]

    def folders(self, folder: str) -> tuple[list[str], bool]:
        """See Objects."""
        found: list[str] = []
        objects = False
        for item in self._scan(folder):
            if item.is_dir():
                found.append(item.name)
            else:
                objects = True
        return sorted(found), objects

    def walk(self, folder: str) -> Iterator[Listed]:
        """See Objects; a folder's entries in text order."""
        for item in sorted(self._scan(folder), key=lambda each: each.name):
            key = f"{folder}/{item.name}" if folder else item.name
            if item.is_dir(follow_symlinks=False):
                yield from self.walk(key)
                continue
            if not item.name.isascii() and "\udc80" <= max(item.name) <= "\udcff":
                continue  # no name of ours, and none that a record could say
            with contextlib.suppress(OSError):  # it is gone, or a link that leads nowhere
                found = item.stat()
                yield Listed(key, found.st_size, found.st_mtime)

    def _scan(self, folder: str) -> Iterator["os.DirEntry[str]"]:
        try:
            with os.scandir(self._file(folder)) as items:
                yield from items
        except (FileNotFoundError, NotADirectoryError) as error:
            self._no_folder(error)
            return
        except OSError as error:
            raise failed("list", str(self._file(folder)), error) from error

    def local_path(self, key: str) -> Path | None:
        """See Objects."""
        return self._file(key)

    def _no_folder(self, error: OSError) -> None:
        """A store whose root is a file, or lies below one, must not look like an empty store."""
        if isinstance(error, NotADirectoryError) and not self.root.is_dir():
            raise StoreError(f"The store {self.url} is no folder: correct its URL") from error

    def _file(self, key: str) -> Path:
        return self.root / key

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each entry synced in the folder that holds it.

        What is there already was perhaps made by somebody who has not synced it yet, or was killed before: in the store
        each process syncs it once.
        """
        if folder.is_dir() and self._is_synced(folder):
            return
        missing = [folder]
        while (parent := missing[-1].parent) != missing[-1] and not (parent.is_dir() and self._is_synced(parent)):
            missing.append(parent)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
            try:
                self.sync_folder(path.parent)
            except PermissionError:
                if path != self.root:  # who may not look into the folder that holds the store has not made the store
                    raise
            self._synced.add(path)

    def _is_synced(self, folder: Path) -> bool:
        return not self.durable or folder in self._synced or not folder.is_relative_to(self.root)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder survive a power cut."""
        if not self.durable:
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some network file systems cannot sync a folder and need not: they commit names at once.
            if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
                raise failed("sync", str(folder), error) from error
        finally:
            os.close(descriptor)


class LocalSpool:
    """A scratch file on the store's own file system."""

    def __init__(self, objects: LocalObjects, path: Path, descriptor: int) -> None:
        self._objects = objects
        self.path = path
        self._descriptor = descriptor

    def write(self, data: Buffer) -> None:
        """See Spool."""
        view = memoryview(data).cast("B")
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise failed("write", str(self.path), error) from error

    def sync(self) -> None:
        """Make the bytes survive a power cut."""
        if self._objects.durable:
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise failed("sync", str(self.path), error) from error

    def publish(self, key: str) -> None:
        """See Spool."""
        self.sync()
        target = self._objects.root / key
        try:
            self._objects._make_folder(target.parent)
            self.path.replace(target)
        except IsADirectoryError as error:
            raise FolderInPlaceError(f"Could not write {target}: a folder stands in its place. Move it away") from error
        except OSError as error:
            raise failed("write", str(target), error) from error
        self._objects.sync_folder(target.parent)


def read_file(file: FileIO, into: memoryview | None) -> Iterator[memoryview]:
    """The pieces of an open file, which is closed at its end. See ``Objects.chunks``."""
    position = 0
    with file:
        while True:
            if into is not None and position < len(into):
                piece = into[position : position + CHUNK]
            else:
                piece = memoryview(bytearray(CHUNK))
            try:
                count = file.readinto(piece)
            except OSError as error:
                raise failed("read", str(file.name), error) from error
            if not count:
                return
            position += count
            yield piece[:count]
