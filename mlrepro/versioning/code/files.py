"""The whole files that a definition's modules are, with those that they import: enough to import them elsewhere."""

import contextlib
import functools
import os
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from mlrepro.versioning.code.origin import Origins, module_file, relative_file

_FROM = re.compile(r"^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n;#]*)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n;#]*)", re.MULTILINE)
_NAME = re.compile(r"(\w[\w.]*)(?:[ \t]+as[ \t]+\w+)?")


def files_of(modules: Collection[str], *, first_party: Collection[str] = ()) -> dict[str, str]:
    """Read the files of modules, and of all modules of the project that they import.

    Statements are found by their look, as parsing every file would take longer than all the rest: what merely looks
    like an import of a module that is loaded does no harm.

    Args:
        modules: Names of modules that are loaded.
        first_party: Distributions or top-level modules that count as the project's own although installed.

    Returns:
        Text by path relative to the import root; modules without a file (notebooks) are left out.

    Example:
        >>> files_of(["json"])
        {}
    """
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
        text = _read(file)
        if text is None:
            continue
        found[relative_file(name, file)] = text
        package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
        left.extend(_imported(text, package))
    return dict(sorted(found.items()))


def _read(file: str) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        status = os.stat(file)  # noqa: PTH116
        return _text(file, status.st_mtime_ns, status.st_size)
    return None


@functools.lru_cache(maxsize=4096)
def _text(file: str, modified: int, size: int) -> str:  # noqa: ARG001 -- a changed file is another one
    return Path(file).read_text(encoding="utf-8")


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
