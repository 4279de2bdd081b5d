"""Source trees to pack, with and without git."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROJECT: Mapping[str, str] = {
    "pyproject.toml": "[project]\nname = 'pricing'\n",
    "pricing/__init__.py": "",
    "pricing/definitions.py": "import dagster as dg\n\ndefs = dg.Definitions()\n",
    "pricing/query.sql": "select 1\n",
    "README.md": "# Pricing\n",
}


def write_tree(root: Path, files: Mapping[str, str | bytes] = PROJECT) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def git(root: Path, *arguments: str) -> str:
    settings = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    people = {f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **settings, **people},
    )
    return done.stdout


def commit(root: Path, message: str = "work") -> str:
    """Add and commit everything; the commit."""
    if not (root / ".git").exists():
        git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD").strip()


def definitions(factor: int = 1, more: str = "") -> str:
    """A code location of two assets; a factor that differs changes the code of the second alone."""
    return f"""
import dagster as dg

from mlrepro import ml_asset, ml_definitions


@ml_asset
def numbers() -> list[int]:
    return [1, 2, 3]


@ml_asset
def total(numbers: list[int]) -> int:
    return {factor} * sum(numbers)

{more}
defs = ml_definitions(assets=[numbers, total])
"""


def write_project(root: Path, factor: int = 1, more: str = "") -> Path:
    return write_tree(root, {**PROJECT, "pricing/definitions.py": definitions(factor, more)})
