"""Having a bundle load in a clean process, and saying in one line why it does not."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlrepro.bundles.extracting import NO_BYTECODE
from mlrepro.bundles.git import untracked_files
from mlrepro.bundles.workflow import Workflow
from mlrepro.errors import BundleError

_SHOWN: Final = 3


@dataclass(frozen=True)
class Proof:
    """What came out of loading a bundle.

    Attributes:
        workflow: What it defines.
        environment: Python, platform and freeze of the interpreter that loaded it.
    """

    workflow: Workflow
    environment: dict[str, Any]


def import_root(tree: Path, module: str) -> str:
    """The folder of a tree that a module is imported from: the tree itself, or its ``src``.

    Raises:
        BundleError: Neither has it.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise BundleError(
            f"{module!r} is no name of a module: write it as Python imports it, such as pricing.definitions"
        )
    path = Path(*module.split("."))
    for folder in (".", "src"):
        base = tree / folder / path
        if base.with_suffix(".py").is_file() or base.is_dir():
            return folder
    raise BundleError(f"the bundle has no module {module}: neither {path}.py nor src/{path}.py is in it")


def prove(tree: Path, module: str, attribute: str | None, import_from: str, *, root: Path, timeout: float) -> Proof:
    """Load an extracted bundle in a fresh interpreter.

    Args:
        tree: Where it was extracted to.
        module: The module with the definitions.
        attribute: Their name in it, where it holds several.
        import_from: The folder of the tree that modules are imported from.
        root: The checkout it was packed from, for hints.
        timeout: Seconds that loading may take.

    Raises:
        BundleError: It does not load, or something else was loaded.
    """
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:
        request, answer = Path(folder, "request.json"), Path(folder, "answer.json")
        asked = {"tree": str(tree), "module": module, "attribute": attribute, "import_from": import_from}
        request.write_text(json.dumps({**asked, "answer": str(answer)}))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "mlrepro.bundles.loading", str(request)],
                cwd=tree,
                env={**os.environ, **NO_BYTECODE},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BundleError(
                f"{module} did not load within {timeout:.0f} s: what does it do when it is imported?"
            ) from error
        try:
            said = json.loads(answer.read_text())
        except (OSError, ValueError) as error:
            printed = done.stderr.decode("utf-8", "replace").strip().splitlines()
            last = printed[-1] if printed else "it printed nothing"
            raise BundleError(
                f"{module} ended the process that loads it, with code {done.returncode}: {last}"
            ) from error
    if "error" in said:
        raise BundleError(_why(module, said["error"], root))
    if "elsewhere" in said:
        raise BundleError(
            f"{module} was loaded from {said['elsewhere']}, not from the bundle: uninstall it from this environment, or"
            " name the project's folder with --root"
        )
    return Proof(Workflow.from_json(json.loads(said["workflow"])), said["environment"])


def _why(module: str, error: dict[str, Any], root: Path) -> str:
    where = f" ({error['file']}, line {error['line']})" if error["file"] else ""
    told = f"{module} does not load, so nothing was pushed: {error['message']}{where}"
    missing = error["missing"]
    if missing:
        path = missing.replace(".", "/")
        new = [name for name in untracked_files(root) if f"/{name}".endswith((f"/{path}.py", f"/{path}/__init__.py"))]
        if new:
            return f"{told}. git does not track {', '.join(new[:_SHOWN])}: git add it, or include it in the bundle"
    return told
