"""What garbage collection keeps."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any, Final

from mlrepro.errors import RetentionError

LEAST_GRACE: dt.timedelta = dt.timedelta(hours=1)
"""Shortest grace period that the command takes: a run that writes now must not lose what it counts on."""

_DURATION: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d|w)\s*")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Policy:
    """What is kept. Histories themselves are always kept; this is about results and bytes.

    Attributes:
        keep_versions: Newest versions of each asset and partition whose bytes are kept.
        keep_promotions: Newest entries of each channel whose bytes are kept. What a channel serves, what waits for
            approval and what is pinned is kept in any case.
        younger_than: Results younger than this are kept, with their bytes. A result with a ``max_age`` is kept at
            least until it is that old.
        grace: What was written, or set aside, less than this ago is never touched.

    Raises:
        RetentionError: A number is less than 1, or a time is negative.

    Example:
        >>> Policy(keep_versions=3).to_json()["keep_versions"]
        3
    """

    keep_versions: int = 10
    keep_promotions: int = 10
    younger_than: dt.timedelta = dt.timedelta(days=90)
    grace: dt.timedelta = dt.timedelta(days=1)

    def __post_init__(self) -> None:
        if self.keep_versions < 1 or self.keep_promotions < 1:
            raise RetentionError("keep at least 1 version and 1 promotion: the newest is what downstream assets load")
        if min(self.younger_than, self.grace) < dt.timedelta(0):
            raise RetentionError("an age and a grace period cannot be negative")

    def to_json(self) -> dict[str, Any]:
        """The policy as a JSON object, times in seconds."""
        return {
            "keep_versions": self.keep_versions,
            "keep_promotions": self.keep_promotions,
            "younger_than": self.younger_than.total_seconds(),
            "grace": self.grace.total_seconds(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Policy":
        """Read what ``to_json`` wrote.

        Raises:
            KeyError, TypeError: It is something else.
        """
        return cls(
            keep_versions=data["keep_versions"],
            keep_promotions=data["keep_promotions"],
            younger_than=dt.timedelta(seconds=data["younger_than"]),
            grace=dt.timedelta(seconds=data["grace"]),
        )


def parse_duration(text: str) -> dt.timedelta:
    """Read a time span such as ``30d``, ``12h`` or ``1.5h``.

    Args:
        text: A number and a unit: s, m (minutes), h, d or w.

    Raises:
        RetentionError: It is none.

    Example:
        >>> parse_duration("36h")
        datetime.timedelta(days=1, seconds=43200)
    """
    found = _DURATION.fullmatch(text)
    try:
        if found is not None:
            return dt.timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        pass
    raise RetentionError(f"{text!r} is no time span: write a number and a unit, such as 30d, 12h or 45m")
