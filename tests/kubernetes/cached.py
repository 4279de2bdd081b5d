"""A code location of cached assets, whose steps run as Jobs where their results are not known.

::

    base ── left ─────┬── joined ── report        flaky ── after_flaky        fails_at_first ── after_failure
      └──── right ────┘                           (both below base)
    other ── after_other
"""

from typing import Any

import dagster as dg
from dagster_k8s import k8s_job_executor

from mlrepro import InputHashIOManager, ReproStore, cache_first, ml_asset

OUTPUTS = {"left": 20, "right": 30, "joined": 50, "report": 51}


class Times(dg.Config):
    """``note`` changes the key and not the value."""

    factor: int = 3
    note: str = ""


class Note(dg.Config):
    note: str = ""


@ml_asset
def base() -> int:
    return 10


@ml_asset
def left(base: int, config: Note) -> int:
    return 2 * base


@ml_asset
def right(base: int, config: Times) -> int:
    return config.factor * base


@ml_asset
def joined(left: int, right: int) -> int:
    return left + right


@ml_asset
def report(joined: int) -> int:
    return joined + 1


@ml_asset
def other(config: Note) -> str:
    return "other"


@ml_asset
def after_other(other: str) -> str:
    return f"after {other}"


@ml_asset(retry_policy=dg.RetryPolicy(max_retries=1))
def flaky(context: dg.AssetExecutionContext, base: int) -> int:
    if context.retry_number == 0:
        raise RuntimeError("fails the first time")
    return base + 1


@ml_asset
def after_flaky(flaky: int) -> int:
    return flaky + 1


@ml_asset
def fails_at_first(context: dg.AssetExecutionContext, base: int) -> int:
    if context.run.parent_run_id is None:
        raise RuntimeError("fails unless it is executed again")
    return base + 2


@ml_asset
def after_failure(fails_at_first: int, other: str) -> int:
    return fails_at_first + len(other)


ASSETS = [base, left, right, joined, report, other, after_other, flaky, after_flaky, fails_at_first, after_failure]


def resources(url: Any) -> dict[str, Any]:
    """The store's resources."""
    return {"io_manager": InputHashIOManager(store=ReproStore(url=url))}


defs = dg.Definitions(
    assets=ASSETS,
    resources=resources(dg.EnvVar("MLREPRO_TEST_STORE")),
    executor=cache_first(k8s_job_executor),
)
