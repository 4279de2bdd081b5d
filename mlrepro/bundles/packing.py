"""Packing a source tree: the same tree gives the same digest on any machine, and only changed files are sent."""

import hashlib
import stat
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from mlrepro.bundles.manifest import File, Link, Manifest
from mlrepro.bundles.secret_files import looks_secret
from mlrepro.bundles.settings import TABLE, BundleSettings, read_settings
from mlrepro.bundles.tree import files_to_pack
from mlrepro.errors import BundleError, HostileBundleError, UnstorableValueError
from mlrepro.store import Store, StoredValue

_AT_ONCE: Final = 8
_SHOWN: Final = 5

Progress = Callable[[str, int], None]
"""Told how many are done of what."""


@dataclass(frozen=True)
class Packed:
    """A source tree, listed and hashed. Nothing is stored yet.

    Attributes:
        root: The tree's folder.
        manifest: Its files and links.
        data: The manifest's bytes.
        digest: Their sha256, which is the bundle's name.
    """

    root: Path
    manifest: Manifest
    data: bytes
    digest: str

    @property
    def stored(self) -> StoredValue:
        """What a history says of it."""
        return self.manifest.stored(self.digest, len(self.data))


@dataclass(frozen=True, slots=True)
class Sent:
    """What it took to store a bundle.

    Attributes:
        files: Files that were sent.
        size: Their bytes, without the manifest.
    """

    files: int
    size: int


def pack(root: str | Path, settings: BundleSettings | None = None, *, apart: Collection[Path] = ()) -> Packed:
    """List and hash what goes into the bundle of a source tree. Time, owner, umask and place of it do not count.

    Args:
        root: The tree's folder.
        settings: Default: those in its ``pyproject.toml``.
        apart: Folders that are no source though they may lie in the tree; see `files_to_pack`.

    Raises:
        BundleError: Something looks like a secret, is too large, or can't be packed; the message names it.
    """
    folder = Path(root).resolve()
    if not folder.is_dir():
        raise BundleError(f"{root} is no folder: name the one that holds the code location's source")
    settings = read_settings(folder) if settings is None else settings
    names = files_to_pack(folder, settings, apart=apart)
    if len(names) > settings.max_files:
        raise BundleError(
            f"{folder} holds {len(names):,} files for the bundle, more than {TABLE} max_files ({settings.max_files:,})"
            " allows: exclude what the code does not need, or raise it"
        )
    entries: dict[str, File | Link] = {}
    allowed = GitIgnoreSpec.from_lines(settings.allow_secrets)
    refused: dict[str, BundleError] = {}
    for name in names:
        try:
            entries[name] = _entry(folder, name, settings, allowed)
        except BundleError as error:
            refused[name] = error
    if refused:
        first, *others = refused
        shown = ", ".join(others[:_SHOWN]) + (f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else "")
        raise BundleError(f"{refused[first]}" + (f" (refused too: {shown})" if others else "")) from refused[first]
    try:
        manifest = Manifest(entries)
    except HostileBundleError as error:
        raise BundleError(f"{folder} can't be packed: {error}") from error
    if manifest.size > settings.max_size:
        largest = max(entries, key=lambda name: entry.size if isinstance(entry := entries[name], File) else 0)
        raise BundleError(
            f"the files of {folder} take {_human(manifest.size)}, more than {TABLE} max_size"
            f" ({_human(settings.max_size)}) allows; the largest is {largest}: exclude what the code does not need, or"
            " raise it"
        )
    data = manifest.to_bytes()
    return Packed(folder, manifest, data, hashlib.sha256(data).hexdigest())


def store_bundle(
    packed: Packed, store: Store, *, known: Collection[str] = (), progress: Progress | None = None
) -> Sent:
    """Store a bundle: the files that are not known there, then its manifest.

    Args:
        packed: What `pack` returned.
        store: Where to; the own scope.
        known: Digests of files that are in the store for sure, such as those of the bundle before.
        progress: Told how many files were sent.

    Raises:
        BundleError: A file changed since it was packed.
        StoreError: The store failed.
    """
    store.check()
    left: dict[str, str] = {}
    for name, entry in packed.manifest.entries.items():
        if isinstance(entry, File) and entry.digest not in known:
            left.setdefault(entry.digest, name)

    def send(name: str) -> int:
        file = packed.manifest.entries[name]
        assert isinstance(file, File)
        try:
            stored = store.write_value(packed.root / name, format="file")
        except UnstorableValueError as error:
            raise BundleError(
                f"{packed.root / name} can't be read any more, or changed: pack again ({error})"
            ) from error
        if stored.content_hash != file.digest:
            raise BundleError(f"{packed.root / name} changed while it was packed: do it again")
        return file.size

    size = 0
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mlrepro-bundle") as pool:
        for count, sent in enumerate(pool.map(send, left.values()), 1):
            size += sent
            if progress:
                progress("files sent", count)
    stored = store.write_bytes(packed.data)
    assert stored == packed.digest
    return Sent(len(left), size)


def _entry(root: Path, name: str, settings: BundleSettings, allowed: GitIgnoreSpec) -> File | Link:
    path = root / name
    try:
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            return Link(str(path.readlink()))
        if not stat.S_ISREG(info.st_mode):
            raise BundleError(f"{path} is neither a file nor a link: exclude it in {TABLE}")
        if info.st_size > settings.max_file_size:
            raise BundleError(
                f"{path} is {_human(info.st_size)}, more than {TABLE} max_file_size ({_human(settings.max_file_size)})"
                " allows: exclude it, keep it in the store as an asset, or raise the limit"
            )
        secret = None if allowed.match_file(name) else looks_secret(root, name)
        if secret is not None:
            raise BundleError(
                f"{path} looks like {secret}, and who may read the store could read it: take it out of git or exclude"
                f" it in {TABLE}, or name it in allow_secrets there if it is none"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise BundleError(f"{path} can't be read: {error.strerror}") from error
    return File(digest, size, bool(info.st_mode & stat.S_IXUSR))


def _human(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
