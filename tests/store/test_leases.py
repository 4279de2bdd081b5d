import dataclasses
import datetime as dt
import json
import multiprocessing
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlrepro.errors import CacheWarning, StoreError
from mlrepro.store import Claim, Clock, Holder, Lease, LeaseWatch, Store, open_store
from mlrepro.store.keys import entry_name, history_folder, lease_history
from mlrepro.store.leases import CLOCK_SKEW
from tests.store.conftest import OpenHere
from tests.store.s3_server import S3Server

HASH = "5eed" * 16
NAME = lease_history(HASH)
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
TTL = 60.0


class Time:
    """Time that passes when a test says so; machines may disagree on the hour, but not on how fast it passes."""

    def __init__(self) -> None:
        self.passed = 0.0

    def clock(self, skew: float = 0.0) -> Clock:
        return Clock(
            monotonic=lambda: self.passed + 7 * skew,
            now=lambda: NOON + dt.timedelta(seconds=self.passed + skew),
            wait=lambda event, _: event.wait(),
        )

    def beating(self, more: Callable[[], bool]) -> tuple[Clock, threading.Event]:
        """A clock on which each wait of the heartbeat is over at once while ``more()``, and an event for its end."""
        done = threading.Event()

        def wait(event: threading.Event, seconds: float) -> bool:
            if more():
                self.passed += seconds
                return event.is_set()
            done.set()
            return event.wait()

        return dataclasses.replace(self.clock(), wait=wait), done


@pytest.fixture
def at() -> Time:
    return Time()


def claim(who: str) -> Claim:
    return Claim(holder=f"run of {who}/train", who=who, run_id=f"run of {who}", step="train")


def take(store: Store, who: str, clock: Clock, watch: LeaseWatch | None = None, ttl: float = TTL) -> Lease:
    got = store.acquire_lease(HASH, claim(who), watch=watch, ttl=ttl, clock=clock)
    assert isinstance(got, Lease), f"{who} has to wait for {got}"
    return got


def waits(store: Store, who: str, clock: Clock, watch: LeaseWatch | None = None) -> Holder:
    got = store.acquire_lease(HASH, claim(who), watch=watch, clock=clock)
    assert isinstance(got, Holder), f"{who} got it"
    return got


def newest(store: Store) -> dict[str, Any]:
    entry = store.newest(NAME)
    assert entry is not None
    return entry.body


def entries_so_far(store: Store) -> int:
    entry = store.newest(NAME)
    return entry.number if entry else 0


def failing(*_: object) -> bool:
    raise StoreError("Could not write: the network is down")


# One at a time


def test_the_second_learns_who_holds_it(store: Store, at: Time) -> None:
    lease = store.acquire_lease(HASH, dataclasses.replace(claim("ada"), code_location="churn"), clock=at.clock())
    assert isinstance(lease, Lease)
    assert (lease.lost, lease.replaced) == (False, None)
    at.passed = 30
    holder = waits(store, "bob", at.clock())
    assert holder == lease.holder
    assert (holder.holder, holder.who, holder.run_id, holder.step, holder.code_location) == (
        "run of ada/train", "ada", "run of ada", "train", "churn",
    )  # fmt: skip
    assert (holder.state, holder.since, holder.written, holder.ttl) == ("held", NOON, NOON, 60.0)


def test_an_entry_is_plain_json_in_its_place(folder_store: Store, at: Time) -> None:
    lease = take(folder_store, "ada", at.clock())
    path = Path(folder_store.url, "default", "leases", "5e", HASH, "999999999998.json")
    told = json.loads(path.read_bytes())
    assert len(told.pop("sha256")) == 64
    assert told == {
        "schema": 1,
        "history": ["leases", "5e", HASH],
        "number": 1,
        "entry": {
            "holder": "run of ada/train",
            "who": "ada",
            "run_id": "run of ada",
            "code_location": None,
            "step": "train",
            "state": "held",
            "since": "2026-01-01T12:00:00+00:00",
            "written": "2026-01-01T12:00:00+00:00",
            "ttl": 60.0,
            "token": lease.holder.token,
        },
    }


