"""An asset of another team that this team runs itself, by the code that the other team pushed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from mlrepro import file_source, ml_asset, reproduce, shared_asset
from mlrepro.catalog import find_store
from tests.definitions.lab import Lab
from tests.deployment.programs import environment
from tests.sharing.team import Team
from tests.signals import HEEDING

pytestmark = pytest.mark.slow  # each pushes, and computes in processes of its own

FLOW = """
from helper import scaled
from mlrepro import ml_asset, ml_definitions

@ml_asset
def prices() -> list[float]:
    return [1.5, 2.5]

@ml_asset(group_name="shop", description="What they cost.", kinds={"table"})
def features(prices: list[float]) -> list[float]:
    return [scaled(price) for price in prices]

defs = ml_definitions(assets=[prices, features])
"""

HELPER = """
def scaled(price: float) -> float:
    return price * 2
"""


def test_what_the_other_team_computed_on_the_same_inputs_is_a_hit_and_starts_no_process(
    theirs: Team, ours: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.push(flow=FLOW, helper=HELPER)
    then = theirs.run()
    monkeypatch.setattr("mlrepro.sharing.shared_run.run_task", None)

    prices = shared_asset("prices", scope="theirs", materializable=True)
    features = shared_asset("features", scope="theirs", materializable=True)
    ran = ours.run(prices, features, scope="ours")

    assert ran.cache == {"prices": "hit", "features": "hit"}
    assert ran.metadata("features")["mlrepro/input_hash"] == then["features"]["mlrepro/input_hash"]
    assert ran.code_version("features") == then["features"]["code_version"]
    assert ran.data_version("features") == then["features"]["mlrepro/content_hash"]


def test_what_nobody_computed_is_computed_by_their_code_though_ours_has_modules_of_the_same_names(
    theirs: Team, ours: Lab
) -> None:
    theirs.push(flow=FLOW, helper=HELPER)
    ours.module("def scaled(price): return 'ours'", name="helper")

    @ml_asset
    def prices() -> list[float]:
        return [10.0]

    @ml_asset
    def offers(features: list[float]) -> float:
        return sum(features) - 1

    features = shared_asset("features", scope="theirs", materializable=True)
    ran = ours.run(prices, features, offers, scope="ours")

    assert ran.cache == {"prices": "computed", "features": "computed", "offers": "computed"}
    assert ran.value("offers") == 19
    facts = ran.metadata("features")
    assert facts["mlrepro/because"] == "first result of this asset"
    assert (facts["mlrepro/version"], facts["mlrepro/workflow_version"]) == (1, "pricing@v1")
    record = ours.store("ours").get_result(facts["mlrepro/input_hash"]).record
    assert (record["run_id"], record["workflow_version"]) == (ran.result.run_id, "pricing@v1")
    assert sys.modules["helper"].scaled(1) == "ours"
    assert reproduce("features@v1", store=find_store()).verdict == "same"
    assert ours.run(prices, features, offers, scope="ours").cache == {
        "prices": "hit",
        "features": "hit",
        "offers": "hit",
    }


def shared(name: str, **how: object) -> dg.AssetsDefinition:
    return shared_asset(name, scope="theirs", materializable=True, **how)  # type: ignore[call-overload, no-any-return]


RICH = """
import dataclasses, enum
import dagster as dg
from mlrepro import Cache, ml_asset, ml_definitions, ml_multi_asset

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")

class Kind(enum.Enum):
    FAST = "fast"
    GOOD = "good"

class Inner(dg.Config):
    rate: float = 0.5

class Settings(dg.Config):
    depth: int = 3
    kind: Kind = Kind.GOOD
    inner: Inner = Inner()
    jobs: int = 1

@dataclasses.dataclass
class Model:
    slope: float

@ml_asset(seed=7, cache=Cache(ignore_config=("jobs",)))
def model(config: Settings) -> Model:
    import random
    return Model(config.depth * config.inner.rate + random.random() + (config.kind is Kind.FAST))

@ml_asset
def slope(model: Model) -> float:
    return model.slope

ORDER = dg.AssetCheckSpec("order", asset="low")

@ml_multi_asset(outs={"low": dg.AssetOut(), "high": dg.AssetOut()}, check_specs=[ORDER])
def bounds(slope: float):
    yield dg.Output(slope - 1, "low")
    yield dg.Output(slope + 1, "high")
    yield dg.AssetCheckResult(passed=True, check_name="order", asset_key="low")

