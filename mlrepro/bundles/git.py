"""What git says of a source tree: the files that it tracks, the commit, whether something was changed since."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrepro.errors import BundleError

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class GitState:
    """Where a checkout stands.

    Attributes:
        commit: The commit; None in a repository without one.
        dirty: Whether what git tracks in the folder differs from the commit.
    """

    commit: str | None
    dirty: bool

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        return {"commit": self.commit, "dirty": self.dirty}


def tracked_files(root: Path) -> list[str] | None:
    """List the files below a folder that git tracks, submodules too; None where there is no git or no repository.

    Raises:
        BundleError: There is a repository, and git refuses to read it.
    """
    listed = _git(root, "ls-files", "-z", "--cached", "--recurse-submodules")
    return None if listed is None else sorted({name for name in listed.split("\0") if name})


def untracked_files(root: Path) -> list[str]:
    """List the files below a folder that git neither tracks nor ignores; none where there is no repository."""
    listed = _git(root, "ls-files", "-z", "--others", "--exclude-standard") or ""
    return sorted(name for name in listed.split("\0") if name)


def git_state(root: Path) -> GitState | None:
    """Tell where the checkout of a folder stands; None where there is no git or no repository."""
    changed = _git(root, "status", "--porcelain", "-z", "--untracked-files=no", "--", ".")
    if changed is None:
        return None
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD", may_fail=True)
    return GitState((commit or "").strip() or None, bool(changed))


def _git(root: Path, *arguments: str, may_fail: bool = False) -> str | None:
    # a hook of git sets these for its own repository, which may be another one
    clean = {
        name: value for name, value in os.environ.items() if name not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            env={**clean, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleError(f"git can't be asked about {root}: {error}") from error
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode == 0 or may_fail:
        return os.fsdecode(done.stdout)
    if "not a git repository" in said:
        return None
    last = said.splitlines()[-1] if said else f"exit code {done.returncode}"
    raise BundleError(f"git does not tell what it tracks in {root}: {last}")
