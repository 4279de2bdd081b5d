"""Whose code it is, what it is called and where it lives do not count; what it does, does."""

import itertools
import os
import subprocess
import sys
import textwrap

import pytest
from throwaway_project import Project

from mlrepro.versioning import fingerprint

BODY = """
from proj.parts import FACTOR, helper
def {name}(rows: int = 4):
    total = 0
    for i in range(rows):
        total += helper(i) * FACTOR
    return total
"""
PARTS = """
FACTOR = 3
def helper(x):
    return other(x) + 1
def other(x):
    return x * 2
"""


def files(main: str, parts: str = PARTS, module: str = "parts") -> dict[str, str]:
    return {"proj/__init__.py": "", "proj/main.py": main, f"proj/{module}.py": parts}


def test_the_same_function_under_another_name_has_the_same_fingerprint(project: Project) -> None:
    one = project.fingerprint(files(BODY.format(name="run")))
    two = project.fingerprint(files(BODY.format(name="another")), "proj.main:another")
    assert one.digest == two.digest


def test_the_same_function_in_another_module_and_package_has_the_same_fingerprint(project: Project) -> None:
    one = project.fingerprint(files(BODY.format(name="run")))
    moved = {
        "team/__init__.py": "",
        "team/jobs/__init__.py": "",
        "team/jobs/late.py": BODY.format(name="run").replace("proj.parts", "team.lib"),
        "team/lib.py": PARTS,
    }
    assert project.fingerprint(moved, "team.jobs.late:run").digest == one.digest


def test_a_recursive_function_under_another_name_has_the_same_fingerprint(project: Project) -> None:
    code = "def {0}(n):\n    return 1 if n == 0 else n * {0}(n - 1)\n"
    one = project.fingerprint(code.format("run"))
    assert project.fingerprint(code.format("factorial"), "proj.main:factorial").digest == one.digest


def test_a_helper_may_move_to_another_module(project: Project) -> None:
    one = project.fingerprint(files(BODY.format(name="run")))
    two = project.fingerprint(files(BODY.format(name="run").replace("proj.parts", "proj.tools"), module="tools"))
    assert one.digest == two.digest


def test_a_helper_taken_by_import_or_by_attribute_is_the_same_helper(project: Project) -> None:
    by_name = "from proj.parts import helper\ndef run(x=1):\n    return helper(x)\n"
    by_module = "from proj import parts\ndef run(x=1):\n    return parts.helper(x)\n"
    by_path = "import proj.parts\ndef run(x=1):\n    return proj.parts.helper(x)\n"
    alias = "import proj.parts as p\ndef run(x=1):\n    return p.helper(x)\n"
    assert len({project.fingerprint(files(code)).digest for code in (by_name, by_module, by_path, alias)}) == 1


def test_only_the_attributes_used_of_a_module_count(project: Project) -> None:
    code = "from proj import parts\ndef run(x=1):\n    return parts.other(x)\n"
    assert not project.changes(files(code), "other(x) + 1", "other(x) + 2")
    assert project.changes(files(code), "x * 2", "x * 3")


@pytest.mark.parametrize(
    "imports",
    [
        "from proj.parts import *",
        "from .parts import helper, other",
        "from . import parts\nhelper = parts.helper",
        "from proj import helper",
        "from proj import shortcut as helper",
    ],
)
def test_star_relative_and_re_exported_imports_are_followed(project: Project, imports: str) -> None:
    code = files(f"{imports}\ndef run(x=1):\n    return helper(x)\n")
    code["proj/__init__.py"] = "from proj.parts import helper, helper as shortcut\n"
    assert project.changes(code, "other(x) + 1", "other(x) + 2")
    assert project.changes(code, "x * 2", "x * 3")
    assert not project.changes(code, "FACTOR = 3", "FACTOR = 4")


@pytest.mark.parametrize(
    "body",
    [
        "from proj.parts import helper\n    return helper(x)",
        "from .parts import helper\n    return helper(x)",
        "from . import parts\n    return parts.helper(x)",
        "import proj.parts\n    return proj.parts.helper(x)",
        "import proj.parts as p\n    return p.helper(x)",
        (
            "try:\n        from proj.parts import helper\n"
            "    except ImportError:\n        helper = None\n    return helper(x)"
        ),
        "def inner():\n        from proj.parts import helper\n        return helper(x)\n    return inner()",
    ],
)
def test_imports_inside_a_body_are_followed(project: Project, body: str) -> None:
    code = files(f"def run(x=1):\n    {body}\n")
    assert project.changes(code, "other(x) + 1", "other(x) + 2")
    assert project.changes(code, "x * 2", "x * 3")
    assert not project.changes(code, "FACTOR = 3", "FACTOR = 4")


