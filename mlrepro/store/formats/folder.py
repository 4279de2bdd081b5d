"""A folder: a JSON manifest of its files, each a blob of its own, so that unchanged files are stored once."""

import json
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mlrepro.errors import BlobDamagedError, UnstorableValueError
from mlrepro.store import records
from mlrepro.store.blobs import Blob, Sink, Source
from mlrepro.store.formats.file import stream
from mlrepro.store.formats.format import Format, NotThisFormatError, Written
from mlrepro.store.scratch import scratch_folder
from mlrepro.store.stored import StoredValue

_SCHEMA: Final = 1
_SHOWN: Final = 20
_AT_ONCE: Final = 8


def _write(value: Any, sink: Sink) -> Written:
    if not isinstance(value, Path) or not value.is_dir():
        raise NotThisFormatError("it is not a pathlib.Path to a folder")
    entries: dict[str, dict[str, Any]] = {}
    paths: dict[str, Path] = {}
    _walk(value, value.resolve(), "", (value.resolve(),), entries, paths)
    size = _store(paths, entries, sink)
    sink.write(records.to_bytes({"schema": _SCHEMA, "folder": entries}))
    files = sorted(name for name, entry in entries.items() if "sha256" in entry)
    return Written(summary={"name": value.name, "files": len(files), "first_files": files[:_SHOWN]}, parts_size=size)


def _store(paths: dict[str, Path], entries: dict[str, dict[str, Any]], sink: Sink) -> int:
    """Store files and note them; their bytes in all. Several at a time, for each waits for the disk or the network."""

    def store(path: Path) -> Blob:
        with sink.part() as part:
            stream(path, part)
        assert part.blob is not None
        return part.blob

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mlrepro-folder") as pool:
        for name, blob in zip(paths, pool.map(store, paths.values()), strict=True):
            entries[name] |= {"sha256": blob.digest, "size": blob.size}
    return sum(entries[name]["size"] for name in paths)


def _walk(
    folder: Path,
    root: Path,
    prefix: str,
    above: tuple[Path, ...],
    entries: dict[str, dict[str, Any]],
    paths: dict[str, Path],
) -> None:
    """List what is in a folder: entries of the manifest, and the files whose bytes they still lack."""
    try:
        items = sorted(os.scandir(folder), key=lambda item: item.name)
    except OSError as error:
        raise UnstorableValueError(
            f"The folder {folder} cannot be stored because it cannot be read: {error}"
        ) from error
    if not items and prefix:
        entries[prefix.rstrip("/")] = {"folder": True}
    for item in items:
        name, path = prefix + item.name, Path(item.path)
        if item.is_symlink():
            inside = _link_inside(path, root)
            if inside is not None:
                entries[name] = {"link": inside}
                continue
            # What it points at lies elsewhere and would be missing where the folder is read: its content is stored.
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise UnstorableValueError(f"The link {path} cannot be stored because it leads nowhere: {error}") from error
        if stat.S_ISDIR(mode):
            real = path.resolve()
            if real in above:
                raise UnstorableValueError(
                    f"The folder {path} cannot be stored because a link leads back to a folder above it"
                )
            _walk(path, root, name + "/", (*above, real), entries, paths)
        elif stat.S_ISREG(mode):
            entries[name] = {"executable": True} if mode & stat.S_IXUSR else {}
            paths[name] = path
        else:
            raise UnstorableValueError(f"{path} cannot be stored: it is neither a file nor a folder nor a link")


def _link_inside(link: Path, root: Path) -> str | None:
    """A link's target, if it is a relative one that stays inside the folder and leads somewhere."""
    target = str(link.readlink())
    if target.startswith("/") or not link.exists():
        return None
    return target if link.resolve().is_relative_to(root) and _stays_inside(link, target, root) else None


def _stays_inside(link: Path, target: str, root: Path) -> bool:
    # By its text as well: a target that climbs out and comes back in would lead elsewhere where the folder is read.
    return Path(os.path.normpath(link.parent.resolve() / target)).is_relative_to(root)


def _read(source: Source, stored: StoredValue, _as_type: type | None) -> Path:
    manifest = json.loads(bytes(source.read()))
    name = PurePosixPath(str(stored.summary.get("name", ""))).name
    root = scratch_folder() / (name if name not in {"", ".", ".."} else "value")
    restore(manifest, source, root)
    return root


def restore(manifest: dict[str, Any], source: Source, root: Path) -> None:
    """Write a folder's checked files below a new folder.

    Raises:
        BlobDamagedError: The manifest names something outside the folder.
    """
    if manifest.get("schema") != _SCHEMA:
        raise BlobDamagedError(f"The folder {source.blob.digest} was stored by a later version of mlrepro: update it")
    root.mkdir(parents=True)
    links: list[tuple[Path, str]] = []
    for name, entry in manifest["folder"].items():
        path = _inside(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if "link" in entry:
            links.append((path, entry["link"]))
        elif "folder" in entry:
            path.mkdir(exist_ok=True)
        else:
            source.part(Blob(entry["sha256"], entry["size"])).save(path)
            path.chmod(0o555 if entry.get("executable") else 0o444)
    # Links last, so that none of the files above was written through one.
    for path, target in links:
        _inside(root, os.path.relpath(os.path.normpath(path.parent / target), root))
        path.symlink_to(target)
    # Where a link leads through another one, its text does not tell where it ends.
    for path, target in links:
        try:
            inside = path.resolve().is_relative_to(root.resolve())
        except (OSError, RuntimeError):
            inside = True  # a link that leads round in a circle leads nowhere
        if not inside:
            shutil.rmtree(root)
            raise BlobDamagedError(
                f"A stored folder has a link that leads out of it: {target!r}. It was not made by mlrepro"
            )


def _inside(root: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise BlobDamagedError(f"A stored folder names a file outside itself: {name!r}. It was not made by mlrepro")
    return root / name


FORMAT = Format("folder", "", _write, _read)
