"""Two teams with credentials of their own in one bucket: what one may not touch, it cannot touch, whatever it asks."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mlrepro.errors import StoreError
from mlrepro.store import Claim, FoundResult, Lease, Store, StoredValue, open_store
from mlrepro.store.keys import blob_key, entry_name, history_folder, result_key
from tests.store.s3_server import BUCKET, S3Server, s3_server

pytestmark = pytest.mark.slow

FOLDER = "tenants"
TEAMS = ("team-a", "team-b")
KEY = "5eed" * 16
HISTORY = ("versions", "model", "_")


def identity(team: str) -> dict[str, Any]:
    """May do anything in its own scope, and read what is shared."""
    own, shared = f"{BUCKET}/{FOLDER}/{team}/*", f"{BUCKET}/{FOLDER}/shared/*"
    return {
        "name": team,
        "credentials": [{"accessKey": f"{team}-key", "secretKey": f"{team}-secret"}],
        "actions": [f"Read:{own}", f"Write:{own}", f"List:{own}", f"Read:{shared}", f"List:{shared}"],
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("isolated"), [identity(team) for team in TEAMS]) as server:
        yield server


def opened(server: S3Server, team: str, read_scopes: tuple[str, ...] = ("shared",)) -> Store:
    options = server.options | {"access_key_id": f"{team}-key", "secret_access_key": f"{team}-secret"}
    return open_store(f"s3://{BUCKET}/{FOLDER}", scope=team, read_scopes=read_scopes, options=options)


@dataclass
class Bucket:
    """The bucket as the two teams and somebody who may do anything see it.

    Attributes:
        ours: The store of the team that tries.
        all_powerful: Sees everything.
        theirs: What the other team stored.
        large: The same, of a size that is not sent again but asked for.
        mine: What the team itself stored.
        shared: What is shared.
    """

    ours: Store
    all_powerful: Store
    theirs: StoredValue
    large: StoredValue
    mine: StoredValue
    shared: StoredValue

    def everything(self) -> set[Any]:
        return set(self.all_powerful._objects.walk(""))


def fill(store: Store, value: str, scope: str) -> StoredValue:
    stored = store.write_value(value, scope=scope)
    store.put_result(KEY, {"outputs": {"result": stored.to_json()}}, scope=scope)
    store.append(HISTORY, lambda newest: {"output": stored.to_json()}, scope=scope)
    return stored


@pytest.fixture(scope="module")
def bucket(server: S3Server) -> Bucket:
    all_powerful = open_store(f"s3://{BUCKET}/{FOLDER}", scope="shared", options=server.options)
    theirs = opened(server, "team-b")
    return Bucket(
        ours=opened(server, "team-a", ("team-b", "shared")),
        all_powerful=all_powerful,
        theirs=fill(theirs, "theirs", "team-b"),
        large=theirs.write_value(b"x" * 9_000_000),
        mine=fill(opened(server, "team-a"), "ours", "team-a"),
        shared=fill(all_powerful, "shared", "shared"),
    )


CLAIM = Claim(holder="run/step", who="ada", run_id="run", step="step")
THEIR_ENTRY = f"{history_folder('team-b', HISTORY)}/{entry_name(1)}"
OUR_KEY = "team-a/results/aa/new.json"

Attempt = Callable[[Bucket], object]
ATTEMPTS: dict[str, Attempt] = {
    "load a value": lambda at: at.ours.read_value(at.theirs),
    "ask for a blob": lambda at: at.ours.has_blob(at.theirs.content_hash, scope="team-b"),
    "verify a blob": lambda at: at.ours.verify_blob(at.theirs.content_hash),
    "copy a value": lambda at: at.ours.keep_value(at.theirs),
    "write a value": lambda at: at.ours.write_value("x", scope="team-b"),
    "write a value that is there": lambda at: at.ours.write_value("theirs", scope="team-b"),
    "write a large value that is there": lambda at: at.ours.write_value(b"x" * 9_000_000, scope="team-b"),
    "look a result up": lambda at: at.ours.get_result("ab" * 32),
    "list replaced results": lambda at: at.ours.replaced_results(),
    "put a result": lambda at: at.ours.put_result("ab" * 32, {}, scope="team-b"),
    "put a result that is there": lambda at: at.ours.put_result(KEY, {}, scope="team-b"),
    "replace a result": lambda at: at.ours.replace_result(KEY, {}, scope="team-b"),
    "note a deviation": lambda at: at.ours.note_deviation(KEY, {}, scope="team-b"),
    "note a derivation": lambda at: at.ours.note_derivation(("model", "_"), KEY, {}, scope="team-b"),
    "read a derivation": lambda at: at.ours.derivation(("model", "_"), KEY, scope="team-b"),
    "list derivations": lambda at: at.ours.derivations(("model", "_"), limit=9, scope="team-b"),
    "read a history": lambda at: list(at.ours.entries(HISTORY, scope="team-b")),
    "read an entry": lambda at: at.ours.entry(HISTORY, 1, scope="team-b"),
    "read the newest entry": lambda at: at.ours.newest(HISTORY, scope="team-b"),
    "list histories": lambda at: list(at.ours.histories(("versions",), scope="team-b")),
    "append": lambda at: at.ours.append(HISTORY, lambda newest: {}, scope="team-b"),
    "begin a history": lambda at: at.ours.append(("versions", "new"), lambda newest: {}, scope="team-b"),
    "take a lease": lambda at: at.ours.acquire_lease(KEY, CLAIM, scope="team-b"),
    "get an object": lambda at: at.ours._objects.get(result_key("team-b", KEY)),
    "measure an object": lambda at: at.ours._objects.size(THEIR_ENTRY),
    "renew an object": lambda at: at.ours._objects.renew(blob_key("team-b", at.large.content_hash), at.large.size),
    "create an object": lambda at: at.ours._objects.create("team-b/new.json", b"{}"),
    "delete an object": lambda at: at.ours._objects.delete(THEIR_ENTRY),
    "copy from there": lambda at: at.ours._objects.copy(THEIR_ENTRY, OUR_KEY),
    "copy to there": lambda at: at.ours._objects.copy(result_key("team-a", KEY), THEIR_ENTRY),
    "move from there": lambda at: at.ours._objects.move(THEIR_ENTRY, OUR_KEY),
    "move to there": lambda at: at.ours._objects.move(result_key("team-a", KEY), THEIR_ENTRY),
    "list a scope": lambda at: list(at.ours._objects.walk("team-b")),
    "list the whole store": lambda at: list(at.ours._objects.walk("")),
    "list the scopes": lambda at: at.ours._objects.folders(""),
    "list folders": lambda at: at.ours._objects.folders("team-b"),
    "list names": lambda at: list(at.ours._objects.names(history_folder("team-b", HISTORY))),
    "list the latest": lambda at: at.ours._objects.latest("team-b/results", ".json", 9),
    "write to what is shared": lambda at: at.ours.write_value("x", scope="shared"),
    "append to what is shared": lambda at: at.ours.append(HISTORY, lambda newest: {}, scope="shared"),
    "delete what is shared": lambda at: at.ours._objects.delete(result_key("shared", KEY)),
    "move what is shared": lambda at: at.ours._objects.move(result_key("shared", KEY), OUR_KEY),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_is_not_granted_fails_and_changes_nothing(bucket: Bucket, attempt: str) -> None:
    before = bucket.everything()
    with pytest.raises(StoreError, match=r"s3://mlrepro/tenants.*lack the right") as raised:
        ATTEMPTS[attempt](bucket)
    assert "\n" not in str(raised.value)
    after = bucket.everything()
    if attempt == "move what is shared":  # it may be read, so that a copy of it is our own
        after = {each for each in after if each.key != OUR_KEY}
        bucket.ours._objects.delete(OUR_KEY)
    assert after == before


def test_what_is_granted_works(bucket: Bucket, server: S3Server) -> None:
    ours = opened(server, "team-a")
    assert ours.read_value(bucket.shared) == "shared"
    assert ours.read_value(bucket.mine) == "ours"
    assert [entry.number for entry in ours.entries(HISTORY, scope="shared")] == [1]
    assert list(ours.histories(("versions",), scope="shared")) == [HISTORY]
    assert ours.get_result(KEY) == FoundResult({"outputs": {"result": bucket.mine.to_json()}}, "team-a")
    only_shared = opened(server, "team-b")
    assert only_shared.get_result("cd" * 32) is None
    ours.keep_value(bucket.shared)
    assert ours.has_blob(bucket.shared.content_hash, scope="team-a")
    name = ("versions", uuid.uuid4().hex, "_")
    assert [ours.append(name, lambda newest: {}).number for _ in range(3)] == [1, 2, 3]
    ours.replace_result(KEY, {"outputs": {}})
    assert ours.get_result(KEY) == FoundResult({"outputs": {}}, "team-a")
    with ours.acquire_lease("ef" * 32, CLAIM) as lease:
        assert isinstance(lease, Lease)
    assert {each.key.split("/")[0] for each in ours._objects.walk("team-a")} == {"team-a"}
    ours._objects.move(f"team-a/results/{KEY[:2]}/{KEY}.json", "team-a/trash/x.json")
    ours._objects.delete("team-a/trash/x.json")
