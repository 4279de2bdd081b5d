"""One team's long queue beside another's few runs, with the real daemon and PostgreSQL."""

import pytest

from tests.postgres import PostgresError
from tests.tenancy.fair_queue import Waits, waits_of_b

pytestmark = pytest.mark.slow
SECONDS, PLACES, A = 1.0, 4, 60


def waits(a: int, *, fair: bool) -> Waits:
    try:
        return waits_of_b(a=a, b=5, places=PLACES, run_seconds=SECONDS, fair=fair)
    except PostgresError as error:
        pytest.skip(str(error))


def test_a_few_runs_wait_for_a_place_and_not_for_all_that_were_queued_before() -> None:
    beside, plain = waits(A, fair=True), waits(A, fair=False)
    print(f"beside {A} runs {beside.longest:.1f} s, without shares {plain.longest:.1f} s")
    assert plain.longest > (A - 2 * PLACES) / PLACES * SECONDS, "as long as all that were queued before take"
    # B has every other place once a run of A has ended: five of them, and A's 60 take six times as long
    assert beside.longest < plain.longest / 2
