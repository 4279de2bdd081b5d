"""The code server under a real webserver and daemon: it follows the history, and every run keeps to its version."""

import os
import pickle
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import dagster as dg
import pytest
from dagster._api.list_repositories import sync_list_repositories_grpc
from dagster._grpc.client import DagsterGrpcClient

from mlrepro.catalog.workflows import append_rollback, current_version
from mlrepro.store.keys import blob_key
from tests.bundles.installation import Installation
from tests.bundles.project import PROJECT, definitions

pytestmark = pytest.mark.slow

# plain Dagster: nothing of mlrepro is in the project
WAITING = """
import os
import time
from pathlib import Path

import dagster as dg

FACTOR = {factor}
GATE = Path(os.environ.get("GATE", "nowhere"))


def facts() -> dict[str, object]:
    bundle, version = os.environ["MLREPRO_BUNDLE"], os.environ["MLREPRO_WORKFLOW_VERSION"]
    return {{"factor": FACTOR, "bundle": bundle, "version": version}}


@dg.asset(code_version="{factor}")
def first() -> dict[str, object]:
    GATE.with_name(f"started-{{FACTOR}}").touch()
    while not GATE.exists():
        time.sleep(0.1)
    return facts()


@dg.asset(code_version="{factor}")
def second(first: dict[str, object]) -> dict[str, object]:
    return {{**facts(), "first": first}}


defs = dg.Definitions(assets=[first, second])
"""


@pytest.fixture
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:  # a code server's socket needs a short path
        yield Installation(Path(folder))


def waiting(factor: int) -> dict[str, str]:
    return {**PROJECT, "pricing/definitions.py": WAITING.format(factor=factor)}


def result(installation: Installation) -> dict[str, Any]:
    """What the last step of the newest run returned."""
    return dict(pickle.loads((installation.folder / "home/storage/second").read_bytes()))


def test_runs_keep_to_the_version_that_they_were_submitted_with(installation: Installation) -> None:
    bundles = {1: installation.push(waiting(1)).packed.digest}
    with installation.started():
        installation.until_served("1")
        in_flight = installation.launch("first", "second")
        installation.wait("the first step", (installation.folder / "started-1").exists)
        queued = installation.launch("first", "second")
        for factor in (2, 3):
            bundles[factor] = installation.push(waiting(factor)).packed.digest
            print(f"push -> shown in the webserver: {installation.until_served(str(factor)):.1f} s")
        late = installation.launch("first", "second")
        (installation.folder / "gate").touch()
        for run_id, factor in ((in_flight, 1), (queued, 1), (late, 3)):
            installation.end(run_id)
            told = {"factor": factor, "bundle": bundles[factor], "version": f"pricing@v{factor}"}
            assert result(installation) == {**told, "first": told}
            assert installation.tag(run_id) == f"pricing@v{factor}"
            assert steps_of(installation, run_id) == {str(factor)}
        with installation.instance() as instance:
            found = instance.get_runs(dg.RunsFilter(tags={"mlrepro/workflow_version": "pricing@v1"}))
            assert {run.run_id for run in found} == {in_flight, queued}


def test_a_run_of_an_earlier_version_can_be_ended(installation: Installation) -> None:
    installation.push(waiting(1))
    with installation.started():
        installation.until_served("1")
        in_flight = installation.launch("first", "second")
        installation.wait("the first step", (installation.folder / "started-1").exists)
        installation.push(waiting(2))
        installation.until_served("2")
        installation.terminate(in_flight)
        installation.wait("its end", lambda: installation.status(in_flight) == dg.DagsterRunStatus.CANCELED)


def steps_of(installation: Installation, run_id: str) -> set[str]:
    """The code versions that the steps of a run reported."""
    with installation.instance() as instance:
        records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    found = [record.event_log_entry.asset_materialization for record in records]
    assert len(found) == 2
    return {(each.tags or {})["dagster/code_version"] for each in found if each is not None}


def cached(factor: int) -> dict[str, str]:
    return {**PROJECT, "pricing/definitions.py": definitions(factor)}


def test_a_rollback_is_served_and_everything_comes_from_the_cache(installation: Installation) -> None:
    with installation.started():
        installation.wait("the location's error", lambda: "has no version in" in (installation.location_error() or ""))
        installation.push(cached(1))
        installation.wait("the first version", lambda: len(installation.code_versions()) == 2)
        first = installation.code_versions()
        run = installation.end(installation.launch())
        assert installation.cache_of(run) == {"numbers": "computed", "total": "computed"}
        installation.push(cached(2))
        installation.wait("the second version", lambda: installation.code_versions() != first)
        run = installation.end(installation.launch())
        assert installation.cache_of(run) == {"numbers": "hit", "total": "computed"}

        config = {"rollback_workflow": {"config": {"to": "v1", "reason": "wrong prices"}}}
        job = installation.run("rollback_workflow", {"ops": config})
        moved = current_version(installation.store, "pricing")
        assert moved is not None
        assert (moved.of, moved.kind, moved.reason, moved.body["run_id"]) == (1, "rollback", "wrong prices", job)
        assert installation.tag(job) == "pricing@v2"
        installation.wait("the rollback", lambda: installation.code_versions() == first)
        run = installation.end(installation.launch())
        assert installation.cache_of(run) == {"numbers": "hit", "total": "hit"}
        assert installation.tag(run) == "pricing@v1"


