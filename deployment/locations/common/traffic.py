"""How an airport and a route are doing at the moment."""

import numpy as np
import pandas as pd

RECENT_MINUTES = 60
LANDED_HOURS = {"origin": 3, "dest": 24}


def airport_delay(flights: pd.DataFrame) -> pd.Series:
    """Average delay of what left the same airport shortly before a flight's scheduled departure."""
    return recent_average(flights, flights["dep_delay"], by="origin", clock="departed", minutes=RECENT_MINUTES)


def recent_loss(flights: pd.DataFrame, *, by: str) -> pd.Series:
    """Average time lost between gate and gate by flights that landed lately, from the same airport or to the same.

    The wind aloft is the same for a day, so that what one flight loses the next one loses too.
    """
    lost = flights["arr_delay"] - flights["dep_delay"]
    return recent_average(flights, lost, by=by, clock="landed", minutes=LANDED_HOURS[by] * 60)


def recent_average(flights: pd.DataFrame, values: pd.Series, *, by: str, clock: str, minutes: int) -> pd.Series:
    """Average a value over the flights of the same group in the minutes before each flight's scheduled departure.

    Only what had happened by then counts, so that nothing is used that nobody could know.

    Args:
        flights: One row a flight.
        values: What to average.
        by: Column that names the group.
        clock: Column that says when the value of a flight became known.
        minutes: How far to look back.
    """
    window = np.timedelta64(minutes, "m")
    averages = pd.Series(np.nan, index=flights.index)
    for _, group in flights.groupby(by):
        in_order = group[clock].sort_values(kind="stable")
        known = in_order.to_numpy("datetime64[s]")
        total = np.concatenate([[0.0], values[in_order.index].cumsum()])
        now = group["scheduled"].to_numpy("datetime64[s]")
        first, last = np.searchsorted(known, now - window), np.searchsorted(known, now)
        count = last - first
        averages[group.index] = np.where(count > 0, (total[last] - total[first]) / np.maximum(count, 1), np.nan)
    return averages
