"""A metric against a number; and what all conditions on one metric share."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Literal

from mlrepro.errors import ConditionError
from mlrepro.quality.condition import Condition, Need
from mlrepro.quality.verdict import Verdict
from mlrepro.quality.view import View, finite

if TYPE_CHECKING:
    from mlrepro.quality.metric import Metric

Sign = Literal["<", "<=", ">", ">="]

_SAID: dict[str, tuple[str, str]] = {
    "<": ("below", "not below"),
    "<=": ("at most", "above"),
    ">": ("above", "not above"),
    ">=": ("at least", "below"),
}


class MetricCondition(Condition):
    """A condition on one metric, which can be judged for each of its values."""

    metric: "Metric"

    @property
    def depth(self) -> int:
        """How many values it takes to judge the newest of them."""
        return 1

    @property
    def needs(self) -> tuple[Need, ...]:
        """The newest values of the metric."""
        return (Need(self.metric.asset, self.metric.name, self.depth),)

    def judge(self, view: View) -> Verdict:
        """Read the newest values, and judge the newest of them."""
        values = view.series(self.metric, self.depth)
        return values if isinstance(values, Verdict) else self.judge_values(values, view)

    @abstractmethod
    def judge_values(self, values: Sequence[float], view: View) -> Verdict:
        """Judge the first of some values, newest first; there is one at least."""

    def in_windows(self, least: int, *, of: int) -> "InWindows":
        """Have it hold for at least so many of the newest values, instead of the newest one.

        Args:
            least: For how many.
            of: Of how many, counted from the newest back.

        Example:
            >>> from mlrepro.quality import Metric
            >>> str((Metric("live_quality", "auc") < 0.75).in_windows(3, of=5))
            'live_quality.auc < 0.75 in 3 of 5 windows'
        """
        return InWindows(self, least, of)


@dataclass(frozen=True)
class Comparison(MetricCondition):
    """A metric is below or above a number.

    Attributes:
        metric: The metric.
        sign: How they are compared.
        bound: The number.
    """

    metric: "Metric"
    sign: Sign
    bound: float

    def __post_init__(self) -> None:
        check_number(self.bound, f"{self.metric} {self.sign}")

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.bound:.6g}"

    def judge_values(self, values: Sequence[float], view: View) -> Verdict:  # noqa: ARG002 -- others look at it
        """Compare the newest value."""
        value = values[0]
        if math.isnan(value):
            return not_a_number(self.metric)
        holds = {
            "<": value < self.bound,
            "<=": value <= self.bound,
            ">": value > self.bound,
            ">=": value >= self.bound,
        }[self.sign]
        said = f"{self.metric} is {value:.6g}, {_SAID[self.sign][not holds]} {self.bound:.6g}"
        return Verdict(holds, said, {str(self.metric): value})


@dataclass(frozen=True)
class InWindows(MetricCondition):
    """A condition holds for at least `least` of the newest `of` values.

    Attributes:
        condition: What holds, or not, for each value.
        least: For how many it has to hold.
        of: Of how many.
    """

    condition: MetricCondition
    least: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.of <= MOST_VALUES:
            raise ConditionError(
                f"{self.condition} in {self.least} of {self.of} windows can't be: write in_windows(3, of=5), of at"
                f" most {MOST_VALUES}"
            )

    def __str__(self) -> str:
        return f"{self.condition} in {self.least} of {self.of} windows"

    @property
    def states(self) -> Literal["good", "bad", "either"]:  # type: ignore[override]
        """As what holds for each value."""
        return self.condition.states

    @property
    def metric(self) -> "Metric":  # type: ignore[override]
        """The metric of the condition."""
        return self.condition.metric

    @property
    def depth(self) -> int:
        """So many values, and what it takes to judge the oldest of them."""
        return self.of + self.condition.depth - 1

    def judge_values(self, values: Sequence[float], view: View) -> Verdict:
        """Count for how many of the newest values it holds."""
        shown = values[: self.of]
        verdicts = [self.condition.judge_values(values[place:], view) for place in range(len(shown))]
        held = sum(verdict.known and verdict.holds for verdict in verdicts)
        strange = sum(verdict.not_a_number for verdict in verdicts)
        said = (
            f"{self.condition} held for {held} of the newest {len(shown)} values"
            f" ({', '.join(f'{value:.6g}' for value in shown)}"
            f"{f'; {strange} not a number' if strange else ''}), {self.least} of {self.of} are asked for"
        )
        unknown = [verdict for verdict in verdicts if not verdict.known]
        if held + strange < self.least <= held + strange + len(unknown):
            return Verdict.unknown(f"{said}; {unknown[0].said}")
        return Verdict(
            held >= self.least,
            said,
            finite({str(self.metric): values[0]}),
            not_a_number=held < self.least <= held + strange,
        )


MOST_VALUES = 100
"""A condition looks at no more values than this, as a sensor keeps them in its cursor."""


def not_a_number(metric: "Metric") -> Verdict:
    """NaN and infinity: never good."""
    return Verdict(holds=False, said=f"{metric} is not a number", not_a_number=True)


def check_number(number: object, what: str) -> None:
    """Refuse a threshold that is no finite number.

    Raises:
        ConditionError: It is something else.
    """
    if type(number) is bool or not isinstance(number, Real) or not math.isfinite(number):
        raise ConditionError(f"{what} {number!r} can't be judged: compare a metric with a finite number")
