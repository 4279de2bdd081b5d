"""How an airport is doing at the moment."""

import numpy as np
import pandas as pd

RECENT_MINUTES = 60


def airport_delay(flights: pd.DataFrame) -> pd.Series:
    """Average delay of what left the same airport in the last `RECENT_MINUTES` before a flight's scheduled time.

    Only flights that had really left by then count, so that nothing is used that nobody could know.
    """
    recent = np.timedelta64(RECENT_MINUTES, "m")
    result = pd.Series(np.nan, index=flights.index)
    for _, group in flights.groupby("origin"):
        by_departure = group.sort_values("departed", kind="stable")
        departed = by_departure["departed"].to_numpy("datetime64[s]")
        total = np.concatenate([[0.0], by_departure["dep_delay"].cumsum()])
        scheduled = group["scheduled"].to_numpy("datetime64[s]")
        first = np.searchsorted(departed, scheduled - recent)
        last = np.searchsorted(departed, scheduled)
        count = last - first
        result[group.index] = np.where(count > 0, (total[last] - total[first]) / np.maximum(count, 1), np.nan)
    return result
