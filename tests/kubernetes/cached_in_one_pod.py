"""The cached assets, computed in the run's own pod: the quick way to fill a store as the steps' image would."""

import dagster as dg

from tests.kubernetes.cached import ASSETS, resources

defs = dg.Definitions(
    assets=ASSETS, resources=resources(dg.EnvVar("MLREPRO_TEST_STORE")), executor=dg.in_process_executor
)
