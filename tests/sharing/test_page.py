"""docs/shared-code.md, run as it stands there."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.pages import blocks, commands
from tests.deployment.programs import environment

pytestmark = pytest.mark.slow  # each pushes, and computes in processes of its own

PAGE = "docs/shared-code.md"


@pytest.mark.slow
def test_the_page_runs(tmp_path: Path) -> None:
    shop, planning, workflow = blocks(PAGE, "python")
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder, name, text in ((theirs, "shop", shop), (ours, "planning", planning), (ours, "workflow", workflow)):
        (folder / "home").mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(text)

    def run(command: str, folder: Path, **variables: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            shlex.split(command),
            cwd=folder,
            env=environment(
                DAGSTER_HOME=str(folder / "home"),
                MLREPRO_STORE=str(tmp_path / "store"),
                MLREPRO_BUNDLE_CACHE=str(tmp_path / "cache"),
                PATH=path,
                **variables,
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    planner = {
        "MLREPRO_SCOPE": "planning",
        "MLREPRO_READ_SCOPES": "shared,pricing",
        "MLREPRO_TRUSTED_SCOPES": "pricing",
    }
    push, materialize, show = commands(PAGE)
    assert run(push, theirs, MLREPRO_SCOPE="pricing").startswith("pricing@v1 (2 assets, ")
    run(materialize, ours, **planner)
    assert "v1" in run(show, ours, **planner)
    income = "import mlrepro; print(mlrepro.load('income'), mlrepro.load('offers'))"
    assert run(f'{sys.executable} -c "{income}"', ours, **planner) == "200.0 {'bread': 2.0}\n"
    run(materialize.replace("planning", "workflow"), ours, **planner)
    offers = "import mlrepro; print(mlrepro.load('theirs/offers'))"
    assert run(f'{sys.executable} -c "{offers}"', ours, **planner) == "{'tea': 1.25, 'coffee': 1.5}\n"
