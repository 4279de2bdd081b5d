"""`Condition`: something that can be judged; and how functions become one, for a gate or for a sensor."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import dagster as dg

from mlrepro.errors import ConditionError
from mlrepro.quality.verdict import Verdict
from mlrepro.quality.view import View

Judge = Callable[[View], "bool | str | Verdict | None"]
"""A plain function in the place of a condition."""


@dataclass(frozen=True)
class Need:
    """What a condition reads of an asset.

    Attributes:
        asset: Key of the asset.
        name: Name of the metric; None if only the time of the event matters.
        depth: How many of the newest events.
    """

    asset: dg.AssetKey
    name: str | None = None
    depth: int = 1


class Condition(ABC):
    """Something that holds or does not: a gate asks it before a promotion, a rollback sensor at each tick.

    Its text says what it demands, ``evaluation.auc >= 0.8``.
    """

    states: ClassVar[Literal["good", "bad", "either"]] = "either"
    """Whether that it holds is good, bad, or depends on where it is used."""

    reads_failures: ClassVar[bool] = False
    """Whether it looks at `View.failures`."""

    @property
    def assets(self) -> tuple[dg.AssetKey, ...]:
        """What it reads; a channel whose gate it is depends on them."""
        return tuple(dict.fromkeys(need.asset for need in self.needs))

    @property
    def needs(self) -> tuple[Need, ...]:
        """The readings that it looks at."""
        return ()

    @abstractmethod
    def judge(self, view: View) -> Verdict:
        """Find out whether it holds."""

    def __bool__(self) -> bool:
        raise ConditionError(
            f"{self} has no truth value before it is judged: instead of `0.7 < metric < 0.9`, `and`, `or` and `not`,"
            " write one condition for each part"
        )


@dataclass(frozen=True)
class FunctionCondition(Condition):
    """A plain function as a condition.

    Attributes:
        function: Takes the view.
        side: Whether it is asked if something is good (a gate) or bad (a sensor).
    """

    function: Judge
    side: Literal["gate", "sensor"]

    def __str__(self) -> str:
        return str(getattr(self.function, "__name__", None) or type(self.function).__name__)

    def judge(self, view: View) -> Verdict:
        """Ask the function."""
        answer: Any = self.function(view)
        if isinstance(answer, Verdict):
            return answer
        if isinstance(answer, str):
            # a text says what is wrong: that fails a gate, and is a reason to roll back
            return Verdict(self.side == "sensor", f"{self}: {answer}")
        # numpy's own True is no bool
        if answer is None or isinstance(answer, bool) or type(answer).__name__ in ("bool_", "bool"):
            if answer is None and self.side == "gate":
                return Verdict(holds=False, said=f"{self} returned nothing: return True to let a version pass")
            return Verdict(bool(answer), f"{self} returned {bool(answer) if answer is not None else None}")
        raise ConditionError(
            f"{self} returned a {type(answer).__name__}: return True or False, a text that says what is wrong, None,"
            " or a Verdict"
        )


def as_gate(given: "Condition | Judge") -> Condition:
    """Take a condition, or a function, as a gate.

    A function lets a version pass if it returns True; False, None or a text (what is wrong) hold it back.

    Raises:
        ConditionError: It is neither, or a condition that states something bad.

    Example:
        >>> str(as_gate(lambda view: view.value("evaluation", "rows") > 100))
        '<lambda>'
    """
    condition = _as_condition(given, "gate")
    if condition.states == "bad":
        raise ConditionError(
            f"{condition} says what is bad, for a rollback sensor: a gate says what is good, such as"
            " Metric(...) >= 0.8, Metric(...).not_worse_than_promoted() or CheckPassed(...)"
        )
    return condition


def as_alarm(given: "Condition | Judge") -> Condition:
    """Take a condition, or a function, as a reason to roll back.

    A function returns True or a text (why) to roll back; False or None are no reason.

    Raises:
        ConditionError: It is neither, or a condition that states something good.

    Example:
        >>> str(as_alarm(lambda view: "the moon is full"))
        '<lambda>'
    """
    condition = _as_condition(given, "sensor")
    if condition.states == "good":
        raise ConditionError(
            f"{condition} says what is good, for a gate: a rollback sensor says what is bad, such as"
            " Metric(...) < 0.75, Metric(...).dropped_by(0.05) or CheckFailed(...)"
        )
    return condition


def needs_of(conditions: Iterable[Condition]) -> dict[dg.AssetKey, tuple[frozenset[str], int]]:
    """What several conditions read together: for each asset the metrics, and how many of the newest events."""
    found: dict[dg.AssetKey, tuple[frozenset[str], int]] = {}
    for need in (need for condition in conditions for need in condition.needs):
        names, depth = found.get(need.asset, (frozenset(), 0))
        found[need.asset] = (names | ({need.name} if need.name else set()), max(depth, need.depth))
    return found


def _as_condition(given: Any, side: Literal["gate", "sensor"]) -> Condition:
    if isinstance(given, Condition):
        return given
    if callable(given):
        return FunctionCondition(given, side)
    example = f"Metric('evaluation', 'auc') {'>=' if side == 'gate' else '<'} 0.8"
    raise ConditionError(f"{given!r} is no condition: write one such as {example}, or give a function")
