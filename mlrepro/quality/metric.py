"""`Metric`: a number that an asset reports, and what can be demanded of it."""

from dataclasses import dataclass
from typing import Literal

import dagster as dg

from mlrepro.errors import ConditionError
from mlrepro.quality.conditions.comparison import Comparison
from mlrepro.quality.conditions.movement import Movement
from mlrepro.quality.conditions.promoted import NotWorse


@dataclass(frozen=True, init=False)
class Metric:
    """A number in the metadata of an asset's materializations (or observations), by its name.

    A mapping of numbers that an `@ml_asset` returns has each of them there by its own name.

    Args:
        asset: The asset, or its key.
        name: Name of the number in the metadata.

    Raises:
        ConditionError: There is no name.

    Example:
        >>> str(Metric("evaluation", "auc") >= 0.8)
        'evaluation.auc >= 0.8'
    """

    asset: dg.AssetKey
    name: str

    def __init__(
        self, asset: "str | dg.AssetKey | dg.AssetsDefinition | dg.SourceAsset | dg.AssetSpec", name: str
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ConditionError("a metric has a name: Metric('evaluation', 'auc')")
        object.__setattr__(self, "asset", asset_key(asset))
        object.__setattr__(self, "name", name)

    def __str__(self) -> str:
        return f"{self.asset.to_user_string()}.{self.name}"

    def __lt__(self, bound: float) -> Comparison:
        return Comparison(self, "<", bound)

    def __le__(self, bound: float) -> Comparison:
        return Comparison(self, "<=", bound)

    def __gt__(self, bound: float) -> Comparison:
        return Comparison(self, ">", bound)

    def __ge__(self, bound: float) -> Comparison:
        return Comparison(self, ">=", bound)

    def not_worse_than_promoted(self, by: float = 0.0, *, better: Literal["higher", "lower"] = "higher") -> NotWorse:
        """Demand that a version is not worse than the one that the channel serves. For gates.

        Args:
            by: How much worse it may be, in the metric's own unit.
            better: Whether higher numbers are better, or lower ones.

        Example:
            >>> str(Metric("evaluation", "auc").not_worse_than_promoted(by=0.01))
            'evaluation.auc not worse than promoted by more than 0.01'
        """
        return NotWorse(self, by, better)

    def dropped_by(self, by: float, *, against: "Metric | None" = None, median_of: int | None = None) -> Movement:
        """Say that the metric is lower by more than `by` than it should be. For rollback sensors.

        Args:
            by: How much lower, in the metric's own unit.
            against: What it is compared with: a metric of the version that the channel serves. Default: the metric
                itself, as it was when that version was promoted.
            median_of: Compare with the median of so many values before the newest, since the channel moved.

        Example:
            >>> live = Metric("live_quality", "auc")
            >>> str(live.dropped_by(0.05, against=Metric("evaluation", "auc")))
            "live_quality.auc dropped by more than 0.05 against the promoted version's evaluation.auc"
        """
        return Movement(self, by, "dropped", against, median_of)

    def rose_by(self, by: float, *, against: "Metric | None" = None, median_of: int | None = None) -> Movement:
        """Say that the metric is higher by more than `by` than it should be: an error, say. For rollback sensors.

        Args:
            by: How much higher, in the metric's own unit.
            against: As for `dropped_by`.
            median_of: As for `dropped_by`.

        Example:
            >>> str(Metric("live_quality", "error").rose_by(2, median_of=5))
            'live_quality.error rose by more than 2 against the median of the last 5'
        """
        return Movement(self, by, "rose", against, median_of)


def asset_key(asset: object) -> dg.AssetKey:
    """The key of an asset that was given in any of the usual ways.

    Raises:
        ConditionError: It is no asset, or several.

    Example:
        >>> asset_key("team/evaluation").path
        ['team', 'evaluation']
    """
    if isinstance(asset, str) and asset:
        return dg.AssetKey.from_user_string(asset)
    if isinstance(asset, dg.AssetKey):
        return asset
    if isinstance(asset, dg.AssetsDefinition) and len(keys := list(asset.keys)) != 1:
        there = ", ".join(sorted(key.to_user_string() for key in keys))
        raise ConditionError(f"the definition makes several assets ({there}): name one of them by its key")
    if isinstance(asset, dg.AssetsDefinition | dg.SourceAsset | dg.AssetSpec):
        return asset.key
    raise ConditionError(f"{asset!r} is no asset: give its key, such as 'evaluation', or the asset itself")
