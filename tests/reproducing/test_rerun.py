"""`rerun`: a run launched again with the code, config and input versions that it had."""

import json
import sys
from pathlib import Path

import pytest

from mlrepro.store import open_store
from tests.reproducing.project import Project

pytestmark = pytest.mark.slow  # each run is a process that imports Dagster

SHOP = """
    import dagster as dg
    from mlrepro import ml_asset, ml_definitions

    class TrainConfig(dg.Config):
        depth: int = 3

    @ml_asset
    def numbers(config: TrainConfig) -> list[int]:
        return [config.depth] * 3

    @ml_asset
    def total(numbers: list[int]) -> int:
        return sum(numbers) * FACTOR

    @ml_asset
    def report(total: int) -> dict[str, int]:
        return {"total": total}

    FACTOR = 1

    defs = ml_definitions(assets=[numbers, total, report])
"""

NEWEST = """
import sys, dagster as dg
with dg.DagsterInstance.get() as instance:
    record = instance.fetch_materializations(dg.AssetKey("total"), limit=1).records[0]
    materialization, run = record.asset_materialization, instance.get_run_by_id(record.event_log_entry.run_id)
    print(materialization.tags["dagster/input_data_version/numbers"], run.tags["mlrepro/rerun_of"], run.tags["why"])
"""


def depth(number: int) -> dict[str, object]:
    return {"ops": {"numbers": {"config": {"depth": number}}}}


def test_a_run_comes_out_as_it_did_after_code_config_and_inputs_moved_on(project: Project) -> None:
    project.write(shop=SHOP)
    first = project.materialize(config=depth(5))
    only_total = project.materialize(select=["total"])
    project.write(shop=SHOP.replace("FACTOR = 1", "FACTOR = 100"))
    project.materialize(config=depth(7))
    (project.code / "shop.py").unlink()

    again = project.run(mlrepro(), "rerun", first, "--json")

    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["of"] == first
    assert {each["asset"]: (each["cache"], each["same"]) for each in told["assets"]} == dict.fromkeys(
        ("numbers", "total", "report"), ("hit", True)
    )
    store = open_store(str(project.store))
    newest = [entry.body["output"] for entry in store.entries(("versions", "report", "_"))]
    assert newest[0] == newest[2] != newest[1]

    alone = project.run(mlrepro(), "rerun", only_total[:8])  # its input was v1, and is v1 again
    assert alone.returncode == 0, alone.stderr
    assert "total v3: hit, what it was" in alone.stdout


def test_lineage_names_the_version_that_was_really_read(project: Project) -> None:
    project.write(shop=SHOP)
    project.materialize(config=depth(5))
    only_total = project.materialize(select=["total"], tags={"why": "audit"})
    project.materialize(select=["numbers"], config=depth(7))
    store = open_store(str(project.store))
    then = store.entry(("versions", "numbers", "_"), 1).body["data_version"]

    done = project.run(mlrepro(), "rerun", only_total, MLREPRO_CACHE="off")

    assert done.returncode == 0, done.stderr
    assert "total v1: hit, what it was" in done.stdout  # how the cache is used now does not count
    assert project.run(sys.executable, "-c", NEWEST).stdout.split() == [then, only_total, "audit"]


@pytest.mark.parametrize(
    ("run", "said"),
    [("0000", "0000: the Dagster instance has no such run"), ("", "Missing argument")],
)
def test_a_run_that_is_not_there_is_told(project: Project, run: str, said: str) -> None:
    project.write(shop=SHOP)
    project.materialize()
    done = project.run(mlrepro(), "rerun", *filter(None, [run]))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def mlrepro() -> str:
    return str(Path(sys.executable).with_name("mlrepro"))
