"""The code location of team aircraft."""

import dagster as dg
from common import assets as shared_assets
from common import sources
from mlrepro import ReproStore, ml_definitions

from aircraft import assets

# both teams load the shared pipeline under their own key prefix: aircraft/flight_features
pipeline = dg.load_assets_from_modules([sources, shared_assets], key_prefix="aircraft", group_name="features")
models = dg.load_assets_from_modules([assets], key_prefix="aircraft", group_name="aircraft")

defs = ml_definitions(
    assets=[*pipeline, *models],
    store=ReproStore(scope="aircraft"),
    # steps take seconds here, less than starting a process for each would
    executor=dg.in_process_executor,
)
