"""What docs/comparing.md shows, run as it stands there."""

import shlex
import sys
from pathlib import Path

from tests.deployment.pages import blocks, commands
from tests.deployment.test_docs import materialize, run

PAGE = "docs/comparing.md"


def test_the_page_runs(tmp_path: Path) -> None:
    module, notebook = blocks(PAGE, "python")
    (tmp_path / "churn.py").write_text(module)
    materialize(tmp_path, "churn", *({"ops": {"churn_model": {"config": {"depth": depth}}}} for depth in (2, 4)))
    printed = [run(tmp_path, *shlex.split(command)) for command in commands(PAGE)]
    assert all(printed)
    (table,) = blocks(PAGE, "text")
    assert [line.rstrip() for line in table.splitlines() if line][2:] == [
        line.rstrip() for line in printed[0].splitlines() if line.startswith(("depth   ", "leaves", "evaluation"))
    ][:3]
    assert (tmp_path / "churn.html").read_text().startswith("<!doctype html>")
    run(tmp_path, sys.executable, "-c", notebook)
