"""Writing a stored value to a place of the user's choice."""

import json
import os
import uuid
from pathlib import Path

from mlrepro.errors import StoreError
from mlrepro.store.blobs import Source
from mlrepro.store.formats.folder import restore
from mlrepro.store.objects import failed
from mlrepro.store.stored import StoredValue


def export_value(source: Source, stored: StoredValue, path: Path) -> Path:
    """Write a value's stored bytes to a file, or a folder's files to a folder. See ``Store.export_value``."""
    beside = path.parent / f".{path.name[:100]}.{uuid.uuid4().hex[:8]}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if stored.format == "folder":
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise StoreError(f"{path} is there already: remove it, or export the folder elsewhere")
            restore(json.loads(bytes(source.read())), source, beside)
            for folder, _, files in os.walk(beside):
                for name in files:
                    file = Path(folder, name)
                    if not file.is_symlink():
                        file.chmod(file.stat().st_mode | 0o200)
        else:
            if path.is_dir():
                raise StoreError(f"{path} is a folder: name the file that the value is to be written to")
            source.save(beside)
        beside.replace(path)
    except OSError as error:
        raise failed("write", str(path), error) from error
    return path
