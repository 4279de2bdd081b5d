"""A code location whose steps can't run, or are ended: each asset for another reason."""

import os
import time
from typing import Any

import dagster as dg
from dagster_k8s import k8s_job_executor

from mlrepro import cache_first, ml_asset
from tests.kubernetes.cached import resources


def config(**parts: Any) -> dict[str, Any]:
    return {"dagster-k8s/config": parts}


@ml_asset(image="registry.invalid/team/project:1")
def no_image() -> int:
    return 1


@ml_asset(op_tags=config(container_config={"image": "Team/Project:1"}))
def no_image_name() -> int:
    return 1


@ml_asset(node_selector={"mlrepro-test/pool": "nowhere"})
def no_node() -> int:
    return 1


@ml_asset(resources={"gpu": 8})
def no_gpu() -> int:
    return 1


@ml_asset(op_tags=config(container_config={"env_from": [{"secret_ref": {"name": "no-such-secret"}}]}))
def no_secret() -> int:
    return 1


@ml_asset(op_tags=config(container_config={"command": ["no-such-program"]}))
def no_program() -> int:
    return 1


@ml_asset(op_tags=config(pod_spec_config={"service_account_name": "default"}), resources={"memory": "3500Mi"})
def large() -> int:
    """More than what is left beside the run's own pod of a quota of 4Gi."""
    return 1


@ml_asset(resources={"memory": "900Gi"})
def far_too_large() -> int:
    return 1


@ml_asset(resources={"memory": "600Mi"})
def hungry(context: dg.AssetExecutionContext) -> int:
    context.log.info("hungry is at work")
    return len(bytearray(os.urandom(1)) * 900_000_000)


@ml_asset(op_tags=config(job_spec_config={"active_deadline_seconds": 20}))
def slow() -> int:
    time.sleep(600)
    return 1


@ml_asset
def interrupted(context: dg.AssetExecutionContext) -> int:
    """Waits in its first attempt, to be disturbed."""
    if context.retry_number == 0:
        context.log.info("interrupted is at work")
        time.sleep(600)
    return 1


@ml_asset
def steady(context: dg.AssetExecutionContext) -> int:
    context.log.info("steady is at work")
    time.sleep(8)
    return 1


@ml_asset
def after_steady(steady: int) -> int:
    return steady + 1


@ml_asset
def always_interrupted(context: dg.AssetExecutionContext) -> int:
    context.log.info(f"always_interrupted is at work: {context.retry_number}")
    time.sleep(600)
    return 1


@ml_asset
def after(interrupted: int) -> int:
    return interrupted + 1


ASSETS = [
    no_image,
    no_image_name,
    no_node,
    no_gpu,
    no_secret,
    no_program,
    large,
    far_too_large,
    hungry,
    slow,
    interrupted,
    steady,
    after_steady,
    always_interrupted,
    after,
]

defs = dg.Definitions(
    assets=ASSETS,
    resources=resources(dg.EnvVar("MLREPRO_TEST_STORE")),
    executor=cache_first(k8s_job_executor),
)
