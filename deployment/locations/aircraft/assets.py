"""The risk that a plane's next departure is late, from its own history and the day's conditions."""

import dagster as dg
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from threadpoolctl import threadpool_limits

from mlrepro import Cache, ml_asset

TEST_FROM = pd.Timestamp("2013-10-01", tz="UTC")
LATE_MINUTES = 15
HISTORY_FLIGHTS = 20
HISTORY = ["late_share", "last_delay", "last_arrival_delay", "idle_hours"]
CONDITIONS = [
    "airport_delay", "minute_of_day", "weekday", "distance", "temp", "wind_speed", "precip", "visib", "pressure",
    "plane_age", "seats", "engines",
]  # fmt: skip


class RiskConfig(dg.Config):
    """How the model is trained."""

    trees: int = 120
    n_jobs: int = 1


@ml_asset
def plane_history(clean_flights: pd.DataFrame) -> pd.DataFrame:
    """What each plane did on its departures before this one, row by row with `clean_flights`."""
    late = (clean_flights["dep_delay"] >= LATE_MINUTES).astype(float)
    earlier = clean_flights.assign(late=late).groupby("tailnum")
    last_left = earlier["departed"].shift()
    return pd.DataFrame(
        {
            "late_share": earlier["late"].transform(
                lambda flights: flights.shift().rolling(HISTORY_FLIGHTS, min_periods=3).mean()
            ),
            "last_delay": earlier["dep_delay"].shift(),
            "last_arrival_delay": earlier["arr_delay"].shift(),
            "idle_hours": (clean_flights["scheduled"] - last_left).dt.total_seconds() / 3600,
        }
    )


@ml_asset(cache=Cache(ignore_config=("n_jobs",)), seed=13)
def risk_model(
    flight_features: pd.DataFrame, plane_history: pd.DataFrame, config: RiskConfig
) -> HistGradientBoostingClassifier:
    """Gradient boosting on January to September."""
    known = flight_features["scheduled"] < TEST_FROM
    table = flight_features.join(plane_history)[known]
    model = HistGradientBoostingClassifier(max_iter=config.trees, learning_rate=0.08, min_samples_leaf=100)
    with threadpool_limits(config.n_jobs):
        return model.fit(table[HISTORY + CONDITIONS], table["dep_delay"] >= LATE_MINUTES)


@ml_asset
def risk_scores(
    risk_model: HistGradientBoostingClassifier, flight_features: pd.DataFrame, plane_history: pd.DataFrame
) -> pd.DataFrame:
    """The risk of each departure from October to December, beside what came of it."""
    unseen = flight_features["scheduled"] >= TEST_FROM
    table = flight_features.join(plane_history)[unseen]
    return pd.DataFrame(
        {
            "scheduled": table["scheduled"],
            "tailnum": table["tailnum"],
            "minute_of_day": table["minute_of_day"],
            "risk": risk_model.predict_proba(table[HISTORY + CONDITIONS])[:, 1],
            "late": table["dep_delay"] >= LATE_MINUTES,
        }
    ).reset_index(drop=True)


@ml_asset
def risk_evaluation(risk_scores: pd.DataFrame, clean_flights: pd.DataFrame) -> dict[str, float]:
    """How well the risk ranks departures, beside the share of late departures at that hour of the day."""
    known = clean_flights[clean_flights["scheduled"] < TEST_FROM]
    by_hour = (known["dep_delay"] >= LATE_MINUTES).groupby(known["minute_of_day"] // 60).mean()
    baseline = (risk_scores["minute_of_day"] // 60).map(by_hour).fillna(by_hour.mean())
    late, risk = risk_scores["late"], risk_scores["risk"]
    return {
        "auc": float(roc_auc_score(late, risk)),
        "auc_baseline": float(roc_auc_score(late, baseline)),
        "average_precision": float(average_precision_score(late, risk)),
        "brier": float(brier_score_loss(late, risk)),
        "late_share": float(late.mean()),
    }


@ml_asset
def plane_risk(risk_scores: pd.DataFrame) -> pd.DataFrame:
    """The planes with the highest average risk, of those with at least 30 departures: the ones to look at first."""
    planes = risk_scores.groupby("tailnum").agg(
        departures=("risk", "size"), risk=("risk", "mean"), late_share=("late", "mean")
    )
    regular = planes[planes["departures"] >= 30]
    return regular.sort_values(["risk", "departures"], ascending=False, kind="stable").head(50).reset_index()
