"""The text that counts is the text of the code that runs."""

import doctest
import linecache
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest
from throwaway_project import Project

from mlrepro.versioning import fingerprint


def kinds(found: object) -> set[str]:
    return {report.kind for report in found.reports}  # type: ignore[attr-defined]


CODE = "def helper(x):\n    return x + 1\n\ndef run(x=1):\n    return helper(x)\n"


def test_a_file_edited_after_import_is_not_taken_for_the_code_that_runs(project: Project) -> None:
    root = project.write(CODE)
    with project.imported(root) as run:
        before = fingerprint(run)
        (root / "proj/main.py").write_text(CODE.replace("x + 1", "x + 2"))
        after = fingerprint(run)
        assert "source changed" in kinds(after)
        assert "x + 2" not in repr(after.sources)
    edited = project.fingerprint(CODE.replace("x + 1", "x + 2"))
    assert before.digest != edited.digest
    assert after.digest != edited.digest


def test_an_edit_of_the_same_size_in_the_same_moment_is_noticed(project: Project) -> None:
    root = project.write(CODE)
    path = root / "proj/main.py"
    with project.imported(root) as run:
        status = path.stat()
        path.write_text(CODE.replace("x + 1", "x + 2"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert "source changed" in kinds(fingerprint(run))


def test_an_edit_elsewhere_in_the_file_does_not_matter(project: Project) -> None:
    root = project.write(CODE)
    with project.imported(root) as run:
        before = fingerprint(run)
        (root / "proj/main.py").write_text(CODE + "\ndef more():\n    return 5\n")
        after = fingerprint(run)
    assert after.digest == before.digest
    assert after.reports == ()


def test_a_class_edited_after_import_stays_what_it_was(project: Project) -> None:
    code = "class A:\n    x: int = 1\n    y = 2\n\ndef run():\n    return A().x\n"
    root = project.write(code)
    with project.imported(root) as run:
        before = fingerprint(run)
        (root / "proj/main.py").write_text(code.replace("x: int = 1", "x: str = 3"))
        assert fingerprint(run).digest == before.digest


def test_a_reloaded_module_counts_as_it_now_is(project: Project) -> None:
    import importlib

    root = project.write(CODE)
    with project.imported(root) as run:
        before = fingerprint(run)
        (root / "proj/main.py").write_text(CODE.replace("x + 1", "x + 22"))
        module = importlib.reload(sys.modules["proj.main"])
        after = fingerprint(module.run)
        assert after.reports == ()
        assert after.digest != before.digest
        assert after.digest == project_digest(project, CODE.replace("x + 1", "x + 22"))


def project_digest(project: Project, code: str) -> str:
    saved = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "proj"}
    try:
        return project.fingerprint(code).digest
    finally:
        sys.modules.update(saved)


def made(code: str) -> types.FunctionType:
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(code, namespace)
    return namespace["run"]  # type: ignore[return-value]


def test_code_without_source_is_hashed_by_its_bytecode_and_says_so() -> None:
    one, same, other = made(CODE), made("\n\n# moved\n" + CODE), made(CODE.replace("x + 1", "x + 2"))
    assert kinds(fingerprint(one)) == {"no source"}
    assert fingerprint(one).digest == fingerprint(same).digest
    assert fingerprint(one).digest != fingerprint(other).digest


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("K = 1\ndef run():\n    return K\n", "K = 1", "K = 2"),
        ("import math\ndef run():\n    return math.sin(1)\n", "sin", "cos"),
        ("def run():\n    return [1, True]\n", "1, True", "True, 1"),
        ("def run():\n    return 0.0\n", "0.0", "-0.0"),
        ("def run(x=1):\n    return (lambda y: y + 1)(x)\n", "y + 1", "y + 2"),
        ("def run(x=1):\n    return x in {'a', 'b'}\n", "'b'", "'c'"),
        ("def make(k):\n    def inner():\n        return k\n    return inner\nrun = make(1)\n", "make(1)", "make(2)"),
    ],
)
def test_an_edit_of_code_without_source_is_seen(code: str, old: str, new: str) -> None:
    assert fingerprint(made(code)).digest != fingerprint(made(code.replace(old, new))).digest


def cell(number: int, text: str, namespace: dict[str, object]) -> None:
    """Run a notebook cell the way IPython does: compiled under a name that only linecache knows."""
    name = f"/tmp/ipykernel_4711/{number}.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), namespace)


