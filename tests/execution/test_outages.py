"""A store that does not answer: what could be computed is computed, and nobody waits for ever."""

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from mlrepro import InputHashIOManager, ReproStore, cache_first, ml_asset
from mlrepro.errors import StoreError
from mlrepro.store import open_store
from tests.execution.gate import Gate, closed_gate, silent_server
from tests.store.s3_server import S3Server, s3_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def gate(s3: S3Server) -> Iterator[Gate]:
    with closed_gate(int(s3.endpoint.rsplit(":", 1)[1])) as found:
        yield found


class Outcome:
    """A run, what it said, and how long it took."""

    def __init__(self, assets: list[Any], port: int, s3: S3Server, **options: str) -> None:
        store = ReproStore(
            url=f"s3://mlrepro/{uuid.uuid4().hex}",
            options=s3.options | {"endpoint": f"http://127.0.0.1:{port}"} | options,
        )
        defs = dg.Definitions(
            assets=assets,
            resources={"io_manager": InputHashIOManager(store=store)},
            executor=cache_first(dg.in_process_executor),
        )
        started = time.monotonic()
        with dg.instance_for_test() as instance:
            result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance, raise_on_error=False
            )
            self.log = list(instance.all_logs(result.run_id))
        self.seconds = time.monotonic() - started
        self.success = result.success
        self.result = result

    def warnings(self) -> list[str]:
        return [entry.user_message for entry in self.log if entry.level >= 30 and not entry.is_dagster_event]

    def failures(self) -> list[str]:
        events = [event for event in self.result.all_events if event.is_step_failure]
        return [str(event.step_failure_data.error) for event in events if event.step_failure_data.error]


def wide(gate: Gate | None = None) -> list[Any]:
    """Four assets that do not know of each other; the first of them opens the gate while it computes."""

    def asset(number: int) -> Any:
        @ml_asset(name=f"asset{number}")
        def compute() -> int:
            if gate is not None and gate._listening is None:
                gate.open()
            return number

        return compute

    return [asset(number) for number in range(4)]


def test_down_at_the_look_up_it_is_computed_with_one_warning(gate: Gate, s3: S3Server) -> None:
    outcome = Outcome(wide(gate), gate.port, s3)
    assert outcome.success
    assert outcome.result.output_for_node("asset3") == 3
    unanswered = [each for each in outcome.warnings() if "the store could not be read" in each]
    assert len(unanswered) == 1, outcome.warnings()
    assert "s3://mlrepro/" in unanswered[0]
    assert "It cannot be reached: check the endpoint and the network" in unanswered[0]
    print(f"\n{outcome.seconds:.1f} s with the store down at every look-up")
    assert outcome.seconds < 30


def test_down_for_some_seconds_at_the_write_nobody_notices(gate: Gate, s3: S3Server) -> None:
    @ml_asset
    def model() -> int:
        gate.close()
        threading.Timer(4, gate.open).start()
        return 7

    gate.open()
    outcome = Outcome([model], gate.port, s3)
    assert outcome.success, outcome.failures()
    assert outcome.seconds > 4


def test_down_for_good_at_the_write_the_step_says_so(gate: Gate, s3: S3Server) -> None:
    @ml_asset
    def model() -> int:
        gate.close()
        return 7

    @ml_asset
    def report(model: int) -> str:
        return str(model)

    gate.open()
    outcome = Outcome([model, report], gate.port, s3, retry_timeout="3s")
    assert not outcome.success
    (failure,) = [each for each in outcome.failures() if "Could not write" in each]
    assert "s3://mlrepro/" in failure
    assert "It cannot be reached: check the endpoint and the network" in failure
    print(f"\n{outcome.seconds:.1f} s until the step gave up")
    assert outcome.seconds < 20


def test_a_store_that_never_answers_holds_a_run_for_a_bounded_time(s3: S3Server) -> None:
    computed = threading.Event()

    @ml_asset
    def model() -> int:
        computed.set()
        return 7

    with silent_server() as port:
        outcome = Outcome([model], port, s3, retry_timeout="3s", timeout="2s")
    assert computed.is_set(), "what could be computed was computed"
    assert not outcome.success
    print(f"\n{outcome.seconds:.1f} s with a store that takes 2 s a request and never answers")
    assert outcome.seconds < 60


def test_many_look_ups_wait_no_longer_than_one(s3: S3Server) -> None:
    """The first that gets no answer tells the others: twenty do not wait twenty times."""
    with silent_server() as port:
        options = s3.options | {"endpoint": f"http://127.0.0.1:{port}", "timeout": "1s", "retry_timeout": "2s"}
        store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options=options)

        def look_up() -> float:
            started = time.monotonic()
            with pytest.raises(StoreError):
                store.get_result(uuid.uuid4().hex * 2)
            return time.monotonic() - started

        first = look_up()
        others = [look_up() for _ in range(20)]
    assert first >= 1
    assert sum(others) < first
