"""The definitions of a team with a model for each region, whose promotions eve or ada have to approve."""

from typing import Any

import dagster as dg

from mlrepro import Metric, ReproStore, channel, ml_asset, ml_definitions

REGIONS = dg.StaticPartitionsDefinition(["north", "south/east", "<b>west</b>"])


class Training(dg.Config):
    """How the model is trained."""

    slope: float = 0.5


@ml_asset
def calendar() -> dict[str, int]:
    return {"days": 30}


@ml_asset(partitions_def=REGIONS)
def regional_model(context: dg.AssetExecutionContext, calendar: dict[str, int], config: Training) -> dict[str, Any]:
    return {"slope": config.slope + len(context.partition_key) / 1000, "region": context.partition_key}


@ml_asset(partitions_def=REGIONS)
def regional_evaluation(regional_model: dict[str, Any]) -> dict[str, float]:
    return {"error": 1.0 - regional_model["slope"]}


production = channel(
    "production", regional_model, gates=[Metric("regional_evaluation", "error") < 0.95], approval=["eve", "ada"]
)


@ml_asset(partitions_def=REGIONS, ins={"model": dg.AssetIn(["regional_model", "production"])})
def regional_forecast(model: dict[str, Any]) -> list[float]:
    return [model["slope"] * each for each in (1, 2, 3)]


defs = ml_definitions(
    assets=[calendar, regional_model, regional_evaluation, production, regional_forecast],
    jobs=[
        dg.define_asset_job("year", selection=[calendar]),
        dg.define_asset_job("region", selection=[regional_model, regional_evaluation, production]),
    ],
    store=ReproStore(scope="delay"),
)


def train(instance: dg.DagsterInstance, region: str, slope: float) -> Any:
    """Train and evaluate the model of a region, and propose it."""
    return defs.resolve_job_def("region").execute_in_process(
        instance=instance,
        partition_key=region,
        run_config={"ops": {"regional_model": {"config": {"slope": slope}}}},
        tags={"user": "ben"},
        raise_on_error=False,
    )
