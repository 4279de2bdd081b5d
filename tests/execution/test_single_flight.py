"""`Cache(serialize=True)` between processes, each with a Dagster of its own, that share nothing but the store."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlrepro.store import Claim, Lease, open_store
from tests.instances import dagster_home

pytestmark = pytest.mark.slow

LEASE = 3.0
"""Seconds that leases last here: the usual ones are too long for a test."""

FLOW = f"""
    import os, pathlib, time
    import dagster as dg
    from mlrepro import Cache, ml_asset, ml_definitions
    from mlrepro.execution import single_flight

    single_flight.LEASE_TTL = {LEASE}
    ME = pathlib.Path(os.environ["DAGSTER_HOME"])

    class Note(dg.Config):
        note: str = ""

    class Gate(dg.ConfigurableResource):
        def hold(self, context: dg.AssetExecutionContext) -> None:
            with (ME / "started").open("a") as file:
                file.write("x")
            while not (ME / "told").exists():
                time.sleep(0.05)
            if (ME / "told").read_text() == "raise" or context.retry_number < int(os.environ.get("FAILURES", "0")):
                raise RuntimeError("told to raise")

    @ml_asset(
        cache=Cache(serialize=os.environ.get("SERIALIZE") != "no", ignore_resources=("gate",)),
        retry_policy=dg.RetryPolicy(max_retries=1) if "FAILURES" in os.environ else None,
    )
    def slow(context: dg.AssetExecutionContext, config: Note, gate: Gate) -> list[int]:
        gate.hold(context)
        return [1, 2, 3]

    defs = ml_definitions(assets=[slow], resources={{"gate": Gate()}})
