"""A byte of any object changes on the disk: what is read is right, or it is said which object is not."""

import contextlib
import random
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlrepro.catalog.channels import entries_of
from mlrepro.catalog.history import versions_of
from mlrepro.catalog.moving import roll_back
from mlrepro.catalog.pins import pin, pins
from mlrepro.errors import MlreproError
from mlrepro.store import Store, StoredValue, open_store
from tests.catalog.lab import ADA, BEN, MODEL, PRODUCTION, input_hash, serve
from tests.store.data_cases import cases, file_cases

FLIPS = 200
DERIVED = (*MODEL, "_")


@dataclass
class Told:
    """What reading an item gave.

    Attributes:
        value: What was read, so that equal values are equal here; None where nothing was.
        said: Warnings and the error, one text.
    """

    value: Any
    said: str


@dataclass
class Filled:
    """A store with things of every kind in it, and ways to read each of them."""

    store: Store
    items: dict[str, Callable[[Store], Any]]

    def read(self) -> dict[str, Told]:
        """Read everything in a store that was just opened."""
        store = open_store(self.store.url, options={"durable": "false"})
        return {name: tell(read, store) for name, read in self.items.items()}

    def objects(self) -> list[Path]:
        root = Path(self.store.url)
        return sorted(path for path in root.rglob("*") if path.is_file())


def tell(read: Callable[[Store], Any], store: Store) -> Told:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            value, error = read(store), ""
        except MlreproError as raised:
            value, error = None, str(raised)
    return Told(value, " | ".join([*(str(each.message) for each in warned), error]).strip(" |"))


def contents(stored: StoredValue) -> Callable[[Store], Any]:
    """The hash of what is read: equal values have equal ones, and only those."""

    def read(store: Store) -> Any:
        again = store.hash_value(store.read_value(stored), format=stored.format)
        return again.content_hash, again.python_type

    return read


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("rot")
    store = open_store(str(folder / "store"), options={"durable": "false"})
    items: dict[str, Callable[[Store], Any]] = {}
    for name, _, value, _ in [*cases()[::3], *file_cases(folder)]:
        items[f"value {name}"] = contents(store.write_value(value))
    for number in range(12):
        key = input_hash(number)
        put(store, key, number)
        items[f"result {number}"] = lambda store, key=key: found(store, key)
        items[f"deviations {number}"] = lambda store, key=key: store.deviations(key)
    versions = serve(store, "a", "b", "c")
    roll_back(store, PRODUCTION, BEN)
    pin(store, MODEL, ADA)
    items |= {f"version {each.number}": contents(each.stored) for each in versions}
    store.note_derivation(DERIVED, input_hash("d"), {"version": 2, "content_hash": versions[1].stored.content_hash})
    items["versions"] = lambda store: [(each.number, each.body) for each in versions_of(store, MODEL)]
    items["channel"] = lambda store: [each.to_json() for each in entries_of(store, PRODUCTION)]
    items["pins"] = lambda store: dict(pins(store)) or None
    items["derivation"] = lambda store: store.derivation(DERIVED, input_hash("d"))
    return Filled(store, items)


def put(store: Store, key: str, number: int) -> None:
    """A result like those of a run; some are replaced, some have deviations."""
    body = {"schema": 1, "outputs": {}, "who": "ada", "seconds": 17.25 + number, "partition": f"2026-01-{number:02}"}
    store.put_result(key, body)
    if number % 3 == 0:
        store.replace_result(key, body | {"who": "bob"})
    if number % 4 == 0:
        store.note_deviation(key, body | {"who": "eve"})


def found(store: Store, key: str) -> dict[str, Any] | None:
    result = store.get_result(key)
    return result.record if result else None


def names(path: Path) -> set[str]:
    """Texts of which a message about an object has to hold one."""
    return {path.name, *re.findall("[0-9a-f]{64}", str(path))}


@contextlib.contextmanager
def flipped(filled: Filled, path: Path, choice: random.Random) -> Iterator[None]:
    """The store with one byte of an object changed; afterwards it is as it was, with nothing put aside."""
    sound = path.read_bytes()
    changed = bytearray(sound)
    changed[choice.randrange(len(changed))] ^= choice.randrange(1, 256)
    path.write_bytes(changed)
    yield
    path.write_bytes(sound)
    shutil.rmtree(Path(filled.store.url, "default", "damaged"), ignore_errors=True)


def test_a_flipped_byte_is_found_and_the_object_is_named(filled: Filled) -> None:
    choice = random.Random(20260101)
    right = filled.read()
    assert [told.said for told in right.values() if told.said] == []
    objects = [path for path in filled.objects() if path.stat().st_size]
    tally: Counter[str] = Counter()
    for path in [*choice.sample(objects, min(FLIPS, len(objects))), *choice.choices(objects, k=FLIPS)][:FLIPS]:
        kind = path.relative_to(filled.store.url).parts[1]
        with flipped(filled, path, choice):
            changed = {name: told for name, told in filled.read().items() if told != right[name]}
        for name, told in changed.items():
            assert any(text in told.said for text in names(path)), f"{name} after a flip in {path}: {told}"
        raised = any(told.value is None for told in changed.values())
        tally[f"{kind}: {'error or miss' if raised else 'warning' if changed else 'right all the same'}"] += 1
    print(dict(sorted(tally.items())))
    assert sum(tally.values()) == FLIPS
    assert not tally["blobs: right all the same"]
    assert not tally["versions: right all the same"]
    assert not tally["channels: right all the same"]


def test_nearly_every_flip_in_a_record_is_found(filled: Filled) -> None:
    """All bytes of one record, one after the other: only the checksum's own name, or a line's end, may change."""
    path = next(path for path in filled.objects() if path.name == f"{input_hash(1)}.json")
    data = path.read_bytes()
    right = found(filled.store, input_hash(1))
    unnoticed = []
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        told = tell(lambda store: found(store, input_hash(1)), filled.store)
        if told.said:
            assert told.value is None
            assert path.name in told.said
        else:
            unnoticed.append(position)
            assert right is not None
            assert told.value.items() >= right.items()
    path.write_bytes(data)
    print(f"{len(unnoticed)} of {len(data)} flips changed nothing that is read")
    start = data.index(b'"sha256"')
    assert {*unnoticed} <= {*range(start + 1, start + 7), len(data) - 1}
