"""`mlrepro rerun` where a code server has the code: a run in the queue and in the UI, with the version that it had."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dagster_graphql", reason="needs the package dagster-webserver")

from mlrepro.catalog import version
from tests.bundles.installation import Installation
from tests.bundles.project import PROJECT

pytestmark = pytest.mark.slow

FLOW = """
from mlrepro import file_source, ml_asset, ml_definitions

numbers = file_source("numbers", {file!r})


@ml_asset
def rates() -> list[float]:
    return [{factor}.0]


@ml_asset
def total(numbers: list, rates: list[float]) -> float:
    return sum(numbers) * rates[0]


defs = ml_definitions(assets=[numbers, rates, total])
"""


@pytest.fixture
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:  # a code server's socket needs a short path
        yield Installation(Path(folder))


def flow(installation: Installation, factor: int) -> dict[str, str]:
    file = str(installation.folder / "numbers.json")
    return {**PROJECT, "pricing/definitions.py": FLOW.format(file=file, factor=factor)}


def rerun(installation: Installation, run_id: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("mlrepro")), "rerun", run_id, "--json"],
        cwd=installation.folder,
        env=installation.variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_is_launched_by_the_code_server_with_the_version_and_the_inputs_of_then(installation: Installation) -> None:
    numbers = installation.folder / "numbers.json"
    numbers.write_text("[1, 2]")
    installation.push(flow(installation, 1))
    with installation.started():
        installation.wait("the location", lambda: len(installation.code_versions()) == 3)
        first = installation.end(installation.launch("rates", "total"))
        only_total = installation.end(installation.launch("total"))
        numbers.write_text("[10, 20]")
        before = set(installation.code_versions().values())
        installation.push(flow(installation, 5))
        installation.wait("the new code", lambda: set(installation.code_versions().values()) != before)
        newer = installation.end(installation.launch("rates", "total"))

        again = rerun(installation, first)

        assert again["code"] == "its code server, pricing@v1"
        assert {each["asset"]: (each["cache"], each["same"], each["version"]) for each in again["assets"]} == {
            "rates": ("hit", True, 3),
            "total": ("hit", True, 3),
        }
        with installation.instance() as instance:
            run = instance.get_run_by_id(again["run_id"])
            assert run is not None
            assert (run.parent_run_id, run.tags["mlrepro/rerun_of"]) == (first, first)
            assert run.tags["mlrepro/workflow_version"] == "pricing@v1"
        assert installation.tag(newer) == "pricing@v2"

        # computed again, from rates v1, which is not what Dagster names now
        installation.end(installation.launch("rates"))
        content = version("total", store=installation.store).stored.content_hash
        (blob,) = installation.folder.glob(f"store/default/blobs/sha256/*/{content}")
        blob.unlink()
        computed = rerun(installation, only_total)
        (total,) = computed["assets"]
        assert (total["cache"], total["same"]) == ("computed", True)
        assert computed["code"] == "its code server, pricing@v1"
        assert "a process on this machine" not in str(computed["notes"])

    local = rerun(installation, first)
    assert all(each["same"] for each in local["assets"])
    assert any("a process on this machine executed it: the code location pricing" in note for note in local["notes"])
