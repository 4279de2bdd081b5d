import os
from pathlib import Path

import pytest

from mlrepro.errors import CacheWarning, StoreError
from mlrepro.store import Store, open_store
from mlrepro.store.keys import derivation_key
from tests.store.conftest import OpenHere

NAME = ("team", "a model/with a slash", "_")
FIRST, SECOND = "a" * 64, "b" * 64


def test_the_first_mark_of_an_input_hash_stays(store: Store) -> None:
    assert store.derivations(NAME, limit=10) == []
    assert store.derivation(NAME, FIRST) is None
    store.note_derivation(NAME, FIRST, {"version": 1})
    store.note_derivation(NAME, FIRST, {"version": 2})
    store.note_derivation(NAME, SECOND, {"version": 3})
    assert set(store.derivations(NAME, limit=10)) == {FIRST, SECOND}
    assert len(store.derivations(NAME, limit=1)) == 1
    assert store.derivation(NAME, FIRST) == {"version": 1}


def test_assets_partitions_and_scopes_are_kept_apart(open_here: OpenHere) -> None:
    ours = open_here(scope="ours")
    ours.note_derivation(("a", "b", "_"), FIRST, {"version": 1})
    assert ours.derivations(("a", "b"), limit=10) == []
    assert ours.derivations(("a", "_"), limit=10) == []
    assert open_here(scope="theirs").derivations(("a", "b", "_"), limit=10) == []
    assert open_here(scope="theirs").derivations(("a", "b", "_"), limit=10, scope="ours") == [FIRST]


def test_the_latest_are_listed_first(folder_store: Store) -> None:
    for age, letter in enumerate("0123456789abcdef"):
        folder_store.note_derivation(NAME, letter * 64, {})
        os.utime(Path(folder_store.url, derivation_key("default", NAME, letter * 64)), (1000 - age, 1000 - age))
    assert folder_store.derivations(NAME, limit=3) == [letter * 64 for letter in "012"]


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_damaged_mark_counts_as_missing_with_a_warning(folder_store: Store, garbage: bytes) -> None:
    folder_store.note_derivation(NAME, FIRST, {"version": 1})
    path = Path(folder_store.url, derivation_key("default", NAME, FIRST))
    path.chmod(0o644)
    path.write_bytes(garbage)
    with pytest.warns(CacheWarning, match=f"{FIRST}.json is damaged and counts as missing"):
        assert folder_store.derivation(NAME, FIRST) is None


def test_what_is_no_hash_is_refused() -> None:
    with pytest.raises(StoreError, match="is not a input hash"):
        open_store("memory://derivations").note_derivation(NAME, "../x", {})
