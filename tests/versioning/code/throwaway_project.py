"""A small project written to a folder of its own, imported, fingerprinted, and forgotten again."""

import contextlib
import importlib
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mlrepro.versioning import CodeFingerprint, fingerprint

OPTIONAL = frozenset(("polars", "scipy", "sklearn", "torch"))


class Project:
    """Writes sources and fingerprints what they define."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def write(self, files: str | Mapping[str, str]) -> Path:
        """Write a project to a new checkout; a single text is ``proj/main.py``."""
        if isinstance(files, str):
            files = {"proj/__init__.py": "", "proj/main.py": files}
        self.count += 1
        root = self.folder / f"checkout{self.count}"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return root

    @contextlib.contextmanager
    def imported(self, root: Path, target: str = "proj.main:run") -> Iterator[object]:
        """The target, for as long as its modules are loaded."""
        before = set(sys.modules)
        paths = [str(root), str(root / "_site")]
        sys.path[:0] = paths
        importlib.invalidate_caches()
        module, _, name = target.partition(":")
        try:
            try:
                found: object = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name in OPTIONAL:
                    pytest.skip(f"needs {error.name}")
                raise
            for part in name.split("."):
                found = getattr(found, part)
            yield found
        finally:
            for path in paths:
                sys.path.remove(path)
            for loaded in set(sys.modules) - before:
                if str(getattr(sys.modules[loaded], "__file__", "")).startswith(str(root)) or loaded == "proj":
                    del sys.modules[loaded]

    def fingerprint(
        self, files: str | Mapping[str, str], target: str = "proj.main:run", **options: object
    ) -> CodeFingerprint:
        """Write, import and fingerprint."""
        with self.imported(self.write(files), target) as found:
            return fingerprint(found, **options)  # type: ignore[arg-type]

    def changes(
        self, files: str | Mapping[str, str], old: str, new: str, target: str = "proj.main:run", file: str = ""
    ) -> bool:
        """Whether an edit changes the fingerprint."""
        if isinstance(files, str):
            files = {"proj/__init__.py": "", "proj/main.py": files}
        sources = {name: textwrap.dedent(text) for name, text in files.items()}
        file = file or next(name for name, text in sources.items() if old in text)
        assert sources[file].count(old) == 1, f"{old!r} occurs {sources[file].count(old)} times in {file}"
        edited = {**sources, file: sources[file].replace(old, new)}
        before, after = self.fingerprint(sources, target), self.fingerprint(edited, target)
        again = self.fingerprint(sources, target)
        assert before.digest == again.digest, "the same code in another checkout gave another fingerprint"
        return before.digest != after.digest
