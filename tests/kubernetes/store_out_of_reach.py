"""The cached assets with a store that the steps reach and the run worker does not."""

import os

import dagster as dg
from dagster_k8s import k8s_job_executor

from mlrepro import cache_first
from tests.kubernetes.cached import ASSETS, resources

_in_a_step = "DAGSTER_RUN_STEP_KEY" in os.environ

defs = dg.Definitions(
    assets=ASSETS,
    resources=resources(dg.EnvVar("MLREPRO_TEST_STORE") if _in_a_step else "/proc/nowhere/store"),
    executor=cache_first(k8s_job_executor),
)
