"""From tidy tables to one row of features a flight."""

import pandas as pd

from common import traffic


def features(flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Join each flight with the weather of its hour, its plane, and the state of its airport and its route."""
    joined = flights.merge(weather, on=["origin", "hour_utc"], how="left", validate="many_to_one")
    registered = planes.rename(columns={"year": "built"})[["tailnum", "built", "engines", "seats"]]
    joined = joined.merge(registered, on="tailnum", how="left", validate="many_to_one")
    return joined.assign(
        plane_age=joined["scheduled"].dt.year - joined["built"],
        weekday=joined["scheduled"].dt.weekday,
        airport_delay=traffic.airport_delay(flights),
        airport_loss=traffic.recent_loss(flights, by="origin"),
        route_loss=traffic.recent_loss(flights, by="dest"),
    ).drop(columns=["built", "hour_utc"])
