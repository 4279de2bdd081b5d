"""Extracting a bundle on a machine: once for all processes there, whole or not at all, each file against its hash."""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from mlrepro.bundles.manifest import MAX_MANIFEST, File, Link, Manifest, folders_of
from mlrepro.errors import BlobMissingError, BundleError, CacheWarning, HostileBundleError, StoreError
from mlrepro.store import Store, StoredValue
from mlrepro.store.keys import check_sha256, is_sha256

_AT_ONCE: Final = 16
_STALE: Final = 24 * 3600.0
"""Seconds after which what a killed process left behind is removed."""

_UNUSED: Final = 30 * 24 * 3600.0
"""Seconds after which a tree that nobody asked for is removed."""

_TRIES: Final = 5
_TEMPORARY: Final = ".tmp-"
_MANIFEST: Final = ".json"
_BYTECODE: Final = "__pycache__"

NO_BYTECODE: Final = {"PYTHONDONTWRITEBYTECODE": "1"}
"""Environment of processes that run from a tree: none but its own files are in it."""


def bundle_cache() -> Path:
    """The folder that bundles are extracted to on this machine: ``MLREPRO_BUNDLE_CACHE``, else the user's cache."""
    if given := os.environ.get("MLREPRO_BUNDLE_CACHE"):
        return Path(given).absolute()
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home, "mlrepro", "bundles").absolute()


def fetch(store: Store, digest: str, folder: str | Path | None = None) -> Path:
    """Have a bundle's tree on this machine. One that is there is checked; the store is asked only for one that is not.

    Args:
        store: Where the bundle is.
        digest: Its name.
        folder: Where the trees of bundles are, each in a folder of its digest. Default: `bundle_cache`.

    Returns:
        The tree's folder. Its files are read-only.

    Raises:
        BundleError: It is not in the store, is damaged there, or the folder can't be written.
        HostileBundleError: mlrepro did not make it: it would write outside its folder, or more than it may hold.
    """
    check_sha256(digest, "digest of a code bundle")
    cache = Path(folder).absolute() if folder is not None else bundle_cache()
    tree = cache / digest
    try:
        manifest = _known(cache, digest)
        if manifest is not None and _is_whole(tree, manifest):
            keep(cache, digest)
            return tree
        cache.mkdir(parents=True, exist_ok=True)
        _remove_stale(cache)
        return _extract(store, digest, cache)
    except OSError as error:
        raise BundleError(
            f"the code bundle {digest[:12]} can't be extracted to {cache}: {error.strerror or error}; name a folder"
            " that can be written in MLREPRO_BUNDLE_CACHE"
        ) from error


def keep(cache: Path, digest: str) -> None:
    """Note that a bundle's tree is in use, so that it is not removed for the next thirty days."""
    with contextlib.suppress(OSError):
        os.utime(cache / (digest + _MANIFEST))


def read_manifest(store: Store, digest: str) -> Manifest:
    """Read what a bundle in the store holds, without extracting it.

    Raises:
        BundleError: It is not there or damaged.
        HostileBundleError: It holds what no bundle may.
    """
    return Manifest.from_bytes(_manifest_bytes(store, digest))


def _manifest_bytes(store: Store, digest: str) -> bytes:
    try:
        size = store.blob_size(digest)
        if size is None:
            raise BlobMissingError("it is not there")
        if size > MAX_MANIFEST:
            raise HostileBundleError(f"the code bundle {digest[:12]} has a list of files of {size:,} bytes")
        return store.read_bytes(digest)
    except StoreError as error:
        raise BundleError(
            f"the code bundle {digest[:12]} can't be read from {store.url}: {error}; push it again"
        ) from error


def _known(cache: Path, digest: str) -> Manifest | None:
    """The manifest beside a tree; it needs no trust, as its sha256 is the tree's name."""
    with contextlib.suppress(OSError, HostileBundleError):
        data = (cache / (digest + _MANIFEST)).read_bytes()
        if hashlib.sha256(data).hexdigest() == digest:
            return Manifest.from_bytes(data)
    return None


