"""A metric against that of the version that the channel serves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from mlrepro.errors import ConditionError
from mlrepro.quality.conditions.comparison import MetricCondition, check_number, not_a_number
from mlrepro.quality.verdict import Verdict
from mlrepro.quality.view import View

if TYPE_CHECKING:
    from mlrepro.quality.metric import Metric


@dataclass(frozen=True)
class NotWorse(MetricCondition):
    """A metric is not worse than it was for the version that the channel serves.

    Attributes:
        metric: The metric.
        by: How much worse it may be.
        better: Whether higher numbers are better, or lower ones.
    """

    states: ClassVar[Literal["good", "bad", "either"]] = "good"

    metric: "Metric"
    by: float
    better: Literal["higher", "lower"]

    def __post_init__(self) -> None:
        check_number(self.by, f"{self.metric} not worse by")
        if self.by < 0:
            raise ConditionError(f"{self.metric} can't be worse by {self.by}: by how much it may be worse is 0 or more")
        if self.better not in ("higher", "lower"):
            raise ConditionError(f"better={self.better!r}: say 'higher' or 'lower'")

    def __str__(self) -> str:
        return f"{self.metric} not worse than promoted" + (f" by more than {self.by:.6g}" if self.by else "")

    def judge_values(self, values: Sequence[float], view: View) -> Verdict:
        """Compare the newest value with what was recorded at the promotion of what is served."""
        value = values[0]
        if math.isnan(value):
            return not_a_number(self.metric)
        found = {str(self.metric): value}
        served = view.channel.after if view.channel else None
        if served is None:
            return Verdict(holds=True, said=f"{self.metric} is {value:.6g}; nothing was promoted before", values=found)
        before = view.promoted(self.metric)
        if before is None:
            return Verdict.unknown(
                f"{self.metric} is {value:.6g}, but v{served.number}, which is served now, has no {self.metric} to"
                f" compare with: materialize {self.metric.asset.to_user_string()} for v{served.number}, or promote once"
                " without this gate",
                found,
            )
        if not math.isfinite(before):
            # whatever is a number is better than what is none
            return Verdict(holds=True, said=f"{self.metric} is {value:.6g}; that of v{served.number} is no number")
        worse = (before - value) if self.better == "higher" else (value - before)
        # 0.83 - 0.82 is a little more than 0.01 in binary
        holds = worse <= self.by or math.isclose(worse, self.by, rel_tol=1e-9, abs_tol=1e-12)
        how = "not worse than" if holds else "worse than"
        allowed = f" by more than {self.by:.6g}" if self.by else ""
        said = f"{self.metric} is {value:.6g}, {how} the {before:.6g} of v{served.number}{allowed}"
        return Verdict(holds, said, found)
