"""A channel against a model of it that is simple enough to be seen to be right: whatever people do, they agree."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlrepro.catalog.channels import ChannelEntry, Pointer, newest_entry, served_version
from mlrepro.catalog.history import Version, find_number
from mlrepro.catalog.moving import Mover, approve, promote, propose, release, roll_back
from mlrepro.errors import (
    BlobMissingError,
    ChannelError,
    ChannelMovedError,
    MlreproError,
    NothingToRollBackToError,
    QuarantinedError,
)
from mlrepro.store import open_store
from tests.catalog.lab import ADA, MODEL, PRODUCTION, garble, history, lose, train

VALUES: list[Any] = [0, 1, b"0", "x", {"a": 1}]
"""What a training may give. The bytes of 0 and of b"0" are the same."""

PEOPLE = st.sampled_from(["ada", "ben"])
NUMBERS = st.integers(0, 8)
BACK = st.integers(0, 4)
"""How far before the newest version."""


@dataclass(frozen=True)
class Now:
    """The model: what a channel is, in version numbers and values."""

    number: int = 0
    serves: int | None = None
    waits: int | None = None
    approvers: frozenset[str] = frozenset()
    auc: float | None = None
    auc_of_waiting: float | None = None
    quarantined: tuple[tuple[int, int], ...] = ()
    """Index of the value, and the version that was rolled back from."""
    served: tuple[tuple[int, float | None], ...] = ()
    """Versions that were served, with the metric that was known then, in order of time."""


class AChannel(RuleBasedStateMachine):
    """People train, promote, propose, approve, roll back and release; disks fail."""

    @initialize(trained=st.lists(st.integers(0, len(VALUES) - 1), min_size=3, max_size=6))
    def begin(self, trained: list[int]) -> None:
        self.store = open_store(f"memory://{uuid.uuid4().hex}")
        self.made: list[int] = []  # the value of v1, v2, …
        self.lost: set[int] = set()
        self.past = [Now()]  # after each sound entry
        self.entries = 0
        for value in trained:
            self.train(value)

    # The model

    @property
    def now(self) -> Now:
        return self.past[-1]

    def version(self, back: int) -> Version:
        found = find_number(self.store, MODEL, None, max(1, len(self.made) - back))
        assert found is not None
        return found

    def value(self, number: int) -> int:
        return self.made[number - 1]

    def is_lost(self, number: int) -> bool:
        return self.value(number) in self.lost

    def is_quarantined(self, number: int) -> bool:
        return self.value(number) in dict(self.now.quarantined)

    def same(self, number: int, other: int | None) -> bool:
        return other is not None and self.value(number) == self.value(other)

    def default_target(self) -> int | None:
        present = self.now.serves
        assert present is not None
        candidates = [
            number
            for number, _ in self.now.served
            if number < present
            and not self.same(number, present)
            and not self.is_quarantined(number)
            and not self.is_lost(number)
        ]
        return max(candidates, default=None)

    def approves(self, who: str) -> bool:
        return not self.now.approvers or who in self.now.approvers

    def why_not_back_to(self, number: int) -> type[MlreproError] | None:
        present = self.now.serves
        if present is None or number >= present:
            return ChannelError
        if number < 1:
            return NothingToRollBackToError
        if self.is_quarantined(number):
            return QuarantinedError
        return BlobMissingError if self.is_lost(number) else None

    def moved_to(self, entry: ChannelEntry | None, after: Now) -> None:
        self.entries += 1
        after = replace(after, number=self.entries)
        if after.serves is not None and entry is not None and entry.kind in ("promotion", "rollback"):
            after = replace(after, served=(*after.served, (after.serves, after.auc)))
        self.past.append(after)
        assert entry == newest_entry(self.store, PRODUCTION)

    def check_refused(self, error: type[MlreproError], act: Callable[[], object]) -> None:
        with pytest.raises(error) as raised:
            act()
        assert type(raised.value) is error

    # What people do

    @rule(value=st.integers(0, len(VALUES) - 1))
    def train(self, value: int) -> None:
        version = train(self.store, VALUES[value])
        self.lost -= {each for each in self.lost if self.bytes_of(each) == self.bytes_of(value)}
        if self.made[-1:] != [value]:
            self.made.append(value)
        assert version.number == len(self.made)

    @rule(back=BACK, who=PEOPLE, auc=st.none() | st.floats(0, 1))
    def promote(self, back: int, who: str, auc: float | None) -> None:
        version = self.version(back)
        number = version.number
        metrics = {} if auc is None else {"auc": auc}

        def act() -> ChannelEntry | None:
            return promote(self.store, PRODUCTION, version, Mover(who), metrics=metrics)

        settled = replace(self.now, waits=None, auc_of_waiting=None)
        if self.is_lost(number):
            self.check_refused(BlobMissingError, act)
        elif not self.approves(who):
            self.check_refused(ChannelError, act)
        elif self.is_quarantined(number):
            self.check_refused(QuarantinedError, act)
        elif not self.same(number, self.now.serves):
            self.moved_to(act(), replace(settled, serves=number, auc=auc))
        elif self.now.waits is not None:
            self.moved_to(act(), settled)
        else:
            assert act() is None

    @rule(back=BACK, who=PEOPLE, approvers=st.sets(PEOPLE), auc=st.none() | st.floats(0, 1))
    def propose(self, back: int, who: str, approvers: set[str], auc: float | None) -> None:
        version = self.version(back)
        number = version.number
        metrics = {} if auc is None else {"auc": auc}

        def act() -> ChannelEntry | None:
            return propose(self.store, PRODUCTION, version, Mover(who), metrics=metrics, approvers=sorted(approvers))

        if self.is_lost(number):
            self.check_refused(BlobMissingError, act)
        elif self.is_quarantined(number):
            self.check_refused(QuarantinedError, act)
        elif self.same(number, self.now.serves) or self.same(number, self.now.waits):
            assert act() is None
        else:
            self.moved_to(act(), replace(self.now, waits=number, auc_of_waiting=auc, approvers=frozenset(approvers)))

    @rule()
    @precondition(lambda self: self.now.waits is not None)
    def approve_what_waits(self) -> None:
        self.approve(self.now.waits, min(self.now.approvers, default="eve"))

    @rule(number=st.none() | NUMBERS, who=PEOPLE)
    @precondition(lambda self: self.now.waits is not None or self.entries < 2)
    def approve(self, number: int | None, who: str) -> None:
        def act() -> ChannelEntry:
            return approve(self.store, PRODUCTION, number, Mover(who))

        waits = self.now.waits
        if waits is None or number not in (None, waits) or not self.approves(who):
            self.check_refused(ChannelError, act)
        elif self.is_quarantined(waits):
            self.check_refused(QuarantinedError, act)
        elif self.is_lost(waits):
            self.check_refused(BlobMissingError, act)
        else:
            after = replace(self.now, serves=waits, waits=None, auc=self.now.auc_of_waiting, auc_of_waiting=None)
            self.moved_to(act(), after)

    @rule()
    @precondition(lambda self: self.now.serves is not None)
    def roll_back_on_an_older_decision(self) -> None:
        expected = self.now.number - 1
        self.check_refused(ChannelMovedError, lambda: roll_back(self.store, PRODUCTION, ADA, expected=expected))

    @rule(who=PEOPLE)
    @precondition(lambda self: self.now.serves is not None and len(self.now.served) > 1)
    def roll_back(self, who: str) -> None:
        self.roll_back_to(None, who)

    @rule(back=st.integers(-1, 3), who=PEOPLE)
    @precondition(lambda self: self.now.serves is not None)
    def roll_back_by(self, back: int, who: str) -> None:
        self.roll_back_to(self.now.serves - back, who)

    @rule(to=st.none() | NUMBERS, who=PEOPLE)
    @precondition(lambda self: self.entries < 2)
    def roll_back_to(self, to: int | None, who: str) -> None:
        def act() -> ChannelEntry:
            return roll_back(self.store, PRODUCTION, Mover(who), to=to, expected=self.now.number or None)

        present = self.now.serves
        if present is None:
            self.check_refused(ChannelError, act)
        elif to is not None and (error := self.why_not_back_to(to)) is not None:
            self.check_refused(error, act)
        elif to is None and self.default_target() is None:
            self.check_refused(NothingToRollBackToError, act)
        elif to is not None and to not in dict(self.now.served) and not self.approves(who):
            self.check_refused(ChannelError, act)
        else:
            target = self.default_target() if to is None else to
            known = [auc for number, auc in self.now.served if number == target]
            held = {**dict(self.now.quarantined), self.value(present): present}
            after = replace(self.now, serves=target, auc=known[-1] if known else None, quarantined=tuple(held.items()))
            self.moved_to(act(), after)

    @rule()
    @precondition(lambda self: self.now.quarantined)
    def release_what_is_held(self) -> None:
        held, _ = self.now.quarantined[0]
        self.release(len(self.made) - self.made[::-1].index(held))

    @rule(number=NUMBERS)
    @precondition(lambda self: self.now.quarantined or self.entries < 2)
    def release(self, number: int) -> None:
        def act() -> ChannelEntry:
            return release(self.store, PRODUCTION, number, Mover("ada"))

        value = self.value(number) if 1 <= number <= len(self.made) else None
        kept = tuple(each for each in self.now.quarantined if each[0] != value)
        if kept == self.now.quarantined:
            self.check_refused(ChannelError, act)
        else:
            self.moved_to(act(), replace(self.now, quarantined=kept))

    # What disks do

    @rule(garbage=st.sampled_from([b"", b"{}", b"\xff", b"[" * 10_000]))
    @precondition(lambda self: self.entries > 0 and len(self.past) > 1)
    def damage_the_newest_entry(self, garbage: bytes) -> None:
        garble(self.store, PRODUCTION.history, self.past.pop().number, garbage)

    @rule(back=BACK)
    @precondition(lambda self: not self.lost)
    def lose_bytes(self, back: int) -> None:
        version = self.version(back)
        lose(self.store, version)
        gone = self.bytes_of(self.value(version.number))
        self.lost |= {each for each in range(len(VALUES)) if self.bytes_of(each) == gone}

    def bytes_of(self, value: int) -> str:
        return self.store.hash_value(VALUES[value]).content_hash

    # What holds all the time

    @invariant()
    def the_channel_is_what_the_model_says(self) -> None:
        entry = newest_entry(self.store, PRODUCTION)
        now = self.now
        if entry is None:
            assert now == Now()
            return
        assert entry.number == now.number
        assert number_of(entry.after) == now.serves
        assert number_of(entry.proposed) == now.waits
        assert frozenset(entry.approvers) == now.approvers
        assert entry.metrics == ({} if now.auc is None else {"auc": now.auc})
        assert entry.proposed_metrics == ({} if now.auc_of_waiting is None else {"auc": now.auc_of_waiting})
        assert set(entry.served) == {number for number, _ in now.served}
        assert sorted(why["version"] for why in entry.quarantined.values()) == sorted(dict(now.quarantined).values())

    @invariant()
    def every_entry_begins_where_the_sound_one_before_it_ended(self) -> None:
        entries = history(self.store)
        assert [entry.number for entry in entries] == [now.number for now in self.past[1:]]
        assert [entry.before for entry in entries] == [None, *(entry.after for entry in entries)][: len(entries)]

    @invariant()
    def what_is_served_is_what_was_trained(self) -> None:
        found = served_version(self.store, PRODUCTION)
        if found is not None and not self.is_lost(found.number):
            assert self.store.read_value(found.stored) == VALUES[self.value(found.number)]


def number_of(pointer: Pointer | None) -> int | None:
    return pointer.number if pointer is not None else None


TestAChannel = AChannel.TestCase
TestAChannel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAChannel.pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning")]