def _extract(store: Store, digest: str, cache: Path) -> Path:
    data = _manifest_bytes(store, digest)
    manifest = Manifest.from_bytes(data)
    tree, made = cache / digest, cache / f"{_TEMPORARY}{digest[:12]}-{uuid.uuid4().hex}"
    try:
        _write(store, digest, manifest, made)
        beside = made.with_suffix(_MANIFEST)
        beside.write_bytes(data)
        beside.replace(cache / (digest + _MANIFEST))
        for _ in range(_TRIES):
            try:
                made.rename(tree)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
            else:
                return tree
            if _is_whole(tree, manifest):  # another process was faster, with the same files
                return tree
            # only now, so that who runs from it finds the code in its place all the time
            _put_aside(tree, cache)
        raise BundleError(f"{tree} is changed again and again while it is made: somebody writes to it")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(store: Store, digest: str, manifest: Manifest, root: Path) -> None:
    root.mkdir(mode=0o755)
    for name in sorted(folders_of(manifest.entries)):
        (root / name).mkdir(mode=0o755)

    def write(name: str) -> None:
        entry = manifest.entries[name]
        if isinstance(entry, Link):
            return
        # its size is known before a byte is written, so that a small entry cannot turn out to be a huge file
        if not store.has_blob(entry.digest, entry.size):
            raise BundleError(
                f"the code bundle {digest[:12]} can't be extracted: {name} ({entry.digest}, {entry.size:,} bytes) is"
                f" not in {store.url}; push it again"
            )
        try:
            store.export_value(StoredValue(entry.digest, "file", "pathlib:Path", entry.size), root / name)
        except StoreError as error:
            raise BundleError(
                f"the code bundle {digest[:12]} can't be extracted: {name}: {error}; push it again"
            ) from error
        (root / name).chmod(0o555 if entry.executable else 0o444)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mlrepro-bundle") as pool:
        for _ in pool.map(write, manifest.entries):
            pass
    for name, entry in manifest.entries.items():
        if isinstance(entry, Link):
            (root / name).symlink_to(entry.target)


def _is_whole(tree: Path, manifest: Manifest) -> bool:
    """Whether an extracted tree is as it should be: each file with its hash, and nothing else.

    What interpreters keep beside the source is removed. They would run it for the source, whatever it says.
    """
    if tree.is_symlink() or not tree.is_dir():
        return False
    seen = 0
    for folder, folders, files in os.walk(tree):
        if _BYTECODE in folders:
            _remove_surely(Path(folder, _BYTECODE))
            folders.remove(_BYTECODE)
        below = Path(folder).relative_to(tree)
        for name in files + [each for each in folders if Path(folder, each).is_symlink()]:
            entry = manifest.entries.get((below / name).as_posix())
            if entry is None or not _is(Path(folder, name), entry):
                return False
            seen += 1
    return seen == len(manifest.entries)


def _is(path: Path, entry: File | Link) -> bool:
    info = path.lstat()
    if isinstance(entry, Link):
        return stat.S_ISLNK(info.st_mode) and str(path.readlink()) == entry.target
    if not stat.S_ISREG(info.st_mode) or info.st_size != entry.size:
        return False
    if bool(info.st_mode & stat.S_IXUSR) != entry.executable:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.digest


def _put_aside(tree: Path, cache: Path) -> None:
    """Make place for a tree that is to be made again; processes that run from the old one keep what they have open."""
    aside = cache / f"{_TEMPORARY}{uuid.uuid4().hex}"
    with contextlib.suppress(FileNotFoundError):
        tree.rename(aside)
        warnings.warn(f"{tree} was damaged, and is made again from the store", CacheWarning, stacklevel=3)
        if aside.is_symlink() or not aside.is_dir():
            aside.unlink()
        else:
            shutil.rmtree(aside, ignore_errors=True)


def _remove_stale(cache: Path) -> None:
    """Remove what killed processes left behind, and trees that were not asked for in a long time."""
    for each in cache.glob(f"{_TEMPORARY}*"):
        _remove_if_older(each, _STALE)
    for each in cache.glob(f"*{_MANIFEST}"):
        with contextlib.suppress(OSError):
            if is_sha256(each.stem) and time.time() - each.lstat().st_mtime > _UNUSED:
                each.unlink()
                aside = cache / f"{_TEMPORARY}{uuid.uuid4().hex}"
                (cache / each.stem).rename(aside)
                shutil.rmtree(aside, ignore_errors=True)


def _remove_if_older(path: Path, age: float) -> None:
    with contextlib.suppress(OSError):
        if time.time() - path.lstat().st_mtime > age:
            _remove(path)


def _remove_surely(path: Path) -> None:
    """Also where another process does the same."""
    while os.path.lexists(path):
        with contextlib.suppress(FileNotFoundError):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
