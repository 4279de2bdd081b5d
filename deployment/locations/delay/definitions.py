"""The code location of team delay."""

import dagster as dg

from common import assets as shared_assets
from common import sources
from delay import assets
from mlrepro import ReproStore, ml_definitions

defs = ml_definitions(
    # the shared pipeline stands under the team's own key prefix, beside its models: delay/flight_features
    assets=dg.load_assets_from_modules(
        [sources, shared_assets, assets], key_prefix="delay", source_key_prefix="delay", group_name="delay"
    ),
    jobs=[dg.define_asset_job("everything")],
    store=ReproStore(scope="delay"),
)
