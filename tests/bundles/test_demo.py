"""The flight demo as bundles: change code, push, see it served; roll it back, materialize: all from the cache."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlrepro.catalog.workflows import append_rollback
from tests.bundles.installation import Installation
from tests.deployment.pages import ROOT

pytestmark = pytest.mark.slow

FEATURES = ["delay/clean_flights", "delay/hourly_weather"]
OF_THE_CONSTANT = ["delay/flight_features", "delay/arrival_model", "delay/arrival_evaluation"]


@pytest.fixture
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as name:  # a code server's socket needs a short path
        found = Installation(Path(name), "delay", scope="delay")
        shutil.copytree(ROOT / "deployment" / "locations", found.project, ignore=shutil.ignore_patterns("__pycache__"))
        yield found


def timed(what: str, done: Callable[[], object]) -> None:
    began = time.monotonic()
    done()
    print(f"{what:<58} {time.monotonic() - began:6.1f} s")


def test_change_push_see_roll_back_and_materialize(installation: Installation) -> None:
    traffic = installation.project / "common" / "traffic.py"
    source = traffic.read_text()
    runs: dict[str, dict[str, str]] = {}

    def materialize(which: str) -> None:
        runs[which] = installation.cache_of(installation.end(installation.launch(*FEATURES, *OF_THE_CONSTANT)))

    def in_service(version: str) -> None:
        installation.wait(version, lambda: installation.libraries().get(version) == "in service")

    print()
    timed("push of v1, the first", lambda: installation.push({}))
    with installation.started():
        in_service("delay@v1")
        before = installation.code_versions()
        timed("materialize v1: five assets are computed", lambda: materialize("v1"))

        traffic.write_text(source.replace("RECENT_MINUTES = 60", "RECENT_MINUTES = 120"))
        timed("one line changed: push of v2", lambda: installation.push({}))
        timed("   until the running webserver shows v2", lambda: in_service("delay@v2"))
        after = installation.code_versions()
        timed("materialize v2: what the line reaches is computed", lambda: materialize("v2"))

        timed(
            "rollback of the workflow to v1",
            lambda: append_rollback(installation.store, "delay", 1, who="ana", reason="errors grew"),
        )
        timed("   until the running webserver shows v1", lambda: in_service("delay@v1"))
        assert installation.code_versions() == before
        timed("materialize v1 again: all five are hits", lambda: materialize("v1 again"))

    changed = {key for key, version in after.items() if before[key] != version}
    assert changed == {"delay/flight_features"}, "the only function that uses the constant"
    assert runs == {
        "v1": dict.fromkeys([*FEATURES, *OF_THE_CONSTANT], "computed"),
        "v2": dict.fromkeys(FEATURES, "hit") | dict.fromkeys(OF_THE_CONSTANT, "computed"),
        "v1 again": dict.fromkeys([*FEATURES, *OF_THE_CONSTANT], "hit"),
    }
