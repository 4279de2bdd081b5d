"""Names of objects in the store: where a blob, a result or a history entry lives.

User strings (asset keys, partitions, channel names) become path segments here and nowhere else, so that an odd
name can neither leave its folder nor collide with another one.
"""

import hashlib
import re
from typing import Final, TypeGuard
from urllib.parse import quote, unquote

from mlrepro.errors import StoreError

ENTRY_DIGITS: Final = 12
"""Digits of an entry's file name; the same for every entry, so that text order is number order."""

LAST_ENTRY: Final = 10**ENTRY_DIGITS - 1
"""The number that file names count down from."""

_LONGEST_SEGMENT: Final = 200
_KEPT_OF_LONG: Final = 120
_SCRATCH: Final = "tmp"
_TRASH: Final = "trash"
_SHORTENED: Final = "~"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SCOPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def encode_segment(text: str) -> str:
    r"""Turn any text into one safe path segment; different texts give different segments.

    Letters, digits, ``_``, ``-`` and ``.`` stay as they are, everything else is percent-encoded as UTF-8. A leading dot
    and the dot of a final ``.json`` are encoded too, so that no name is hidden, climbs up, or looks like a record. What
    would be longer than 200 bytes is cut and ends in ``~`` and the sha256 of the whole text.

    Args:
        text: The user's string. It may not be empty.

    Returns:
        ASCII text of 1 to 200 bytes.

    Raises:
        StoreError: The text is empty.

    Example:
        >>> encode_segment("churn model/v1"), encode_segment("..")
        ('churn%20model%2Fv1', '%2E.')
    """
    if not text:
        raise StoreError(
            "An empty name cannot be a part of a path in the store: give the asset, partition or channel a name"
        )
    encoded = quote(text.encode("utf-8", "surrogatepass"), safe="").replace(_SHORTENED, "%7E")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if encoded.endswith(".json"):
        encoded = encoded.removesuffix(".json") + "%2Ejson"
    if len(encoded) <= _LONGEST_SEGMENT:
        return encoded
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return encoded[:_KEPT_OF_LONG] + _SHORTENED + digest


def decode_segment(segment: str) -> str | None:
    """The text that a segment was made from, or None where it was shortened (the entry itself holds it then).

    Example:
        >>> decode_segment("churn%20model%2Fv1")
        'churn model/v1'
    """
    if _SHORTENED in segment:
        return None
    return unquote(segment, errors="surrogatepass")


def check_scope(scope: str) -> str:
    """Return a scope's name if it is a good one.

    Raises:
        StoreError: It is not 1 to 100 letters, digits, ``_``, ``-`` or ``.``, beginning with a letter or digit.
    """
    if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
        raise StoreError(
            f"{scope!r} cannot be a store scope: use 1 to 100 letters, digits, '_', '-' or '.', "
            "beginning with a letter or a digit"
        )
    return scope


def is_sha256(text: object) -> TypeGuard[str]:
    """Whether something is a sha256 in lower-case hex.

    Example:
        >>> is_sha256("ab" * 32), is_sha256("AB" * 32), is_sha256(None)
        (True, False, False)
    """
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def check_sha256(text: str, what: str) -> str:
    """Return a sha256 in lower-case hex if it is one.

    Args:
        text: What should be 64 hex digits.
        what: What it is, for the message ("content hash", "input hash").

    Raises:
        StoreError: It is something else, so it may not become part of a path.
    """
    if not is_sha256(text):
        raise StoreError(f"{text!r} is not a {what}: expected 64 hexadecimal digits in lower case")
    return text


def scratch_key(scope: str) -> str:
    """The folder for what has no name yet; a killed writer leaves its remains here and nowhere else."""
    return f"{scope}/{_SCRATCH}"


def blob_key(scope: str, digest: str) -> str:
    """Where the blob with this sha256 lives in a scope."""
    return f"{scope}/blobs/sha256/{digest[:2]}/{digest}"


def trash_folder(scope: str) -> str:
    """Where garbage collection sets objects aside before it deletes them."""
    return f"{scope}/{_TRASH}"


def trash_key(key: str) -> str:
    """Where an object of a scope goes when garbage collection sets it aside.

    Example:
        >>> trash_key("default/results/5e/5eed.json")
        'default/trash/results/5e/5eed.json'
    """
    scope, _, rest = key.partition("/")
    return f"{trash_folder(scope)}/{rest}"


def damaged_key(scope: str, digest: str) -> str:
    """Where a blob is put aside once it was found damaged."""
    return f"{scope}/damaged/sha256/{digest}"


def result_key(scope: str, input_hash: str) -> str:
    """Where the first result under an input hash lives."""
    return f"{scope}/results/{input_hash[:2]}/{input_hash}.json"


def replaced_key(scope: str, input_hash: str) -> str:
    """The mark that a result was replaced: all of them in one folder, so that one listing tells them apart."""
    return f"{replaced_folder(scope)}/{input_hash}.json"


def replaced_folder(scope: str) -> str:
    """Where the marks of replaced results are."""
    return f"{scope}/replaced"


def derivation_key(scope: str, name: tuple[str, ...], input_hash: str) -> str:
    """The mark that an input hash gave a version its content too, see ``mlrepro.store.derivations``."""
    return f"{derivation_folder(scope, name)}/{input_hash}.json"


def derivation_folder(scope: str, name: tuple[str, ...]) -> str:
    """Where the derivations of an asset, or of one of its partitions, are."""
    return "/".join((scope, "derivations", *(encode_segment(part) for part in name)))


def result_history(input_hash: str, kind: str) -> tuple[str, ...]:
    """The history beside a result: its ``replacements`` or its ``deviations``."""
    return ("results", input_hash[:2], f"{input_hash}.{kind}")


def lease_history(input_hash: str) -> tuple[str, ...]:
    """The history that says who computes an input hash."""
    return ("leases", input_hash[:2], input_hash)


def history_folder(scope: str, history: tuple[str, ...]) -> str:
    """The folder that holds a history's entries.

    Raises:
        StoreError: The history has no parts, or one of them is empty.
    """
    if not history:
        raise StoreError("A history needs a name of at least one part")
    return "/".join((scope, *(encode_segment(part) for part in history)))


def entry_name(number: int) -> str:
    """The file name of a history's n-th entry: it counts down, so the newest entry is listed first.

    Example:
        >>> entry_name(1)
        '999999999998.json'
    """
    return f"{LAST_ENTRY - number:0{ENTRY_DIGITS}d}.json"


def entry_number(name: str) -> int | None:
    """The number of the entry in a file of this name, or None for any other file.

    Example:
        >>> entry_number("999999999998.json")
        1
    """
    stem, dot, suffix = name.partition(".")
    if dot and suffix == "json" and len(stem) == ENTRY_DIGITS and stem.isascii() and stem.isdigit():
        return LAST_ENTRY - int(stem)
    return None
