"""Reading a source file as the type that an argument declares."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlrepro.errors import AssetDefinitionError, MissingExtraError

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}

FRAME_READERS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "pandas": {
        ".csv": ("read_csv", {}),
        ".tsv": ("read_csv", {"sep": "\t"}),
        ".parquet": ("read_parquet", {}),
        ".feather": ("read_feather", {}),
        ".arrow": ("read_feather", {}),
        ".json": ("read_json", {}),
        ".jsonl": ("read_json", {"lines": True}),
    },
    "polars": {
        ".csv": ("read_csv", {}),
        ".tsv": ("read_csv", {"separator": "\t"}),
        ".parquet": ("read_parquet", {}),
        ".feather": ("read_ipc", {}),
        ".arrow": ("read_ipc", {}),
        ".json": ("read_json", {}),
        ".jsonl": ("read_ndjson", {}),
    },
}
"""Function of each library that reads a file by its suffix, with the arguments it needs."""


def library_of(as_type: type | None) -> str | None:
    """Name the library that reads the file for a declared type; None where Python itself does."""
    root = (as_type.__module__ if as_type else "").split(".")[0]
    return root if root in (*FRAME_READERS, "numpy") else None


def read_file(path: Path, name: str, as_type: type | None) -> Any:
    """Read a file as a declared type.

    Args:
        path: The bytes to read.
        name: The file's own name, whose suffix tells the format.
        as_type: What the argument declares: a pandas or polars frame, a numpy array, bytes, str, dict or list (of
            a JSON file), or Path. None means Path.

    Raises:
        AssetDefinitionError: If a file with that suffix can't be read as that type.
    """
    if as_type is None or issubclass(as_type, Path) or as_type is object:
        return path
    if as_type is bytes:
        return path.read_bytes()
    if as_type is str:
        return path.read_text(encoding="utf-8")
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    suffix = (suffixes[-2] if compression and len(suffixes) > 1 else suffixes[-1]) if suffixes else ""
    if as_type in (dict, list) and suffix == ".json" and compression is None:
        return json.loads(path.read_text(encoding="utf-8"))
    library = library_of(as_type)
    if library == "numpy" and suffix == ".npy":
        return _function("numpy", "load")(path)
    reader = FRAME_READERS.get(library or "", {}).get(suffix)
    if reader is None or as_type.__name__ != "DataFrame":
        raise AssetDefinitionError(
            f"no reader for {name} as {as_type.__module__}.{as_type.__qualname__}: declare the argument as Path,"
            " or give file_source(read=...) a function that takes the path"
        )
    function, arguments = reader
    # the stored copy has no suffix that would tell the compression
    if library == "pandas" and function in ("read_csv", "read_json"):
        arguments = {**arguments, "compression": compression}
    return _function(str(library), function)(path, **arguments)


def _function(library: str, name: str) -> Callable[..., Any]:
    try:
        return getattr(importlib.import_module(library), name)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingExtraError(f"reading a file as {library}", library) from error
