"""What a project says about its code bundle, in ``[tool.mlrepro.bundle]`` of its ``pyproject.toml``."""

import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ByteSize, ConfigDict, Field, TypeAdapter, ValidationError

from mlrepro.bundles.manifest import MAX_FILES, MAX_TOTAL
from mlrepro.errors import BundleError

TABLE: Final = "[tool.mlrepro.bundle]"
"""The table in ``pyproject.toml``, as messages name it."""

_Size: Final = TypeAdapter(ByteSize)


class BundleSettings(BaseModel):
    """What goes into a bundle besides what git tracks, and how large it may be.

    Attributes:
        include: Patterns, as in a ``.gitignore``, of files to add though git does not track them, or ignores them.
        exclude: Patterns of files to leave out. They win over everything.
        allow_secrets: Patterns of files that only look like secrets, such as keys that tests use.
        max_file_size: Bytes of the largest file.
        max_size: Bytes of all files together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    max_file_size: ByteSize = Field(default=_Size.validate_python("10MB"), gt=0)
    max_size: ByteSize = Field(default=_Size.validate_python("50MB"), gt=0, le=MAX_TOTAL)
    max_files: int = Field(default=10_000, gt=0, le=MAX_FILES)


def read_settings(root: Path) -> BundleSettings:
    """Read the settings of the project in a folder; without any, the defaults.

    Raises:
        BundleError: They can't be read, or say what can't be.
    """
    file = root / "pyproject.toml"
    try:
        found: Any = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return BundleSettings()
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} can't be read: {error}") from error
    for name in ("tool", "mlrepro", "bundle"):
        found = found.get(name, {})
        if not isinstance(found, dict):
            raise BundleError(f"{file}: [{name}] has to be a table")
    try:
        return BundleSettings.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{file}, {TABLE} {where}: {first['msg']}") from error
