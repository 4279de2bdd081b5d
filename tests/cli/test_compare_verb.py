"""`mlrepro compare` as a user types it."""

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

import mlrepro.comparison
from tests.cli.conftest import Command
from tests.comparison.shop import move, train
from tests.definitions.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Three versions of a model, the second of which is in production."""
    lab = Lab(tmp_path)
    for depth in (2, 4, 5):
        train(lab, depth)
    move(lab, "production", "promotion", 2)
    return lab


@pytest.fixture
def run(lab: Lab, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    monkeypatch.setenv("MLREPRO_STORE", lab.url)
    return functools.partial(command, "compare")


def test_prints_a_table(run: Command) -> None:
    code, out, _ = run("churn_model", "v1", "v3")
    assert code == 0
    assert out.startswith("churn_model: v1, v3\n")
    assert "+0.1667 (+25%)" in out


def test_of_what_is_in_production_and_a_candidate(run: Command) -> None:
    assert run("churn_model", "production", "v3")[1].startswith("churn_model: v2 (production), v3\n")
    assert run("churn_model@production", "churn_model@v3")[1].startswith("churn_model: v2 (production), v3\n")


def test_as_json(run: Command) -> None:
    found = json.loads(run("churn_model", "v1", "v2", "v3", "--json")[1])
    assert [each["version"] for each in found["versions"]] == [1, 2, 3]
    assert next(each for each in found["metrics"] if each["name"] == "depth")["deltas"] == [0, 2, 3]


def test_with_metrics_of_some_assets(run: Command) -> None:
    _, out, _ = run("churn_model", "v1", "v2", "--with", "evaluation")
    assert "evaluation.auc" in out
    assert "live_quality" not in out
    _, out, _ = run("churn_model", "v1", "v2", "--with", "evaluation", "--with", "live_quality")
    assert "evaluation.auc" in out
    assert "live_quality.mean" in out


def test_writes_a_page(run: Command, tmp_path: Path) -> None:
    target = tmp_path / "churn.html"
    code, out, _ = run("churn_model", "v1", "v2", "--html", str(target))
    assert (code, out) == (0, f"churn_model: v1, v2 -> {target}\n")
    assert target.read_text().startswith("<!doctype html>")
    assert json.loads(run("churn_model", "v1", "v2", "--json", "--html", str(target))[1])["html"] == str(target)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["churn_model"], "name two versions or more"),
        (["churn_model", "v1", "v9"], "its newest version is v3"),
        (["churn_model", "v1", "staging"], "churn_model/production"),
        (["churn_model", "v1", "v2", "--html", "nowhere/churn.html"], "nowhere/churn.html can't be written"),
        (["churn_model", "v1", "v2", "-p", "eu"], "partition eu"),
    ],
)
def test_mistakes_end_in_one_line(run: Command, arguments: list[str], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_help_teaches(run: Command) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "mlrepro compare churn_model v3 v7" in out
    assert "--html" in out


def test_brings_neither_dagster_nor_templates_along() -> None:
    """What the verb needs to start; a page's templates are loaded when there is one to write."""
    code = """if True:
        import sys
        import mlrepro.catalog, mlrepro.cli.app
        before = set(sys.modules)
        import mlrepro.cli.comparing
        import mlrepro.comparison.text, mlrepro.comparison.markdown
        brought = {name.partition(".")[0] for name in set(sys.modules) - before}
        assert not brought & {"dagster", "dagster_shared", "jinja2"}, brought
        import mlrepro.comparison.page
    """
    subprocess.run([sys.executable, "-c", code], check=True)
    imported = {
        name
        for path in Path(mlrepro.comparison.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _modules(node)
    }
    assert "mlrepro.catalog" in imported
    assert not [name for name in imported if name.startswith("dagster")]


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
