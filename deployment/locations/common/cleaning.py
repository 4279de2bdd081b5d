"""From the raw tables to tidy ones."""

import pandas as pd

WEATHER = ["temp", "wind_speed", "precip", "visib", "pressure"]
FILL_HOURS = 6
TAXI_MINUTES = 60
"""Allowed for both taxis together, on the safe side: a landing is not known before it happened."""


def flown(flights: pd.DataFrame) -> pd.DataFrame:
    """Keep the flights that left and arrived, in order of departure.

    Args:
        flights: The table as published; a cancelled or diverted flight has no arrival delay.
    """
    kept = flights.dropna(subset=["dep_delay", "arr_delay", "tailnum"])
    hour = pd.to_datetime(kept["time_hour"], utc=True)
    scheduled = hour + pd.to_timedelta(kept["minute"], unit="min")
    departed = scheduled + pd.to_timedelta(kept["dep_delay"], unit="min")
    tidy = pd.DataFrame(
        {
            "scheduled": scheduled,
            "departed": departed,
            "landed": departed + pd.to_timedelta(kept["air_time"] + TAXI_MINUTES, unit="min"),
            "hour_utc": hour,
            "origin": kept["origin"],
            "dest": kept["dest"],
            "carrier": kept["carrier"],
            "tailnum": kept["tailnum"],
            "distance": kept["distance"],
            "minute_of_day": kept["hour"] * 60 + kept["minute"],
            "planned_minutes": (minutes(kept["sched_arr_time"]) - minutes(kept["sched_dep_time"])) % (24 * 60),
            "dep_delay": kept["dep_delay"],
            "arr_delay": kept["arr_delay"],
        }
    )
    return tidy.sort_values(["departed", "origin", "tailnum"], kind="stable", ignore_index=True)


def minutes(clock: pd.Series) -> pd.Series:
    """Turn a clock reading such as 1730 into minutes since midnight."""
    return clock // 100 * 60 + clock % 100


def without_gaps(weather: pd.DataFrame) -> pd.DataFrame:
    """Fill an hour that was not measured with the last one that was, at most `FILL_HOURS` back."""
    tidy = weather.assign(hour_utc=pd.to_datetime(weather["time_hour"], utc=True))
    tidy = tidy.sort_values(["origin", "hour_utc"], ignore_index=True)
    tidy[WEATHER] = tidy.groupby("origin")[WEATHER].ffill(limit=FILL_HOURS)
    return tidy[["origin", "hour_utc", *WEATHER]]
