"""The jobs that move channels and pins: the command's verbs as a form in the launchpad, and a run with a log."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from mlrepro.catalog.moving import Mover
from mlrepro.dagster_internals import StepExecutionContext, repository_of
from mlrepro.definitions.channel import ChannelDefinition
from mlrepro.errors import ChannelError, ChannelMovedError, MlreproError
from mlrepro.execution.cascade import MOVED_TAG, CodeLocation
from mlrepro.execution.moved import Moved
from mlrepro.execution.moves import version_number
from mlrepro.execution.scene import Scene
from mlrepro.io_managers import InputHashIOManager
from mlrepro.io_managers.computation import computation_of
from mlrepro.io_managers.facts import PREFIX
from mlrepro.io_managers.provenance import USER_TAGS, launched_by

_EARLIER_RUNS = ("dagster/parent_run_id", "dagster/root_run_id")

_REASON = dg.Field(str, default_value="", is_required=False, description="Why, for the history.")
_PARTITION = dg.Field(str, default_value="", is_required=False, description="Partition, of a partitioned asset.")
_CASCADE = dg.Field(
    bool,
    default_value=False,
    is_required=False,
    description="Materialize what stands downstream too, in a run of its own. What is known comes from the cache.",
)


def channel_jobs(assets: Iterable[Any] = (), *, io_manager_key: str = "io_manager") -> list[dg.JobDefinition]:
    """Make the jobs ``rollback``, ``promote`` and ``release``, which `ml_definitions` fills in.

    Args:
        assets: Assets whose channels and versions the forms offer. Without any, they take every name.
        io_manager_key: Key of the `InputHashIOManager` whose store the channels are in.

    Returns:
        The jobs, for ``Definitions(jobs=...)``.

    Example:
        >>> [job.name for job in channel_jobs()]
        ['rollback', 'promote', 'release']
    """
    definitions = [each for each in assets if isinstance(each, dg.AssetsDefinition)]
    channels = sorted(each.key.to_user_string() for each in definitions if isinstance(each, ChannelDefinition))
    computed = sorted(
        key.to_user_string()
        for each in definitions
        if not isinstance(each, ChannelDefinition) and computation_of(each.node_def) is not None
        for key in each.keys
    )
    return [
        _job(
            "rollback",
            "Take a channel back to an earlier version, and quarantine the one that it served. An asset without a"
            " channel is pinned at the version until it is released.",
            {
                "asset": _choice("ChannelOrAsset", channels, computed, "The channel, or the asset to pin."),
                "to": dg.Field(
                    str,
                    default_value="",
                    is_required=False,
                    description="The version, such as v3. Empty: the newest earlier one that is not quarantined.",
                ),
                "reason": _REASON,
                "cascade": _CASCADE,
                "partition": _PARTITION,
                "expected": dg.Field(
                    dg.Noneable(int),
                    default_value=None,
                    is_required=False,
                    description="Set by rollback sensors: do nothing if the channel's newest entry is another one.",
                ),
                "sensor": dg.Field(
                    str, default_value="", is_required=False, description="Set by rollback sensors: which one."
                ),
            },
            _rollback,
            io_manager_key,
        ),
        _job(
            "promote",
            "Point a channel to a version by hand, or approve the one that waits for approval. No gate is asked.",
            {
                "channel": _choice("Channel", channels, (), "The channel."),
                "version": dg.Field(
                    str,
                    default_value="",
                    is_required=False,
                    description="The version, such as v4. Empty: the one that waits for approval.",
                ),
                "approve": dg.Field(
                    bool,
                    default_value=False,
                    is_required=False,
                    description="Approve that version: nothing is done if another one waits for approval by then.",
                ),
                "reason": _REASON,
                "cascade": _CASCADE,
                "partition": _PARTITION,
            },
            _promote,
            io_manager_key,
        ),
        _job(
            "release",
            "Release an asset from its pin, or a version from a channel's quarantine.",
            {
                "asset": _choice("ChannelOrAsset", channels, computed, "The asset that is pinned, or the channel."),
                "version": dg.Field(
                    str,
                    default_value="",
                    is_required=False,
                    description="For a channel: the version that is quarantined, such as v4.",
                ),
                "reason": _REASON,
                "partition": _PARTITION,
            },
            _release,
            io_manager_key,
        ),
    ]


Verb = Callable[[Scene, Mapping[str, Any]], Moved]


def _job(name: str, description: str, fields: dict[str, Any], verb: Verb, io_manager_key: str) -> dg.JobDefinition:
    @dg.op(
        name=f"mlrepro_{name}",  # a code location has one op or graph of a name, and the job's graph has the short one
        description=description,
        config_schema=fields,
        required_resource_keys={io_manager_key},
        out=dg.Out(dg.Nothing),
    )
    def move(context: dg.OpExecutionContext) -> None:
        given: Mapping[str, Any] = context.op_config
        manager = getattr(context.resources, io_manager_key)
        try:
            if not isinstance(manager, InputHashIOManager):
                raise ChannelError(
                    f"the resource {io_manager_key!r} is no InputHashIOManager but a {type(manager).__name__}: name the"
                    " one whose store the channels are in, channel_jobs(io_manager_key=...)"
                )
            moved = verb(_scene(context, manager, given), given)
        except ChannelMovedError as error:
            context.log.warning(str(error))
            return
        except MlreproError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        context.log.info(str(moved))
        if moved.cascade is not None:
            metadata = (
                {f"{PREFIX}cascade": dg.MetadataValue.dagster_run(moved.cascade.run_id)} if moved.cascade.run_id else {}
            )
            if not moved.cascade.success:
                raise dg.Failure(str(moved), metadata=metadata, allow_retries=False)
            context.add_output_metadata({**metadata, f"{PREFIX}replayed": moved.cascade.replayed})

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def made() -> None:
        move.alias(name)()

    return made


def _scene(context: dg.OpExecutionContext, manager: InputHashIOManager, given: Mapping[str, Any]) -> Scene:
    step_context: StepExecutionContext = context.get_step_execution_context()
    tags = dict(context.run.tags)
    sensor = given.get("sensor") or tags.get("dagster/sensor_name")
    named = bool(os.environ.get("MLREPRO_USER")) or any(tag in tags for tag in USER_TAGS)
    # the daemon's own user says nothing
    who = launched_by(tags) if named or not sensor else sensor
    mover = Mover(who, given["reason"], context.run_id, sensor)
    location = CodeLocation.of_step(step_context) if given.get("cascade") else None
    if given.get("cascade") and location is None:
        if not sensor:
            raise ChannelError("a cascade needs assets in the code location of this job, and it has none")
        context.log.warning("nothing downstream follows: this run has no code location with assets")  # but it goes back
    repository = repository_of(step_context)
    return Scene(
        store=manager.open_store(context.instance),
        mover=mover,
        instance=context.instance,
        report=context.log_event,
        location=location,
        tags={"user": mover.who, MOVED_TAG: context.run_id},
        retry_of=frozenset({context.run_id, *(tags[tag] for tag in _EARLIER_RUNS if tag in tags)}),
        graph=repository.asset_graph if repository else None,
    )


def _rollback(scene: Scene, given: Mapping[str, Any]) -> Moved:
    to, partition = version_number(given["to"]), given["partition"] or None
    return scene.rollback(given["asset"], None, to, partition, given["expected"])


def _promote(scene: Scene, given: Mapping[str, Any]) -> Moved:
    asset, channel, partition = *_of_channel(given["channel"]), given["partition"] or None
    if given["version"] and not given["approve"]:
        return scene.promote(f"{asset}@{given['version']}", channel, partition)
    return scene.approve(asset, channel, version_number(given["version"]), partition)


def _release(scene: Scene, given: Mapping[str, Any]) -> Moved:
    if given["version"]:
        asset, channel = _of_channel(given["asset"])
        return scene.release(f"{asset}@{given['version']}", channel, given["partition"] or None)
    return scene.release(given["asset"], None, given["partition"] or None)


def _of_channel(key: str) -> tuple[str, str]:
    """Model and channel from the key of the channel's asset, ``churn_model/production``, or from ``model@channel``."""
    model, at, channel = key.rpartition("@")
    if at:
        return model, channel
    path = dg.AssetKey.from_user_string(key).path
    if len(path) < 2:
        raise ChannelError(f"{key!r} names no channel: write its key, such as churn_model/production")
    return dg.AssetKey(path[:-1]).to_user_string(), path[-1]


def _choice(name: str, channels: Sequence[str], assets: Sequence[str], description: str) -> Any:
    if not channels and not assets:
        return dg.Field(str, description=description)
    # the launchpad completes what it knows
    kind = dg.Enum(name, [dg.EnumValue(value) for value in dict.fromkeys([*channels, *assets])])
    if len(channels) == 1:  # so that the form is complete as it opens
        return dg.Field(kind, default_value=channels[0], is_required=False, description=description)
    return dg.Field(kind, description=description)
