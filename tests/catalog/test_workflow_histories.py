import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from mlrepro.catalog.workflows import (
    append_push,
    append_rollback,
    current_version,
    parse_number,
    workflow_version,
    workflow_versions,
)
from mlrepro.errors import BundleError, UnknownVersionError
from mlrepro.store import Store, open_store


def content(name: str) -> dict[str, Any]:
    return {
        "digest": f"definitions {name}",
        "bundle": {"content_hash": f"bundle {name}"},
        "module": "pricing",
        "counts": {},
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def pushed(store: Store, *names: str) -> None:
    for name in names:
        append_push(store, "pricing", content(name), who="ada")


def served(store: Store) -> tuple[int, int, str]:
    version = current_version(store, "pricing")
    assert version is not None
    return version.number, version.of, version.digest[-1]


def test_what_is_served_already_appends_nothing(store: Store) -> None:
    pushed(store, "a", "a", "b", "b", "a")
    assert [each.digest[-1] for each in workflow_versions(store, "pricing")] == ["a", "b", "a"]


@pytest.mark.parametrize("name", ["digest", "bundle", "image", "module"])
def test_another_bundle_or_image_is_another_version_though_it_defines_the_same(store: Store, name: str) -> None:
    pushed(store, "a")
    other = {**content("a"), name: {"content_hash": "another"} if name == "bundle" else "another"}
    assert append_push(store, "pricing", other, who="ada")[1]


def test_a_rollback_is_a_new_entry_that_serves_the_earlier_version(store: Store) -> None:
    pushed(store, "a", "b", "c")
    back = append_rollback(store, "pricing", 1, who="ben", reason="wrong prices")
    assert (back.number, back.of, back.kind, back.name) == (4, 1, "rollback", "pricing@v1")
    assert (back.who, back.reason, back.body["from"]) == ("ben", "wrong prices", 3)
    assert served(store) == (4, 1, "a")
    assert workflow_version(store, "pricing", 3).digest == "definitions c"


def test_without_a_number_it_goes_back_to_the_newest_earlier_one_again_and_again(store: Store) -> None:
    pushed(store, "a", "b", "c", "d")
    assert [append_rollback(store, "pricing", None, who="ben").of for _ in range(3)] == [3, 2, 1]
    with pytest.raises(BundleError, match="no version before v1"):
        append_rollback(store, "pricing", None, who="ben")


def test_what_was_rolled_back_from_is_not_pushed_again_by_the_next_build(store: Store) -> None:
    pushed(store, "a", "b", "c")
    append_rollback(store, "pricing", 2, who="ben", reason="wrong prices")
    append_rollback(store, "pricing", 1, who="ben")
    for name in "bc":
        with pytest.raises(BundleError, match=r"ben rolled back from.*--again"):
            pushed(store, name)
    pushed(store, "d")
    assert served(store) == (6, 6, "d")
    pushed(store, "c")
    assert served(store) == (7, 7, "c")


def test_it_is_pushed_again_when_someone_says_so(store: Store) -> None:
    pushed(store, "a", "b")
    append_rollback(store, "pricing", 1, who="ben")
    assert append_push(store, "pricing", content("b"), who="ada", again=True)[0].number == 4


def test_rolling_forward_again_is_a_rollback_too(store: Store) -> None:
    pushed(store, "a", "b")
    append_rollback(store, "pricing", 1, who="ben")
    assert append_rollback(store, "pricing", 2, who="ben").of == 2
    pushed(store, "b")
    assert served(store) == (4, 2, "b")


def test_a_rollback_to_an_entry_that_is_one_goes_to_the_same_version(store: Store) -> None:
    pushed(store, "a", "b")
    append_rollback(store, "pricing", 1, who="ben")
    pushed(store, "c")
    assert append_rollback(store, "pricing", 3, who="ben").of == 1


def test_mistakes_are_told_in_one_line(store: Store) -> None:
    with pytest.raises(UnknownVersionError, match="no code location has any"):
        list(workflow_versions(store, "pricing"))
    pushed(store, "a")
    with pytest.raises(UnknownVersionError, match="those with versions are pricing"):
        append_rollback(store, "prizing", 1, who="ben")
    with pytest.raises(UnknownVersionError, match=r"no v7 in .* newest version is v1"):
        append_rollback(store, "pricing", 7, who="ben")
    with pytest.raises(BundleError, match="serves v1 already"):
        append_rollback(store, "pricing", 1, who="ben")
    for text in ("", "v", "v0", "three", "v-1", "v1 "):
        with pytest.raises(BundleError, match="is no version"):
            parse_number(text)


def test_an_entry_of_a_later_version_is_refused_and_passed_over(store: Store) -> None:
    pushed(store, "a")
    store.append(("locations", "pricing"), lambda newest: {"schema": 2, "anything": True})
    with pytest.raises(BundleError, match="another version of mlrepro"):
        workflow_version(store, "pricing", 2)
    assert [each.number for each in workflow_versions(store, "pricing")] == [1]


def _push(url: str, number: int, gate: Any) -> None:
    store = open_store(url)
    gate.wait()
    append_push(store, "pricing", content(f"{number}"), who=f"user {number}")


def test_pushes_at_once_each_get_a_version(store: Store) -> None:
    spawn = multiprocessing.get_context("spawn")
    gate = spawn.Barrier(6)
    processes = [spawn.Process(target=_push, args=(store.url, number, gate)) for number in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    found = list(workflow_versions(store, "pricing"))
    assert [each.number for each in found] == [6, 5, 4, 3, 2, 1]
    assert len({each.digest for each in found}) == 6
