"""Loading a bundle once, in a fresh interpreter, as Dagster's code server will: proof that its definitions load.

Run as ``python -m mlrepro.bundles.loading REQUEST.json``; the answer is written to a file that the request names, since
whatever the project prints belongs to its own output.
"""

import json
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load(tree: Path, import_from: str, module: str, attribute: str | None) -> Mapping[str, Any]:
    """Load a code location and describe it, or say why it does not load.

    Args:
        tree: The extracted bundle.
        import_from: The folder in it that modules are imported from.
        module: The module with the definitions.
        attribute: The definitions' name in it, where it holds several.
    """
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._grpc.server import LoadedRepositories

    from mlrepro.bundles.describing import describe
    from mlrepro.versioning import environment

    origin = LoadableTargetOrigin(module_name=module, attribute=attribute, working_directory=str(tree / import_from))
    try:
        loaded = LoadedRepositories(origin, container_image=None, entry_point=["dagster"], container_context=None)
        described = describe(loaded.definitions_by_name.values())
    except Exception as error:  # noqa: BLE001 -- whatever the project raises is the answer
        return {"error": _told(error, tree)}
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not Path(file).resolve().is_relative_to(tree.resolve()):
        return {"elsewhere": str(file)}
    here = environment()
    return {
        "workflow": described.to_bytes().decode(),
        "environment": {"python": here.python, "platform": here.platform, "freeze": here.freeze},
    }


def _told(error: BaseException, tree: Path) -> dict[str, Any]:
    """The innermost cause: its last line, and the project's own file and line."""
    while error.__cause__ is not None:
        error = error.__cause__
    at: tuple[str, int | None] | None = None
    root = str(tree.resolve())
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith((root, str(tree))):
            at = frame.filename, frame.lineno
    if isinstance(error, SyntaxError) and error.filename:
        at = error.filename, error.lineno
    return {
        "type": type(error).__name__,
        "message": traceback.format_exception_only(error)[-1].strip(),
        "file": None if at is None else at[0].removeprefix(root).removeprefix(str(tree)).lstrip("/"),
        "line": None if at is None else at[1],
        "missing": error.name if isinstance(error, ModuleNotFoundError) else None,
    }


def main() -> None:
    """Answer the request that the command line names."""
    request = json.loads(Path(sys.argv[1]).read_text())
    answer = load(Path(request["tree"]), request["import_from"], request["module"], request["attribute"])
    Path(request["answer"]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
