"""The same in real processes: `dagster asset materialize` as a user types it, with the default executor."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import pytest

from mlrepro import versions
from mlrepro.store import open_store
from tests.instances import dagster_home

pytestmark = pytest.mark.slow

FLOW = """
    import pathlib, time
    from mlrepro import ml_asset, ml_definitions

    @ml_asset
    def numbers() -> list[int]:
        pathlib.Path("started").touch()
        while pathlib.Path("wait").exists():
            time.sleep(0.05)
        return [1, 2, 3]

    @ml_asset
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    defs = ml_definitions(assets=[numbers, total])
"""


class Project:
    """A project in a folder, with a Dagster home and a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = dagster_home(folder / "home")
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            # two processes that create the SQLite files at the same moment trip over one another, mlrepro or not
            instance.get_runs(limit=1)
            instance.fetch_materializations(dg.AssetKey("numbers"), limit=1)
            instance.get_asset_records()
            instance.all_instigator_state()
        (folder / "flow.py").write_text(textwrap.dedent(FLOW))
        self.store = open_store(str(self.home / "mlrepro"))

    def start(self, select: str = "*", **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "dagster", "asset", "materialize", "--select", select, "-m", "flow"],
            cwd=self.folder,
            env={**os.environ, "DAGSTER_HOME": str(self.home), **environment},
            start_new_session=True,  # so that a test can kill it with the steps that it started
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def materialize(self, select: str = "*", **environment: str) -> str:
        return finished(self.start(select, **environment))

    def blob(self, asset: str) -> Path:
        content = versions(asset, store=self.store)[0].stored.content_hash
        (found,) = (self.home / "mlrepro").rglob(content)
        return found

    def results(self) -> list[Path]:
        return [path for path in (self.home / "mlrepro").rglob("results/*/*.json") if path.is_file()]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def finished(process: subprocess.Popen[str], log: Sequence[str] = ()) -> str:
    rest, _ = process.communicate(timeout=120)
    output = "".join(log) + rest
    assert process.returncode == 0, output
    return output


def computed(output: str) -> list[str]:
    """Names of the assets whose functions ran, by the run's log."""
    return re.findall(r" - (\w+) - computing: ", output)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_second_run_computes_nothing(project: Project) -> None:
    assert computed(project.materialize()) == ["numbers", "total"]
    again = project.materialize()
    assert computed(again) == []
    assert again.count("without running it: computed by") == 2
    assert "Launching subprocess" not in again


@pytest.mark.parametrize("damage", ["deleted", "truncated", "flipped"])
def test_input_that_was_damaged_is_computed_again_on_the_way(project: Project, damage: str) -> None:
    project.materialize()
    blob = project.blob("numbers")
    data = blob.read_bytes()
    blob.unlink()
    if damage != "deleted":
        blob.write_bytes(data[:-1] if damage == "truncated" else b"(" + data[1:])
    output = project.materialize("total", MLREPRO_CACHE="refresh")
    assert f"numbers v1 can't be loaded and is computed again: The object {blob.name}" in output
    assert computed(output) == ["total", "numbers"]
    assert blob.read_bytes() == data
    assert [version.number for version in versions("numbers", store=project.store)] == [1]


def test_two_at_once_leave_one_result_and_one_version(project: Project) -> None:
    (project.folder / "wait").touch()
    both = [project.start() for _ in range(2)]
    # each says that it computes before it calls the function, and each function waits
    logs: list[list[str]] = [[], []]
    for process, log in zip(both, logs, strict=True):
        assert process.stdout is not None
        for line in process.stdout:
            log.append(line)
            if "numbers - computing:" in line:
                break
    (project.folder / "wait").unlink()
    for process, log in zip(both, logs, strict=True):
        assert "numbers - computing:" in finished(process, log)
    for asset in ("numbers", "total"):
        assert [version.number for version in versions(asset, store=project.store)] == [1]
    assert len(project.results()) == 2
    assert all(json.loads(record.read_text())["outputs"] for record in project.results())


def test_killed_half_way_the_next_run_completes(project: Project) -> None:
    (project.folder / "wait").touch()
    process = project.start()
    wait_for((project.folder / "started").exists, "the step never started")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (project.folder / "wait").unlink()
    assert project.results() == []
    assert computed(project.materialize()) == ["numbers", "total"]
    assert computed(project.materialize()) == []
