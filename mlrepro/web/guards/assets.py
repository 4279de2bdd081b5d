"""Guards of what is written about assets: wipes, reported events, partitions."""

from collections.abc import Iterator
from typing import Any

from dagster._core.definitions.partitions.snap import DynamicPartitionsSnap, MultiPartitionsSnap
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.workspace.permissions import Permissions

from mlrepro import workflow_names
from mlrepro.web.guards.asked import Asked, Refused, key_of, location_of


def wipe_assets(asked: Asked) -> None:
    """Each code location that defines one of them must be theirs; Dagster looks at one of several."""
    ranges = asked.arguments["assetPartitionRanges"]
    asked.need_assets(Permissions.WIPE_ASSETS, [key_of(each["assetKey"]) for each in ranges])


def report_event(asked: Asked) -> None:
    """Each code location that defines the asset must be theirs."""
    params = asked.arguments["eventParams"]
    asked.about("check", params.get("checkName"))
    asked.about("partitions", params.get("partitionKeys"))
    asked.need_assets(Permissions.REPORT_RUNLESS_ASSET_EVENTS, [key_of(params["assetKey"])])


def add_partition(asked: Asked) -> None:
    """Each code location that uses the partitions must be theirs: an instance has one list for all."""
    asked.about("partitions", [asked.arguments["partitionKey"]])
    _need_partitions(asked)


def delete_partitions(asked: Asked) -> None:
    """Each code location that uses the partitions must be theirs."""
    asked.about("partitions", asked.arguments["partitionKeys"])
    _need_partitions(asked)
    if asked.arguments.get("wipeMaterializations"):
        for location in asked.locations:
            asked.need(Permissions.WIPE_ASSETS, location)


def _need_partitions(asked: Asked) -> None:
    name = str(asked.arguments["partitionsDefName"])
    location = location_of(asked.arguments["repositorySelector"])
    asked.about("location", location)
    asked.about("partitions_def", name)
    asked.need(Permissions.EDIT_DYNAMIC_PARTITIONS, location)
    access = asked.context.access
    for other, entry in sorted(asked.context.get_code_location_entries().items()):
        if entry.code_location is not None:
            repositories = entry.code_location.get_repositories().values()
            if any(_named(each, name) for repository in repositories for each in _partitions(repository)):
                asked.need(Permissions.EDIT_DYNAMIC_PARTITIONS, other)
        elif access.role(other) is None and workflow_names.location_of(other) == other:
            # what is not served uses nothing, and what is in service for it is asked as well
            raise Refused(f"code location {other} can't be read now, and may use the partitions {name} too"[:300])


def _partitions(repository: RemoteRepository) -> Iterator[Any]:
    yield from (node.partitions for node in repository.repository_snap.asset_nodes)
    yield from (each.partitions for each in repository.repository_snap.partition_sets)


def _named(partitions: Any, name: str) -> bool:
    if isinstance(partitions, DynamicPartitionsSnap):
        return partitions.name == name
    if isinstance(partitions, MultiPartitionsSnap):
        return any(_named(dimension.partitions, name) for dimension in partitions.partition_dimensions)
    return False
