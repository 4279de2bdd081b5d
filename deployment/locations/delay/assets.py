"""The arrival delay of a flight, predicted at the moment it leaves the gate."""

import dagster as dg
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from mlrepro import Cache, ml_asset

TEST_FROM = pd.Timestamp("2013-10-01", tz="UTC")
CATEGORIES = ["origin", "dest", "carrier"]
NUMBERS = [
    "dep_delay", "airport_delay", "airport_loss", "route_loss", "planned_minutes", "distance", "minute_of_day",
    "weekday", "temp", "wind_speed", "precip", "visib", "pressure", "plane_age", "seats",
]  # fmt: skip


class ArrivalConfig(dg.Config):
    """How the model is trained."""

    learning_rate: float = 0.1
    trees: int = 200
    n_jobs: int = 1


@ml_asset(cache=Cache(ignore_config=("n_jobs",)), seed=13)
def arrival_model(flight_features: pd.DataFrame, config: ArrivalConfig) -> Pipeline:
    """Gradient boosting on January to September; it predicts the minutes lost between gate and gate."""
    known = flight_features[flight_features["scheduled"] < TEST_FROM]
    encode = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), CATEGORIES),
        ("passthrough", NUMBERS),
    )
    boosting = HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=config.learning_rate,
        max_iter=config.trees,
        min_samples_leaf=50,
        categorical_features=range(len(CATEGORIES)),
    )
    with threadpool_limits(config.n_jobs):
        return make_pipeline(encode, boosting).fit(known, known["arr_delay"] - known["dep_delay"])


@ml_asset
def arrival_evaluation(arrival_model: Pipeline, flight_features: pd.DataFrame) -> dict[str, float]:
    """Errors in minutes on October to December, beside the guess that a flight makes up its usual few minutes."""
    known = flight_features[flight_features["scheduled"] < TEST_FROM]
    unseen = flight_features[flight_features["scheduled"] >= TEST_FROM]
    predicted = unseen["dep_delay"] + arrival_model.predict(unseen)
    guessed = unseen["dep_delay"] + (known["arr_delay"] - known["dep_delay"]).median()
    error = (unseen["arr_delay"] - predicted).abs()
    return {
        "mae_minutes": float(error.mean()),
        "mae_minutes_baseline": float((unseen["arr_delay"] - guessed).abs().mean()),
        "within_10_minutes": float((error <= 10).mean()),
    }
