"""Which workflow version a run executes is said by the process that executes it, also where an image holds the code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from mlrepro import cache_first, ml_asset, ml_definitions
from mlrepro.catalog.workflows import append_push, append_rollback
from mlrepro.store import open_store

TAG = "mlrepro/workflow_version"


@ml_asset
def number() -> int:
    return 7


defs = ml_definitions(assets=[number], executor=cache_first(dg.in_process_executor))


class Location:
    """A code location whose versions are images, and the runs that its images execute."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.store = open_store(str(folder / "store"))

    def built(self, image: str) -> None:
        content = {"digest": image, "module": "m", "bundle": None, "image": image}
        append_push(self.store, "pricing", content, who="ci")

    def execute(
        self, image: str | None, *, location: str | None = "pricing", tags: dict[str, str] | None = None
    ) -> Any:
        """Execute a run in an image; the tag that it has then."""
        code = ReconstructableRepository.for_module(__name__, "defs", container_image=image).get_reconstructable_job(
            "__ASSET_JOB"
        )
        origin = location and RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "__repository__")
        run = self.instance.create_run_for_job(
            code.get_definition(),
            tags={**(tags or {}), "mlrepro/refresh": "number"},
            remote_job_origin=RemoteJobOrigin(origin, "__ASSET_JOB") if origin else None,
            job_code_origin=code.get_python_origin(),
        )
        assert execute_run(code, run, self.instance).success
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.tags.get(TAG)


@pytest.fixture
def location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    for name in ("MLREPRO_WORKFLOW_VERSION", "DAGSTER_CURRENT_IMAGE", "MLREPRO_SCOPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLREPRO_STORE", str(tmp_path / "store"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        yield Location(tmp_path, instance)


def test_a_run_is_of_the_version_that_its_image_was_pushed_as(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    for image in ("r/pricing:1", "r/pricing:2", "r/pricing:3"):
        location.built(image)
    assert location.execute("r/pricing:2") == "pricing@v2", "whatever is deployed by now"
    append_rollback(location.store, "pricing", 1, who="ben")
    assert location.execute("r/pricing:1") == "pricing@v1"
    assert location.execute("r/pricing:3") == "pricing@v3"
    # what the process itself is told of its image comes before what the code server said of its own
    monkeypatch.setenv("DAGSTER_CURRENT_IMAGE", "r/pricing:2")
    assert location.execute("r/pricing:3") == "pricing@v2"
    monkeypatch.setenv("MLREPRO_WORKFLOW_VERSION", "pricing@v9")
    assert location.execute("r/pricing:3") == "pricing@v9"


def test_what_is_not_known_is_not_said(location: Location) -> None:
    assert location.execute("r/pricing:1") is None
    location.built("r/pricing:1")
    assert location.execute(None) is None
    assert location.execute("r/pricing:1", location=None) is None
    assert location.execute("r/pricing:1", location="churn") is None
    # Dagster copies the tags of a run that is executed again
    assert location.execute("r/pricing:7", tags={TAG: "pricing@v1"}) == "-"
    assert location.execute("r/pricing:1", tags={TAG: "pricing@v7"}) == "pricing@v1"


def test_a_store_that_is_away_fails_no_run(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    location.built("r/pricing:1")
    monkeypatch.setattr("mlrepro.execution.workflow_tag.find_store", lambda: open_store("nonsense://nowhere"))
    assert location.execute("r/pricing:1") is None
