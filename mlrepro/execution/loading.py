"""From the name of a Python module, as a user types it, to the Definitions in it."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import dagster as dg

from mlrepro.errors import AssetDefinitionError


def definitions_in(module: dg.Definitions | str) -> dg.Definitions:
    """Find the one Definitions object of a module; one that is given already is returned as it is.

    Raises:
        AssetDefinitionError: If the module can't be imported, or holds none or several.
    """
    if isinstance(module, dg.Definitions):
        return module
    if (here := str(Path.cwd())) not in sys.path:  # as `python -m` finds a project
        sys.path.insert(0, here)
    try:
        loaded: ModuleType = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise AssetDefinitionError(f"there is no module {module!r} to import: {error}") from error
    except Exception as error:
        raise AssetDefinitionError(f"importing {module} failed: {type(error).__name__}: {one_line(error)}") from error
    found = [value for value in vars(loaded).values() if isinstance(value, dg.Definitions)]
    if len(found) != 1:
        raise AssetDefinitionError(f"module {module} holds {len(found)} Definitions objects, not one")
    return found[0]


def one_line(error: BaseException) -> str:
    """An error's text on one line, cut where it gets too long to read."""
    return " ".join(str(error).split())[:400]
