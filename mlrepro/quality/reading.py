"""Metrics as Dagster's event log has them: numbers in the metadata of materializations and observations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class Reading:
    """The numbers of one event of an asset.

    Attributes:
        storage_id: Number of the event in the event log.
        timestamp: When, in seconds since the epoch.
        numbers: Metrics by name; NaN for one that is NaN or infinite.
    """

    storage_id: int
    timestamp: float
    numbers: Mapping[str, float]

    @classmethod
    def of(cls, record: dg.EventLogRecord) -> "Reading":
        """Read the event of an asset."""
        return cls(record.storage_id, record.timestamp, numbers_of(event_of(record.event_log_entry).metadata))


def event_of(entry: dg.EventLogEntry) -> dg.AssetMaterialization | dg.AssetObservation:
    """The materialization or observation that an entry of the event log is."""
    event = entry.asset_materialization or entry.asset_observation
    assert event is not None, "only such events are fetched"
    return event


def numbers_of(metadata: Mapping[str, Any]) -> dict[str, float]:
    """Take the numbers out of an event's metadata, NaN for whatever is not finite.

    Example:
        >>> numbers_of({"auc": dg.MetadataValue.float(0.5), "loss": dg.MetadataValue.text("NaN")})
        {'auc': 0.5, 'loss': nan}
    """
    found = ((name, _number(value)) for name, value in metadata.items())
    return {name: number for name, number in found if number is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, dg.FloatMetadataValue | dg.IntMetadataValue):
        given: Any = value.value
    elif isinstance(value, dg.TextMetadataValue):
        given = value.text
    else:
        return None
    if given is None:
        return None
    try:
        number = float(given)
    except OverflowError:  # a whole number larger than any float
        return math.nan
    except ValueError:
        return None
    if isinstance(given, str):
        # JSON has no NaN, so it is often reported as text; any other text is no metric
        return None if math.isfinite(number) else math.nan
    return number if math.isfinite(number) else math.nan
