"""Assets of every kind, and code from git, come out of their records alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlrepro.store import open_store
from tests.reproducing.conftest import Reproduce
from tests.reproducing.project import Project
from tests.signals import HEEDING

pytestmark = pytest.mark.slow  # each call starts a process that imports Dagster

KINDS = """
    import dagster as dg
    from dagster import ConfigurableResource
    from mlrepro import ml_asset, ml_definitions, ml_multi_asset

    DAYS = dg.StaticPartitionsDefinition(["mon", "tue"])
    MONTHS = dg.DynamicPartitionsDefinition(name="months")

    class Scale(ConfigurableResource):
        by: int

    @ml_asset(partitions_def=DAYS)
    def daily(context: dg.AssetExecutionContext) -> str:
        return context.partition_key.upper()

    @ml_asset(partitions_def=DAYS)
    def shout(daily: str) -> str:
        return daily + "!"

    @ml_asset
    def week(daily: dict[str, str]) -> list[str]:
        return sorted(daily.values())

    @ml_multi_asset(outs={"train": dg.AssetOut(), "test": dg.AssetOut()}, seed=7)
    def split(week: list[str]) -> tuple[list[str], list[str]]:
        return week[:1], week[1:]

    def power(exponent):
        @ml_asset(name=f"power_{exponent}")
        def compute(train: list) -> int:
            return len(train) + 2 ** exponent
        return compute

    @ml_asset
    def scaled(power_3: int, scale: Scale) -> int:
        return power_3 * scale.by

    @ml_asset(deps=["scaled"])
    def after() -> int:
        return 1

    defs = ml_definitions(
        assets=[daily, shout, week, split, *[power(exponent) for exponent in (2, 3)], scaled, after],
        resources={"scale": Scale(by=10)},
    )
