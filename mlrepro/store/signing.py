"""Signatures of result records: Ed25519, by the library ``cryptography``.

A signature says that whoever holds the key vouches for what stands under an input hash. It covers both, so that no
record can be passed off under another one; it does not cover the scope, so that a record stays signed where it is
copied to.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlrepro.errors import MissingExtraError, StoreError
from mlrepro.store import records

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FIELD: Final = "signature"
_PREFIX: Final = "ed25519:"


def new_key(path: Path) -> str:
    """Make a signing key, in a file that only its owner may read.

    Args:
        path: The new file; the key is in it as PEM (PKCS 8, not encrypted).

    Returns:
        The public key that others trust: ``ed25519:`` and 44 letters.

    Raises:
        StoreError: The file exists already or cannot be written.
        MissingExtraError: ``cryptography`` is not installed.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "signing-key.pem"
        >>> new_key(file) == public_key(str(file))
        True
    """
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise StoreError(f"{path} exists already: a signing key is never overwritten, name another file") from error
    except OSError as error:
        raise StoreError(f"Could not write the signing key {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return _public(key)


def public_key(private: str) -> str:
    """The public half of a signing key.

    Args:
        private: A file with the key in PEM, or the PEM text itself.

    Raises:
        StoreError: It cannot be read, or is no Ed25519 key.
        MissingExtraError: ``cryptography`` is not installed.
    """
    return _public(_private(private))


def check_public_key(text: str) -> str:
    """Return a public key if it is one.

    Raises:
        StoreError: It is not ``ed25519:`` and 32 bytes in base64.
    """
    try:
        if isinstance(text, str) and text.startswith(_PREFIX):
            raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
            if len(raw) == 32:
                return text
    except binascii.Error:
        pass
    raise StoreError(f"{text!r} is no public key: expected what `mlrepro signing-key` prints, ed25519:<44 letters>")


def sign(private: str, input_hash: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with a signature of it, instead of the one that it may have.

    Args:
        private: A file with the key in PEM, or the PEM text itself.
        input_hash: What the record is stored under.
        record: JSON.

    Raises:
        StoreError: The key cannot be read.
        MissingExtraError: ``cryptography`` is not installed.
    """
    key = _private(private)
    signature = base64.b64encode(key.sign(_signed_bytes(input_hash, record))).decode()
    return {**record, FIELD: {"key": _public(key), "bytes": signature}}


def signer(record: Mapping[str, Any]) -> str | None:
    """The public key that a record claims to be signed by; None where it claims nothing. Nothing is checked."""
    found = record.get(FIELD)
    key = found.get("key") if isinstance(found, dict) else None
    return key if isinstance(key, str) else None


def is_genuine(input_hash: str, record: Mapping[str, Any]) -> bool:
    """Whether a record is, letter by letter, what the holder of the key that it names has signed.

    Raises:
        MissingExtraError: ``cryptography`` is not installed.
    """
    _need_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        raw = base64.b64decode(check_public_key(signer(record) or "").removeprefix(_PREFIX))
        signature = base64.b64decode(record[FIELD]["bytes"], validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, _signed_bytes(input_hash, record))
    except (InvalidSignature, StoreError, KeyError, TypeError, ValueError):
        return False
    return True


def _signed_bytes(input_hash: str, record: Mapping[str, Any]) -> bytes:
    return records.to_bytes({"input_hash": input_hash, "record": {k: v for k, v in record.items() if k != FIELD}})


def _public(key: "Ed25519PrivateKey") -> str:
    return _PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode()


@lru_cache(maxsize=8)
def _private(source: str) -> "Ed25519PrivateKey":
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    is_text = source.lstrip().startswith("-----BEGIN")
    try:
        pem = source.encode() if is_text else Path(source).expanduser().read_bytes()
    except OSError as error:
        raise StoreError(f"Could not read the signing key {source}: {error.strerror}") from error
    named = "The signing key" if is_text else f"The signing key {source}"
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{named} is no private key in PEM without a password: make one with mlrepro signing-key"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"{named} is no Ed25519 key: make one with mlrepro signing-key")
    return key


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Signing or checking a result", "signing") from error
