"""Where the code of a version is to be had: its code bundle, the files stored with its result, its git commit."""

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from mlrepro.bundles import fetch
from mlrepro.errors import MlreproError
from mlrepro.reproducing.recipe import Recipe
from mlrepro.store import Store

_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class CodeTree:
    """A folder with code that can be imported.

    Attributes:
        what: Where it is from, in words.
        roots: Import roots, for ``sys.path``.
    """

    what: str
    roots: tuple[Path, ...]


@dataclass(frozen=True)
class NoCode:
    """Why the code is not to be had in one of the ways.

    Attributes:
        why: In words, with the next step.
    """

    why: str


def code_trees(
    store: Store,
    recipes: Sequence[Recipe],
    folder: Path,
    repository: Path,
) -> Iterator[CodeTree | NoCode]:
    """Lay out the code of one record, or of all of one run, in each way there is, what was stored with it first.

    Somebody who is trusted vouches for each record: what is imported is what it names, in whichever tree.

    Args:
        store: The store.
        recipes: What is recorded.
        folder: Where trees are put.
        repository: A folder in the git repository of the code.
    """
    ways: list[tuple[str, str, Callable[[Path], CodeTree | NoCode]]] = [
        ("bundle", "its code bundle", lambda place: _bundle(store, recipes, place)),
        ("files", "the files stored with the result", lambda place: _stored_files(store, recipes, place)),
        ("commit", "its git commit", lambda place: _commit(recipes, place, repository)),
        # last: what is here may have been edited, which is found out when its definitions are compared
        ("present", "the present code", lambda _: CodeTree(f"the code in {repository} as it is now", (repository,))),
    ]
    if not any(recipe.record.get("bundle") for recipe in recipes):
        del ways[0]
    for name, what, lay_out in ways:
        try:
            yield lay_out(folder / name)
        except (MlreproError, ImportError, OSError, ValueError, tarfile.TarError) as error:
            yield NoCode(f"{what}: {error}")


def _bundle(store: Store, recipes: Sequence[Recipe], folder: Path) -> CodeTree | NoCode:
    digests = {recipe.record.get("bundle") for recipe in recipes}
    digest = digests.pop()
    if digests or not digest:
        return NoCode("code bundle: the run's results name several")
    tree = fetch(store, digest, folder)
    names = [path.relative_to(tree).as_posix() for path in tree.rglob("*.py")]
    found = _roots(names, _files(recipes))
    if isinstance(found, str):
        return NoCode(f"code bundle {digest[:12]} has no {found}")
    return CodeTree(f"code bundle {digest[:12]}", tuple(tree / root for root in found))


def _files(recipes: Sequence[Recipe]) -> list[str]:
    return sorted({str(source["file"]) for recipe in recipes for source in recipe.sources})


def _stored_files(store: Store, recipes: Sequence[Recipe], folder: Path) -> CodeTree | NoCode:
    files: dict[str, str] = {}
    for recipe in recipes:
        digest = recipe.record["code"].get("files")
        if not digest:
            return NoCode(
                "the files of its code are not stored with it: it was computed in a notebook, or by an mlrepro"
                " that did not keep them"
            )
        for name, text in _files_in(store.read_bytes(digest)).items():
            if files.setdefault(name, text) != text:
                return NoCode(f"the files stored with the results: {name} was edited while the run was going on")
    for name, text in files.items():
        path = folder / _safe(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return CodeTree("the files stored with the result", (folder,))


def _files_in(data: bytes) -> dict[str, str]:
    files = json.loads(data)
    if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
        raise ValueError("they are damaged: expected texts by path")
    return files


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name or "\\" in name:
        raise ValueError(f"the path {name!r} leads out of the folder, so that none of these files is used")
    return path


def _commit(recipes: Sequence[Recipe], folder: Path, repository: Path) -> CodeTree | NoCode:
    commits = {recipe.record.get("git_commit") for recipe in recipes}
    commit = commits.pop()
    if commits:
        return NoCode("git: the checkout moved to another commit while the run was going on")
    if not commit:
        return NoCode("no git commit is recorded: it was not computed in a git checkout")
    if not _COMMIT.fullmatch(str(commit)):  # git would take it for a branch, or for an option
        return NoCode(f"git: {str(commit)[:40]!r} is no commit")
    short = str(commit)[:12]
    top = _git(repository, "rev-parse", "--show-toplevel")
    if top is None:
        return NoCode(f"git commit {short}: {repository} is in no git repository; name one that has it by --repository")
    checkout = Path(top.decode().strip())
    listed = _git(checkout, "ls-tree", "-r", "-z", "--name-only", str(commit))
    if listed is None:
        return NoCode(
            f"git commit {short} is not in {checkout}: fetch it, or name the right repository by --repository"
        )
    names = [name for name in listed.decode(errors="replace").split("\0") if name]
    found = _roots(names, _files(recipes))
    if isinstance(found, str):
        return NoCode(f"git commit {short} has no {found}: it was not committed, or is in another repository")
    packed = _git(checkout, "archive", "--format=tar", str(commit))
    if packed is None:
        return NoCode(f"git commit {short} could not be packed by git archive")
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return CodeTree(f"git commit {short}", tuple(folder / root for root in found))


def _roots(names: Sequence[str], wanted: Sequence[str]) -> list[str] | str:
    """Import roots in a commit under which all files lie; the first file that lies under none."""
    roots: list[str] = []
    known = set(names)
    for file in wanted:
        if any(str(PurePosixPath(root, file)) in known for root in roots):
            continue
        ending = [name for name in names if name == file or name.endswith(f"/{file}")]
        if not ending:
            return file
        # the root under which most of the files lie; of two alike the one that is less deep
        best = max(
            (name[: len(name) - len(file)].rstrip("/") for name in ending),
            key=lambda root: (sum(str(PurePosixPath(root, each)) in known for each in wanted), -root.count("/")),
        )
        roots.append(best)
    return roots or ["."]


def _git(folder: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
