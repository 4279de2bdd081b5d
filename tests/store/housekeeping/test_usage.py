"""How much a store holds, and whose it is."""

from mlrepro.store import Store
from mlrepro.store.housekeeping.usage import AssetUsage, measure
from tests.catalog.lab import record, train
from tests.store.conftest import OpenHere
from tests.store.housekeeping.aging import collect_later, contents


def test_sizes_by_asset(store: Store) -> None:
    for value in (b"x" * 10, b"x" * 20):
        version = train(store, value, of=("team", "model"))
        store.put_result(version.input_hash, record(version, assets=["team/model"]))
    train(store, b"y" * 5, of=("data",), partition="monday")
    (scope,) = measure(store).scopes
    assert scope.assets == (
        AssetUsage("team/model", bytes=30, blobs=2, results=2, versions=2),
        AssetUsage("data", bytes=5, blobs=1, results=0, versions=1),
    )
    assert (scope.blobs.count, scope.blobs.bytes) == (3, 35)
    assert scope.total.bytes == sum(map(len, contents(store).values()))


def test_a_blob_that_two_assets_share_counts_once_in_the_total(store: Store) -> None:
    train(store, b"x" * 10, of=("one",))
    train(store, b"x" * 10, of=("two",))
    (scope,) = measure(store).scopes
    assert [each.bytes for each in scope.assets] == [10, 10]
    assert (scope.blobs.bytes, scope.shared.bytes) == (10, 10)


def test_trash_orphans_and_what_is_not_ours_are_told_apart(store: Store) -> None:
    store.write_value("set aside")
    collect_later(store, 100)
    store.write_bytes(b"named by no record")
    store._objects.create("default/notes.txt", b"mine")
    (scope,) = measure(store).scopes
    assert (scope.trash.count, scope.orphans.count, scope.foreign.count) == (1, 1, 1)


def test_every_scope_or_the_one_that_was_asked_for(open_here: OpenHere) -> None:
    for scope in ("default", "shared", "team-b"):
        open_here(scope=scope).write_value(scope)
    usage = measure(open_here())
    assert [each.scope for each in usage.scopes] == ["default", "shared", "team-b"]
    assert usage.bytes == sum(each.total.bytes for each in usage.scopes)
    assert [each.scope for each in measure(open_here(), scopes=["shared"]).scopes] == ["shared"]


def test_a_damaged_record_is_counted(store: Store) -> None:
    store._objects.create(f"default/results/ab/{'ab' * 32}.json", b"{")
    assert measure(store).scopes[0].unreadable == 1
