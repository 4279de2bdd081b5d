"""Assets that each team defines under its own key prefix, and whose results all teams share."""

import pandas as pd

from common import cleaning, joining
from mlrepro import Cache, ml_asset

SHARED = Cache(scope="shared")


@ml_asset(cache=SHARED)
def clean_flights(flights_csv: pd.DataFrame) -> pd.DataFrame:
    """Flights that took place, one row each, with times as times."""
    return cleaning.flown(flights_csv)


@ml_asset(cache=SHARED)
def hourly_weather(weather_csv: pd.DataFrame) -> pd.DataFrame:
    """One row an airport and hour, without gaps."""
    return cleaning.without_gaps(weather_csv)


@ml_asset(cache=SHARED)
def flight_features(
    clean_flights: pd.DataFrame, hourly_weather: pd.DataFrame, planes_csv: pd.DataFrame
) -> pd.DataFrame:
    """What is known of each flight before it leaves: schedule, weather, plane, and how the airport is doing."""
    return joining.features(clean_flights, hourly_weather, planes_csv)
