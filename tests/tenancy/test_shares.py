"""Free places are shared out fairly, whatever is queued: against a model of a whole day at the queue."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mlrepro.tenancy.shares import FairShares, Queue

NAMES = st.sampled_from(["a", "b", "c", "d"])
QUEUES = st.dictionaries(
    NAMES, st.builds(Queue, st.integers(0, 9), st.frozensets(st.integers(0, 99), max_size=30), st.integers(1, 9))
)


def granted(queues: dict[str, Queue], caps: dict[str, int]) -> dict[str, int]:
    return {name: min(len(queue.waiting), max(0, caps[name] - queue.running)) for name, queue in queues.items()}


@given(QUEUES, st.integers(0, 20))
def test_places_are_given_to_who_has_fewest_and_none_is_left_free(queues: dict[str, Queue], free: int) -> None:
    caps = FairShares().caps(queues, free)
    given = granted(queues, caps)
    assert sum(given.values()) == min(free, sum(queue.startable for queue in queues.values()))
    for name, queue in queues.items():
        assert given[name] <= queue.startable
        waits = queue.startable > given[name]
        for other, count in given.items():
            if waits and count and other != name:
                assert queues[other].running + count <= queue.running + given[name] + 1, f"{other} got {name}'s place"


@dataclass
class Tenant:
    limit: int
    running: int = 0
    waiting: list[int] = field(default_factory=list)


class ADay(RuleBasedStateMachine):
    """Runs are queued, start as they are allowed to, and end, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.shares = FairShares()
        self.places = 3
        self.tenants = {name: Tenant(limit) for name, limit in zip("abcd", (1, 2, 3, 3), strict=True)}
        self.number = 0
        self.passed: Counter[str] = Counter()  # how often others were served since it waits

    @rule(name=NAMES, count=st.integers(1, 40))
    def queue(self, name: str, count: int) -> None:
        self.tenants[name].waiting += range(self.number, self.number + count)
        self.number += count

    @rule(name=NAMES, count=st.integers(1, 3))
    def end(self, name: str, count: int) -> None:
        self.tenants[name].running -= min(count, self.tenants[name].running)

    @rule(places=st.integers(1, 6))
    def change_places(self, places: int) -> None:
        self.places = places

    @rule()
    def start(self) -> None:
        queues = {
            name: Queue(each.running, frozenset(each.waiting), each.limit)
            for name, each in self.tenants.items()
            if each.running or each.waiting
        }
        free = max(0, self.places - sum(each.running for each in self.tenants.values()))
        given = granted(queues, self.shares.caps(queues, free))
        assert sum(given.values()) == min(free, sum(queue.startable for queue in queues.values()))
        for name, count in given.items():
            each = self.tenants[name]
            del each.waiting[:count]
            each.running += count
        for name, each in self.tenants.items():
            waits = each.waiting and each.running < each.limit
            self.passed[name] = self.passed[name] + sum(given.values()) if waits and not given.get(name) else 0

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        # with one place in all, each of the three others is served at most once before
        assert all(count <= 3 * 6 for count in self.passed.values())

    @precondition(lambda self: self.places)
    @invariant()
    def limits_hold(self) -> None:
        assert all(each.running <= each.limit for each in self.tenants.values())


ADay.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
test_a_day = ADay.TestCase


def serve(order: str, places: int, rounds: int) -> str:
    """Who is served with runs that each end before the next round."""
    shares, served = FairShares(), ""
    waiting = {name: set(range(at * 1000, at * 1000 + 200)) for at, name in enumerate(order)}
    for _ in range(rounds):
        queues = {name: Queue(0, frozenset(found), 9) for name, found in waiting.items()}
        for name, count in granted(queues, shares.caps(queues, places)).items():
            served += name * count
            for number in sorted(waiting[name])[:count]:
                waiting[name].remove(number)
    return served


def test_with_one_place_tenants_take_turns_however_long_their_queues_are() -> None:
    assert serve("abc", places=1, rounds=9) == "abcabcabc"


def test_with_fewer_places_than_tenants_too() -> None:
    assert Counter(serve("abc", places=2, rounds=9)) == {"a": 6, "b": 6, "c": 6}


def test_who_was_away_gets_no_more_than_its_share() -> None:
    shares = FairShares()
    for done in range(20):
        shares.caps({"a": Queue(0, frozenset(range(done, 100)), 9)}, 4)
    both = {"a": Queue(0, frozenset(range(20, 100)), 9), "b": Queue(0, frozenset(range(100, 200)), 9)}
    assert granted(both, shares.caps(both, 4)) == {"a": 2, "b": 2}


class TestHeldUp:
    """A tenant whose runs can't start keeps nobody from the places."""

    A = Queue(0, frozenset(range(10)), 5)
    B = Queue(0, frozenset(range(100, 120)), 9)

    def held_up(self) -> FairShares:
        shares = FairShares()
        for _ in range(2):
            assert shares.caps({"a": self.A, "b": self.B}, 4)["a"] == 2
        return shares

    def test_its_share_goes_to_others_and_it_may_start_what_stands_behind(self) -> None:
        after = {"a": self.A, "b": Queue(2, self.B.waiting - {100, 101}, 9)}
        assert self.held_up().caps(after, 2) == {"a": 5, "b": 4}

    def test_once_in_vain_costs_nothing(self) -> None:
        shares = FairShares()
        shares.caps({"a": self.A}, 2)
        assert shares.caps({"a": self.A}, 2) == {"a": 2}

    def test_it_is_tried_again_and_less_and_less_often(self) -> None:
        shares = FairShares()
        tried = "".join("x" if shares.caps({"a": self.A}, 2)["a"] == 2 else "." for _ in range(40))
        assert tried.startswith("xx.x..x....x........x................x")

    def test_once_one_has_started_it_has_its_share_again(self) -> None:
        shares = self.held_up()
        shares.caps({"a": self.A, "b": self.B}, 4)
        started = {"a": Queue(1, self.A.waiting - {7}, 5), "b": Queue(1, self.B.waiting - {100}, 9)}
        assert shares.caps(started, 2) == {"a": 2, "b": 2}

    def test_who_leaves_the_queue_is_forgotten(self) -> None:
        shares = self.held_up()
        shares.caps({"a": self.A}, 2)
        shares.caps({}, 2)
        assert shares.caps({"a": self.A}, 2) == {"a": 2}