class Asking:
    """Somebody who asks the code server for its definitions without a pause, and notes what went wrong."""

    def __init__(self, port: int) -> None:
        self.client = DagsterGrpcClient(port=port, host="127.0.0.1")
        self.wrong: list[str] = []
        self.count = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                found = sync_list_repositories_grpc(self.client)
                assert [each.repository_name for each in found.repository_symbols] == ["__repository__"]
                self.client.get_server_id()
                self.count += 1
            except Exception as error:
                self.wrong.append(repr(error))


def test_moving_leaves_no_gap_and_what_cannot_be_served_leaves_the_version_before(installation: Installation) -> None:
    installation.push(cached(1))
    with installation.code_server(), Asking(installation.code_port) as asking:
        installation.wait("a first answer", lambda: asking.count)
        for factor in (2, 3):
            installation.push(cached(factor))
            served(installation, factor)
        append_rollback(installation.store, "pricing", 1, who="ben")
        served(installation, 1)
        before = asking.client.get_server_id()  # it is that of v1 or, for a second, of the version before

        now = current_version(installation.store, "pricing")
        assert now is not None
        missing = {**now.body, "kind": "push", "of": 5, "bundle": {**now.body["bundle"], "content_hash": "5eed" * 16}}
        installation.store.append(("locations", "pricing"), lambda newest: missing)
        said(installation, "pricing@v5 can't be served, pricing@v1 stays in service: the code bundle 5eed5eed5eed")

        installation.store.append(
            ("locations", "pricing"), lambda newest: {**now.body, "kind": "push", "of": 6, "module": "pricing.nothing"}
        )
        said(
            installation, "pricing@v6 can't be served, pricing@v1 stays in service: .*No module named 'pricing.nothing'"
        )

        packed = installation.push(cached(7)).packed
        served(installation, 7)
        installation.wait("another id", lambda: asking.client.get_server_id() != before)

        (installation.folder / "store").rename(installation.folder / "away")
        said(installation, "pricing@history can't be followed, pricing@v7 stays in service")
        (installation.folder / "away").rename(installation.folder / "store")
    assert asking.wrong == []
    assert asking.count > 50

    # and one that is damaged on this machine and in the store
    tree = installation.folder / "cache" / packed.digest / "pricing/query.sql"
    tree.chmod(0o644)
    tree.write_text("select 9")
    installation.store._objects.delete(blob_key("default", packed.manifest.entries["pricing/query.sql"].digest))
    with installation.code_server():
        said(installation, "pricing@v7 can't be served, nothing is served: .*pricing/query.sql")


def test_a_version_whose_process_dies_is_started_again(installation: Installation) -> None:
    installation.push(cached(1))
    with installation.code_server():
        served(installation, 1)
        client = DagsterGrpcClient(port=installation.code_port, host="127.0.0.1")
        before = client.get_server_id()
        pids = [int(found) for found in re.findall(r"in process (\d+)", installation.log())]
        os.kill(pids[-1], signal.SIGKILL)
        served(installation, 1)
        installation.wait("another id", lambda: client.get_server_id() != before)


def test_a_second_signal_ends_it_at_once_and_without_a_traceback(installation: Installation) -> None:
    installation.push(cached(1))
    with installation.code_server():
        served(installation, 1)
        version = int(re.findall(r"in process (\d+)", installation.log())[-1])
        server = installation.process("code")
        os.kill(version, signal.SIGSTOP)  # it can't end, as if it executed a run
        try:
            server.send_signal(signal.SIGTERM)
            said(installation, "Stopping server|shutting down|Shutting down")
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(2)
            server.send_signal(signal.SIGTERM)
            assert server.wait(10) == -signal.SIGTERM
        finally:
            os.kill(version, signal.SIGKILL)
        assert "Traceback" not in installation.log()


def test_it_says_what_it_waits_for_and_can_be_ended_meanwhile(installation: Installation) -> None:
    installation.push(cached(1))
    arguments = ["mlrepro", "code-server", "prizing", "-p", str(installation.code_port)]
    with installation.running("code", arguments, installation.variables):
        said(
            installation,
            "Waiting for a first version: the code location prizing has no version in .*; those with versions are"
            " pricing. `mlrepro push` makes one; it is served as soon as it is there",
        )
        installation.process("code").send_signal(signal.SIGTERM)
        assert installation.process("code").wait(30) == 0
        assert "Traceback" not in installation.log()


def served(installation: Installation, number: int) -> None:
    said(installation, f"Serving pricing@v{number} ")


def said(installation: Installation, pattern: str) -> None:
    """Wait for a line of the code server's log, and forget what was before it."""

    def found() -> bool:
        seen = installation.log()
        match = re.search(pattern, seen[installation.seen :])
        if match is not None:
            installation.seen += match.end()
        return match is not None

    installation.wait(pattern, found)
