"""Records: small JSON objects in one canonical form, sealed with a checksum where they are stored under a name."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from mlrepro.errors import StoreError

CHECKSUM: Final = "sha256"
"""Field of a stored record: sha256 of the canonical bytes of all its other fields."""


def sealed(record: Mapping[str, Any]) -> bytes:
    r"""A record as it is stored: canonical JSON with its own checksum, so that a disk cannot change a digit unnoticed.

    Args:
        record: What ``to_bytes`` takes.

    Returns:
        The bytes; equal records give equal bytes, and ``from_bytes`` reads them.

    Raises:
        StoreError: Something in it is not JSON.

    Example:
        >>> from_bytes(sealed({"seconds": 7}))
        {'seconds': 7}
        >>> from_bytes(sealed({"seconds": 7}).replace(b":7,", b":6,"))
        Traceback (most recent call last):
        ValueError: its checksum is another one's
    """
    return to_bytes({**record, CHECKSUM: hashlib.sha256(to_bytes(record)).hexdigest()})


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
    """Read a record, without its checksum. One that has none, by an earlier version or by hand, is believed.

    Raises:
        ValueError: The bytes are not a JSON object, or their checksum is another one's.
    """
    try:
        record = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, found {type(record).__name__}")  # noqa: TRY004 - one error for bad bytes
    if CHECKSUM in record:
        _check(record, record.pop(CHECKSUM))
    return record


def _check(record: Mapping[str, Any], expected: object) -> None:
    try:
        found = hashlib.sha256(to_bytes(record)).hexdigest()
    except StoreError as error:
        raise ValueError("it holds what no record can") from error
    if found != expected:
        raise ValueError("its checksum is another one's")
