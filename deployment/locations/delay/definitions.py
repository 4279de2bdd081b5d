"""The code location of team delay."""

import dagster as dg
from common import assets as shared_assets
from common import sources
from mlrepro import ReproStore, ml_definitions

from delay import assets

# both teams load the shared pipeline under their own key prefix: delay/flight_features
pipeline = dg.load_assets_from_modules([sources, shared_assets], key_prefix="delay", group_name="features")
models = dg.load_assets_from_modules([assets], key_prefix="delay", group_name="delay")

defs = ml_definitions(
    assets=[*pipeline, *models],
    store=ReproStore(scope="delay"),
    # steps take seconds here, less than starting a process for each would
    executor=dg.in_process_executor,
)
