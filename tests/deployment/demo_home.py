"""The demo, loaded as a module, for the tests that look into it."""

import importlib.util
import sys
from types import ModuleType

from tests.deployment.pages import ROOT


def load_demo() -> ModuleType:
    """Import deployment/demo.py, which is a script."""
    sys.path.insert(0, str(ROOT / "deployment"))  # as it is there for a script
    spec = importlib.util.spec_from_file_location("mlrepro_demo", ROOT / "deployment" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