def test_what_is_released_is_free(store: Store, at: Time) -> None:
    with take(store, "ada", at.clock()):
        waits(store, "bob", at.clock())
    assert newest(store)["state"] == "released"
    assert take(store, "bob", at.clock()).replaced is None


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_failed_is_taken_over_at_once(store: Store, at: Time, error: type[BaseException]) -> None:
    lease = take(store, "ada", at.clock())
    with pytest.raises(error), lease:
        raise error
    assert newest(store)["state"] == "failed"
    replaced = take(store, "bob", at.clock()).replaced
    assert replaced is not None
    assert (replaced.who, replaced.state) == ("ada", "failed")


def test_ones_own_is_extended(store: Store, at: Time) -> None:
    before = take(store, "ada", at.clock())
    at.passed = 50
    again = take(store, "ada", at.clock())
    assert (again.holder.since, again.holder.written) == (NOON, NOON + dt.timedelta(seconds=50))
    assert again.replaced is None
    # What the same holder had before is superseded: it can neither extend the lease nor give it back.
    with before:
        assert not before.extend()
        assert before.lost
    assert newest(store)["token"] == again.holder.token
    waits(store, "bob", at.clock())
    assert again.extend()
    again.release()
    assert take(store, "ada", at.clock()).holder.since == NOON + dt.timedelta(seconds=50)


def test_scopes_and_input_hashes_do_not_block_each_other(open_here: OpenHere, at: Time) -> None:
    ours, theirs = open_here(scope="ours"), open_here(scope="theirs")
    take(ours, "ada", at.clock())
    take(theirs, "bob", at.clock())
    assert isinstance(ours.acquire_lease("0" * 64, claim("bob"), clock=at.clock()), Lease)
    found = theirs.acquire_lease(HASH, claim("eve"), scope="ours", clock=at.clock())
    assert isinstance(found, Holder)
    assert found.who == "ada"


# The dead


def test_who_watches_takes_over_what_does_not_change_for_its_ttl(store: Store, at: Time) -> None:
    take(store, "ada", at.clock())
    at.passed = 1000
    # Only what was watched counts: the entry may have been written by a clock that is wrong.
    watch = LeaseWatch()
    for passed in (1000, 1001, 1030, 1059.9):
        at.passed = passed
        assert waits(store, "bob", at.clock(), watch).who == "ada"
        assert waits(store, "eve", at.clock()).who == "ada"
    at.passed = 1060
    waits(store, "eve", at.clock())
    replaced = take(store, "bob", at.clock(), watch).replaced
    assert replaced is not None
    assert (replaced.who, replaced.state) == ("ada", "held")


def test_each_extension_begins_the_wait_anew(store: Store, at: Time) -> None:
    lease, watch = take(store, "ada", at.clock()), LeaseWatch()
    for _ in range(10):
        waits(store, "bob", at.clock(), watch)
        at.passed += 59
        waits(store, "bob", at.clock(), watch)
        assert lease.extend()
    at.passed += 59
    waits(store, "bob", at.clock(), watch)
    at.passed += 60
    take(store, "bob", at.clock(), watch)


