"""Many processes that move one channel, or pin and release, at once, while some of them are killed."""

import json
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from mlrepro.catalog.channels import ChannelEntry, newest_entry
from mlrepro.catalog.history import find_number
from mlrepro.catalog.moving import Mover, promote, release, roll_back
from mlrepro.catalog.pins import Pin, pin, pin_entries, pins, release_pin
from mlrepro.errors import ChannelError
from mlrepro.store import Store
from tests.catalog.lab import ADA, MODEL, PRODUCTION, history, train

pytestmark = pytest.mark.slow

VERSIONS = 12
ASSETS = [("features",), ("team", "features"), ("labels",)]

Act = Callable[[Store, random.Random, Mover], int | None]
"""Does one thing; the number of its entry, or None where there was nothing to do."""


def move_the_channel(store: Store, choice: random.Random, mover: Mover) -> int | None:
    match choice.choice(["promote", "promote", "roll back", "roll back", "release"]):
        case "promote":
            version = find_number(store, MODEL, None, choice.randint(1, VERSIONS))
            assert version is not None
            entry = promote(store, PRODUCTION, version, mover)
        case "roll back":
            entry = roll_back(store, PRODUCTION, mover)
        case _:
            newest = newest_entry(store, PRODUCTION)
            held = [why["version"] for why in newest.quarantined.values()] if newest else []
            entry = release(store, PRODUCTION, choice.choice(held), mover) if held else None
    return entry and entry.number


def pin_or_release(store: Store, choice: random.Random, mover: Mover) -> int:
    asset = choice.choice(ASSETS)
    match choice.choice(["back", "to", "release"]):
        case "back":
            return pin(store, asset, mover).number
        case "to":
            return pin(store, asset, mover, to=choice.randint(1, VERSIONS)).number
        case _:
            return release_pin(store, asset, mover).number


def work(store: Store, act: Act, name: str, until: float, reports: Path) -> None:
    """Act as long as there is time; each report is written before the next act, so that no kill can take it back."""
    choice = random.Random(name)
    with (reports / name).open("ab", buffering=0) as report:
        step = 0
        while time.time() < until:
            step += 1
            reason = f"{name}.{step}"
            try:
                done = act(store, choice, Mover(f"process {name}", reason))
            except ChannelError:
                done = None
            except Exception as error:
                report.write(json.dumps([reason, repr(error)]).encode() + b"\n")
                raise
            report.write(json.dumps([reason, done]).encode() + b"\n")


@dataclass
class Crowd:
    """What the processes reported.

    Attributes:
        done: Entry numbers of what was reported successful, by its reason.
        refused: Reasons of what was reported to have changed nothing.
        killed: How many were killed.
    """

    done: dict[str, int]
    refused: set[str]
    killed: int


def crowd(store: Store, act: Act, reports: Path, *, size: int, seconds: float, kills: int) -> Crowd:
    """Have so many processes act for a while; now and then one is killed, and another one comes in its place."""
    # a forked child of a process that talked to a bucket would wait for threads that it does not have
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    reports.mkdir()
    names = map(str, range(size + kills))
    choice = random.Random(seconds)
    first = context.Process(target=int)  # the server that forks them imports all that they need
    first.start()
    first.join()
    until = time.time() + seconds

    def begin() -> BaseProcess:
        process = context.Process(target=work, args=(store, act, next(names), until, reports))
        process.start()
        return process

    living = [begin() for _ in range(size)]
    began, killed = time.time(), 0
    for moment in sorted(choice.uniform(began, until) for _ in range(kills)):
        time.sleep(max(0.0, moment - time.time()))
        victim = living.pop(choice.randrange(size))
        victim.kill()
        victim.join()
        assert victim.exitcode in (-9, 0)  # it may have come to its end on a slow machine
        killed += victim.exitcode == -9
        living.append(begin())
    for process in living:
        process.join()
    told = [json.loads(line) for path in reports.iterdir() for line in path.read_bytes().splitlines()]
    assert [said for _, said in told if isinstance(said, str)] == []
    assert {process.exitcode for process in living} == {0}
    return Crowd(
        {reason: number for reason, number in told if number is not None},
        {reason for reason, number in told if number is None},
        killed,
    )


