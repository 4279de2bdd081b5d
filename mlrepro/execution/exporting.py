"""Writing what a channel serves to a path that stays the same, for services that read files."""

import hashlib
import os
import shutil
import uuid
from pathlib import Path

from mlrepro.catalog.channels import ChannelEntry, ChannelName, Pointer
from mlrepro.catalog.names import VersionName
from mlrepro.errors import ChannelError, StoreError
from mlrepro.store import Store


def export_served(store: Store, entry: ChannelEntry) -> Path | None:
    """Write what a channel serves to its path, if it has one.

    Raises:
        ChannelError: If it can't be written. The channel has moved; the path still has what it served before.
    """
    if entry.export is None or entry.after is None:
        return None
    return export(store, entry.name, entry.after, entry.export)


def export(store: Store, name: ChannelName, pointer: Pointer, to: str) -> Path:
    """Write a version to a path: whole or not at all.

    A file is replaced in one step. A folder is written beside the path, which is a symbolic link that then turns to it.

    Raises:
        ChannelError: If it can't be written.
    """
    path = Path(to)
    waiting = path.with_name(f"{_beginning(pointer, path)}{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = store.export_value(pointer.stored, waiting)
        if written.is_dir():
            _turn_link(path, written)
        else:
            written.replace(path)
    except (OSError, StoreError) as error:
        raise ChannelError(
            f"{name} serves v{pointer.number} now, but that could not be written to {path}, which has what it served"
            f" before: {error}. Write it with: mlrepro load {VersionName(name.asset, None, name.channel)} -o {path}"
        ) from error
    finally:
        if waiting.is_file():
            waiting.unlink()
    return path


def is_exported(pointer: Pointer, to: str) -> bool:
    """Whether a path has what `export` would write there."""
    path = Path(to)
    if path.is_symlink() and path.is_dir():
        return path.readlink().name.startswith(_beginning(pointer, path))
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == pointer.stored.content_hash
    except OSError:
        return False


def _beginning(pointer: Pointer, path: Path) -> str:
    return f".{path.name}.{pointer.stored.content_hash[:16]}."


def _turn_link(path: Path, folder: Path) -> None:
    before = path.resolve() if path.is_symlink() else None
    if path.exists() and not path.is_symlink():
        raise OSError(f"{path} is a file or folder of somebody else: move it away")
    link = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    link.symlink_to(folder.name)
    os.replace(link, path)  # noqa: PTH105 -- Path.replace would follow where the link leads on some systems
    if before is not None and before.parent == folder.parent and before.name.startswith(f".{path.name}."):
        shutil.rmtree(before, ignore_errors=True)
