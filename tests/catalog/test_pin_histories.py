"""What becomes of pins when people pin and release."""

import shutil
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mlrepro.catalog.history import append_version
from mlrepro.catalog.moving import Mover
from mlrepro.catalog.pins import pin, pin_entries, pins, release_pin
from mlrepro.errors import BlobMissingError, CacheWarning, ChannelError, NothingToRollBackToError
from mlrepro.store import Store, open_store
from tests.catalog.lab import ADA, BEN, MODEL, edit, files_of, garble, input_hash, lose, record, train

PINS = ("pins",)
Place = tuple[tuple[str, ...], str | None]


def held(store: Store) -> dict[Place, int]:
    """What is pinned, at which number."""
    return {place: each.pointer.number for place, each in pins(store).items()}


def test_an_asset_is_held_until_it_is_released(store: Store) -> None:
    for value in ("a", "b"):
        train(store, value)
    done = pin(store, MODEL, Mover("ada", "b is odd", run_id="run 7"))
    assert (done.number, done.kind, done.who, done.reason, done.run_id) == (1, "pin", "ada", "b is odd", "run 7")
    assert list(pins(store).values()) == [done.pin]
    assert str(done.pin).startswith("churn_model is pinned at v1 by ada since ")
    train(store, "c")
    assert held(store) == {(MODEL, None): 1}
    lifted = release_pin(store, MODEL, Mover("ben", "enough"))
    assert (lifted.kind, lifted.pin, lifted.who, lifted.pins) == ("release", done.pin, "ben", ())
    assert pins(store) == {}
    assert list(pin_entries(store)) == [lifted, done]


def test_pinned_again_it_goes_one_further_back(store: Store) -> None:
    for value in ("a", "b", "a", "c", "c2"):
        train(store, value)
    for number in (4, 3, 2, 1):
        pin(store, MODEL, ADA)
        assert held(store) == {(MODEL, None): number}
    with pytest.raises(NothingToRollBackToError, match="churn_model is at v1 and has no earlier version"):
        pin(store, MODEL, ADA)
    pin(store, MODEL, ADA, to=5)
    pin(store, MODEL, ADA, to=5)
    assert held(store) == {(MODEL, None): 5}
    assert len(list(pin_entries(store))) == 6


def test_the_earlier_version_has_another_content_and_its_bytes(store: Store) -> None:
    versions = [train(store, value) for value in ("a", "b", "c", "d", "c")]
    pin(store, MODEL, ADA, to=5)
    lose(store, versions[3])
    pin(store, MODEL, ADA)
    assert held(store) == {(MODEL, None): 2}  # v4 is lost, v3 has the bytes of v5
    lose(store, versions[0])
    with pytest.raises(NothingToRollBackToError, match=r"another content \(the bytes of v1 are gone\)"):
        pin(store, MODEL, ADA)
    with pytest.raises(BlobMissingError, match="the bytes of churn_model@v1 are gone"):
        pin(store, MODEL, ADA, to=1)


def test_what_is_not_there_is_not_pinned(store: Store) -> None:
    with pytest.raises(NothingToRollBackToError, match=r"churn_model has no versions in .*: materialize it first"):
        pin(store, MODEL, ADA)
    train(store, "a")
    with pytest.raises(NothingToRollBackToError, match="churn_model has no v2: its newest version is v1"):
        pin(store, MODEL, ADA, to=2)
    append_version(store, ("plain",), None, store.write_value(1), {"data_version": "1"})
    with pytest.raises(ChannelError, match="plain is not computed by mlrepro"):
        pin(store, ("plain",), ADA, to=1)
    assert list(pin_entries(store)) == []


def test_what_is_not_pinned_is_not_released(store: Store) -> None:
    with pytest.raises(ChannelError, match=r"churn_model is not pinned in .* \(nothing is\)"):
        release_pin(store, MODEL, ADA)
    train(store, "a", partition="a/b")
    pin(store, MODEL, ADA, partition="a/b", to=1)
    with pytest.raises(ChannelError, match=r"churn_model is not pinned in .* \(churn_model \(partition a/b\)\)"):
        release_pin(store, MODEL, ADA)
    release_pin(store, MODEL, ADA, partition="a/b")
    with pytest.raises(ChannelError, match=r"partition a/b\) is not pinned"):
        release_pin(store, MODEL, ADA, partition="a/b")


PLACES: list[Place] = [
    ((asset), partition)
    for asset in (("features",), ("team", "features"), ("team/features",), ("..",), ("é" * 200,))
    for partition in (None, "_", "__", "..", "a/b", "Größe ☃")
]


def test_assets_and_partitions_are_held_each_by_itself(store: Store) -> None:
    for asset, partition in PLACES:
        for value in ("a", "b"):
            train(store, value, of=asset, partition=partition)
        pin(store, asset, ADA, partition=partition)
    assert held(store) == dict.fromkeys(PLACES, 1)
    for number, (asset, partition) in enumerate(PLACES, 1):
        release_pin(store, asset, BEN, partition=partition)
        assert held(store) == dict.fromkeys(PLACES[number:], 1)


