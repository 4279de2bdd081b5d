"""Lengths of time as people write them: ``30m``, ``8h``, ``90d``."""

import re
from typing import Any, Final

_DURATION: Final = re.compile(r"([1-9]\d{0,8})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

SCHEMA: Final = {"type": "string", "pattern": r"^[1-9]\d{0,8}[smhd]$", "examples": ["8h"]}


def seconds(duration: str) -> int:
    """How many seconds a length of time is.

    Raises:
        ValueError: It is none.

    Example:
        >>> seconds("8h")
        28800
    """
    found = _DURATION.fullmatch(duration)
    if not found:
        raise ValueError(f"{duration!r} is no length of time: write a number and s, m, h or d, as in 8h")
    return int(found[1]) * _SECONDS[found[2]]


def check_duration(value: Any) -> Any:
    """A length of time as it is written, checked.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        seconds(value)
    return value
