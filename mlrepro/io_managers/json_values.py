"""Numbers that JSON has no word for, in records: NaN and the infinities."""

import math
from collections.abc import Mapping
from typing import Any

_MARK = "$float"


def to_json(value: Any) -> Any:
    """Spell out NaN and the infinities, at any depth.

    Example:
        >>> to_json({"loss": float("nan"), "auc": 0.5})
        {'loss': {'$float': 'nan'}, 'auc': 0.5}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {_MARK: repr(value)}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """Read what `to_json` wrote.

    Example:
        >>> from_json({"loss": {"$float": "nan"}})
        {'loss': nan}
    """
    if isinstance(value, Mapping):
        if set(value) == {_MARK}:
            return float(value[_MARK])
        return {key: from_json(item) for key, item in value.items()}
    return [from_json(item) for item in value] if isinstance(value, list) else value