defs = ml_definitions(assets=[model, slope, bounds])
"""


def test_config_seed_classes_of_theirs_and_functions_of_several_assets(theirs: Team, ours: Lab) -> None:
    theirs.push(flow=RICH)
    config = {"ops": {"model": {"config": {"depth": 4, "kind": "FAST"}}}}
    then = theirs.run(config=config)
    flow = [shared(name) for name in ("model", "slope", "low")]

    same = ours.run(*flow, config={"model": {"depth": 4, "kind": "FAST", "jobs": 8}}, scope="ours")

    assert same.metadata("model")["mlrepro/input_hash"] == then["model"]["mlrepro/input_hash"]
    assert same.cache == dict.fromkeys(("model", "slope", "low", "high"), "hit"), "jobs does not count"
    assert same.data_version("high") == then["high"]["mlrepro/content_hash"]
    other = ours.run(*flow, config={"model": {"depth": 5}}, scope="ours")
    assert other.cache == dict.fromkeys(("model", "slope", "low", "high"), "computed")
    (check,) = other.result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("order", True)
    theirs_now = theirs.run(config={"ops": {"model": {"config": {"depth": 5}}}})
    assert theirs_now["model"]["mlrepro/content_hash"] == other.data_version("model"), "the two teams agree"
    assert theirs_now["high"]["mlrepro/content_hash"] == other.data_version("high")


def test_their_code_reads_our_file_and_takes_what_another_io_manager_has(
    theirs: Team, ours: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "numbers.json"
    file.write_text("[1, 2, 3]")
    theirs.push(
        flow=f"""
from mlrepro import file_source, ml_asset, ml_definitions

@ml_asset
def total(numbers: list, factor: int) -> int:
    return sum(numbers) * factor

@ml_asset
def factor() -> int:
    return 2

defs = ml_definitions(assets=[file_source("numbers", {str(file)!r}), factor, total])
"""
    )
    then = theirs.run()

    same = ours.run(file_source("numbers", file), shared("factor"), shared("total"), scope="ours")
    assert same.cache == {"factor": "hit", "total": "hit"}
    assert same.metadata("total")["mlrepro/input_hash"] == then["total"]["mlrepro/input_hash"]

    @dg.asset(io_manager_key="memory")
    def factor() -> int:
        return 7

    read = {"numbers": file_source("numbers", file), "read by us": file_source("numbers", file, read=evens)}
    for source, expected in zip(read.values(), (42, 14), strict=True):
        ran = ours.run(source, factor, shared("total"), scope="ours", resources={"memory": dg.InMemoryIOManager()})
        assert ran.value("total") == expected
        assert ran.cache == {"total": "computed"}
    # inputs are known by their content wherever they come from
    again = ours.run(source, factor, shared("total"), scope="ours", resources={"memory": dg.InMemoryIOManager()})
    assert again.cache == {"total": "hit"}


def evens(path: Path) -> list[int]:
    return [number for number in json.loads(path.read_text()) if number % 2 == 0]


@pytest.mark.slow
def test_a_run_that_is_ended_ends_the_process_of_their_code(theirs: Team, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    theirs.push(
        flow=f"""
import os, time
from pathlib import Path
from mlrepro import ml_asset, ml_definitions

@ml_asset
def endless() -> int:
    Path({str(marks)!r}, str(os.getpid())).touch()
    while True:
        time.sleep(0.05)

defs = ml_definitions(assets=[endless])
"""
    )
    (tmp_path / "here.py").write_text(
        "from mlrepro import ml_definitions, shared_asset\n"
        "defs = ml_definitions(assets=[shared_asset('endless', scope='theirs', materializable=True)])\n"
    )
    (tmp_path / "home").mkdir()
    variables = environment(
        DAGSTER_HOME=str(tmp_path / "home"),
        MLREPRO_STORE=theirs.url,
        MLREPRO_SCOPE="ours",
        MLREPRO_READ_SCOPES="shared,theirs",
        MLREPRO_TRUSTED_SCOPES="theirs",
        MLREPRO_BUNDLE_CACHE=str(tmp_path / "our-cache"),
    )
    program = str(Path(sys.executable).with_name("dagster"))
    command = [*HEEDING, program, "asset", "materialize", "-m", "here", "--select", "*"]
    for number, sign in enumerate((signal.SIGINT, signal.SIGKILL)):
        with subprocess.Popen(command, cwd=tmp_path, env=variables, start_new_session=True) as run:
            until(lambda started=number + 1: len(list(marks.iterdir())) == started)
            (child,) = [int(path.name) for path in marks.iterdir() if is_alive(int(path.name))]
            if sign == signal.SIGKILL:
                os.killpg(run.pid, sign)
            else:
                run.send_signal(sign)
            until(lambda ended=child: not is_alive(ended))
            run.wait(60)
        assert not list(Path(theirs.url).glob("ours/results/*/*.json"))


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < deadline, "it did not happen within 90 s"
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
