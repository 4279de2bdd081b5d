"""A bundle's manifest: path → blob, checked whole before anything that it names is read or written.

It is the manifest of a folder in the store (``mlrepro.store.formats.folder``), so that `gc`, `fsck` and `copy` know its
files. Who may write to the store may put any bytes there, so nothing in it is believed.
"""

import json
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlrepro.errors import HostileBundleError
from mlrepro.store import StoredValue, records
from mlrepro.store.keys import is_sha256

MAX_FILES: Final = 50_000
"""Files and links that a bundle may hold, whatever the settings say."""

MAX_TOTAL: Final = 1024**3
"""Bytes that a bundle may hold, whatever the settings say."""

MAX_MANIFEST: Final = 32 * 1024**2
"""Bytes of a manifest."""

_LONGEST_PATH: Final = 1024
_LONGEST_NAME: Final = 200
_DEEPEST: Final = 64
_SCHEMA: Final = 1
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a bundle.

    Attributes:
        digest: sha256 of its bytes.
        size: Its length in bytes.
        executable: Whether its owner may execute it. No other bit of its mode is kept.
    """

    digest: str
    size: int
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link to a file or folder of the same bundle.

    Attributes:
        target: Relative, as the link holds it.
    """

    target: str


@dataclass(frozen=True)
class Manifest:
    """The files and links of a bundle, by path. It is checked when it is made.

    Attributes:
        entries: What lies at each path, written with ``/`` from the bundle's root.

    Raises:
        HostileBundleError: A path leads out, two paths are one on some file system, or it holds too much.

    Example:
        >>> manifest = Manifest({"app.py": File("5eed" * 16, 7)})
        >>> Manifest.from_bytes(manifest.to_bytes()) == manifest
        True
        >>> Manifest({"../app.py": File("5eed" * 16, 7)})
        Traceback (most recent call last):
        mlrepro.errors.HostileBundleError: the code bundle holds '../app.py', a path that may lead out of it
    """

    entries: Mapping[str, File | Link]

    def __post_init__(self) -> None:
        _check(self.entries)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries.values() if isinstance(entry, File))

    def to_bytes(self) -> bytes:
        """The manifest as it is stored: equal trees give equal bytes."""
        return records.to_bytes(
            {"schema": _SCHEMA, "folder": {path: _said(self.entries[path]) for path in self.entries}}
        )

    def stored(self, digest: str, length: int) -> StoredValue:
        """What histories say of it: a folder, whose files every part of the store knows to keep.

        Args:
            digest: sha256 of ``to_bytes()``.
            length: Its length.
        """
        files = sum(isinstance(entry, File) for entry in self.entries.values())
        return StoredValue(digest, "folder", "pathlib:Path", length, summary={"files": files}, parts_size=self.size)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Read a manifest.

        Raises:
            HostileBundleError: It is none, or holds what no bundle may.
        """
        try:
            read = json.loads(data, object_pairs_hook=_no_doubles)
        except (ValueError, RecursionError) as error:
            raise HostileBundleError(f"the code bundle has no readable list of files: {error}") from error
        if not isinstance(read, dict) or not isinstance(read.get("folder"), dict):
            raise HostileBundleError("the code bundle has no list of files")
        if read.get("schema") != _SCHEMA or isinstance(read["schema"], bool):
            raise HostileBundleError("the code bundle was made by a later version of mlrepro: update it")
        if len(read["folder"]) > MAX_FILES:
            raise _too_many(len(read["folder"]))
        return cls({path: _read(path, entry) for path, entry in read["folder"].items()})


def folders_of(entries: Mapping[str, Any]) -> set[str]:
    """Every folder that lies above an entry."""
    return {path[:at] for path in entries for at, letter in enumerate(path) if letter == "/"}


def _said(entry: File | Link) -> dict[str, Any]:
    if isinstance(entry, Link):
        return {"link": entry.target}
    return {"sha256": entry.digest, "size": entry.size} | ({"executable": True} if entry.executable else {})


def _read(path: str, entry: Any) -> File | Link:
    match entry:
        case {"link": str(target), **rest} if not rest:
            return Link(target)
        case {"sha256": str(digest), "size": int(size), **rest} if (
            is_sha256(digest) and type(size) is int and size >= 0 and rest in ({}, {"executable": True})
        ):
            return File(digest, size, bool(rest))
    raise HostileBundleError(f"the code bundle says of {path!r} what can be said of neither a file nor a link")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("it names something twice")
    return made


def _check(entries: Mapping[str, File | Link]) -> None:
    if len(entries) > MAX_FILES:
        raise _too_many(len(entries))
    for path in entries:
        _check_path(path)
    total = sum(entry.size for entry in entries.values() if isinstance(entry, File))
    if total > MAX_TOTAL:
        raise HostileBundleError(f"the code bundle says that it holds {total:,} bytes; at most {MAX_TOTAL:,} are taken")
    folders = folders_of(entries)
    if doubles := folders & entries.keys():
        raise HostileBundleError(f"the code bundle holds {min(doubles)!r} as a folder and as something else")
    same: dict[str, str] = {}
    for path in (*entries, *folders):
        other = same.setdefault(_folded(path), path)
        if other != path:
            raise HostileBundleError(
                f"the code bundle holds {min(other, path)!r} and {max(other, path)!r}, which are one on file systems"
                " that do not tell case or accents apart: rename one of them"
            )
    for path, entry in entries.items():
        if isinstance(entry, Link):
            _check_link(path, entry.target, entries, folders)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "." in parts or "" in parts or "\\" in path:
        raise HostileBundleError(f"the code bundle holds {path!r}, a path that may lead out of it")
    if "__pycache__" in path.split("/") or path.endswith((".pyc", ".pyo")):
        raise HostileBundleError(f"the code bundle holds {path!r}, bytecode that nobody can read")
    if _CONTROL.search(path):
        raise HostileBundleError(f"the code bundle holds {path!r}, a path with control characters: rename it")
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError as error:
        raise HostileBundleError(f"the code bundle holds {path!r}, a path that is not UTF-8: rename it") from error
    if len(path.encode()) > _LONGEST_PATH or longest > _LONGEST_NAME or len(parts) > _DEEPEST:
        raise HostileBundleError(f"the code bundle holds a path that is too long or too deep: {path[:80]!r}…")


def _check_link(path: str, target: str, entries: Mapping[str, File | Link], folders: set[str]) -> None:
    """A link has to lead to a file or folder of the bundle, straight: then its text alone says where it ends."""
    lies_in = posixpath.dirname(path)
    leads_to = posixpath.normpath(posixpath.join(lies_in, target)) if target else ""
    climbs = target.split("/").count("..") > lies_in.count("/") + bool(lies_in)
    if not target or target.startswith("/") or climbs or leads_to.startswith("..") or "\\" in target:
        raise HostileBundleError(f"the code bundle holds the link {path!r} to {target!r}, which leads out of it")
    if leads_to not in folders and not isinstance(entries.get(leads_to), File):
        raise HostileBundleError(
            f"the code bundle holds the link {path!r} to {target!r}, which is no file or folder of the bundle"
        )
    passed = posixpath.join(lies_in, target).split("/")[:-1]
    if any(isinstance(entries.get(step), Link) for step in _steps(passed)):
        raise HostileBundleError(f"the code bundle holds the link {path!r} to {target!r}, which leads through another")


def _steps(parts: list[str]) -> Iterator[str]:
    """The folders that a path passes on its way, each from the root."""
    for end in range(1, len(parts) + 1):
        yield posixpath.normpath("/".join(parts[:end]))


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", path).casefold())


def _too_many(count: int) -> HostileBundleError:
    return HostileBundleError(f"the code bundle says that it holds {count:,} files; at most {MAX_FILES:,} are taken")
