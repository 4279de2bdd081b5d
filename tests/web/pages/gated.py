"""The definitions of a team whose model has a channel that fails where a gate does, and one that is skipped."""

from typing import Any

import dagster as dg

from mlrepro import Metric, ReproStore, channel, ml_asset, ml_definitions


class Training(dg.Config):
    """How the model is trained."""

    slope: float = 0.5


@ml_asset
def gated_model(config: Training) -> dict[str, float]:
    return {"slope": config.slope}


@ml_asset
def gated_evaluation(gated_model: dict[str, float]) -> dict[str, float]:
    return {"<i>error</i>": 1.0 - gated_model["slope"]}


GATES = [Metric("gated_evaluation", "<i>error</i>") < 0.6, Metric("gated_model", "slope") < 9]

production = channel("production", gated_model, gates=GATES)
staging = channel("staging", gated_model, gates=GATES, on_failure="skip")


@ml_asset(ins={"model": dg.AssetIn(["gated_model", "staging"])})
def gated_forecast(model: dict[str, Any]) -> list[float]:
    return [model["slope"] * each for each in (1, 2, 3)]


defs = ml_definitions(
    assets=[gated_model, gated_evaluation, production, staging, gated_forecast],
    jobs=[
        dg.define_asset_job("failing", selection=[gated_model, gated_evaluation, production]),
        dg.define_asset_job("skipping", selection=[gated_model, gated_evaluation, staging, gated_forecast]),
    ],
    store=ReproStore(scope="delay"),
)


def train(instance: dg.DagsterInstance, job: str, slope: float) -> Any:
    """Train and evaluate the model, and ask the gates of one of the channels."""
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        run_config={"ops": {"gated_model": {"config": {"slope": slope}}}},
        tags={"user": "ben"},
        raise_on_error=False,
    )
