"""The code location of team aircraft."""

import dagster as dg

from aircraft import assets
from common import assets as shared_assets
from common import sources
from mlrepro import ReproStore, ml_definitions

defs = ml_definitions(
    # the shared pipeline stands under the team's own key prefix, beside its models: aircraft/flight_features
    assets=dg.load_assets_from_modules(
        [sources, shared_assets, assets], key_prefix="aircraft", source_key_prefix="aircraft", group_name="aircraft"
    ),
    jobs=[dg.define_asset_job("everything")],
    store=ReproStore(scope="aircraft"),
)
