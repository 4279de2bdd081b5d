"""A metric that moved away from where it was."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from mlrepro.errors import ConditionError
from mlrepro.quality.conditions.comparison import MOST_VALUES, MetricCondition, check_number, not_a_number
from mlrepro.quality.verdict import Verdict
from mlrepro.quality.view import View

if TYPE_CHECKING:
    from mlrepro.quality.metric import Metric


@dataclass(frozen=True)
class Movement(MetricCondition):
    """A metric dropped, or rose, by more than so much.

    Attributes:
        metric: The metric.
        by: By how much.
        direction: Which way is bad.
        against: Compared with this metric of the version that the channel serves; None for the metric itself.
        median_of: Compared with the median of so many values before the newest instead.
    """

    states: ClassVar[Literal["good", "bad", "either"]] = "bad"

    metric: "Metric"
    by: float
    direction: Literal["dropped", "rose"]
    against: "Metric | None"
    median_of: int | None

    def __post_init__(self) -> None:
        check_number(self.by, f"{self.metric} {self.direction} by")
        if self.by < 0:
            raise ConditionError(f"{self.metric} can't have {self.direction} by {self.by}: give 0 or more")
        if self.median_of is None:
            return
        if self.against is not None:
            raise ConditionError(f"{self.metric}: compare with another metric or with a median, not with both")
        if not 1 <= self.median_of < MOST_VALUES:
            raise ConditionError(f"the median of {self.median_of} values: give 1 to {MOST_VALUES - 1}")

    def __str__(self) -> str:
        said = f"{self.metric} {self.direction} by more than {self.by:.6g} against "
        if self.median_of is not None:
            return said + f"the median of the last {self.median_of}"
        return said + f"the promoted version's {self.against or 'own'}"

    @property
    def depth(self) -> int:
        """The newest value, and those of the median."""
        return 1 + (self.median_of or 0)

    def judge_values(self, values: Sequence[float], view: View) -> Verdict:
        """Compare the newest value with what it should be."""
        value = values[0]
        if math.isnan(value):
            return not_a_number(self.metric)
        found = {str(self.metric): value}
        usual = self._usual(values, view, found)
        if isinstance(usual, Verdict):
            return usual
        number, what = usual
        moved = number - value if self.direction == "dropped" else value - number
        # 0.80 - 0.75 is a little more than 0.05 in binary, and not meant to be
        holds = moved > self.by and not math.isclose(moved, self.by, rel_tol=1e-9, abs_tol=1e-12)
        limit = f"more than the {self.by:.6g} allowed" if holds else f"{self.by:.6g} is allowed"
        how = f"{abs(moved):.6g} {'below' if (value < number) else 'above'}"
        return Verdict(holds, f"{self.metric} is {value:.6g}, {how} {what} ({number:.6g}); {limit}", found)

    def _usual(self, values: Sequence[float], view: View, found: dict[str, float]) -> tuple[float, str] | Verdict:
        """What the value is compared with, and what that is."""
        if self.median_of is not None:
            earlier = [value for value in values[1 : 1 + self.median_of] if math.isfinite(value)]
            if len(values) <= self.median_of or not earlier:
                return Verdict.unknown(
                    f"{self.metric} is {values[0]:.6g}; {len(values) - 1} of the {self.median_of} values for the median"
                    " are there since the channel moved last",
                    found,
                )
            return statistics.median(earlier), f"the median of the {self.median_of} before"
        metric = self.against or self.metric
        before = view.promoted(metric)
        if before is None or not math.isfinite(before):
            return Verdict.unknown(
                f"{self.metric} is {values[0]:.6g}, but no {metric} of the promoted version is known: have a gate on"
                f" {metric} record it at promotion, compare with another metric (against=...), or with median_of=5",
                found,
            )
        return before, f"{metric} at promotion"