def test_what_is_pinned_from_another_scope_outlives_it(folder_store: Store) -> None:
    theirs = open_store(folder_store.url, scope="shared")
    version = train(theirs, "a")
    theirs.put_result(input_hash("a"), record(version))
    pin(folder_store, MODEL, ADA, to=1)
    shutil.rmtree(files_of(folder_store, "shared"))
    ours = open_store(folder_store.url, read_scopes=())
    assert ours.read_value(pins(ours)[MODEL, None].pointer.stored) == "a"
    assert ours.get_result(input_hash("a")) is not None
    assert pins(theirs) == {}


WRONG: list[Mapping[str, Any]] = [
    {"pins": {}},
    {"pins": None},
    {"pins": [{}]},
    {"pin": 3},
    {"when": "noon"},
    {"kind": "pin", "pins": [{"asset": "churn_model"}]},
    {"pins": [], "reason": float("nan")},
]


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[" * 100_000, *WRONG], ids=lambda damage: str(damage)[:60])
def test_a_damaged_entry_releases_nothing(store: Store, damage: bytes | Mapping[str, Any]) -> None:
    for place in PLACES[:3]:
        train(store, "a", of=place[0], partition=place[1])
        pin(store, place[0], ADA, partition=place[1], to=1)
    if isinstance(damage, bytes):
        garble(store, PINS, 3, damage)
    else:
        edit(store, PINS, 3, damage)
    with pytest.warns(UserWarning if isinstance(damage, bytes) else CacheWarning, match="passed over"):
        assert held(store) == dict.fromkeys(PLACES[:2], 1)
    with pytest.warns(UserWarning, match="passed over"):
        assert pin(store, PLACES[2][0], ADA, partition=PLACES[2][1], to=1).number == 4
    assert held(store) == dict.fromkeys(PLACES[:3], 1)


def test_a_bucket_whose_answer_is_lost_pins_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("a", "b", "c"):
        train(store, value)
    create = store._objects.create

    def and_lose_the_answer(key: str, data: bytes) -> bool:
        monkeypatch.setattr(store._objects, "create", create)
        assert create(key, data)
        return False

    for number, act in ((1, pin), (2, release_pin)):
        monkeypatch.setattr(store._objects, "create", and_lose_the_answer)
        done = act(store, MODEL, ADA)
        assert (done.number, done.pin.pointer.number) == (number, 2)
    assert len(list(pin_entries(store))) == 2


class PinsLikeADictionary(RuleBasedStateMachine):
    """Whatever people do, the pins are those of a dictionary that they do the same to."""

    places = st.sampled_from([(("a",), None), (("a",), "_"), (("b",), None)])

    @initialize()
    def begin(self) -> None:
        self.store = open_store(f"memory://{uuid.uuid4().hex}")
        self.values: dict[Place, list[int]] = {}
        self.lost: set[int] = set()
        self.states: list[tuple[int, dict[Place, int]]] = [(0, {})]
        self.number = 0

    @property
    def now(self) -> dict[Place, int]:
        return self.states[-1][1]

    def moved_to(self, number: int, state: dict[Place, int]) -> None:
        self.number += 1
        assert number == self.number
        self.states.append((number, state))

    @rule(place=places, value=st.integers(0, 3))
    def train(self, place: Place, value: int) -> None:
        train(self.store, value, of=place[0], partition=place[1])
        self.lost.discard(value)
        past = self.values.setdefault(place, [])
        if past[-1:] != [value]:
            past.append(value)

    @rule(place=places, to=st.none() | st.integers(1, 5))
    def pin(self, place: Place, to: int | None) -> None:
        past = self.values.get(place, [])
        at = self.now.get(place, len(past))
        earlier = [n for n in range(1, at) if past[n - 1] != past[at - 1] and past[n - 1] not in self.lost]
        wanted = to or max(earlier, default=None)
        if wanted is None or wanted > len(past):
            with pytest.raises(NothingToRollBackToError):
                pin(self.store, place[0], ADA, partition=place[1], to=to)
        elif past[wanted - 1] in self.lost:
            with pytest.raises(BlobMissingError):
                pin(self.store, place[0], ADA, partition=place[1], to=to)
        else:
            made = pin(self.store, place[0], ADA, partition=place[1], to=to)
            self.moved_to(made.number, self.now | {place: wanted})

    @rule(place=places)
    def release(self, place: Place) -> None:
        if place not in self.now:
            with pytest.raises(ChannelError):
                release_pin(self.store, place[0], BEN, partition=place[1])
            return
        made = release_pin(self.store, place[0], BEN, partition=place[1])
        assert made.pin.pointer.number == self.now[place]
        self.moved_to(made.number, {each: number for each, number in self.now.items() if each != place})

    @rule(which=st.integers(0, 3))
    def damage(self, which: int) -> None:
        if sound := self.states[1:][-1 - which :]:
            garble(self.store, PINS, sound[0][0])
            self.states.remove(sound[0])

    @rule(value=st.integers(0, 3))
    def lose(self, value: int) -> None:
        if any(value in past for past in self.values.values()):
            lose(self.store, train(self.store, value, of=("elsewhere",)))
            self.lost.add(value)

    @invariant()
    def as_the_dictionary_says(self) -> None:
        assert held(self.store) == self.now
        assert [each.number for each in pin_entries(self.store)] == [number for number, _ in self.states[:0:-1]]


TestPinsLikeADictionary = PinsLikeADictionary.TestCase
TestPinsLikeADictionary.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestPinsLikeADictionary.pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning")]
