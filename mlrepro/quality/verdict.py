"""What a condition found, in values and in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """What judging a condition came to.

    A value that is not a number is neither below nor above anything. So it does not hold for whoever asks whether
    something is good, and a rollback sensor, which asks whether something is bad, treats it as bad.

    Attributes:
        holds: Whether the condition holds.
        said: The finding in one sentence, with values and thresholds: ``evaluation.auc is 0.83, at least 0.8``.
        values: The finite numbers that it was found by: ``{"evaluation.auc": 0.83}``.
        known: False if it could not be told: a metric or an asset is missing, or what there is belongs to another
            version. Never good, and never a reason to roll back.
        not_a_number: Whether it does not hold only because a value is NaN or infinite.

    Example:
        >>> Verdict(holds=False, said="live.auc is not a number", not_a_number=True).alarms
        True
    """

    holds: bool
    said: str
    values: Mapping[str, float] = field(default_factory=dict)
    known: bool = True
    not_a_number: bool = False

    @classmethod
    def unknown(cls, said: str, values: Mapping[str, float] | None = None) -> "Verdict":
        """It can't be told; `said` says why, and what to do about it."""
        return cls(holds=False, said=said, values=values or {}, known=False)

    @property
    def passes(self) -> bool:
        """For a condition that states something good: whether a gate lets the version through."""
        return self.known and self.holds

    @property
    def alarms(self) -> bool:
        """For a condition that states something bad: whether it is a reason to roll back."""
        return self.known and (self.holds or self.not_a_number)
