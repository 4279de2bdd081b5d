"""What users write: assets, sources, channels, rollback sensors and definitions."""

from mlrepro.definitions.channel import ChannelDefinition, channel
from mlrepro.definitions.file_source import file_source
from mlrepro.definitions.jobs import channel_jobs
from mlrepro.definitions.ml_asset import ml_asset
from mlrepro.definitions.ml_definitions import ml_definitions
from mlrepro.definitions.ml_multi_asset import ml_multi_asset
from mlrepro.definitions.notices import webhook
from mlrepro.definitions.plan_job import plan_job
from mlrepro.definitions.promoted import Promoted
from mlrepro.definitions.rollback import rollback_sensor

__all__ = [
    "ChannelDefinition",
    "Promoted",
    "channel",
    "channel_jobs",
    "file_source",
    "ml_asset",
    "ml_definitions",
    "ml_multi_asset",
    "plan_job",
    "rollback_sensor",
    "webhook",
]
