"""Paths as they are in every checkout: relative to where the project's modules are imported from."""

import functools
import os
import sys
import sysconfig

_NOT_PROJECTS = tuple(
    path for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")} if path
)


def portable(path: str) -> str:
    """A path without the place of the checkout.

    A path inside an entry of ``sys.path``, or beside one (``src/`` and ``data/`` of one repository), is made relative
    to it; any other stays as it is.

    Args:
        path: An absolute or relative path.

    Example:
        >>> portable("/somewhere/else.csv")
        '/somewhere/else.csv'
    """
    if not path.startswith(os.sep):
        return path
    for root, prefix in _roots(tuple(sys.path), os.getcwd()):  # noqa: PTH109 -- on the hot path
        if path == root:
            return prefix
        if path.startswith(root + os.sep):
            return prefix + path[len(root) :]
    return path


@functools.lru_cache(maxsize=8)
def _roots(entries: tuple[str, ...], folder: str) -> tuple[tuple[str, str], ...]:
    """Folders and what stands for them, the innermost first."""
    found: dict[str, str] = {}
    for entry in entries:
        if entry.endswith(".zip"):
            continue
        root = os.path.normpath(os.path.join(folder, entry))  # noqa: PTH118
        if root.count(os.sep) < 1 or root == os.sep or root.startswith(_NOT_PROJECTS):
            continue
        found[root] = "<root>"
        above = os.path.dirname(root)  # noqa: PTH120
        if above.count(os.sep) > 1:
            found.setdefault(above, "<root>/..")
    return tuple(sorted(found.items(), key=lambda item: (-len(item[0]), item[0])))
