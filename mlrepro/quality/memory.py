"""What a rollback sensor remembers from tick to tick: bounded, as JSON, and never needed to be right.

Everything in it can be found again in the event log and in the channel's history. It saves work, and it keeps a notice
from being given twice.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mlrepro.quality.reading import Reading
from mlrepro.quality.view import Failure

SCHEMA = 1


@dataclass
class Watch:
    """What is known of one channel, or of one of its partitions.

    Attributes:
        entry: Number of the entry by which the channel moved last; all else is since then. 0 if not looked at yet.
        asked: What the conditions were, in words: what was kept for others may lack what these look at.
        moved: When that was, in seconds since the epoch.
        looked: Number of the newest entry that was looked at.
        positions: For each asset, the storage id up to which its events were read.
        readings: For each asset its newest readings, newest first, with the metrics that are asked for.
        runs: The storage id up to which failed runs were read.
        failures: What failed downstream, newest first.
        said: Notices that were given.
        stopped: Whether it was said that too many rollbacks were made.
    """

    entry: int = 0
    moved: float = 0.0
    looked: int = 0
    asked: list[str] = field(default_factory=list)
    positions: dict[dg.AssetKey, int] = field(default_factory=dict)
    readings: dict[dg.AssetKey, list[Reading]] = field(default_factory=dict)
    runs: int | None = None
    failures: list[Failure] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    stopped: bool = False

    def begin(self, entry: int, moved: float) -> None:
        """Forget what was of another version; that too many rollbacks were made stays true of the next one.

        Args:
            entry: Number of the entry by which the channel moved.
            moved: When that was, in seconds since the epoch.
        """
        self.entry, self.moved = entry, moved
        self.said = []
        self.forget_events()

    def forget_events(self) -> None:
        """Have the newest events read again."""
        self.positions, self.readings, self.runs, self.failures = {}, {}, None, []

    def to_json(self) -> dict[str, Any]:
        """The watch as a JSON object; `from_json` reads it."""
        return {
            "entry": self.entry,
            "moved": self.moved,
            "looked": self.looked,
            "asked": self.asked,
            "positions": {key.to_user_string(): position for key, position in self.positions.items()},
            "readings": {
                key.to_user_string(): [[each.storage_id, each.timestamp, _plain(each.numbers)] for each in readings]
                for key, readings in self.readings.items()
            },
            "runs": self.runs,
            "failures": [[each.run_id, each.asset.to_user_string(), each.timestamp] for each in self.failures],
            "said": self.said,
            "stopped": self.stopped,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Watch":
        """Read what `to_json` wrote.

        Raises:
            KeyError: A field is missing.
            TypeError: A field is something else.
            ValueError: Likewise.
            AttributeError: Likewise.
        """
        key = dg.AssetKey.from_user_string
        return cls(
            entry=int(data["entry"]),
            moved=float(data["moved"]),
            looked=int(data["looked"]),
            asked=[str(each) for each in data["asked"]],
            positions={key(name): int(position) for name, position in data["positions"].items()},
            readings={
                key(name): [Reading(int(number), float(when), _numbers(values)) for number, when, values in readings]
                for name, readings in data["readings"].items()
            },
            runs=None if data["runs"] is None else int(data["runs"]),
            failures=[Failure(str(run), key(name), float(when)) for run, name, when in data["failures"]],
            said=[str(each) for each in data["said"]],
            stopped=bool(data["stopped"]),
        )


@dataclass
class Memory:
    """What a sensor knows of all the channels that it watches: one, or one for each partition.

    Attributes:
        watches: By the name of the partition, as the store writes it.
        after: The partition after which the next tick goes on, where there are too many for one tick.
        damaged: Whether it could not be read, and begins anew.
    """

    watches: dict[str, Watch] = field(default_factory=dict)
    after: str = ""
    damaged: bool = False

    def dump(self) -> str:
        """Write it as a sensor's cursor."""
        watches = {name: watch.to_json() for name, watch in self.watches.items()}
        return json.dumps({"schema": SCHEMA, "after": self.after, "watches": watches}, separators=(",", ":"))

    @classmethod
    def load(cls, cursor: str | None) -> "Memory":
        """Read a sensor's cursor; what can't be read begins anew.

        Example:
            >>> Memory.load("{damaged").damaged
            True
        """
        if not cursor:
            return cls()
        try:
            data = json.loads(cursor)
            if data["schema"] != SCHEMA:
                return cls(damaged=True)
            watches = {str(name): Watch.from_json(watch) for name, watch in data["watches"].items()}
            return cls(watches, str(data["after"]))
        except (ValueError, KeyError, TypeError, AttributeError, dg.DagsterError):
            return cls(damaged=True)


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    # JSON has no NaN
    return {name: None if math.isnan(number) else number for name, number in numbers.items()}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): math.nan if value is None else float(value) for name, value in values.items()}
