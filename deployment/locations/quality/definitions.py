"""The code location of team quality: a channel, and the sensor that watches what it serves."""

import dagster as dg

from common import assets as shared_assets
from common import sources
from mlrepro import Metric, ReproStore, ml_definitions, rollback_sensor
from quality import assets

WORTH = 0.58
"""Share of a month's flights that the promoted model has to predict to within ten minutes."""

watchdog = rollback_sensor(
    assets.production,
    when=[Metric("live_quality", "within_10_minutes") < WORTH],
    name="watchdog",
    minimum_interval_seconds=5,
)

SERVED = dg.AssetSelection.assets(assets.live_flights) | dg.AssetSelection.assets(assets.production).downstream(
    include_self=False
)

defs = ml_definitions(
    assets=dg.load_assets_from_modules([sources, shared_assets, assets], group_name="quality"),
    jobs=[
        dg.define_asset_job("everything"),
        dg.define_asset_job("serve", selection=SERVED),
    ],
    sensors=[watchdog],
    store=ReproStore(scope="quality"),
)
