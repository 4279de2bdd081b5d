"""Records: small JSON objects in one canonical form."""

import json
from collections.abc import Mapping
from typing import Any

from mlrepro.errors import StoreError


def to_bytes(record: Mapping[str, Any]) -> bytes:
    r"""A record as canonical JSON: sorted keys, UTF-8, one line.

    Args:
        record: What JSON can say: None, bool, int, finite float, str, lists and objects of them.

    Returns:
        The bytes; equal records give equal bytes.

    Raises:
        StoreError: Something in it is not JSON.

    Example:
        >>> to_bytes({"b": 1, "a": "é"}).decode()
        '{"a":"é","b":1}\n'
    """
    try:
        text = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return (text + "\n").encode()
    except UnicodeEncodeError:
        # Lone surrogates (a file name that is not UTF-8) exist in JSON as escapes only.
        return (json.dumps(record, sort_keys=True, allow_nan=False, separators=(",", ":")) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"A record for the store is not JSON: {error}") from error


def from_bytes(data: bytes) -> dict[str, Any]:
    """Read a record.

    Raises:
        ValueError: The bytes are not a JSON object.
    """
    try:
        record = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, found {type(record).__name__}")  # noqa: TRY004 - one error for bad bytes
    return record
