"""Writing rendered files to a folder: whole or not at all, and never over what somebody else put there."""

import contextlib
import difflib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlrepro.errors import TenantsError
from mlrepro.tenancy.rendering.text import json_file

INDEX: Final = "rendered.json"
"""Says which files are ours, and what they were when we wrote them: while we write, what they were before as well."""

_BY: Final = "mlrepro tenants render"


@dataclass(frozen=True)
class Changes:
    """What writing would do to a folder.

    Attributes:
        added: Files that are not there yet.
        changed: Files whose text is another, with what it is now.
        removed: Files that we wrote, that nobody changed since, and that are not rendered any more.
        kept: Files that we wrote, that are not rendered any more, and that somebody changed: they stay.
        foreign: Files in the place of rendered ones that we did not write, or that somebody changed since.
    """

    added: tuple[str, ...]
    changed: Mapping[str, str]
    removed: Mapping[str, str]
    kept: tuple[str, ...]
    foreign: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether the folder is not as it should be."""
        return bool(self.added or self.changed or self.removed or self.foreign)

    def unified(self, files: Mapping[str, str]) -> str:
        """All differences, as ``diff -u`` shows them."""
        now = {**dict.fromkeys(self.added, ""), **self.changed, **self.removed}
        return "".join(
            line
            for path in sorted(now)
            for line in difflib.unified_diff(
                now[path].splitlines(keepends=True),
                files.get(path, "").splitlines(keepends=True),
                f"a/{path}" if path not in self.added else "/dev/null",
                f"b/{path}" if path in files else "/dev/null",
            )
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON, for machines."""
        return {
            "added": list(self.added),
            "changed": sorted(self.changed),
            "removed": sorted(self.removed),
            "kept": list(self.kept),
            "foreign": list(self.foreign),
        }


def changes(files: Mapping[str, str], folder: Path) -> Changes:
    """What writing these files would do to a folder.

    Args:
        files: The text of each file, by path.
        folder: Where they are to be. It need not exist.

    Raises:
        TenantsError: The folder can't be read, or its index is not ours.
    """
    with _told(folder):
        index = _index(folder)
        there = {path: text for path in {*files, *index} if (text := _text(folder / path)) is not None}
    differs = {path: there[path] for path in sorted(files) if path in there and there[path] != files[path]}
    untouched = {path for path, text in there.items() if _digest(text) in index.get(path, ())}
    stale = sorted(path for path in there if path not in files)
    return Changes(
        added=tuple(path for path in sorted(files) if path not in there),
        changed=differs,
        removed={path: there[path] for path in stale if path in untouched},
        kept=tuple(path for path in stale if path not in untouched),
        foreign=tuple(path for path in differs if path not in untouched),
    )


def write(files: Mapping[str, str], folder: Path, *, force: bool = False) -> Changes:
    """Write files to a folder, and remove those that we wrote before and that are not among them.

    Each file is replaced at once, the index first names old and new ones, so that a killed writer leaves only files
    that are whole and that the next one knows as its own.

    Args:
        files: The text of each file, by path.
        folder: Where they are to be. It is made if it is not there.
        force: Also replace files that somebody else wrote or changed.

    Returns:
        What was done.

    Raises:
        TenantsError: The folder can't be written, or files of somebody else are in the way.
    """
    found = changes(files, folder)
    if found.foreign and not force:
        names = ", ".join(found.foreign)
        raise TenantsError(
            f"{folder} has files that `{_BY}` did not write, or that were changed since: {names}. Nothing was written."
            " Look at them by `mlrepro tenants diff`, then render with --force"
        )
    with _told(folder):
        old = _index(folder)
        new = {path: frozenset({_digest(text)}) for path, text in files.items()}
        both = {path: old.get(path, frozenset()) | new.get(path, frozenset()) for path in {*old, *new}}
        if found.added or found.changed or found.removed:
            _replace(folder / INDEX, _index_text(both))
        for path in (*found.added, *found.changed):
            _replace(folder / path, files[path])
        for path in found.removed:
            (folder / path).unlink(missing_ok=True)
            _remove_empty((folder / path).parent, folder)
        _replace(folder / INDEX, _index_text(new))
    return found


def _index_text(digests: Mapping[str, frozenset[str]]) -> str:
    return json_file({"by": _BY, "files": {path: sorted(found) for path, found in sorted(digests.items())}})


def _index(folder: Path) -> dict[str, frozenset[str]]:
    text = _text(folder / INDEX)
    if text is None:
        return {}
    try:
        index = json.loads(text)
        assert index["by"] == _BY
        files = {str(path): frozenset(map(str, digests)) for path, digests in index["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise TenantsError(
            f"{folder / INDEX} is none that `{_BY}` wrote: name another folder, or move it away"
        ) from error
    if any(Path(path).is_absolute() or ".." in Path(path).parts for path in files):
        raise TenantsError(f"{folder / INDEX} names files outside of {folder}: it was altered. Move it away")
    return files


def _text(file: Path) -> str | None:
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _replace(file: Path, text: str) -> None:
    if _text(file) == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as output:
            output.write(text)
            output.flush()
            os.fsync(output.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TenantsError(f"{error.filename or folder}: {error.strerror}") from error
