"""What is the project's own, and what is somebody else's by version."""

import sys

import pytest
from throwaway_project import Project

from mlrepro.errors import FingerprintError
from mlrepro.versioning import (
    distribution_of,
    environment,
    fingerprint,
    is_first_party,
    reference,
    resolve_reference,
)


def library(version: str, body: str = "return x / 10", record: str = "vendlib/__init__.py,,\n") -> dict[str, str]:
    info = f"_site/vendlib-{version}.dist-info"
    return {
        "_site/vendlib/__init__.py": f"def norm(x):\n    {body}\nclass Base:\n    def f(self):\n        {body}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: Vend_Lib\nVersion: {version}\n\nText\n",
        f"{info}/RECORD": record + f"{info}/METADATA,,\n",
        f"{info}/top_level.txt": "vendlib\n",
        "proj/__init__.py": "",
    }


USES = {
    "by name": "from vendlib import norm\ndef run(x=1):\n    return norm(x)\n",
    "by module": "import vendlib\ndef run(x=1):\n    return vendlib.norm(x)\n",
    "inside the body": "def run(x=1):\n    import vendlib\n    return vendlib.norm(x)\n",
    "not loaded yet": "def run(x=1):\n    if x > 99:\n        from vendlib import norm\n        return norm(x)\n",
    "as a base class": "import vendlib\nclass A(vendlib.Base):\n    pass\ndef run(x=1):\n    return A().f()\n",
    "as a value": "import vendlib\nTABLE = {'n': vendlib.norm}\ndef run(x=1):\n    return TABLE['n'](x)\n",
}


@pytest.mark.parametrize("code", USES.values(), ids=USES)
def test_a_library_counts_by_its_version_and_not_by_its_text(project: Project, code: str) -> None:
    first = project.fingerprint({**library("1.0.0"), "proj/main.py": code})
    assert dict(first.distributions) == {"vend-lib": "1.0.0"}
    patched = project.fingerprint({**library("1.0.0", "return x / 20"), "proj/main.py": code})
    bumped = project.fingerprint({**library("1.1.0"), "proj/main.py": code})
    assert patched.digest == first.digest
    assert bumped.digest != first.digest


def test_a_library_declared_first_party_counts_by_its_text(project: Project) -> None:
    code = {"proj/main.py": USES["by name"]}
    first = project.fingerprint({**library("1.0.0"), **code}, first_party=["Vend.Lib"])
    patched = project.fingerprint({**library("1.0.0", "return x / 20"), **code}, first_party=["vendlib"])
    bumped = project.fingerprint({**library("1.1.0"), **code}, first_party=["vendlib"])
    assert patched.digest != first.digest
    assert bumped.digest == first.digest
    assert first.distributions == {}


def test_the_target_s_own_package_counts_by_its_text_however_it_was_installed(project: Project) -> None:
    first = project.fingerprint(library("1.0.0"), "vendlib:norm")
    patched = project.fingerprint(library("1.0.0", "return x / 20"), "vendlib:norm")
    assert patched.digest != first.digest


def test_an_installed_checkout_counts_by_its_text(project: Project) -> None:
    direct = {
        "_site/vendlib-1.0.0.dist-info/direct_url.json": '{"url": "file:///src/vendlib", "dir_info": {}}',
        "proj/main.py": USES["by name"],
    }
    first = project.fingerprint({**library("1.0.0"), **direct})
    patched = project.fingerprint({**library("1.0.0", "return x / 20"), **direct})
    assert patched.digest != first.digest