"""


def test_partitions_multi_assets_factories_resources_and_dependencies(project: Project, reproduced: Reproduce) -> None:
    project.write(shop=KINDS)
    for day in ("mon", "tue"):
        project.materialize(select=["daily", "shout"], partition=day)
    project.materialize(select=["week", "train", "test", "power_2", "power_3", "scaled", "after"])
    (project.code / "shop.py").unlink()

    tue = {"partition": "tue"}
    for name, how in [
        ("daily", tue),
        ("shout", tue),
        ("week", {}),
        ("test", {}),
        ("power_3", {}),
        ("scaled", {"module": "shop"}),
        ("after", {}),
    ]:
        found = reproduced(name, **how)
        assert found.verdict == "same", (name, found)


def test_partitions_that_build_on_the_one_before_and_ranges(project: Project, reproduced: Reproduce) -> None:
    project.write(
        shop="""
        import dagster as dg
        from mlrepro import ml_asset, ml_definitions

        DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")
        BEFORE = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)

        @ml_asset(partitions_def=DAYS, ins={"grown": dg.AssetIn("grown", partition_mapping=BEFORE)})
        def grown(context: dg.AssetExecutionContext, grown: int | None) -> int:
            return (grown or 0) + int(context.partition_key[-2:])

        @ml_asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
        def both(context: dg.AssetExecutionContext) -> dict[str, int]:
            return {key: int(key[-2:]) for key in context.partition_keys}

        defs = ml_definitions(assets=[grown, both])
        """
    )
    for day in ("2026-01-01", "2026-01-02"):
        project.materialize(select=["grown"], partition=day)
    ends = dict(zip(("start", "end"), ("2026-01-02", "2026-01-03"), strict=True))
    tags = {f"dagster/asset_partition_range_{name}": day for name, day in ends.items()}
    project.materialize(select=["both"], tags=tags)

    for name, day in (("grown", "2026-01-02"), ("both", "2026-01-03")):
        assert reproduced(name, partition=day).verdict == "same"


def test_what_a_script_defines_comes_from_the_script(project: Project, reproduced: Reproduce) -> None:
    project.write(
        train="""
        import dagster as dg
        from mlrepro import InputHashIOManager, ml_asset

        @ml_asset
        def number() -> int:
            return 7

        if __name__ == "__main__":
            assert dg.materialize([number], resources={"io_manager": InputHashIOManager()}).success
        """
    )
    done = project.run(sys.executable, "train.py", MLREPRO_STORE=str(project.store))
    assert done.returncode == 0, done.stderr
    (project.code / "train.py").unlink()

    assert reproduced("number").verdict == "same"


def test_a_resource_that_no_record_leads_to_is_named(project: Project, reproduced: Reproduce) -> None:
    project.write(
        parts="""
        from dagster import ConfigurableResource
        from mlrepro import ml_asset

        class Scale(ConfigurableResource):
            by: int

        @ml_asset
        def scaled(scale: Scale) -> int:
            return scale.by
        """,
        shop="""
        from mlrepro import ml_definitions
        from parts import Scale, scaled

        defs = ml_definitions(assets=[scaled], resources={"scale": Scale(by=10)})
        """,
    )
    project.materialize()
    found = reproduced("scaled")
    assert found.exit_code == 2
    assert any("the resource scale, which the function uses" in each for each in found.missing)
    assert reproduced("scaled", module="shop", repository=project.code).verdict == "same"


def test_code_comes_from_the_commit_where_its_files_are_gone(project: Project, reproduced: Reproduce) -> None:
    git(project, "init", "-q")
    project.write(src__shop=shop_giving(1))
    git(project, "add", ".")
    git(project, "commit", "-qm", "one")
    project.materialize("src.shop")
    lose_files(project, "number", 1)
    project.write(src__shop=shop_giving(2))  # not committed
    project.materialize("src.shop")
    lose_files(project, "number", 2)
    (project.code / "src" / "shop.py").write_text("")

    committed = reproduced("number@v1", repository=project.code)
    assert committed.verdict == "same"
    assert str(committed.code).startswith("git commit ")

    dirty = reproduced("number@v2", repository=project.code)
    assert dirty.exit_code == 2
    assert dirty.missing[0].startswith("code: the files stored with the result: The object ")
    assert any("git commit" in each and "other code: src.shop:number" in each for each in dirty.missing), dirty.missing


def test_the_command_tells_machines(project: Project) -> None:
    project.write(shop=shop_giving(1))
    project.materialize()
    (project.code / "shop.py").unlink()
    command = str(Path(sys.executable).with_name("mlrepro"))
    done = project.run(command, "reproduce", "number@v1", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["verdict"], told["sentence"], told["exit_code"]) == ("same", "bit for bit the same", 0)
    assert "computing number@v1 from the files stored with the result" in done.stderr

    unknown = project.run(command, "reproduce", "number@v9")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "number has no v9" in unknown.stderr
    assert "Traceback" not in unknown.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_half_way_it_leaves_nothing(project: Project, number: signal.Signals, tmp_path: Path) -> None:
    project.write(
        shop="""
        import os, time
        from mlrepro import ml_asset, ml_definitions

        @ml_asset
        def slow() -> int:
            if os.environ.get("SHOP_SLOW"):
                open(os.environ["SHOP_SLOW"], "w").write(str(os.getpid()))
                time.sleep(600)
            return 1

        defs = ml_definitions(assets=[slow])
        """
    )
    project.materialize()
    before = project.tree()
    temporary, mark = tmp_path / "tmp", tmp_path / "computing"
    temporary.mkdir()
    command = [*HEEDING, str(Path(sys.executable).with_name("mlrepro")), "reproduce", "slow@v1"]
    variables = project.environment(TMPDIR=str(temporary), SHOP_SLOW=str(mark))
    process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(lambda: mark.exists() and mark.read_text() != "")
    worker = int(mark.read_text())
    process.send_signal(number)
    process.wait(timeout=60)
    wait_until(lambda: not alive(worker))
    wait_until(lambda: list(temporary.iterdir()) == [])
    assert project.tree() == before


def shop_giving(number: int) -> str:
    return f"""
    from mlrepro import ml_asset, ml_definitions

    @ml_asset
    def number() -> int:
        return {number}

    defs = ml_definitions(assets=[number])
    """


def git(project: Project, *arguments: str) -> None:
    identity = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=project.code, check=True, capture_output=True)


def lose_files(project: Project, asset: str, number: int) -> None:
    """Remove what was stored of the code's files, as an older mlrepro would not have stored it."""
    store = open_store(str(project.store))
    version = store.entry(("versions", asset, "_"), number).body
    found = store.get_result(version["input_hash"])
    assert found is not None
    next(project.store.rglob(found.record["code"]["files"])).unlink()


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(true: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
