"""When will a flight arrive that is about to leave? A model that serves every day, and how well it does.

A model is trained on a few months. What it promises is measured on days of the same months that it has not seen; what
it is worth shows in the month that it serves.
"""

from dataclasses import dataclass

import dagster as dg
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from mlrepro import Metric, channel, ml_asset

NEW_YORK = "America/New_York"
HELD_OUT_EVERY = 5
LATE_MINUTES = 15
ROUTE_FLIGHTS = 60
PROMISED = 0.55
"""Share of flights that a model has to predict to within ten minutes before it is promoted."""
CATEGORIES = ["origin", "dest", "carrier"]
NUMBERS = [
    "dep_delay", "airport_delay", "airport_loss", "route_loss", "planned_minutes", "distance", "minute_of_day",
    "weekday", "temp", "wind_speed", "precip", "visib", "pressure", "plane_age", "seats",
]  # fmt: skip
FLIGHT = ["scheduled", "origin", "dest", "carrier", "tailnum"]


class TrainingMonths(dg.Config):
    """Which months of 2013 the model learns from."""

    first_month: int = 1
    last_month: int = 8
    trees: int = 100


class LiveMonth(dg.Config):
    """The month that the model serves."""

    month: int = 10


@dataclass(frozen=True)
class ArrivalModel:
    """A model that knows which flights it has learned from.

    Attributes:
        first_month: The first month of its training.
        last_month: The last one.
        losses: Predicts the minutes that a flight loses between gate and gate.
    """

    first_month: int
    last_month: int
    losses: Pipeline

    def predict(self, flights: pd.DataFrame) -> pd.Series:
        """Predict how many minutes late flights arrive."""
        return flights["dep_delay"] + self.losses.predict(flights)


@ml_asset(seed=13)
def arrival_model(flight_features: pd.DataFrame, config: TrainingMonths) -> ArrivalModel:
    """Gradient boosting on four of five days of some months."""
    flights = flight_features[between(flight_features, config.first_month, config.last_month)]
    known = flights[~held_out(flights)]
    encode = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), CATEGORIES),
        ("passthrough", NUMBERS),
    )
    boosting = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=config.trees,
        min_samples_leaf=50,
        categorical_features=range(len(CATEGORIES)),
    )
    with threadpool_limits(1):
        losses = make_pipeline(encode, boosting).fit(known, known["arr_delay"] - known["dep_delay"])
    return ArrivalModel(config.first_month, config.last_month, losses)


@ml_asset
def evaluation(arrival_model: ArrivalModel, flight_features: pd.DataFrame) -> dict[str, float]:
    """What the model promises: how well it does on the days of its own months that were held out."""
    flights = flight_features[between(flight_features, arrival_model.first_month, arrival_model.last_month)]
    unseen = flights[held_out(flights)]
    return errors(arrival_model.predict(unseen), unseen["arr_delay"])


production = channel(
    "production",
    arrival_model,
    gates=[
        Metric("evaluation", "within_10_minutes") >= PROMISED,
        Metric("evaluation", "within_10_minutes").not_worse_than_promoted(by=0.01),
    ],
)


@ml_asset
def live_flights(flight_features: pd.DataFrame, config: LiveMonth) -> pd.DataFrame:
    """The flights of the month, and what became of them."""
    return flight_features[between(flight_features, config.month, config.month)].reset_index(drop=True)


@ml_asset(ins={"model": dg.AssetIn(production.key)})
def predictions(model: ArrivalModel, live_flights: pd.DataFrame) -> pd.DataFrame:
    """What the model that is promoted says of each flight of the month."""
    return live_flights[FLIGHT].assign(predicted=model.predict(live_flights))


@ml_asset
def live_quality(predictions: pd.DataFrame, live_flights: pd.DataFrame) -> dict[str, float]:
    """What the promoted model is worth: its predictions beside what really happened."""
    return errors(predictions["predicted"], live_flights["arr_delay"])


@ml_asset
def daily_board(predictions: pd.DataFrame) -> pd.DataFrame:
    """What to expect of each day at each airport."""
    day = predictions["scheduled"].dt.tz_convert(NEW_YORK).dt.strftime("%Y-%m-%d").rename("day")
    late = predictions.assign(late=predictions["predicted"] >= LATE_MINUTES)
    board = late.groupby([day, "origin"])
    return board.agg(flights=("late", "size"), late_share=("late", "mean"), minutes=("predicted", "mean")).reset_index()


@ml_asset
def worst_routes(predictions: pd.DataFrame) -> pd.DataFrame:
    """The routes with the longest delays to expect, of those that are flown often."""
    routes = predictions.groupby(["origin", "dest"]).agg(flights=("predicted", "size"), minutes=("predicted", "mean"))
    flown = routes[routes["flights"] >= ROUTE_FLIGHTS]
    return flown.sort_values("minutes", ascending=False, kind="stable").head(20).reset_index()


def errors(predicted: pd.Series, arrived: pd.Series) -> dict[str, float]:
    """Tell how far predictions are from what happened, in minutes, and on which side."""
    error = arrived - predicted
    return {
        "within_10_minutes": float((error.abs() <= 10).mean()),
        "mae_minutes": float(error.abs().mean()),
        "later_than_predicted": float(error.median()),
    }


def between(flights: pd.DataFrame, first_month: int, last_month: int) -> pd.Series:
    """Tell which flights leave in some months, by the calendar of New York."""
    return flights["scheduled"].dt.tz_convert(NEW_YORK).dt.month.between(first_month, last_month)


def held_out(flights: pd.DataFrame) -> np.ndarray:
    """Tell which flights leave on a day that no model is trained on: every fifth."""
    return (flights["scheduled"].dt.tz_convert(NEW_YORK).dt.day % HELD_OUT_EVERY == 0).to_numpy()
