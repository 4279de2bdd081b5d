"""A plan: what each asset of a run would do, as rows, as a table and as JSON."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from tabulate import tabulate

Verdict = Literal["hit", "run", "depends", "unknown"]

SCHEMA = 1
"""Version of the JSON."""


@dataclass(frozen=True)
class PlannedAsset:
    """What a run would do for one asset.

    Attributes:
        asset: Asset key as Dagster writes it ("team/churn_model").
        step: Key of the step that computes it; assets of one function share it.
        verdict: ``hit``: its result is in the cache. ``run``: it is computed. ``depends``: on what comes out of steps
            before it. ``unknown``: only the step itself can tell.
        reason: Why; empty for a hit that was found by its key.
        depends_on: Keys of the assets that it waits for, where it depends.
        version: Number of the version that a hit is, or would be; None in a plan of many hits.
        computed_by: Who computed the result of a hit.
        computed_at: When, as ISO 8601 in UTC.
        computed_in_run: In which run.
        scope: Scope that the result was found in.
        seconds: For a hit, the seconds that are saved; else those that its newest version took, None where that is
            not known. Assets of one step share them.
        input_hash: The key of its result, where it is known.
    """

    asset: str
    step: str
    verdict: Verdict
    reason: str = ""
    depends_on: tuple[str, ...] = ()
    version: int | None = None
    computed_by: str | None = None
    computed_at: str | None = None
    computed_in_run: str | None = None
    scope: str | None = None
    seconds: float | None = None
    input_hash: str | None = None

    def describe(self) -> str:
        """Say in a line whose result a hit is, or why the asset runs."""
        if self.verdict != "hit" or self.reason:
            return self.reason
        number = f"v{self.version}, " if self.version is not None else ""
        run = (self.computed_in_run or "")[:8]
        scope = " (shared)" if self.scope == "shared" else ""
        return f"{number}computed by {self.computed_by} on {(self.computed_at or '')[:10]} in run {run}{scope}"


@dataclass(frozen=True)
class PlannedCheck:
    """An asset check that runs in a step of its own.

    Attributes:
        name: Its name.
        asset: Key of the asset that it checks.
        step: Key of its step.
    """

    name: str
    asset: str
    step: str


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        assets: One row an asset, in the order of the run.
        checks: Checks that run in steps of their own: they always run.
        partition: Partition key, or None.

    Example:
        >>> made = Plan((PlannedAsset("model", "model", "run", "config C: 1.0 -> 2.0", seconds=90.0),), ())
        >>> print(made)
        asset    does    seconds    why
        -------  ------  ---------  --------------------
        model    run     ~90.0      config C: 1.0 -> 2.0
        <BLANKLINE>
        1 asset: 1 to compute (about 90.0 s)
    """

    assets: tuple[PlannedAsset, ...]
    checks: tuple[PlannedCheck, ...] = ()
    partition: str | None = None

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of assets by verdict."""
        counts = dict.fromkeys(("hit", "run", "depends", "unknown"), 0)
        for row in self.assets:
            counts[row.verdict] += 1
        return counts

    @property
    def seconds_saved(self) -> float:
        """Seconds that the hits took when they were computed."""
        return self._seconds("hit") or 0.0

    @property
    def seconds_to_run(self) -> float | None:
        """Seconds that what runs for certain took the last time, as far as it is known; None if nothing is."""
        return self._seconds("run", "unknown")

    @property
    def seconds_at_most(self) -> float | None:
        """The same with what depends on steps before it."""
        return self._seconds("run", "unknown", "depends")

    def row(self, asset: str) -> PlannedAsset:
        """The row of an asset.

        Raises:
            KeyError: If the plan has none.
        """
        for row in self.assets:
            if row.asset == asset:
                return row
        raise KeyError(asset)

    def to_json(self) -> dict[str, Any]:
        """Write the plan as a JSON object."""
        return {
            "schema": SCHEMA,
            "partition": self.partition,
            "assets": [asdict(row) | {"depends_on": list(row.depends_on)} for row in self.assets],
            "checks": [asdict(check) for check in self.checks],
            "totals": {
                **self.counts,
                "checks": len(self.checks),
                "seconds_saved": self.seconds_saved,
                "seconds_to_run": self.seconds_to_run,
                "seconds_at_most": self.seconds_at_most,
            },
        }

    def summary(self) -> str:
        """Say the totals in a line."""
        counts = self.counts
        parts = [
            f"{counts['hit']} from the cache ({_duration(self.seconds_saved)} saved)" if counts["hit"] else "",
            f"{counts['run']} to compute{self._about('run')}" if counts["run"] else "",
            f"{counts['depends']} depending on upstream{self._about('depends')}" if counts["depends"] else "",
            f"{counts['unknown']} of which only the step can tell{self._about('unknown')}" if counts["unknown"] else "",
            f"{len(self.checks)} check{'s' * (len(self.checks) != 1)} to run" if self.checks else "",
        ]
        number = len(self.assets)
        partition = f" of partition {self.partition}" if self.partition is not None else ""
        return f"{number} asset{'s' * (number != 1)}{partition}: {', '.join(part for part in parts if part)}"

    def __str__(self) -> str:
        rows = [(row.asset, row.verdict, _seconds(row), row.describe()) for row in self.assets] + [
            (f"{check.asset}: {check.name}", "check", "", "checks are not cached") for check in self.checks
        ]
        table = tabulate(rows, headers=("asset", "does", "seconds", "why"), disable_numparse=True)
        return f"{table}\n\n{self.summary()}"

    def _about(self, verdict: Verdict) -> str:
        seconds = self._seconds(verdict)
        return "" if seconds is None else f" (about {_duration(seconds)})"

    def _seconds(self, *verdicts: Verdict) -> float | None:
        by_step = {row.step: row.seconds for row in self.assets if row.verdict in verdicts}
        known = [seconds for seconds in by_step.values() if seconds is not None]
        return sum(known) if known else None


def utc(timestamp: str) -> str:
    """Write a record's time in UTC, whatever zone it was written in."""
    return dt.datetime.fromisoformat(timestamp).astimezone(dt.UTC).isoformat()


def names(keys: Iterable[str]) -> str:
    """Name a few, and say how many more there are.

    Example:
        >>> names(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    listed = list(keys)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _seconds(row: PlannedAsset) -> str:
    if row.seconds is None:
        return ""
    return f"{'' if row.verdict == 'hit' else '~'}{row.seconds:.1f}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