def test_a_module_imported_for_its_effects_counts_whole(project: Project) -> None:
    code = files("def run(x=1):\n    import proj.parts\n    return x\n")
    assert project.changes(code, "FACTOR = 3", "FACTOR = 4")


def test_two_functions_that_differ_have_different_fingerprints(project: Project) -> None:
    variants = [
        f"def run(x=1):\n    return {body}\n" for body in ("x", "x + 0", "0 + x", "-x", "[x]", "(x,)", "{x}", "str(x)")
    ]
    assert len({project.fingerprint(code).digest for code in variants}) == len(variants)


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
{imports}
from mlrepro.versioning import fingerprint
import proj.main
print(fingerprint(proj.main.run).digest)
"""


def test_neither_hash_seed_nor_order_of_imports_nor_folder_counts(project: Project) -> None:
    code = files(BODY.format(name="run"))
    code["proj/main.py"] += textwrap.dedent(
        """
        NAMES = {"alpha", "beta", "gamma", ("x", 1), frozenset({"p", "q"})}
        class Registry:
            def __init__(self):
                self.items = {run, helper, Registry}
        REGISTRY = Registry()
        whole = run
        def run(rows=4):
            return whole(rows), NAMES, REGISTRY.items
        """
    )
    digests = set()
    orders = ("", "import proj.parts, json", "import json, proj.parts")
    for seed, imports in itertools.islice(zip(("0", "1", "77"), orders, strict=True), 3):
        root = project.write(code)
        script = SCRIPT.format(root=str(root), imports=imports)
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_helper_put_in_place_of_another_counts_at_the_next_call(project: Project) -> None:
    with project.imported(project.write(files(BODY.format(name="run")))) as run:
        before = fingerprint(run).digest
        parts = sys.modules["proj.parts"]
        original = parts.other
        parts.other = lambda x: x * 3
        changed = fingerprint(run).digest
        parts.other = original
        assert changed != before
        assert fingerprint(run).digest == before


def test_a_function_put_into_a_library_counts(project: Project) -> None:
    code = """
    import json
    def dumps(x):
        return "mine" + str(x)
    def run(x=1):
        return json.dumps(x)
    """
    with project.imported(project.write(code)) as run:
        import json

        before = fingerprint(run).digest
        original = json.dumps
        json.dumps = sys.modules["proj.main"].dumps
        try:
            changed = fingerprint(run).digest
        finally:
            json.dumps = original
        assert changed != before
        assert fingerprint(run).digest == before


def test_a_helper_defined_below_its_user_is_found_once_it_exists(project: Project) -> None:
    code = """
    from mlrepro.versioning import fingerprint
    first = None
    def early(f):
        global first
        first = fingerprint(f)
        return f
    @early
    def run(x=1):
        return below(x)
    def below(x):
        return x + 1
    """
    with project.imported(project.write(code)) as run:
        first = sys.modules["proj.main"].first
        assert [report.kind for report in first.reports] == ["unresolved name"]
        assert "below" in first.reports[0].message
        assert not first.reports[0].followed
        late = fingerprint(run)
        assert late.reports == ()
        assert late.digest != first.digest


def test_sources_tell_the_closure_without_any_absolute_path(project: Project) -> None:
    code = BODY.format(name="run")
    found = project.fingerprint(files(code))
    assert [(source.name, source.file) for source in found.sources] == [
        ("proj.main:run", "proj/main.py"),
        ("proj.parts:FACTOR", "proj/parts.py"),
        ("proj.parts:helper", "proj/parts.py"),
        ("proj.parts:other", "proj/parts.py"),
    ]
    by_name = {source.name: source for source in found.sources}
    assert by_name["proj.parts:FACTOR"].text == "FACTOR = 3"
    assert by_name["proj.parts:other"].text == "def other(x):\n    return x * 2"
    assert by_name["proj.parts:other"].line == 5
    assert str(project.folder) not in repr(found)


def test_a_class_is_told_once_with_its_methods(project: Project) -> None:
    code = """
    class Model:
        k = 1
        def f(self):
            return self.k
        @property
        def g(self):
            return 2
    def run():
        return Model().f()
    """
    assert [source.name for source in project.fingerprint(code).sources] == ["proj.main:Model", "proj.main:run"]
