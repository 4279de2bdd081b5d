"""Writers and readers at work while garbage collection runs again and again with a grace period of a second."""

import datetime as dt
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mlrepro.catalog.history import versions_of
from mlrepro.store import open_store
from mlrepro.store.housekeeping import fsck
from mlrepro.store.housekeeping.gc import collect
from mlrepro.store.housekeeping.retention import Policy
from tests.store.s3_server import S3Server

SECONDS = 15.0
WRITERS = 3
KEPT = 4

POLICY = Policy(keep_versions=KEPT, keep_promotions=2, younger_than=dt.timedelta(0), grace=dt.timedelta(seconds=1))

WRITER = """
    import hashlib, random, sys, time
    from mlrepro.catalog.channels import ChannelName, served_version
    from mlrepro.catalog.history import append_version, versions_of
    from mlrepro.catalog.moving import Mover, promote
    from mlrepro.store import open_store, remote

    url, name, seconds, *options = sys.argv[1:]
    remote.RENEWED_AFTER = 0.0  # as the grace period, far shorter than it is for users
    store = open_store(url, options=dict(option.split("=", 1) for option in options))
    asset, channel = (name,), ChannelName((name,), "production")
    chance, began, rounds = random.Random(name), time.monotonic(), 0

    def value(number):  # few, and shared by all writers: what was collected is needed again and again
        return {"number": number, "more": "x" * 1000 * number}

    while time.monotonic() - began < float(seconds):
        number = chance.randrange(12)
        key = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
        found = store.get_result(key)
        if found is None:
            stored = store.write_value(value(number))
            store.put_result(key, {"outputs": {"result": {"stored": stored.to_json()}}, "run_id": "r"})
        else:  # a hit: nothing is written but the version
            stored = type(store.hash_value(0)).from_json(found.record["outputs"]["result"]["stored"])
            if not store.has_value(stored):
                stored = store.write_value(value(number))
        body = {"data_version": stored.content_hash, "input_hash": key}
        version, _ = append_version(store, asset, None, stored, body)
        assert store.read_value(version.stored) == value(number), "what was just made is there"
        newest = [each for each, _ in zip(versions_of(store, asset), range(2))]
        for each in newest:
            assert store.read_value(each.stored)["number"] in range(12), "and so is what is kept"
        if rounds % 7 == 0:
            promote(store, channel, version, Mover(name))
        if (served := served_version(store, channel)) is not None:
            store.read_value(served.stored)
        rounds += 1
    print(rounds)
"""


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    if request.param == "folder":
        yield str(tmp_path / "store"), {"durable": "false"}
    else:
        server: S3Server = request.getfixturevalue("s3")
        yield f"s3://mlrepro/{uuid.uuid4().hex}", server.options


@pytest.mark.slow
def test_nothing_that_is_referenced_is_ever_missing(place: tuple[str, dict[str, str]]) -> None:
    url, options = place
    store = open_store(url, options=options)
    given = [f"{name}={value}" for name, value in options.items()]
    with ExitStack() as running:
        writers = [
            running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", textwrap.dedent(WRITER), url, f"asset{number}", str(SECONDS), *given],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )
            )
            for number in range(WRITERS)
        ]  # fmt: skip
        reports = []
        while any(writer.poll() is None for writer in writers):
            reports.append(collect(store, POLICY, delete=True))
        outcomes = [(writer.communicate(), writer.returncode) for writer in writers]
    assert [code for _, code in outcomes] == [0] * WRITERS, "\n".join(errors for (_, errors), _ in outcomes)
    rounds = [int(printed) for (printed, _), _ in outcomes]
    aside, gone, back = (
        sum(amount.count for report in reports for amount in getattr(report, what).values())
        for what in ("set_aside", "deleted", "put_back")
    )
    print(
        f"\n{sum(rounds)} rounds of writing and reading, {len(reports)} collections: {aside} objects set aside, ",
        end="",
    )
    print(f"{back} put back, {gone} deleted")
    assert min(rounds) > 5
    assert len(reports) > 2
    assert aside > 0
    assert gone > 0
    time.sleep(POLICY.grace.total_seconds())  # the last writes come of age, so that a collection may judge them
    for _ in range(2):
        collect(store, POLICY, delete=True)
    for number in range(WRITERS):
        for version, _ in zip(versions_of(store, (f"asset{number}",)), range(KEPT), strict=False):
            assert store.read_value(version.stored)["number"] in range(12)
    assert fsck.check(store).clean
