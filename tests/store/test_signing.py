"""Signatures of result records."""

import stat
from pathlib import Path

import pytest

from mlrepro.errors import StoreError
from mlrepro.store.signing import is_genuine, new_key, public_key, sign, signer

HASH = "5eed" * 16
RECORD = {"outputs": {"result": {"stored": {"content_hash": "ab" * 32}}}, "who": "ana", "seconds": 1.25}


@pytest.fixture
def key(tmp_path: Path) -> str:
    new_key(tmp_path / "ana.pem")
    return str(tmp_path / "ana.pem")


def test_a_record_is_genuine_as_it_was_signed(key: str) -> None:
    signed = sign(key, HASH, RECORD)
    assert is_genuine(HASH, signed)
    assert signer(signed) == public_key(key)
    assert {name: signed[name] for name in RECORD} == RECORD


@pytest.mark.parametrize("change", [{"who": "eve"}, {"seconds": 1.5}, {"more": None}, {"outputs": {}}])
def test_a_record_that_was_altered_is_not(key: str, change: dict[str, object]) -> None:
    assert not is_genuine(HASH, {**sign(key, HASH, RECORD), **change})


def test_a_record_under_another_input_hash_is_not(key: str) -> None:
    assert not is_genuine("beef" * 16, sign(key, HASH, RECORD))


def test_nobody_signs_in_the_name_of_another_key(key: str, tmp_path: Path) -> None:
    forged = sign(key, HASH, RECORD)
    forged["signature"] = {**forged["signature"], "key": new_key(tmp_path / "eve.pem")}
    assert not is_genuine(HASH, forged)


@pytest.mark.parametrize(
    "signature", [None, "ab", {}, {"key": 3, "bytes": ""}, {"key": "ed25519:AAAA", "bytes": "AA=="}, {"key": "rsa:AA"}]
)
def test_what_is_no_signature_is_none(signature: object) -> None:
    assert not is_genuine(HASH, {**RECORD, "signature": signature})


def test_signing_again_gives_the_same(key: str) -> None:
    once = sign(key, HASH, RECORD)
    assert sign(key, HASH, once) == once


def test_only_its_owner_reads_a_key_and_it_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    public = new_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(StoreError, match="never overwritten"):
        new_key(file)
    assert public_key(str(file)) == public == public_key(file.read_text())


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_told_in_a_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(text)
    with pytest.raises(StoreError, match=r"key\.pem is no private key in PEM"):
        public_key(str(file))


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"Could not read the signing key .*nowhere\.pem: No such file"):
        public_key(str(tmp_path / "nowhere.pem"))
