"""Definitions of one team, by the variable TEAM: two teams have the same kinds of things under names of their own.

Also what they have in common in an instance: partitions of one name, and an asset that one reads and the other makes.
"""

import os
from pathlib import Path

import dagster as dg


def definitions(team: str) -> dg.Definitions:
    """All that a team has."""
    days = dg.DynamicPartitionsDefinition(name="days")  # both teams'
    own = dg.DynamicPartitionsDefinition(name=f"{team}_regions")
    letters = dg.StaticPartitionsDefinition(["a", "b", "c"])

    @dg.asset(name=f"{team}_model")
    def model() -> int:
        return 1

    @dg.asset(name=f"{team}_daily", partitions_def=days)
    def daily() -> int:
        return 1

    @dg.asset(name=f"{team}_regional", partitions_def=own)
    def regional() -> int:
        return 1

    @dg.asset(name=f"{team}_letters", partitions_def=letters)
    def lettered() -> int:
        return 1

    @dg.asset_check(asset=model, name="fine")
    def fine() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.op(name=f"{team}_op")
    def op() -> None: ...

    @dg.job(name=f"{team}_job", tags={"dagster/priority": "2", "dagster-k8s/config": '{"container_config": {}}'})
    def job() -> None:
        op()

    @dg.job(name=f"{team}_partitioned", partitions_def=letters)
    def partitioned() -> None:
        op()

    marker = os.environ.get("TEAM_MARKER")

    @dg.schedule(name=f"{team}_schedule", job=job, cron_schedule="0 0 * * *")
    def schedule() -> dg.RunRequest:
        if marker:
            Path(marker).write_text(team)
        return dg.RunRequest()

    @dg.sensor(name=f"{team}_sensor", job=job)
    def sensor() -> dg.SkipReason:
        if marker:
            Path(marker).write_text(team)
        return dg.SkipReason("nothing to do")

    @dg.asset(name="claimed")  # both teams define it
    def claimed() -> int:
        return 1

    reads = dg.AssetSpec("shared_model") if team == "fleet" else None
    makes = _shared_model if team == "delay" else None
    return dg.Definitions(
        assets=[model, claimed, daily, regional, lettered, *filter(None, (reads, makes))],
        asset_checks=[fine],
        jobs=[job, partitioned],
        schedules=[schedule],
        sensors=[sensor],
    )


@dg.asset(name="shared_model")
def _shared_model() -> int:
    return 2
