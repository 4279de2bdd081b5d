"""Whose records count, and whose pickles are loaded. Every test runs on memory, a folder and a real S3 server."""

import decimal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlrepro.errors import CacheWarning, StoreError, UntrustedPickleError
from mlrepro.store import Origin, Store, StoredValue, Trust
from mlrepro.store.keys import blob_key
from mlrepro.store.signing import new_key
from tests.store.conftest import OpenHere

HASH = "5eed" * 16
PICKLED = decimal.Context(prec=7)  # no other format takes it
TREE = {"context": PICKLED, "numbers": np.arange(3)}


class Exploit:
    """Its pickle does harm to whoever loads it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def record(stored: StoredValue) -> dict[str, Any]:
    return {"outputs": {"result": {"stored": stored.to_json()}}, "who": "ana"}


def publish(store: Store, value: object, **change: Any) -> StoredValue:
    stored = store.write_value(value)
    store.put_result(HASH, {**record(stored), **change})
    return StoredValue.from_json(stored.to_json(), Origin(store.scope, HASH))


class TestPickleOfAnotherScope:
    def test_it_is_refused_and_the_error_says_what_to_do(self, open_here: OpenHere, tmp_path: Path) -> None:
        mark = tmp_path / "ran"
        theirs = publish(open_here("shared"), Exploit(mark))
        with pytest.raises(UntrustedPickleError, match=r"pickle from scope 'shared', which is not trusted.*trusted_sc"):
            open_here().read_value(theirs)
        assert not mark.exists()

    def test_as_a_part_of_a_tree_too(self, open_here: OpenHere) -> None:
        theirs = publish(open_here("shared"), TREE)
        assert theirs.format == "tree"
        with pytest.raises(UntrustedPickleError):
            open_here().read_value(theirs)

    @pytest.mark.parametrize("value", [TREE, PICKLED], ids=["tree", "pickle"])
    def test_it_is_no_hit_where_it_would_be_loaded(self, open_here: OpenHere, value: object) -> None:
        publish(open_here("shared"), value)
        why: list[str] = []
        assert open_here().get_result(HASH, to_load=True, refused=why) is None
        assert "from scope 'shared', which is not trusted" in why[0]
        assert open_here().get_result(HASH) is not None, "its record may be read"

    def test_a_tree_of_which_nobody_can_tell_is_no_hit_either(self, open_here: OpenHere) -> None:
        """Its manifest could come back between the look and the load."""
        shared = open_here("shared")
        theirs = publish(shared, TREE)
        shared._objects.delete(blob_key("shared", theirs.content_hash))
        why: list[str] = []
        assert open_here().get_result(HASH, to_load=True, refused=why) is None
        assert theirs.content_hash in why[0]

    def test_it_is_not_copied_into_the_own_scope(self, open_here: OpenHere) -> None:
        theirs = publish(open_here("shared"), PICKLED)
        with pytest.raises(UntrustedPickleError):
            open_here().keep_value(theirs)
        assert not open_here().has_blob(theirs.content_hash, scope="default")

    @pytest.mark.parametrize("value", [[1, 2], b"bytes", {"a": {"b": 1.5}}, "text"])
    def test_what_is_no_pickle_is_loaded(self, open_here: OpenHere, value: object) -> None:
        theirs = publish(open_here("shared"), value)
        assert open_here().read_value(theirs) == value
        assert open_here().get_result(HASH, to_load=True) is not None

    def test_it_is_loaded_where_the_scope_is_trusted(self, open_here: OpenHere) -> None:
        theirs = publish(open_here("shared"), PICKLED)
        ours = open_here(trust=Trust(scopes=["shared"]))
        assert ours.read_value(theirs).prec == 7
        assert ours.get_result(HASH, to_load=True) is not None

    def test_another_scope_is_not_trusted_by_that(self, open_here: OpenHere) -> None:
        theirs = publish(open_here("team-b"), PICKLED)
        ours = open_here(read_scopes=["shared", "team-b"], trust=Trust(scopes=["shared"]))
        with pytest.raises(UntrustedPickleError, match="'team-b'"):
            ours.read_value(theirs)

    def test_a_trusted_scope_further_down_is_still_found(self, open_here: OpenHere) -> None:
        publish(open_here("shared"), Exploit(Path("never")))
        publish(open_here("team-b"), PICKLED)
        ours = open_here(read_scopes=["shared", "team-b"], trust=Trust(scopes=["team-b"]))
        found = ours.get_result(HASH, to_load=True, refused=[])
        assert found is not None
        assert found.scope == "team-b"


class TestSignedByAPublisherWhoIsTrusted:
    @pytest.fixture
    def ana(self, tmp_path: Path) -> str:
        self.public = new_key(tmp_path / "ana.pem")
        return str(tmp_path / "ana.pem")

    def test_the_pickle_is_loaded(self, open_here: OpenHere, ana: str) -> None:
        theirs = publish(open_here("shared", trust=Trust(signing_key=ana)), PICKLED)
        ours = open_here(trust=Trust(keys={"shared": [self.public]}))
        assert ours.read_value(theirs).prec == 7
        assert ours.get_result(HASH, to_load=True) is not None

    def test_a_pickle_that_the_signed_record_does_not_name_is_not(self, open_here: OpenHere, ana: str) -> None:
        shared = open_here("shared", trust=Trust(signing_key=ana))
        publish(shared, PICKLED)
        other = shared.write_value(decimal.Context(prec=9))
        ours = open_here(trust=Trust(keys={"shared": [self.public]}))
        with pytest.raises(UntrustedPickleError):
            ours.read_value(StoredValue.from_json(other.to_json(), Origin("shared", HASH)))

    def test_bytes_that_the_signed_record_calls_something_else_are_not_unpickled(
        self, open_here: OpenHere, ana: str
    ) -> None:
        shared = open_here("shared", trust=Trust(signing_key=ana))
        as_bytes = publish(shared, b"cos\nsystem\n(S'true'\ntR.").to_json()
        ours = open_here(trust=Trust(keys={"shared": [self.public]}))
        with pytest.raises(UntrustedPickleError):
            ours.read_value(StoredValue.from_json({**as_bytes, "format": "pickle"}, Origin("shared", HASH)))

    def test_anothers_signature_vouches_for_nothing(self, open_here: OpenHere, ana: str, tmp_path: Path) -> None:
        new_key(tmp_path / "eve.pem")
        theirs = publish(open_here("shared", trust=Trust(signing_key=str(tmp_path / "eve.pem"))), PICKLED)
        with pytest.raises(UntrustedPickleError):
            open_here(trust=Trust(keys={"shared": [self.public]})).read_value(theirs)

    def test_an_altered_record_is_a_miss_with_a_warning(self, open_here: OpenHere, ana: str) -> None:
        signed = dict(Trust(signing_key=ana).sign(HASH, record(open_here("shared").write_value([1]))))
        open_here("shared").put_result(HASH, {**signed, "who": "eve"})
        ours = open_here(trust=Trust(keys={"shared": [self.public]}))
        with pytest.warns(CacheWarning, match="in scope 'shared' does not count: its signature .* altered, or forged"):
            assert ours.get_result(HASH) is None


class TestSignaturesRequired:
    @pytest.fixture
    def key(self, tmp_path: Path) -> str:
        new_key(tmp_path / "own.pem")
        return str(tmp_path / "own.pem")

    def test_what_one_signed_oneself_counts(self, open_here: OpenHere, key: str) -> None:
        store = open_here(trust=Trust(require_signatures=True, signing_key=key))
        stored = publish(store, PICKLED)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert store.get_result(HASH, to_load=True) is not None
            assert store.read_value(stored).prec == 7

    @pytest.mark.parametrize("scope", ["default", "shared"])
    def test_an_unsigned_record_is_a_miss_with_a_warning(self, open_here: OpenHere, key: str, scope: str) -> None:
        publish(open_here(scope), [1])
        with pytest.warns(CacheWarning, match="it is not signed, and signatures are required"):
            assert open_here(trust=Trust(require_signatures=True, signing_key=key)).get_result(HASH) is None

    def test_a_forged_record_does_not_keep_the_true_one_out(self, open_here: OpenHere, key: str) -> None:
        publish(open_here(), [666], who="eve")
        store = open_here(trust=Trust(require_signatures=True, signing_key=key))
        mine = record(store.write_value([1]))
        standing, is_mine = store.put_result(HASH, mine)
        assert is_mine
        assert standing["who"] == "ana"
        found = store.get_result(HASH)
        assert found is not None
        assert found.record["outputs"] == mine["outputs"]
        store.put_result(HASH, mine)
        assert store.get_result(HASH) == found, "storing it again changes nothing"

    def test_a_forged_replacement_does_not_either(self, open_here: OpenHere, key: str) -> None:
        store = open_here(trust=Trust(require_signatures=True, signing_key=key))
        publish(store, [1])
        eve = open_here()
        eve.replace_result(HASH, {**record(eve.write_value([666])), "who": "eve"})
        with pytest.warns(CacheWarning, match="not signed"):
            found = store.get_result(HASH)
        assert found is not None
        assert found.record["who"] == "ana"

    def test_a_pickle_in_a_history_that_no_signed_record_names_is_not_loaded(
        self, open_here: OpenHere, key: str
    ) -> None:
        stored = publish(open_here(), PICKLED)
        store = open_here(trust=Trust(require_signatures=True, signing_key=key))
        with pytest.warns(CacheWarning), pytest.raises(UntrustedPickleError, match="Signatures are required here"):
            store.read_value(stored)

    def test_without_any_key_it_cannot_be_required(self) -> None:
        with pytest.raises(StoreError, match="there is no key to check them with"):
            Trust(require_signatures=True)


class TestSettings:
    def test_of_the_environment(self, tmp_path: Path) -> None:
        public = new_key(tmp_path / "k.pem")
        trust = Trust.from_environment(
            environment={
                "MLREPRO_TRUSTED_SCOPES": "shared",
                "MLREPRO_TRUSTED_KEYS": f"shared={public}, team-b={public}",
                "MLREPRO_REQUIRE_SIGNATURES": "true",
                "MLREPRO_SIGNING_KEY": str(tmp_path / "k.pem"),
            }
        )
        assert trust == Trust(
            ("shared",), {"shared": [public], "team-b": [public]}, True, None, str(tmp_path / "k.pem")
        )

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("MLREPRO_TRUSTED_KEYS", "ed25519:AAAA", "expected scope=ed25519"),
            ("MLREPRO_TRUSTED_KEYS", "shared=AAAA", "is no public key"),
            ("MLREPRO_REQUIRE_SIGNATURES", "maybe", "must be true or false"),
            ("MLREPRO_TRUSTED_SCOPES", "../etc", "cannot be a store scope"),
        ],
    )
    def test_mistakes_are_told_in_a_line(self, name: str, value: str, said: str) -> None:
        with pytest.raises(StoreError, match=said):
            Trust.from_environment(environment={name: value})

    def test_the_signing_key_is_not_shown(self, tmp_path: Path) -> None:
        new_key(tmp_path / "k.pem")
        assert "PRIVATE" not in repr(Trust(signing_key=(tmp_path / "k.pem").read_text()))
