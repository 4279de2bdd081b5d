"""What the store knows about a value that it holds."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from mlrepro.store.keys import check_sha256


@dataclass(frozen=True, slots=True)
class Origin:
    """Where it says that a value is stored.

    Attributes:
        scope: The scope of the entry that says so.
        input_hash: The result that the value belongs to; None for one that mlrepro did not compute.
    """

    scope: str
    input_hash: str | None


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A stored value: enough to read it back and to say what it is.

    Attributes:
        content_hash: sha256 of the stored bytes in lower-case hex.
        format: Name of the format they are in (``"arrow"``, ``"json"``, …).
        python_type: Public type of the value as ``module:qualname`` (``"pandas:DataFrame"``).
        size: Size of the blob in bytes.
        references: For pickled values every global that the pickle names, as sorted ``module:qualname``, but builtins.
            A class is stored by name, so whoever depends on the value depends on this code too.
        summary: What a person wants to know at a glance, as JSON: rows, columns, shape, dtype, keys, files, …
        parts_size: Bytes of further blobs that this one lists: the files of a folder, the parts of a tree.
        origin: Who says that it is stored, where that matters for whether it may be loaded; None for what this process
            stored or has found trustworthy. It is not part of the value, nor of its JSON.

    Example:
        >>> from mlrepro.store import open_store
        >>> stored = open_store("memory://docs").write_value({"auc": 0.81})
        >>> stored.format, stored.python_type, stored.size
        ('json', 'builtins:dict', 12)
    """

    content_hash: str
    format: str
    python_type: str
    size: int
    references: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parts_size: int = 0
    origin: Origin | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_sha256(self.content_hash, "content hash")

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object; ``from_json`` reads it."""
        return {
            "content_hash": self.content_hash,
            "format": self.format,
            "python_type": self.python_type,
            "size": self.size,
            "references": list(self.references),
            "summary": dict(self.summary),
            "parts_size": self.parts_size,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: Origin | None = None) -> "StoredValue":
        """Read what ``to_json`` wrote; fields of later versions are ignored.

        Args:
            data: The JSON object.
            origin: Who says so, where it was read from somebody's history.

        Raises:
            KeyError: A field is missing.
        """
        return cls(
            content_hash=data["content_hash"],
            format=data["format"],
            python_type=data["python_type"],
            size=data["size"],
            references=tuple(data.get("references", ())),
            summary=dict(data.get("summary", {})),
            parts_size=data.get("parts_size", 0),
            origin=origin,
        )

    def to_input(self) -> dict[str, Any]:
        """What a record of something else says of the value, beside its content hash; ``from_input`` reads it.

        It has other names than ``to_json``: what a record names by those, it stores itself.
        """
        return {
            "format": self.format,
            "python_type": self.python_type,
            "bytes": self.size,
            "references": list(self.references),
            "parts": self.parts_size,
        }

    @classmethod
    def from_input(cls, content_hash: str, data: Mapping[str, Any]) -> "StoredValue":
        """Read what ``to_input`` wrote.

        Raises:
            KeyError: A field is missing.
        """
        return cls(
            content_hash=content_hash,
            format=data["format"],
            python_type=data["python_type"],
            size=data["bytes"],
            references=tuple(data.get("references", ())),
            parts_size=data.get("parts", 0),
        )


def type_name(cls: type) -> str:
    """A type's public name as ``module:qualname``: the shortest module that offers it, not the private one it lies in.

    Example:
        >>> from collections import OrderedDict
        >>> type_name(OrderedDict), type_name(int)
        ('collections:OrderedDict', 'builtins:int')
    """
    if issubclass(cls, PurePath) and cls.__module__.startswith("pathlib"):
        return "pathlib:Path"
    # A class may well have something else than a text there.
    parts = str(cls.__module__).split(".")
    for length in range(1, len(parts)):
        package = ".".join(parts[:length])
        if getattr(sys.modules.get(package), cls.__qualname__, None) is cls:
            return f"{package}:{cls.__qualname__}"
    return f"{cls.__module__}:{cls.__qualname__}"