"""


class Person:
    """Somebody with a Dagster home, who materializes the slow asset in a process of their own."""

    def __init__(self, name: str, folder: Path, empty_home: Path) -> None:
        self.name = name
        self.folder = folder
        self.home = dagster_home(folder / name, empty_home)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, note: str = "", tags: dict[str, str] | None = None, **environment: str) -> None:
        config = json.dumps({"ops": {"slow": {"config": {"note": note}}}})
        command = ["job", "execute", "-m", "flow", "-j", "__ASSET_JOB", "--tags", json.dumps(tags or {})]
        (self.folder / f"{self.name}.yaml").write_text(config)
        with (self.home / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster", *command, "-c", f"{self.name}.yaml"],
                cwd=self.folder,
                env={
                    **os.environ,
                    "DAGSTER_HOME": str(self.home),
                    "MLREPRO_STORE": str(self.folder / "store"),
                    "MLREPRO_USER": self.name,
                    **environment,
                },
                start_new_session=True,  # so that it can be killed with the steps that it started
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    @property
    def starts(self) -> int:
        """How often the function was called."""
        started = self.home / "started"
        return len(started.read_text()) if started.exists() else 0

    def holds(self, **options: str) -> None:
        """Start, and return once the function runs."""
        self.start(**options)  # type: ignore[arg-type]
        _until(lambda: self.starts, lambda: f"{self.name} never computed\n{self.log}")

    def logs(self, text: str) -> str:
        """Wait for a line of the log that has this text, and return it."""
        _until(lambda: text in self.log, lambda: f"{self.name}'s log lacks {text!r}\n{self.log}")
        return next(line for line in self.log.splitlines() if text in line)

    def tell(self, what: str = "go") -> None:
        (self.home / "aside").write_text(what)
        (self.home / "aside").rename(self.home / "told")

    def ends(self, *, well: bool = True) -> None:
        assert self.process is not None
        code = self.process.wait(60)
        assert (code == 0) == well, self.log

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def people(tmp_path: Path, empty_home: Path) -> Iterator[tuple[Person, Person]]:
    (tmp_path / "flow.py").write_text(textwrap.dedent(FLOW))
    both = Person("ana", tmp_path, empty_home), Person("ben", tmp_path, empty_home)
    yield both
    for person in both:
        if person.process is not None and person.process.poll() is None:
            person.kill()


def _until(condition: Callable[[], object], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def _input_hash(folder: Path) -> str:
    _until(lambda: list(folder.glob("store/*/leases/*/*")), lambda: "no lease")
    (found,) = folder.glob("store/*/leases/*/*")
    return found.name


def test_lease_held(people: tuple[Person, Person]) -> None:
    ana, ben = people
    ana.holds()
    ben.start()
    line = ben.logs("waiting for step slow of run ")
    assert re.search(r" - slow - waiting for step slow of run [0-9a-f-]{36} by ana, which computes the same", line), (
        line
    )
    time.sleep(LEASE + 1)  # it is extended as long as ana computes
    assert ben.starts == 0
    ana.tell()
    ana.ends()
    ben.ends()
    assert (ana.starts, ben.starts) == (1, 0)
    assert re.search(r"waited \d+\.\d s for step slow of run [0-9a-f-]{36} by ana, which stored the result", ben.log)
    assert "hit: computed by ana" in ben.log
    assert ben.log.count("waiting for step slow") == 1  # it says so once, not at every look


def test_lease_of_holder_failed(people: tuple[Person, Person]) -> None:
    ana, ben = people
    ana.holds()
    ben.start()
    ben.logs("waiting for step slow of run ")
    ben.tell()
    ana.tell("raise")
    ana.ends(well=False)
    ben.ends()
    assert "by ana ended without a result: computing instead of it" in ben.log
    assert (ana.starts, ben.starts) == (1, 1)


def test_lease_of_holder_killed(people: tuple[Person, Person]) -> None:
    ana, ben = people
    ana.holds()
    ben.start()
    ben.logs("waiting for step slow of run ")
    ben.tell()
    ana.kill()
    killed = time.monotonic()
    ben.ends()
    assert time.monotonic() - killed < LEASE + 25
    assert "by ana ended without a result: computing instead of it" in ben.log
    assert ben.starts == 1


def test_lease_expired(people: tuple[Person, Person]) -> None:
    ana, ben = people
    ana.tell("raise")
    ana.start()
    ana.ends(well=False)
    stranger = Claim(holder="1/slow", who="cleo", run_id="1", step="slow", code_location="team-c")
    store = open_store(str(ana.folder / "store"))
    assert isinstance(store.acquire_lease(_input_hash(ana.folder), stranger, ttl=1.0), Lease)
    ben.tell()
    ben.start()
    ben.ends()
    assert "waiting for step slow of run 1 by cleo in code location team-c, which computes the same" in ben.log
    assert "step slow of run 1 by cleo in code location team-c ended without a result: computing instead" in ben.log


def test_lease_own(people: tuple[Person, Person]) -> None:
    ana, _ = people
    ana.tell()
    ana.start(FAILURES="1")
    ana.ends()
    assert ana.starts == 2
    assert "STEP_RESTARTED" in ana.log
    assert "waiting for" not in ana.log


@pytest.mark.parametrize("why", ["other input hash", "refresh", "not serialized"])
def test_who_does_not_wait(people: tuple[Person, Person], why: str) -> None:
    ana, ben = people
    ana.holds(**({"SERIALIZE": "no"} if why == "not serialized" else {}))
    match why:
        case "other input hash":
            ben.start(note="another")
        case "refresh":
            ben.start(tags={"mlrepro/refresh": "slow"})
        case "not serialized":
            ben.start(SERIALIZE="no")
    ben.tell()
    ben.ends()
    ana.tell()
    ana.ends()
    assert (ana.starts, ben.starts) == (1, 1)
    assert "waiting for" not in ben.log


def test_store_without_leases(people: tuple[Person, Person]) -> None:
    ana, ben = people
    (ana.folder / "store" / "default").mkdir(parents=True)
    (ana.folder / "store" / "default" / "leases").write_text("in the way of the folder")
    for person in people:
        person.tell()
        person.start()
        person.ends()
    assert "computing without waiting for others, as the store does not tell who they are" in ana.log
    assert ana.starts == 1
    assert ben.starts == 0  # results are there all the same
