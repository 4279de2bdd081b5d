"""What each of Dagster's mutations takes, beyond what Dagster itself checks.

Dagster checks a mutation by one thing that it names, most often a code location. Many name more than one: a launch
names runs it follows and tags, a schedule is stopped by two ids, partitions belong to the whole instance. So each has
a guard that finds everything it would touch, before Dagster's own code sees it. What has no guard is refused.
"""

from collections.abc import Callable, Mapping
from typing import Final

from mlrepro.web.guards import assets, backfills, instigators, launches, locations, runs
from mlrepro.web.guards.asked import Asked, Refused

__all__ = ["GUARDS", "Asked", "Guard", "Refused"]

Guard = Callable[[Asked], None]
"""Finds out what a mutation would touch; raises `Refused` where it may not be made by anybody."""

GUARDS: Final[Mapping[str, Guard]] = {
    "launchPipelineExecution": launches.launch_run,
    "launchRun": launches.launch_run,
    "launchMultipleRuns": launches.launch_runs,
    "launchPipelineReexecution": launches.launch_again,
    "launchRunReexecution": launches.launch_again,
    "startSchedule": instigators.start_schedule,
    "stopRunningSchedule": instigators.stop_schedule,
    "resetSchedule": instigators.reset_schedule,
    "startSensor": instigators.change_sensor,
    "setSensorCursor": instigators.set_cursor,
    "stopSensor": instigators.stop_sensor,
    "resetSensor": instigators.change_sensor,
    "sensorDryRun": instigators.dry_run_sensor,
    "scheduleDryRun": instigators.dry_run_schedule,
    "terminatePipelineExecution": runs.terminate_run,
    "terminateRun": runs.terminate_run,
    "terminateRuns": runs.terminate_runs,
    "deletePipelineRun": runs.delete_run,
    "deleteRun": runs.delete_run,
    "reloadRepositoryLocation": locations.reload_location,
    "reloadWorkspace": locations.reload_workspace,
    "shutdownRepositoryLocation": locations.shut_down_location,
    "wipeAssets": assets.wipe_assets,
    "reportRunlessAssetEvents": assets.report_event,
    "reportAssetCheckEvaluations": assets.report_event,
    "launchPartitionBackfill": backfills.launch_backfill,
    "resumePartitionBackfill": backfills.change_backfill,
    "reexecutePartitionBackfill": backfills.launch_backfill_again,
    "cancelPartitionBackfill": backfills.cancel_backfill,
    "logTelemetry": locations.harmless,
    "setNuxSeen": locations.harmless,
    "addDynamicPartition": assets.add_partition,
    "deleteDynamicPartitions": assets.delete_partitions,
    "setAppManagedComponent": locations.change_component,
    "deleteAppManagedComponent": locations.change_component,
    "refreshComponentState": locations.refresh_component,
    "setAutoMaterializePaused": locations.pause_automation,
    "setConcurrencyLimit": locations.limit_concurrency,
    "deleteConcurrencyLimit": locations.limit_concurrency,
    "freeConcurrencySlotsForRun": locations.free_slots,
    "freeConcurrencySlots": locations.free_slots,
}
"""The guard of each mutation, by its field's name. A test compares the names with Dagster's schema."""
