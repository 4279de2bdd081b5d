"""An asset that is computed by one run at a time, and ends when the test says so."""

import os
import time

import dagster as dg
import obstore
from dagster_k8s import k8s_job_executor
from obstore.store import from_url

from mlrepro import Cache, cache_first, ml_asset
from mlrepro.execution import single_flight
from tests.kubernetes.cached import other, resources

LEASE = 8.0
"""Seconds after which a step that was killed is replaced: a test can't wait for the usual ones."""

if "DAGSTER_RUN_JOB_NAME" in os.environ:  # in a pod, not in the test's own process
    single_flight.LEASE_TTL = LEASE


def tell(store: str, run_id: str, what: str) -> None:
    """Let the step of a run ``go`` on, or ``raise``."""
    obstore.put(_opened(store), f"told/{run_id}", what.encode())


def _opened(url: str) -> obstore.store.ObjectStore:
    return from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)


def _told(run_id: str) -> str:
    store = _opened(os.environ["MLREPRO_TEST_STORE"])
    for _ in range(1200):
        try:
            return obstore.get(store, f"told/{run_id}").bytes().to_bytes().decode()
        except FileNotFoundError:
            time.sleep(0.25)
    raise TimeoutError("nobody told the step to go on")


class _Wait(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Waits outside of what the asset's code fingerprint covers."""

    def until_told(self, context: dg.AssetExecutionContext) -> None:
        context.log.info("the slow step is at work")
        if _told(context.run_id) == "raise":
            raise RuntimeError("told to raise")


@ml_asset(cache=Cache(serialize=True, ignore_resources=("wait",)))
def slow(context: dg.AssetExecutionContext, wait: _Wait) -> int:
    wait.until_told(context)
    return 5


@ml_asset
def after_slow(slow: int) -> int:
    return slow + 1


defs = dg.Definitions(
    assets=[slow, after_slow, other],
    resources={**resources(dg.EnvVar("MLREPRO_TEST_STORE")), "wait": _Wait()},
    executor=cache_first(k8s_job_executor),
)
