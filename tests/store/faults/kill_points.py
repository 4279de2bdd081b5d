"""Killing a process at every operation on its store, right before it and right after it."""

import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mlrepro.store import Store, history, records
from mlrepro.store.housekeeping import fsck
from mlrepro.store.keys import entry_number
from mlrepro.store.local import LocalObjects, LocalSpool
from mlrepro.store.remote import ObstoreObjects, RemoteSpool

OPERATIONS = (
    "check", "get", "create", "size", "chunks", "map", "spool", "copy", "move", "delete", "renew", "names", "latest",
    "folders", "walk", "upload",
)  # fmt: skip
OF_A_SPOOL = ("write", "sync", "publish")
OF_THE_SYSTEM = ("link", "replace", "mkdir", "unlink", "utime")
"""What an operation on a folder consists of, so that it is cut in two as well."""

PLACES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (LocalObjects, OPERATIONS),
    (ObstoreObjects, OPERATIONS),
    (LocalSpool, OF_A_SPOOL),
    (RemoteSpool, OF_A_SPOOL),
    (os, OF_THE_SYSTEM),
)


class Counter:
    """Counts the points before and after each operation, and ends the process at one of them.

    Args:
        kill_at: Number of the point, from 1; None to count only.
    """

    def __init__(self, kill_at: int | None = None) -> None:
        self.points = 0
        self._kill_at = kill_at

    def point(self) -> None:
        self.points += 1
        if self.points == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self, patched: pytest.MonkeyPatch) -> None:
        for place, operations in PLACES:
            for name in operations:
                if hasattr(place, name):
                    patched.setattr(place, name, self._counted(getattr(place, name)))

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(operation)
        def counted(*arguments: Any, **named: Any) -> Any:
            self.point()
            done = operation(*arguments, **named)
            self.point()
            return done

        return counted


def points_of(job: Callable[[], object]) -> int:
    """How many points a job has that nothing stops."""
    counter = Counter()
    with pytest.MonkeyPatch.context() as patched:
        counter.install(patched)
        job()
    return counter.points


def run_killed(job: Callable[[], object], kill_at: int) -> bool:
    """Run a job in a forked child that is killed at a point. Whether it was: else the job came to its end."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            told = os.dup(2)
            os.dup2(quiet, 2)
            Counter(kill_at).install(pytest.MonkeyPatch())
            job()
        except BaseException:
            os.dup2(told, 2)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f"the job failed, see above: {code}"
    return code != 0


def check_invariants(store: Store) -> None:
    """What holds in a sound store at every moment, whoever was killed, whatever `mlrepro fsck` looks at."""
    check_with_fsck(store)
    objects = store._objects
    numbers: dict[str, list[int]] = {}
    for listed in objects.walk(store.scope):
        _, kind, *_ = listed.key.split("/")
        if kind == "tmp":
            continue
        assert kind != "damaged", f"{listed.key} was put aside"
        if kind == "blobs":
            store.verify_blob(listed.key.rsplit("/", 1)[1])
            continue
        data = objects.get(listed.key)
        assert data is not None
        record = records.from_bytes(data)
        for digest in digests_in(record):
            store.verify_blob(digest)
        folder, _, name = listed.key.rpartition("/")
        if (number := entry_number(name)) is not None:
            numbers.setdefault(folder, []).append(number)
            assert record["number"] == number
    for folder, found in numbers.items():
        assert sorted(found) == list(range(1, len(found) + 1)), f"{folder} has gaps"
    for name in store.histories(("versions",)):
        bodies = [entry.body for entry in history.entries(objects, store.scope, name)]
        contents = [body["output"]["content_hash"] for body in bodies]
        assert all(one != other for one, other in pairwise(contents)), f"{name} has a double"


def check_with_fsck(store: Store) -> None:
    report = fsck.check(store)
    assert report.clean, report.problems


def digests_in(record: Any) -> Iterator[str]:
    """Blobs that a record names: contents of its outputs, sources and lists of distributions."""
    if isinstance(record, dict):
        for key, value in record.items():
            if key in {"content_hash", "sources", "freeze"} and isinstance(value, str):
                yield value
            elif key not in {"inputs", "upstream"}:
                yield from digests_in(value)
    elif isinstance(record, list):
        for value in record:
            yield from digests_in(value)


def state(root: Path) -> frozenset[tuple[str, int]]:
    """What a store's folder holds, whatever the names of scratch files and the bytes that differ from run to run."""
    return frozenset(
        (str(path.relative_to(root).parent if "tmp" in path.relative_to(root).parts else path.relative_to(root)), size)
        for path in root.rglob("*")
        if path.is_file()
        for size in [0 if path.suffix == ".json" else path.stat().st_size]
    )
