"""Feeds that fall silent and runs that fail: `Stale` and `DownstreamFailed`, for sensors."""

import datetime as dt
from dataclasses import dataclass
from typing import ClassVar, Literal

import dagster as dg

from mlrepro.errors import ConditionError
from mlrepro.quality.condition import Condition, Need
from mlrepro.quality.metric import asset_key
from mlrepro.quality.verdict import Verdict
from mlrepro.quality.view import View


@dataclass(frozen=True, init=False)
class Stale(Condition):
    """An asset had no event for so long, counted from when the channel moved at the earliest. For rollback sensors.

    Args:
        asset: The asset, or its key.
        longer_than: For how long.

    Raises:
        ConditionError: The time is not positive.

    Example:
        >>> str(Stale("live_quality", dt.timedelta(hours=6)))
        'live_quality without an event for longer than 6:00:00'
    """

    states: ClassVar[Literal["good", "bad", "either"]] = "bad"

    asset: dg.AssetKey
    longer_than: dt.timedelta

    def __init__(
        self,
        asset: "str | dg.AssetKey | dg.AssetsDefinition | dg.SourceAsset | dg.AssetSpec",
        longer_than: dt.timedelta,
    ) -> None:
        if not isinstance(longer_than, dt.timedelta) or longer_than <= dt.timedelta(0):
            raise ConditionError(f"Stale after {longer_than!r}: give a positive time such as timedelta(hours=6)")
        object.__setattr__(self, "asset", asset_key(asset))
        object.__setattr__(self, "longer_than", longer_than)

    def __str__(self) -> str:
        return f"{self.asset.to_user_string()} without an event for longer than {self.longer_than}"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The newest event of the asset."""
        return (Need(self.asset),)

    def judge(self, view: View) -> Verdict:
        """Compare the age of the newest event."""
        name = self.asset.to_user_string()
        newest = view.readings(self.asset, 1)
        if newest:
            since, what = dt.datetime.fromtimestamp(newest[0].timestamp, dt.UTC), "the newest event of"
        elif view.since is not None:
            since, what = view.since, "the channel moved, without an event of"
        else:
            return view.missing(self.asset)
        silent = view.now - since
        holds = silent > self.longer_than
        minutes = dt.timedelta(seconds=max(int(silent.total_seconds()), 0))
        limit = f"{'more than' if holds else 'within'} {self.longer_than}"
        return Verdict(holds, f"{minutes} passed since {what} {name}, {limit}")


@dataclass(frozen=True, init=False)
class DownstreamFailed(Condition):
    """A run failed in a step that makes an asset downstream of the channel, begun after the channel moved.

    A failure somewhere else in a run does not count, nor does a run that never came to such a step. For rollback
    sensors.

    Args:
        *assets: The assets, or their keys. Default: everything downstream of the channel.

    Example:
        >>> str(DownstreamFailed("predictions"))
        'a run failed in predictions'
    """

    states: ClassVar[Literal["good", "bad", "either"]] = "bad"
    reads_failures: ClassVar[bool] = True

    only: tuple[dg.AssetKey, ...]

    def __init__(self, *assets: "str | dg.AssetKey | dg.AssetsDefinition") -> None:
        object.__setattr__(self, "only", tuple(asset_key(asset) for asset in assets))

    def __str__(self) -> str:
        names = " or ".join(asset.to_user_string() for asset in self.only)
        return f"a run failed in {names or 'what is downstream of the channel'}"

    def judge(self, view: View) -> Verdict:
        """Look at what failed since the channel moved."""
        only = {view.log.actual(key) for key in self.only}
        if view.graph is not None and (strangers := [key for key in self.only if not view.log.knows(key)]):
            names = ", ".join(key.to_user_string() for key in strangers)
            return Verdict.unknown(f"there is no asset {names} in this code location: name assets of it")
        for failure in view.failures:
            if not only or failure.asset in only:
                return Verdict(holds=True, said=f"run {failure.run_id} failed in {failure.asset.to_user_string()}")
        return Verdict(holds=False, said="no run failed downstream since the channel moved last")
