"""The definitions of a team that trains a model, evaluates it, promotes it and serves what it predicts."""

from typing import Any

import dagster as dg

from mlrepro import Metric, ReproStore, channel, ml_asset, ml_definitions


class Training(dg.Config):
    """How the model is trained."""

    slope: float = 0.5


def definitions(team: str) -> dg.Definitions:
    """All that a team has; its store is the one of the environment, its scope the team's name."""

    @ml_asset(name=f"{team}_features", group_name="training")
    def features() -> list[int]:
        return [1, 2, 3, 4]

    @ml_asset(
        name=f"{team}_model",
        group_name="training",
        ins={"features": dg.AssetIn(f"{team}_features")},
        description="How late a flight will be.",
    )
    def model(context: dg.AssetExecutionContext, features: list[int], config: Training) -> dict[str, float]:
        context.add_output_metadata({"card": dg.MetadataValue.md("**Linear**, <script>alert(1)</script> honest")})
        return {"slope": config.slope, "auc": 0.5 + config.slope / 2}

    @ml_asset(name=f"{team}_evaluation", group_name="training", ins={"model": dg.AssetIn(f"{team}_model")})
    def evaluation(model: dict[str, float]) -> dict[str, float]:
        return {"error": 1.0 - model["slope"]}

    production = channel("production", model, gates=[Metric(f"{team}_evaluation", "error") < 0.95])

    @ml_asset(
        name=f"{team}_predictions", group_name="serving", ins={"model": dg.AssetIn([f"{team}_model", "production"])}
    )
    def predictions(model: dict[str, float]) -> list[float]:
        return [model["slope"] * each for each in (1, 2, 3)]

    @ml_asset(name=f"{team}_board", group_name="serving", ins={"predictions": dg.AssetIn(f"{team}_predictions")})
    def board(predictions: list[float]) -> str:
        return ", ".join(map(str, predictions))

    return ml_definitions(
        assets=[features, model, evaluation, production, predictions, board],
        jobs=[dg.define_asset_job("everything")],
        store=ReproStore(scope=team),
    )


def train(defs: dg.Definitions, instance: dg.DagsterInstance, team: str, slope: float, user: str) -> Any:
    """Materialize all assets, with a model of some slope."""
    job = defs.resolve_job_def("everything")
    return job.execute_in_process(
        instance=instance,
        run_config={"ops": {f"{team}_model": {"config": {"slope": slope}}}},
        tags={"user": user},
        raise_on_error=False,
    )