def test_notebook_cells_have_their_source() -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    cell(1, "K = 3\ndef helper(x):\n    # a comment\n    return x * K\n", namespace)
    cell(2, "def run(x=1):\n    return helper(x)\n", namespace)
    first = fingerprint(namespace["run"])  # type: ignore[arg-type]
    assert first.reports == ()
    assert "a comment" in repr(first.sources)
    assert "/tmp" not in repr(first)
    cell(3, "def helper(x):\n    # another comment\n    return x * K\n", namespace)
    assert fingerprint(namespace["run"]).digest == first.digest  # type: ignore[arg-type]
    cell(4, "def helper(x):\n    return x + K\n", namespace)
    assert fingerprint(namespace["run"]).digest != first.digest  # type: ignore[arg-type]


def test_a_notebook_cell_with_a_class_and_an_await_at_top_level() -> None:
    import ast

    namespace: dict[str, object] = {"__name__": "__main__"}
    text = "class A:\n    k = 1\n    def f(self):\n        return self.k\nasync def go():\n    return 1\nx = await go()\ndef run():\n    return A().f()\n"  # noqa: E501
    name = "/tmp/ipykernel_4711/9.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    import asyncio

    async def execute() -> None:
        code = compile(text, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        await eval(code, namespace)

    asyncio.run(execute())
    found = fingerprint(namespace["run"])  # type: ignore[arg-type]
    assert found.reports == ()
    assert {source.name for source in found.sources} == {"__main__:A", "__main__:run"}


def test_a_doctest_has_its_source() -> None:
    text = ">>> from mlrepro.versioning import fingerprint\n>>> def run(x=1):\n...     return x\n>>> fingerprint(run).reports\n()\n"  # noqa: E501
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, "example", None, 0)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_a_script_run_as_main_has_the_fingerprint_of_the_module(project: Project) -> None:
    script = (
        CODE
        + "\nif __name__ == '__main__':\n    from mlrepro.versioning import fingerprint\n    print(fingerprint(run).digest)\n"  # noqa: E501
    )
    root = project.write(script)
    done = subprocess.run(
        [sys.executable, str(root / "proj/main.py")], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == project.fingerprint(script).digest


def test_an_asserting_function_keeps_its_asserts(project: Project) -> None:
    assert project.changes("def run(x=1):\n    assert x\n    return x\n", "assert x", "assert not x")


@pytest.mark.parametrize(
    "code",
    [
        (
            'QUERY = """\nselect 1\n"""\ndef run(\n    x=1,\n):\n    text = """\ndef not_a_function():\n    pass\n"""\n'
            "    f = lambda y: y + x\n    return text, f(x), QUERY\n"
        ),
        """
        def deco(**kw):
            return lambda f: f
        @deco(
            a=1,
        )
        @deco(b=[
            1,
        ])
        def run(x=1):
            return (
        x
            )
        """,
        """
        if True:
            def run(x=1):
                return [
            x,
                ]
        """,
        """
        def make():
            class Local:
                def f(self): return 1
            def inner(): return Local().f()
            return inner
        run = make()
        """,
        "run = lambda x=1: x + 1; other = lambda x: x",
        """
        class A:
            run = lambda self=None: (lambda: 3)()
        run = A.run
        """,
        """
        a = 1; run = (lambda:
            a
        )
        """,
        "def run(x=1): return x; y = 2",
        "def run(ключ=1):\n    # кириллица\n    f, g = (lambda: 'é'), (lambda: ключ)\n    return f(), g()\n",
    ],
)
def test_odd_layouts_are_found(project: Project, code: str) -> None:
    found = project.fingerprint(code)
    assert found.reports == ()
    assert any(source.name.endswith(("run", "<lambda>", "inner")) for source in found.sources)
    compile(textwrap.dedent(found.sources[0].text).strip().removesuffix(","), "x", "exec")


def test_each_of_several_lambdas_on_a_line_is_itself(project: Project) -> None:
    code = "run = [lambda x: x + 1, lambda x: x + 2, lambda x: (lambda y: y)(x)]\n"
    with project.imported(project.write(code)) as run:
        digests = [fingerprint(f).digest for f in run]  # type: ignore[attr-defined]
        inner = run[2]  # type: ignore[index]
        assert fingerprint(inner).reports == ()
    assert len(set(digests)) == 3


def test_very_deep_expressions_are_hashed_all_the_same(project: Project) -> None:
    deep = " + ".join(["x"] * 1500)
    code = f"def run(x=1):\n    return {deep}\n"
    assert project.changes(code, "return x + x", "return x - x")


def test_a_file_that_went_away_leaves_the_bytecode(project: Project) -> None:
    root = project.write(CODE)
    with project.imported(root) as run:
        linecache.clearcache()
        Path(root / "proj/main.py").unlink()
        assert kinds(fingerprint(run)) == {"no source"}
