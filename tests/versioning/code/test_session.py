"""Many definitions at one moment share what they have in common; many threads do not disturb each other."""

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

from throwaway_project import Project

from mlrepro.versioning import FingerprintSession, code_fingerprint, fingerprint, fingerprint_session

CODE = "\n".join(
    [
        "import numpy as np",
        "class Model:",
        "    def __init__(self, k=1):",
        "        self.k = k",
        "    def f(self, x):",
        "        return self.g(x) * K",
        "    def g(self, x):",
        "        return other(x)",
        "K = 3",
        "def helper(x):",
        "    return np.mean(x) + Model(K).f(x)",
        "def other(x):",
        "    return helper(x) if x else Model",
        *[f"def f{i}(x=1):\n    return helper(x) + {i}" for i in range(30)],
        "run = [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, helper, other, Model]",
    ]
)


def test_a_session_gives_what_single_calls_give_in_any_order(project: Project) -> None:
    with project.imported(project.write(CODE)) as targets:
        single = [fingerprint(target) for target in targets]  # type: ignore[attr-defined]
        with fingerprint_session() as session:
            assert [session.fingerprint(target) for target in targets] == single  # type: ignore[attr-defined]
        backwards = FingerprintSession()
        assert [backwards.fingerprint(target) for target in reversed(targets)] == single[::-1]  # type: ignore[call-overload]
        assert len({found.digest for found in single}) == len(single)
        assert all("numpy.mean" in found.names for found in single)


def test_members_of_a_cycle_are_the_same_from_wherever_they_are_reached(project: Project) -> None:
    with project.imported(project.write(CODE)):
        module = sys.modules["proj.main"]
        first, second = FingerprintSession(), FingerprintSession()
        one = [first.fingerprint(getattr(module, name)).digest for name in ("helper", "other", "Model")]
        two = [second.fingerprint(getattr(module, name)).digest for name in ("Model", "other", "helper")]
        assert one == two[::-1]


def test_threads(project: Project) -> None:
    with project.imported(project.write(CODE)) as targets:
        expected = [code_fingerprint(target) for target in targets]  # type: ignore[attr-defined]
    with project.imported(project.write(CODE)) as targets, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(code_fingerprint, [*targets] * 8))  # type: ignore[misc]
    assert found == expected * 8


def test_what_others_have_imported_of_a_package_does_not_count(project: Project) -> None:
    files = {
        "proj/__init__.py": "",
        "proj/main.py": "def run(x=1):\n    return x\n",
        "proj/loud.py": "import random\nrandom.seed(3)\n",
    }
    alone = project.fingerprint(files)
    with project.imported(project.write(files)) as target:
        importlib.import_module("proj.loud")
        assert fingerprint(target).digest == alone.digest  # type: ignore[arg-type]


def test_effects_of_a_module_edited_after_its_import_are_those_that_ran(project: Project) -> None:
    root = project.write("import random\nrandom.seed(3)\ndef run(x=1):\n    return x\n")
    with project.imported(root) as target:
        before = fingerprint(target)  # type: ignore[arg-type]
        path = root / "proj/main.py"
        path.write_text(path.read_text().replace("3", "4"))
        assert fingerprint(target).digest == before.digest  # type: ignore[arg-type]
    assert any("random.seed(3)" in source.text for source in before.sources)
