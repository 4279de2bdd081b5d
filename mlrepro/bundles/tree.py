"""Which files of a source tree go into its bundle: what git tracks, or nothing ignores, and what is declared."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from mlrepro.bundles.git import tracked_files
from mlrepro.bundles.settings import TABLE, BundleSettings
from mlrepro.errors import BundleError

_NEVER: Final = GitIgnoreSpec.from_lines([".git", "__pycache__/", "*.py[cod]"])
"""What belongs to a checkout or to one interpreter, never to the source."""

_WITHOUT_GIT: Final = GitIgnoreSpec.from_lines(
    [".venv/", "venv/", ".tox/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/"]
)
"""What nobody tracks, where no repository says so."""


def files_to_pack(root: Path, settings: BundleSettings, *, apart: Collection[Path] = ()) -> list[str]:
    """List what goes into the bundle of a source tree, by path from its root, sorted.

    Files that git tracks, as they are in the working tree; without git everything that no ``.gitignore`` names. Then
    what ``include`` adds, without what ``exclude`` names.

    Args:
        root: The tree's folder.
        settings: What the project says about its bundle.
        apart: Folders that are no source though they may lie in the tree, such as the store: without git, as that
            tells what is source.

    Raises:
        BundleError: There is nothing, git refuses to tell, or a pattern can't be read.
    """
    tracked = tracked_files(root)
    if tracked is None:
        inside = [path for path in apart if path != root and path.is_relative_to(root)]
        found = {
            name for name in _walk(root, ignoring=True) if not any((root / name).is_relative_to(at) for at in inside)
        }
    else:
        # what git tracks and was deleted since is not there to pack
        found = {name for name in tracked if os.path.lexists(root / name)}
    include, exclude = _patterns("include", settings.include), _patterns("exclude", settings.exclude)
    if settings.include:
        found |= {name for name in _walk(root, ignoring=False) if include.match_file(name)}
    packed = sorted(name for name in found if not exclude.match_file(name) and not _NEVER.match_file(name))
    if not packed:
        why = "git tracks nothing there: git add the files" if tracked == [] else "there are no files"
        raise BundleError(f"nothing in {root} goes into a bundle, as {why}, or name some in {TABLE} include")
    return packed


def _patterns(name: str, lines: Iterable[str]) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise BundleError(f"{TABLE} {name}: {error}") from error


def _walk(root: Path, *, ignoring: bool) -> Iterator[str]:
    """Every file and link below a folder; with ``ignoring`` without those that some ``.gitignore`` names."""
    specs: dict[str, GitIgnoreSpec] = {"": _WITHOUT_GIT} if ignoring else {}
    yield from _below(root, "", list(specs.items()), ignoring=ignoring)


def _below(root: Path, prefix: str, specs: list[tuple[str, GitIgnoreSpec]], *, ignoring: bool) -> Iterator[str]:
    if ignoring and (ignore := root / prefix / ".gitignore").is_file():
        lines = ignore.read_text("utf-8", errors="replace").splitlines()
        try:
            specs = [*specs, (prefix, GitIgnoreSpec.from_lines(lines))]
        except ValueError as error:
            raise BundleError(f"{ignore}: {error}") from error
    try:
        items = sorted(os.scandir(root / prefix), key=lambda item: item.name)
    except OSError as error:
        raise BundleError(f"{root / prefix} can't be read: {error.strerror}") from error
    for item in items:
        name, folder = prefix + item.name, item.is_dir(follow_symlinks=False)
        matched = name + "/" if folder else name
        if _NEVER.match_file(matched) or _is_ignored(matched, specs):
            continue
        if folder:
            yield from _below(root, name + "/", specs, ignoring=ignoring)
        else:
            yield name


def _is_ignored(name: str, specs: list[tuple[str, GitIgnoreSpec]]) -> bool:
    """The deepest ``.gitignore`` that says anything of a path decides, as for git."""
    for prefix, spec in reversed(specs):
        said = spec.check_file(name.removeprefix(prefix)).include
        if said is not None:
            return said
    return False
