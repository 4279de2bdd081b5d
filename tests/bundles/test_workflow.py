import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlrepro import Metric, channel, ml_asset, ml_definitions, rollback_sensor
from mlrepro.bundles.describing import describe
from mlrepro.bundles.workflow import Workflow


class Config(dg.Config):
    depth: int = 3


class OtherConfig(dg.Config):
    depth: int = 4


DAYS = dg.DailyPartitionsDefinition("2026-01-01")
MONTHS = dg.MonthlyPartitionsDefinition("2026-01-01")


def build(
    *,
    config: Any = Config,
    body: int = 1,
    partitions: Any = DAYS,
    deps: tuple[str, ...] = ("source",),
    resource_key: str = "api",
    cron: str = "@daily",
    threshold: float = 0.5,
    executor: Any = None,
    tags: dict[str, str] | None = None,
    description: str = "",
    check: int = 1,
    sensor: int = 1,
    op: int = 1,
    schedule: int = 1,
    pool: str | None = None,
    group: str = "default",
) -> Workflow:
    # defined here, so that each call gives new ones
    @ml_asset(
        required_resource_keys={resource_key}, deps=list(deps), description=description, pool=pool, group_name=group
    )
    def model(config: config) -> int:  # type: ignore[valid-type]
        return config.depth * body  # type: ignore[attr-defined, no-any-return]

    @dg.asset(partitions_def=partitions)
    def daily() -> int:
        return 1

    @ml_asset
    def evaluation(model: int) -> dict[str, float]:
        return {"auc": model}

    @dg.asset_check(asset=model)
    def good() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=check > 0)

    @dg.op
    def work() -> int:
        return op

    @dg.job(tags=tags)
    def nightly() -> None:
        work()

    @dg.schedule(job=nightly, cron_schedule=cron)
    def at_night(context: dg.ScheduleEvaluationContext) -> dict[str, Any]:
        return {"n": schedule} if schedule > 10 else {}

    @dg.sensor(job=nightly)
    def on_file(context: dg.SensorEvaluationContext) -> None:
        print(sensor)

    production = channel("production", model, gates=[Metric("evaluation", "auc") >= 0.1])
    watchdog = rollback_sensor(production, when=[Metric("evaluation", "auc") < threshold])
    defs = ml_definitions(
        assets=[model, daily, evaluation, production],
        asset_checks=[good],
        jobs=[nightly],
        schedules=[at_night],
        sensors=[on_file, watchdog],
        resources={resource_key: dg.ResourceDefinition.none_resource()},
        executor=executor,
    )
    return describe([defs.get_repository_def()])


SAME: dict[str, Callable[[], Workflow]] = {
    "built again": build,
    "another description": lambda: build(description="for people"),
}
OTHER: dict[str, tuple[Callable[[], Workflow], str]] = {
    "code of an asset": (lambda: build(body=2), "assets/model"),
    "config schema": (lambda: build(config=OtherConfig), "assets/model"),
    "partitions": (lambda: build(partitions=MONTHS), "assets/daily"),
    "wiring": (lambda: build(deps=("other",)), "assets/model"),
    "resource key": (lambda: build(resource_key="db"), "assets/model"),
    "pool": (lambda: build(pool="gpu"), "assets/model"),
    "group": (lambda: build(group="nightly"), "assets/model"),
    "check": (lambda: build(check=0), "checks/model:good"),
    "executor": (lambda: build(executor=dg.in_process_executor), "jobs/nightly"),
    "tags of a job": (lambda: build(tags={"team": "ada"}), "jobs/nightly"),
    "code of an op": (lambda: build(op=2), "jobs/nightly"),
    "cron": (lambda: build(cron="@hourly"), "schedules/at_night"),
    "code of a schedule": (lambda: build(schedule=11), "schedules/at_night"),
    "code of a sensor": (lambda: build(sensor=2), "sensors/on_file"),
    "condition of a rollback sensor": (lambda: build(threshold=0.6), "sensors/model_production_rollback"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_the_same_has_one_digest(case: str) -> None:
    assert SAME[case]().digest == build().digest


@pytest.mark.parametrize("case", OTHER)
def test_what_differs_has_another_digest_and_is_found_in_its_place(case: str) -> None:
    make, place = OTHER[case]
    before, after = build(), make()
    assert before.digest != after.digest
    kind, name = place.split("/", 1)
    assert before.description[kind][name] != after.description[kind].get(name)


def test_it_comes_back_from_its_bytes() -> None:
    import json

    made = build()
    read = Workflow.from_json(json.loads(made.to_bytes()))
    assert (read.digest, read.sources, read.libraries) == (made.digest, made.sources, made.libraries)


def test_places_processes_and_hash_seeds_do_not_count(tmp_path: Path) -> None:
    from tests.bundles.project import write_project

    code = "from pricing.definitions import defs\nfrom mlrepro.bundles.describing import describe\n"
    code += "print(describe([defs.get_repository_def()]).digest)"
    found = set()
    for number in range(3):
        root = write_project(tmp_path / f"checkout{number}" / ("deep" * number or "x"))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": str(number + 1), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        found.add(done.stdout.split()[-1])
    assert len(found) == 1
