"""Guards of backfills."""

from collections.abc import Mapping

from dagster._core.definitions.selector import JobSelector, RepositorySelector
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.workspace.permissions import Permissions

from mlrepro.web.guards.asked import Asked, Refused, key_of, location_of
from mlrepro.web.guards.launches import job_tags
from mlrepro.web.guards.tags import checked


def launch_backfill(asked: Asked) -> None:
    """The job's code location, all assets and the tags must be theirs."""
    params = asked.arguments["backfillParams"]
    asked.about("partitions", params.get("partitionNames"))
    keys = [key_of(key) for key in params.get("assetSelection") or ()]
    keys += [key_of(each["assetKey"]) for each in params.get("partitionsByAssets") or ()]
    asked.need_assets(Permissions.LAUNCH_PARTITION_BACKFILL, keys)
    location: str | None = None
    known: Mapping[str, str] = {}
    if selector := params.get("selector"):
        location = location_of(selector["repositorySelector"])
        asked.about("location", location)
        asked.about("partition_set", selector["partitionSetName"])
        asked.need(Permissions.LAUNCH_PARTITION_BACKFILL, location)
        known = _job_tags(asked, RepositorySelector.from_graphql_input(selector["repositorySelector"]), selector)
    if not asked.needs:
        raise Refused("a backfill names a partition set or assets")
    if location is None and len(asked.locations) == 1:
        location = asked.locations[0]
    tags = checked(asked, params.get("tags"), location=location, inherited=lambda: known)
    asked.arguments["backfillParams"] = {**params, "tags": tags}


def change_backfill(asked: Asked) -> None:
    """Resume: what it fills must be theirs."""
    _need_backfill(asked, Permissions.LAUNCH_PARTITION_BACKFILL, asked.arguments["backfillId"])


def cancel_backfill(asked: Asked) -> None:
    """Cancel: what it fills must be theirs."""
    _need_backfill(asked, Permissions.CANCEL_PARTITION_BACKFILL, asked.arguments["backfillId"])


def launch_backfill_again(asked: Asked) -> None:
    """What it fills must be theirs; the new one is who launched it again, where Dagster keeps the first one's tags."""
    params = asked.arguments.get("reexecutionParams")
    if not params:
        raise Refused("reexecutionParams must say which backfill is to be executed again")
    _need_backfill(asked, Permissions.LAUNCH_PARTITION_BACKFILL, str(params["parentRunId"]))
    asked.stamps = asked.context.get_viewer_tags()


def _need_backfill(asked: Asked, permission: str, backfill_id: str) -> None:
    asked.about("backfill", backfill_id)
    backfill: PartitionBackfill | None = asked.context.instance.get_backfill(backfill_id)
    if backfill is None:
        raise Refused(f"there is no backfill {backfill_id[:100]} here")
    asked.need_assets(permission, backfill.asset_selection or ())
    if not backfill.is_asset_backfill:
        origin = backfill.partition_set_origin
        asked.need(permission, origin.selector.location_name if origin else None)
    if not asked.needs:
        asked.need(permission, None)


def _job_tags(asked: Asked, repository: RepositorySelector, selector: Mapping[str, str]) -> Mapping[str, str]:
    named = selector["partitionSetName"]
    jobs = [each.job_name for each in asked.context.get_partition_sets(repository) if each.name == named]
    if len(jobs) != 1:
        return {}
    return job_tags(
        asked,
        JobSelector(
            location_name=repository.location_name, repository_name=repository.repository_name, job_name=jobs[0]
        ),
    )