def test_a_library_without_metadata_counts_by_its_files(project: Project) -> None:
    def files(body: str) -> dict[str, str]:
        return {
            "site-packages/loose.py": f"def norm(x):\n    return {body}\n",
            "proj/__init__.py": "",
            "proj/main.py": "import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'site-packages'))\n"  # noqa: E501
            "from loose import norm\ndef run(x=1):\n    return norm(x)\n",
        }

    one, same, other = (project.fingerprint(files(body)) for body in ("x / 10", "x / 10", "x / 20"))
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_third_party_decorators_do_not_hide_what_they_wrap(project: Project) -> None:
    files = {
        **library("1.0.0"),
        "_site/vendlib/__init__.py": """
import functools
class Retrying:
    def __init__(self, times):
        self.times = times
        self.statistics = {}
    def wraps(self, f):
        @functools.wraps(f)
        def wrapped(*a, **k):
            return self.call(f, *a, **k)
        wrapped.retry = self
        return wrapped
    def call(self, f, *a, **k):
        return f(*a, **k)
def retry(times):
    return Retrying(times).wraps
class Compiled:
    __slots__ = ("py_func", "_handle")
    def __init__(self, f):
        self.py_func = f
        self._handle = open(__file__)
    def __reduce_ex__(self, protocol):
        raise TypeError("no")
    def __call__(self, *a):
        return self.py_func(*a)
def jit(f):
    return Compiled(f)
""",
        "proj/main.py": """
from vendlib import jit, retry
def deep(x):
    return x + 1
@retry(3)
def shaky(x):
    return deep(x) * 2
@jit
def fast(x):
    return deep(x) - 7
def run(x=1):
    return shaky(x) + fast(x)
""",
    }
    assert project.fingerprint(files).reports == ()
    for old, new in (("x + 1", "x + 2"), ("* 2", "* 4"), ("- 7", "- 8"), ("retry(3)", "retry(4)")):
        assert project.changes(files, old, new)
    assert project.changes(files, "return deep(x) * 2", "return deep(x) * 5", "proj.main:shaky")
    assert dict(project.fingerprint(files).distributions) == {"vend-lib": "1.0.0"}


def test_dagster_s_decorators_and_what_stands_above_them_do_not_count(project: Project) -> None:
    code = """
    import functools
    import dagster as dg
    def above(f):
        return f
    def below(k):
        def deco(f):
            @functools.wraps(f)
            def inner():
                return f() * k
            return inner
        return deco
    my_asset = functools.partial(dg.asset, group_name="g")
    @above
    @dg.asset(name="a", tags={"k": "v"})
    def one():
        return 1
    @my_asset
    def two():
        return 2
    @dg.asset
    @below(3)
    def three():
        return 3
    run = one.op.compute_fn.decorated_fn
    run2 = two.op.compute_fn.decorated_fn
    run3 = three.op.compute_fn.decorated_fn
    """
    assert not project.changes(code, '"v"', '"w"')
    assert not project.changes(code, 'name="a"', 'name="b"')
    assert not project.changes(code, "return f\n", "return f  or f\n")
    assert project.changes(code, "return 1\n", "return 10\n")
    assert not project.changes(code, 'group_name="g"', 'group_name="h"', "proj.main:run2")
    assert project.changes(code, "below(3)", "below(4)", "proj.main:run3")
    assert project.changes(code, "f() * k", "f() + k", "proj.main:run3")
    found = project.fingerprint(code)
    assert found.distributions == {}
    assert found.reports == ()


def test_an_asset_called_by_another_s_code_counts(project: Project) -> None:
    code = """
    import dagster as dg
    @dg.asset
    def base():
        return 1
    def run():
        return base()
    """
    assert project.changes(code, "return 1", "return 2")


def test_names_tell_whether_dagster_is_used_at_all(project: Project) -> None:
    uses = "import dagster as dg\ndef run(context=None):\n    return dg.MaterializeResult(metadata={})\n"
    assert "dagster.MaterializeResult" in project.fingerprint(uses).names
    by_name = "from dagster import MaterializeResult\ndef run():\n    return MaterializeResult()\n"
    assert any(name.startswith("dagster.") for name in project.fingerprint(by_name).names)
    hint = "import dagster as dg\ndef run(context: dg.AssetExecutionContext = None):\n    return 1\n"
    assert project.fingerprint(hint).names == frozenset()
    assert (
        "numpy.linalg.norm"
        in project.fingerprint("import numpy as np\ndef run(x=1):\n    return np.linalg.norm(x)\n").names
    )


CONFIG = """
import dagster as dg
class Inner(dg.Config):
    z: int = 5
class Train(dg.Config):
    \"\"\"Docs.\"\"\"
    depth: int = 3
    rate: float = 0.1
    inner: Inner = Inner()
    _secret: int = 7
    def scaled(self):
        return self.depth * 2
    @property
    def double(self):
        return self.rate * 2.5
def run(config=None):
    return config.scaled()
"""