def test_a_slow_answer_is_not_taken_for_a_long_wait(store: Store, at: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    take(store, "ada", at.clock())
    watch, get = LeaseWatch(), store._objects.get

    def slowly(key: str) -> bytes | None:
        at.passed += 100
        return get(key)

    monkeypatch.setattr(store._objects, "get", slowly)
    waits(store, "bob", at.clock(), watch)
    waits(store, "bob", at.clock(), watch)
    take(store, "bob", at.clock(), watch)


def test_what_is_long_past_is_taken_over_without_a_watch(store: Store, at: Time) -> None:
    take(store, "ada", at.clock())
    at.passed = CLOCK_SKEW + TTL
    waits(store, "bob", at.clock())
    at.passed += 1
    take(store, "bob", at.clock())


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_costs_nobody_the_lease(store: Store, at: Time, hours: int) -> None:
    theirs, watch = at.clock(skew=3600.0 * hours), LeaseWatch()
    lease = take(store, "ada", at.clock())
    for _ in range(30):
        waits(store, "bob", theirs, watch)
        waits(store, "eve", theirs)
        at.passed += 20
        assert lease.extend()
    waits(store, "bob", theirs, watch)
    at.passed += 59.9
    waits(store, "bob", theirs, watch)
    at.passed += 0.1
    take(store, "bob", theirs, watch)


def test_who_lost_it_notices_and_leaves_it_alone(store: Store, at: Time) -> None:
    watch = LeaseWatch()
    lease = take(store, "ada", at.clock())
    with lease:
        waits(store, "bob", at.clock(), watch)
        at.passed += TTL
        taken = take(store, "bob", at.clock(), watch)
        assert not lease.extend()
        assert lease.lost
    assert newest(store) | {"token": ""} == newest(store) | {"token": "", "who": "bob", "state": "held"}
    assert not taken.lost
    taken.release()
    assert not lease.extend()
    assert newest(store)["who"] == "bob"


DAMAGED: list[dict[str, Any]] = [
    {},
    {"state": "lent"},
    {"ttl": "60"},
    {"ttl": 0},
    {"ttl": 1e300},
    {"since": None},
    {"written": "yesterday"},
    {"written": "2026-01-01T12:00:00"},
    {"who": ["ada"]},
    {"code_location": 1},
]


@pytest.mark.parametrize("change", DAMAGED, ids=str)
def test_a_damaged_entry_is_free(store: Store, at: Time, change: dict[str, Any]) -> None:
    take(store, "ada", at.clock())
    store.append(NAME, lambda newest: newest.body | change if change and newest else {})
    with pytest.warns(CacheWarning, match="Entry 2 of a lease is damaged, so the lease counts as free"):
        take(store, "bob", at.clock())
    assert waits(store, "eve", at.clock()).who == "bob"


def test_bytes_that_are_no_entry_are_free(store: Store, at: Time) -> None:
    lease = take(store, "ada", at.clock())
    store._objects.create(f"{history_folder('default', NAME)}/{entry_name(2)}", b"\xffgarbage")
    with pytest.warns(UserWarning, match="is damaged"):
        bob = take(store, "bob", at.clock())
    assert not lease.extend()
    store._objects.create(f"{history_folder('default', NAME)}/{entry_name(4)}", b"")
    with pytest.warns(UserWarning, match="is damaged"):
        assert bob.extend()


# Races


@pytest.mark.parametrize("before", ["never held", "released", "failed", "dead"])
def test_of_sixteen_threads_one_gets_it(store: Store, at: Time, before: str) -> None:
    barrier = threading.Barrier(16)
    watches = [LeaseWatch() for _ in range(16)]

    def compete(number: int) -> Lease | Holder:
        barrier.wait()
        return store.acquire_lease(HASH, claim(f"{number}"), watch=watches[number], clock=at.clock())

    with ThreadPoolExecutor(16) as pool:
        for round_ in range(3):
            if before != "never held" or round_ == 0:
                got = list(pool.map(compete, range(16)))
                winners = [lease for lease in got if isinstance(lease, Lease)]
                assert len(winners) == 1
                assert {other for other in got if isinstance(other, Holder)} == {winners[0].holder}
                match before:
                    case "dead":
                        # The winner was no watcher of its own entry, so that it sees it for the first time now.
                        compete_again = [
                            store.acquire_lease(HASH, claim("last"), watch=watch, clock=at.clock()) for watch in watches
                        ]
                        assert all(isinstance(other, Holder) for other in compete_again)
                        at.passed += TTL
                    case _:
                        winners[0].release(failed=before == "failed")


def compete_in_a_process(
    store: Store, number: int, rounds: int, barrier: Barrier, told: "Queue[tuple[int, int]]"
) -> None:
    for round_ in range(rounds):
        barrier.wait()
        got = store.acquire_lease(HASH, claim(f"process {number}"))
        if isinstance(got, Lease):
            told.put((round_, number))
        barrier.wait()
        if isinstance(got, Lease):
            got.release(failed=round_ % 2 == 0)


def test_of_eight_processes_one_gets_it(folder_store: Store) -> None:
    context = multiprocessing.get_context("fork")
    barrier, told = context.Barrier(8, timeout=60), context.Queue()
    processes = [
        context.Process(target=compete_in_a_process, args=(folder_store, number, 20, barrier, told))
        for number in range(8)
    ]
    for process in processes:
        process.start()
    winners = [told.get(timeout=60) for _ in range(20)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert told.empty()
    assert [round_ for round_, _ in winners] == list(range(20))
    states = [entry.body["state"] for entry in folder_store.entries(NAME)]
    assert states == ["released", "held", "failed", "held"] * 10


# The heartbeat


def test_the_heartbeat_extends_every_third_of_the_ttl(store: Store, at: Time) -> None:
    clock, done = at.beating(lambda: at.passed < 100)
    with take(store, "ada", clock) as lease:
        assert done.wait(60)
        assert [dt.datetime.fromisoformat(entry.body["written"]) for entry in store.entries(NAME)] == [
            NOON + dt.timedelta(seconds=seconds) for seconds in (100, 80, 60, 40, 20, 0)
        ]
        assert {entry.body["since"] for entry in store.entries(NAME)} == {NOON.isoformat()}
        waits(store, "bob", at.clock())
    assert not lease.lost
    assert newest(store)["state"] == "released"


def test_ten_hours_are_a_few_hundred_entries(at: Time) -> None:
    store = open_store(f"memory://{uuid.uuid4().hex}")
    clock, done = at.beating(lambda: at.passed < 36_000)
    with take(store, "ada", clock):
        assert done.wait(60)
    found = [entry.body for entry in store.entries(NAME)]
    assert len(found) < 300
    for body in found:
        held = (dt.datetime.fromisoformat(body["written"]) - NOON).total_seconds()
        assert body["ttl"] == pytest.approx(max(60, 0.05 * held))
    assert found[0]["ttl"] > 1700


def test_a_living_heartbeat_keeps_the_lease(store: Store) -> None:
    watch, ends = LeaseWatch(), time.monotonic() + 60
    with store.acquire_lease(HASH, claim("ada"), ttl=1.5) as lease:  # type: ignore[union-attr]
        while entries_so_far(store) < 5:
            assert time.monotonic() < ends
            assert isinstance(store.acquire_lease(HASH, claim("bob"), watch=watch), Holder)
            time.sleep(0.02)
    assert not lease.lost
    assert "mlrepro-lease" not in {thread.name for thread in threading.enumerate()}


def test_the_heartbeat_stops_once_the_lease_is_lost(store: Store, at: Time) -> None:
    beats = iter([True, True, True])
    clock, _ = at.beating(lambda: next(beats, False))
    watch = LeaseWatch()
    lease = take(store, "ada", at.clock())
    waits(store, "bob", at.clock(), watch)
    at.passed = TTL
    lease._clock = clock
    take(store, "bob", at.clock(), watch)
    with lease:
        lease._thread.join(60)
        assert lease.lost
        # It ended by itself, at the first beat.
        assert len(list(beats)) == 2
    assert [entry.body["who"] for entry in store.entries(NAME)] == ["bob", "ada"]


def test_a_store_that_fails_for_a_moment_costs_nothing(store: Store, at: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    create = store._objects.create
    monkeypatch.setattr(store._objects, "create", lambda *key: failing() if 20 <= at.passed < 27 else create(*key))
    clock, done = at.beating(lambda: at.passed < 60)
    with take(store, "ada", clock) as lease:
        assert done.wait(60)
        assert not lease.lost
        # At 20 s it failed, and was tried again every 5 s, so that a third of the ttl is not lost.
        written = [dt.datetime.fromisoformat(entry.body["written"]) - NOON for entry in store.entries(NAME)]
        assert [age.total_seconds() for age in written] == [70, 50, 30, 0]
    assert newest(store)["state"] == "released"


@pytest.mark.parametrize("error", [StoreError("down"), OSError("no more files"), UserWarning("made an error")])
def test_a_store_that_stays_away_ends_the_lease_but_not_the_computation(
    store: Store, at: Time, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> bool:
        raise error

    clock, done = at.beating(lambda: True)
    lease = take(store, "ada", clock)
    monkeypatch.setattr(store._objects, "create", fail)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with lease:
            lease._thread.join(60)
            assert lease.lost
            assert at.passed == 60
    assert [str(warning.message).split(",")[0] for warning in said] == [
        "The lease of run of ada/train ran out",
        "The lease of run of ada/train was not given back",
    ]
    assert all(warning.category is CacheWarning for warning in said)
    assert not done.is_set()
    # After the lease ran out it is still given back, where nobody else took it and the store is back.
    monkeypatch.undo()
    lease.release()
    assert newest(store)["state"] == "released"


def test_a_beat_that_comes_too_late_revives_nothing(store: Store, at: Time) -> None:
    lease = take(store, "ada", at.clock())
    lease.release()
    assert not lease.extend()
    assert not lease.lost
    assert newest(store)["state"] == "released"


def test_an_append_that_succeeded_but_said_it_failed_is_ones_own(
    store: Store, at: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = store._objects.create
    lease = take(store, "ada", at.clock())

    for answer in (failing, lambda: False):

        def lie(*key: Any, answer: Callable[[], bool] = answer) -> bool:
            monkeypatch.setattr(store._objects, "create", create)
            return create(*key) and answer()

        monkeypatch.setattr(store._objects, "create", lie)
        if answer is failing:
            with pytest.raises(StoreError):
                lease.extend()
        assert lease.extend()
    assert not lease.lost


# Processes that die

HOLD = """
import pickle, sys, time
from mlrepro.store import Claim
store = pickle.loads(bytes.fromhex(sys.argv[1]))
claim = Claim(holder="run1/train", who="ada", run_id="run1", step="train")
with store.acquire_lease("5eed" * 16, claim, ttl=float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("open_here", ["folder", pytest.param("s3", marks=pytest.mark.slow)], indirect=True)
def test_a_killed_holder_is_replaced_after_its_ttl_and_not_before(open_here: OpenHere) -> None:
    store, watch, ttl = open_here(), LeaseWatch(), 1.5
    command = [sys.executable, "-c", HOLD, pickle.dumps(store).hex(), str(ttl)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            # Longer than the ttl: three extensions are at least that long apart from the beginning.
            while entries_so_far(store) < 4:
                assert process.poll() is None
                assert isinstance(store.acquire_lease(HASH, claim("bob"), watch=watch), Holder)
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    watch, killed = LeaseWatch(), time.monotonic()
    got = store.acquire_lease(HASH, claim("bob"), watch=watch)
    while isinstance(got, Holder):
        assert got.who == "ada"
        assert time.monotonic() - killed < 60
        time.sleep(0.02)
        got = store.acquire_lease(HASH, claim("bob"), watch=watch)
    assert time.monotonic() - killed >= ttl
    assert got.replaced is not None
    assert (got.replaced.who, got.replaced.state) == ("ada", "held")


FORK = """
import os, pickle, sys
from mlrepro.store import Claim
store = pickle.loads(bytes.fromhex(sys.argv[1]))
claim = Claim(holder="run1/train", who="ada", run_id="run1", step="train")
with store.acquire_lease("5eed" * 16, claim):
    child = os.fork()
    if not child:
        raise SystemExit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    print(store.newest(("leases", "5e", "5eed" * 16)).body["state"])
"""


def test_a_forked_child_does_not_give_back_its_parents_lease(folder_store: Store) -> None:
    command = [sys.executable, "-c", FORK, pickle.dumps(folder_store).hex()]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "held\n"
    assert newest(folder_store)["state"] == "released"


# What the caller is told


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e6])
def test_a_ttl_must_make_sense(store: Store, ttl: float) -> None:
    with pytest.raises(StoreError, match="A lease cannot last"):
        store.acquire_lease(HASH, claim("ada"), ttl=ttl)


def test_only_an_input_hash_has_a_lease(store: Store) -> None:
    with pytest.raises(StoreError, match="is not a input hash"):
        store.acquire_lease("../x", claim("ada"))


def test_a_store_that_is_down_is_a_store_error(store: Store, at: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    store.check()
    monkeypatch.setattr(store._objects, "create", failing)
    with pytest.raises(StoreError, match="the network is down"):
        take(store, "ada", at.clock())


def test_a_store_that_is_no_folder_is_a_store_error(tmp_path: Path, at: Time) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        take(open_store(str(tmp_path / "file")), "ada", at.clock())


@pytest.mark.slow
def test_a_bucket_that_may_only_be_read_is_a_store_error(s3: S3Server, at: Time) -> None:
    url = f"s3://mlrepro/{uuid.uuid4().hex}"
    with pytest.raises(StoreError, match="credentials lack the right"):
        take(open_store(url, options=s3.reader_options), "ada", at.clock())


# Whatever happens

MACHINES = st.integers(0, 3)


class OneAtATime(RuleBasedStateMachine):
    """Machines with wrong clocks come, hold, die and wait. Time is fair: who lives extends before its ttl is over."""

    @initialize(skews=st.lists(st.floats(-CLOCK_SKEW / 2, CLOCK_SKEW / 2), min_size=4, max_size=4))
    def begin(self, skews: list[float]) -> None:
        self.store = open_store(f"memory://{uuid.uuid4().hex}")
        self.time = Time()
        self.clocks = [self.time.clock(skew) for skew in skews]
        self.watches = [LeaseWatch() for _ in skews]
        self.runs = 0
        self.living: dict[int, Lease] = {}
        self.due = 0.0

    def poll(self, machine: int) -> Lease | Holder:
        self.runs += 1
        got = self.store.acquire_lease(
            HASH, claim(f"{self.runs}"), watch=self.watches[machine], clock=self.clocks[machine]
        )
        if isinstance(got, Lease):
            self.living[machine] = got
            self.due = self.time.passed + got.holder.ttl / 3
        return got

    @rule(machine=MACHINES)
    def ask(self, machine: int) -> None:
        if machine not in self.living:
            self.poll(machine)

    @rule(seconds=st.floats(0, 10_000), late=st.floats(1 / 3, 0.99))
    def pass_time(self, seconds: float, late: float) -> None:
        until = self.time.passed + seconds
        while self.living and self.due <= until:
            self.time.passed = max(self.time.passed, self.due)
            (lease,) = self.living.values()
            assert lease.extend()
            self.due = self.time.passed + lease.holder.ttl * late
        self.time.passed = until

    @rule(failed=st.booleans())
    @precondition(lambda self: self.living)
    def finish(self, failed: bool) -> None:
        self.living.popitem()[1].release(failed=failed)
        machine = 0
        assert isinstance(self.poll(machine), Lease)

    @rule()
    @precondition(lambda self: self.living)
    def die(self) -> None:
        self.living.clear()

    @rule(machine=MACHINES)
    @precondition(lambda self: not self.living)
    def wait_for_the_dead(self, machine: int) -> None:
        got = self.poll(machine)
        if isinstance(got, Holder):
            self.time.passed += got.ttl + 1e-6
            assert isinstance(self.poll(machine), Lease)

    @invariant()
    def never_two(self) -> None:
        assert len(self.living) <= 1
        assert not any(lease.lost for lease in self.living.values())


TestOneAtATime = OneAtATime.TestCase
TestOneAtATime.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
