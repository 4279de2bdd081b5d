"""One text for one value: the frozen encoding that every hash of mlrepro is made of.

The format is part of the key format (design, invariant 9): golden keys are checked in, and a change here
bumps `mlrepro.versioning.input_hash.SCHEMA`.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def canonical_json(value: object) -> str:
    """Write a JSON-like value so that equal values give equal text, and different ones different text.

    Mappings are sorted by key, tuples are lists, floats keep their type (``1`` is not ``1.0``), and NaN and the
    infinities are spelled out, because JSON has no word for them.

    Args:
        value: None, bool, int, float, str, or lists, tuples and str-keyed mappings of such.

    Raises:
        TypeError: If something else is in the value, or a mapping has a key that is not a string.

    Example:
        >>> canonical_json({"b": (1, 2.0), "a": None})
        '{"a":null,"b":[1,2.0]}'
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """Hash a JSON-like value: the sha256, in hex, of its canonical text.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    kind = type(value)
    # str and int subclasses (enum members among them) would print as their base type: refused below
    if kind is str or kind is int or kind is bool or value is None:
        return value
    match value:
        case float():
            return value if math.isfinite(value) else {"$float": repr(value)}
        case list() | tuple():
            return [_plain(item) for item in value]
        case Mapping():
            for key in value:
                if type(key) is not str:
                    raise TypeError(f"a canonical mapping has string keys only, not {key!r}")
            # a user's own key that looks like one of our marks must not be able to forge it
            return {(f"${key}" if key.startswith("$") else key): _plain(item) for key, item in value.items()}
        case _:
            return _refuse(value)


def _refuse(value: object) -> Any:
    kind = type(value)
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} has no canonical form")
