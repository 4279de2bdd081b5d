from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

pytest.register_assert_rewrite("tests.execution.lab")

from tests.execution.lab import Both, two_labs  # noqa: E402 -- after its asserts are made to explain themselves


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DAGSTER_HOME whose SQLite files are made: making them takes longer than most runs here."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs(limit=1)
        instance.get_asset_records()
        instance.all_instigator_state()
    return home


@pytest.fixture
def both(tmp_path: Path, empty_home: Path) -> Iterator[Both]:
    with two_labs(tmp_path, empty_home, dg.in_process_executor) as labs:
        yield labs