def check_what_was_reported(found: Crowd, reasons: list[str]) -> None:
    """Every success is in its place, no refusal is, and what nobody reported was the last that a killed one did."""
    assert len(set(reasons)) == len(reasons)
    assert found.done == {reason: number for number, reason in enumerate(reasons, 1) if reason in found.done}
    assert not found.refused & set(reasons)
    unreported = {reason.split(".")[0] for reason in reasons if reason not in found.done}
    assert len(unreported) == len(reasons) - len(found.done) <= found.killed


def check_the_channel(store: Store, found: Crowd) -> None:
    entries = history(store)
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    check_what_was_reported(found, [entry.reason for entry in entries])
    assert [entry.before for entry in entries] == [None, *(entry.after for entry in entries[:-1])]
    for before, after in pairwise(entries):
        assert before.after is not None
        assert after.after is not None
        held = set(before.quarantined)
        match after.kind:
            case "promotion":
                assert after.after.content not in held
                assert set(after.quarantined) == held
            case "rollback":
                assert after.after.number == max(
                    number
                    for number in before.served
                    if number < before.after.number and number not in quarantined_numbers(before)
                )
                assert set(after.quarantined) == held | {before.after.content}
            case "release":
                assert len(held - set(after.quarantined)) == 1
                assert after.after == before.after
        assert set(after.served) == {*before.served, after.after.number}


def quarantined_numbers(entry: ChannelEntry) -> set[int]:
    return {why["version"] for why in entry.quarantined.values()}


def check_that_it_goes_on(store: Store) -> None:
    """No process left anything behind that the next one stumbles over."""
    entries = len(history(store))
    made = promote(store, PRODUCTION, train(store, "the next one"), ADA)
    assert made is not None
    assert made.number == entries + 1


def test_thirty_two_processes_move_one_channel_and_some_are_killed(folder_store: Store, reports: Path) -> None:
    for number in range(VERSIONS):
        train(folder_store, number)
    found = crowd(folder_store, move_the_channel, reports, size=32, seconds=8, kills=16)
    check_the_channel(folder_store, found)
    check_that_it_goes_on(folder_store)
    print(f"{len(found.done)} entries, {len(found.refused)} refusals, {found.killed} killed")
    assert len(found.done) > 32
    assert found.refused


def test_thirty_two_processes_move_one_channel_in_a_bucket_and_some_are_killed(s3_store: Store, reports: Path) -> None:
    for number in range(VERSIONS):
        train(s3_store, number)
    found = crowd(s3_store, move_the_channel, reports, size=32, seconds=6, kills=6)
    check_the_channel(s3_store, found)
    check_that_it_goes_on(s3_store)
    print(f"{len(found.done)} entries, {len(found.refused)} refusals, {found.killed} killed")
    assert len(found.done) > 8


def test_eight_processes_pin_and_release_and_some_are_killed(folder_store: Store, reports: Path) -> None:
    for asset in ASSETS:
        for number in range(VERSIONS):
            train(folder_store, number, of=asset)
    found = crowd(folder_store, pin_or_release, reports, size=8, seconds=4, kills=8)
    entries = list(pin_entries(folder_store))[::-1]
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    check_what_was_reported(found, [entry.reason for entry in entries])
    held: dict[tuple[str, ...], Pin] = {}
    for entry in entries:
        if entry.kind == "release":
            assert held.pop(entry.pin.asset) == entry.pin
        else:
            held[entry.pin.asset] = entry.pin
        assert {each.asset: each for each in entry.pins} == held
    assert {asset: each for (asset, _), each in pins(folder_store).items()} == held
    print(f"{len(found.done)} entries, {len(found.refused)} refusals, {found.killed} killed")
    assert len(found.done) > 8
    assert found.refused


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"
