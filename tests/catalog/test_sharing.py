"""Sharing a result with those who read another scope."""

import decimal
import os
import stat
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from mlrepro import share
from mlrepro.catalog import load, version
from mlrepro.catalog.moving import promote
from mlrepro.errors import NoRightError, StoreError, UnknownVersionError, UntrustedPickleError
from mlrepro.store import Store, Trust, open_store
from mlrepro.store.signing import new_key
from tests.catalog.lab import ADA, PRODUCTION, record, train

OpenHere = Callable[..., Store]


@pytest.fixture
def open_here() -> OpenHere:
    """Opens the test's own place in one scope or another."""
    url = f"memory://{uuid.uuid4().hex}"
    return lambda **settings: open_store(url, **settings)


def train_and_store(store: Store, value: object, run: str = "run-1") -> str:
    version = train(store, value)
    assert version.input_hash is not None
    store.put_result(version.input_hash, record(version, run_id=run, code={}, environment={}))
    return version.input_hash


def test_who_reads_the_scope_has_the_result(open_here: OpenHere) -> None:
    ours = open_here(scope="team-a")
    key = train_and_store(ours, {"auc": 0.9})
    theirs = open_here(scope="team-b")
    assert theirs.get_result(key) is None
    shared = share("churn_model@v1", store=ours)
    assert (shared.scope, shared.run_id, shared.is_new) == ("shared", "run-1", True)
    found = theirs.get_result(key)
    assert found is not None
    assert found.scope == "shared"
    assert theirs.has_value(shared.version.stored)


def test_the_first_who_shares_is_believed(open_here: OpenHere) -> None:
    a, b = open_here(scope="team-a"), open_here(scope="team-b")
    train_and_store(a, [1], "run-of-a")
    train_and_store(b, [1], "run-of-b")
    share("churn_model", store=a)
    again = share("churn_model", store=b)
    assert (again.run_id, again.is_new) == ("run-of-a", False)


def test_what_it_is_signed_with_is_what_others_trust(open_here: OpenHere, tmp_path: Path) -> None:
    public = new_key(tmp_path / "key.pem")
    ours = open_here(scope="team-a", trust=Trust(signing_key=str(tmp_path / "key.pem")))
    key = train_and_store(ours, decimal.Context(prec=7))
    share("churn_model", store=ours)
    assert open_here(scope="team-b").get_result(key, to_load=True, refused=[]) is None
    trusting = open_here(scope="team-b", trust=Trust(keys={"shared": [public]}))
    assert trusting.get_result(key, to_load=True) is not None


def test_what_cannot_be_shared_is_told_in_a_line(open_here: OpenHere) -> None:
    ours = open_here(scope="team-a")
    train(ours, [1])
    with pytest.raises(UnknownVersionError, match="the result that churn_model@v1 belongs to is not in the store"):
        share("churn_model@v1", store=ours)
    with pytest.raises(UnknownVersionError, match="churn_model has no v7"):
        share("churn_model@v7", store=ours)
    with pytest.raises(StoreError, match="is in scope 'team-a' already"):
        share("churn_model", to="team-a", store=ours)
    with pytest.raises(StoreError, match="cannot be a store scope"):
        share("churn_model", to="../etc", store=ours)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_without_the_right_to_write_there(tmp_path: Path) -> None:
    ours = open_store(str(tmp_path / "store"), scope="team-a")
    train_and_store(ours, [1])
    (tmp_path / "store" / "shared").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    refused = "churn_model@v1 could not be shared with scope 'shared': .*Permission denied"
    with pytest.raises(NoRightError, match=refused):
        share("churn_model", store=ours)


class TestAPickleOfAnotherTeam:
    @pytest.fixture
    def theirs(self, open_here: OpenHere) -> Store:
        store = open_here(scope="team-b")
        train_and_store(store, decimal.Context(prec=7))
        return store

    def test_load_refuses_it_and_says_how_to_trust_them(self, theirs: Store, open_here: OpenHere) -> None:
        ours = open_here(scope="team-a", read_scopes=["team-b"])
        with pytest.raises(
            UntrustedPickleError, match=r"churn_model v1 can't be loaded: .*scope 'team-b', which is not"
        ):
            load("churn_model@v1", store=ours)
        trusting = open_here(scope="team-a", read_scopes=["team-b"], trust=Trust(scopes=["team-b"]))
        assert load("churn_model@v1", store=trusting).prec == 7

    def test_to_name_their_scope_does_not_make_it_ones_own(
        self, theirs: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLREPRO_SCOPE", "team-a")
        with pytest.raises(UntrustedPickleError):
            load("churn_model@v1", store=theirs.url, scope="team-b")

    def test_it_is_not_promoted_into_the_own_channel(self, theirs: Store, open_here: OpenHere) -> None:
        ours = open_here(scope="team-a", read_scopes=["team-b"])
        with pytest.raises(UntrustedPickleError):
            promote(ours, PRODUCTION, version("churn_model@v1", store=ours), ADA)
        assert not list(ours.entries(PRODUCTION.history))


class TestARecordThatIsNotThatOfTheVersion:
    """Whoever may write to a scope may say that a harmless version belongs to a result that is not."""

    @pytest.fixture
    def lure(self, open_here: OpenHere) -> str:
        theirs = open_here(scope="shared")
        version = train(theirs, {"harmless": True})
        assert version.input_hash is not None
        pickled = theirs.write_value(decimal.Context(prec=7))
        theirs.put_result(version.input_hash, {"outputs": {"result": {"stored": pickled.to_json()}}, "run_id": "r"})
        return version.input_hash

    @pytest.mark.parametrize("signed", [False, True])
    def test_promoting_it_makes_no_hit_of_it(
        self, lure: str, open_here: OpenHere, tmp_path: Path, signed: bool
    ) -> None:
        public = new_key(tmp_path / "ours.pem")
        trust = Trust(signing_key=str(tmp_path / "ours.pem")) if signed else Trust()
        ours = open_here(scope="team-b", trust=trust)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            promote(ours, PRODUCTION, version("churn_model@v1", store=ours), ADA)
        assert load("churn_model@production", store=ours) == {"harmless": True}
        assert ours.get_result(lure, to_load=True, refused=[]) is None
        assert ours.get_result(lure, only="team-b") is None
        trusting = open_here(scope="team-c", read_scopes=["team-b"], trust=Trust(keys={"team-b": [public]}))
        assert trusting.get_result(lure, to_load=True, refused=[]) is None

    def test_sharing_it_signs_nothing(self, lure: str, open_here: OpenHere, tmp_path: Path) -> None:
        new_key(tmp_path / "ours.pem")
        ours = open_here(scope="team-b", trust=Trust(signing_key=str(tmp_path / "ours.pem")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            share("churn_model@v1", to="team-c", store=ours)
        assert open_here(scope="team-c", read_scopes=[]).get_result(lure) is None