def test_a_config_class_counts_by_its_methods_and_types_but_not_by_its_defaults(project: Project) -> None:
    def take(code: str) -> str:
        with project.imported(project.write(code)) as run:
            return fingerprint(run, also=[sys.modules["proj.main"].Train]).digest  # type: ignore[arg-type]

    base = take(CONFIG)
    for old, new in (
        ("depth: int = 3\n    rate: float = 0.1\n", "rate: float = 0.1\n    depth: int = 3\n"),
        ("depth: int = 3", "depth: int = 4"),
        ("depth: int = 3", "depth: int"),
        ("z: int = 5", "z: int = 6"),
        ("Docs.", "Other docs."),
    ):
        assert take(CONFIG.replace(old, new)) == base, (old, new)
    for old, new in (
        ("self.depth * 2\n", "self.depth * 3\n"),
        ("* 2.5", "* 2.6"),
        ("depth: int = 3", "depth: float = 3"),
        ("z: int = 5", "z: str = 'x'"),
        ("_secret: int = 7", "_secret: int = 8"),
        ("depth: int", "width: int"),
    ):
        assert take(CONFIG.replace(old, new)) != base, (old, new)


def test_a_compiled_module_of_the_project_counts_by_its_file(project: Project, tmp_path: object) -> None:
    import _struct  # a compiled module of the interpreter stands in for one of the project
    import importlib.machinery
    import importlib.util
    import shutil
    import sysconfig
    from pathlib import Path

    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    source = getattr(_struct, "__file__", None)
    if source is None:
        pytest.skip("this interpreter has no compiled modules as files")
    root = project.write("from _struct import calcsize\ndef run():\n    return calcsize('i')\n")
    target = root / f"_struct{suffix}"
    shutil.copy(source, target)
    loader = importlib.machinery.ExtensionFileLoader("_struct", str(target))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_struct", loader))  # type: ignore[arg-type]
    module.__file__ = str(target)
    saved = sys.modules["_struct"]
    sys.modules["_struct"] = module
    try:
        with project.imported(root) as run:
            before = fingerprint(run).digest  # type: ignore[arg-type]
            content = Path(target).read_bytes()
            Path(target).unlink()  # it is mapped into memory
            Path(target).write_bytes(content + b"\0")
            after = fingerprint(run).digest  # type: ignore[arg-type]
    finally:
        sys.modules["_struct"] = saved
    assert before != after


def test_the_standard_library_counts_as_the_python_minor(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with_library = "import json\ndef run(x=1):\n    return json.dumps(x)\n"
    without = "def run(x=1):\n    return len(str(x))\n"
    one, two = project.fingerprint(with_library), project.fingerprint(without)
    monkeypatch.setattr("mlrepro.versioning.code.origin.python_token", lambda: "cpython 3.99")
    assert project.fingerprint(with_library).digest != one.digest
    assert project.fingerprint(without).digest == two.digest
    assert "json.dumps" in one.names


def test_what_is_whose() -> None:
    assert is_first_party("__main__")
    assert is_first_party(__name__)
    assert not is_first_party("json")
    assert not is_first_party("os.path")
    assert not is_first_party("sys")
    assert not is_first_party("numpy.linalg")
    assert not is_first_party("dagster")
    assert not is_first_party("mlrepro.versioning")
    assert is_first_party("numpy.linalg", first_party=["numpy"])


def test_distributions_by_module() -> None:
    import numpy as np
    import sklearn
    import yaml

    assert distribution_of("numpy.linalg") == ("numpy", np.__version__)
    assert distribution_of("sklearn.linear_model") == ("scikit-learn", sklearn.__version__)
    assert distribution_of("yaml") == ("pyyaml", yaml.__version__)
    assert distribution_of("dagster")[0] == "dagster"  # type: ignore[index]
    assert distribution_of("json") is None
    assert distribution_of("__main__") is None


def test_references_name_things_and_find_them_again() -> None:
    from fractions import Fraction

    assert reference(Fraction) == "fractions:Fraction"
    assert reference(Fraction.limit_denominator) == "fractions:Fraction.limit_denominator"
    assert reference(Fraction(1, 2)) == "fractions:Fraction"
    assert resolve_reference("fractions:Fraction.limit_denominator") is Fraction.limit_denominator
    for bad in ("fractions", ":x", "x:", "no_such_module_at_all:x", "fractions:Nothing", "fractions:Fraction.nothing"):
        with pytest.raises(FingerprintError, match=r"reference|names"):
            resolve_reference(bad)


def test_what_is_not_callable_has_no_fingerprint() -> None:
    with pytest.raises(FingerprintError, match="function"):
        fingerprint(3)  # type: ignore[arg-type]


def test_the_environment_is_read_once() -> None:
    found = environment()
    assert found is environment()
    assert found.python == ".".join(str(part) for part in sys.version_info[:3])
    assert found.implementation == "cpython"
    assert found.distributions["scikit-learn"]
    assert found.freeze.splitlines() == sorted(found.freeze.splitlines())
    assert f"numpy=={found.distributions['numpy']}" in found.freeze.splitlines()
