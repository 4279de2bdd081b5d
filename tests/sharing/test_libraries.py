"""Code of another team whose libraries are others than those that are installed here."""

import subprocess
from pathlib import Path

import pytest

from mlrepro import shared_asset
from tests.bundles.project import write_tree
from tests.definitions.lab import Lab
from tests.deployment.programs import environment
from tests.reproducing.test_environments import OLD_SKLEARN
from tests.reproducing.test_environments import old_python as old_python  # noqa: PLC0414 -- a fixture
from tests.sharing.team import Team
from tests.sharing.test_sharing_code import said

pytestmark = pytest.mark.slow  # each pushes, and computes in processes of its own

FLOW = """
import sklearn
from mlrepro import ml_asset, ml_definitions

@ml_asset
def library() -> str:
    return sklearn.__version__

defs = ml_definitions(assets=[library])
"""


@pytest.mark.slow
def test_other_libraries_are_named_and_those_of_its_team_are_used_where_asked_for(
    theirs: Team, ours: Lab, old_python: Path
) -> None:
    write_tree(theirs.folder, {"flow.py": FLOW})
    pushed = subprocess.run(
        [str(old_python.with_name("mlrepro")), "push", "pricing", "-m", "flow"],
        cwd=theirs.folder,
        env=environment(MLREPRO_STORE=theirs.url, MLREPRO_SCOPE="theirs", MLREPRO_BUNDLE_CACHE=str(theirs.cache)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    here = shared_asset("library", scope="theirs", materializable=True)
    refused = ours.run(here, scope="ours", raise_on_error=False)
    assert f"its libraries differ (scikit-learn {OLD_SKLEARN} there, " in said(refused)
    assert said(refused).endswith("env='recorded') computes with those of its team")

    then = shared_asset("library", scope="theirs", materializable=True, env="recorded")
    ran = ours.run(then, scope="ours")
    assert ran.value("library") == OLD_SKLEARN
    assert ours.run(here, scope="ours").cache == {"library": "hit"}
