"""The whole files that a definition's modules are, with those that they import: enough to import them elsewhere."""

import contextlib
import functools
import hashlib
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrepro.versioning.canonical import canonical_json
from mlrepro.versioning.code.origin import Origins, module_file, relative_file

_MOST = 256
"""Sets of modules whose files are kept in mind."""

_FROM = re.compile(r"^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n;#]*)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n;#]*)", re.MULTILINE)
_NAME = re.compile(r"(\w[\w.]*)(?:[ \t]+as[ \t]+\w+)?")


@dataclass(frozen=True, eq=False)
class ProjectFiles:
    """Files of a project, as they were.

    Attributes:
        texts: Text by path relative to the import root; modules without a file (notebooks) are left out.
    """

    texts: Mapping[str, str]

    @functools.cached_property
    def packed(self) -> bytes:
        """All of them as bytes."""
        return canonical_json(self.texts).encode()

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of the bytes."""
        return hashlib.sha256(self.packed).hexdigest()


_Stamp = tuple[str, int, int]
_walked: dict[tuple[Any, ...], tuple[tuple[_Stamp, ...], ProjectFiles]] = {}
"""What was read last, and the files that it depends on: the assets of a project mostly have the same."""


def files_of(modules: Collection[str], *, first_party: Collection[str] = ()) -> ProjectFiles:
    """Read the files of modules, and of all modules of the project that they import.

    Statements are found by their look, as parsing every file would take longer than all the rest: what merely looks
    like an import of a module that is loaded does no harm.

    Args:
        modules: Names of modules that are loaded.
        first_party: Distributions or top-level modules that count as the project's own although installed.

    Returns:
        The files; the very same object for as long as none of them changed and no further module was loaded.

    Example:
        >>> files_of(["json"]).texts
        {}
    """
    asked = (frozenset(modules), frozenset(first_party), len(sys.modules))
    known = _walked.get(asked)
    if known is not None and all(_stamp(file) == (file, *rest) for file, *rest in known[0]):
        return known[1]
    stamps: list[_Stamp] = []
    found = ProjectFiles(_walk(modules, first_party, stamps))
    if len(_walked) >= _MOST:
        _walked.clear()
    _walked[asked] = (tuple(stamps), found)
    return found


def _walk(modules: Collection[str], first_party: Collection[str], stamps: list[_Stamp]) -> dict[str, str]:
    origins = Origins({*first_party, *(name.partition(".")[0] for name in first_party)})
    found: dict[str, str] = {}
    seen: set[str] = set()
    left = list(modules)
    while left:
        name = left.pop()
        if name in seen or name not in sys.modules or not origins.first_party(name):
            continue
        seen.add(name)
        if "." in name:  # importing a module runs its packages first
            left.append(name.rpartition(".")[0])
        file = module_file(name)
        if not file.endswith(".py"):
            continue
        stamp = _stamp(file)
        text = None if stamp is None else _read(*stamp)
        if stamp is None or text is None:
            continue
        stamps.append(stamp)
        found[relative_file(name, file)] = text
        package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
        left.extend(_imported(text, package))
    return dict(sorted(found.items()))


def _stamp(file: str) -> _Stamp | None:
    with contextlib.suppress(OSError):
        status = os.stat(file)  # noqa: PTH116
        return file, status.st_mtime_ns, status.st_size
    return None


@functools.lru_cache(maxsize=4096)
def _read(file: str, modified: int, size: int) -> str | None:  # noqa: ARG001 -- a changed file is another one
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return Path(file).read_text(encoding="utf-8")
    return None


@functools.lru_cache(maxsize=4096)
def _imported(text: str, package: str) -> tuple[str, ...]:
    """Names that may be modules, of the import statements in a file."""
    return tuple(dict.fromkeys(_names(text, package)))


def _names(text: str, package: str) -> Iterator[str]:
    for statement in _IMPORT.finditer(text):
        yield from _NAME.findall(statement[1])
    for statement in _FROM.finditer(text):
        module = statement[1]
        if module.startswith("."):
            above = package.split(".")
            above = above[: len(above) - (len(module) - len(module.lstrip(".")) - 1)]
            module = ".".join([*above, *filter(None, [module.lstrip(".")])])
        yield module
        yield from (f"{module}.{name}" for name in _NAME.findall(statement[2]))
