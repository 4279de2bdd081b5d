"""`rollback_sensor`: takes a channel back to a good version when what it serves turns out to be bad."""

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

import dagster as dg

from mlrepro.catalog.channels import ChannelName, channels_of
from mlrepro.catalog.history import partition_part
from mlrepro.dagster_internals import BaseAssetGraph
from mlrepro.definitions.channel import ChannelDefinition
from mlrepro.definitions.notices import Hook
from mlrepro.definitions.rollback_decision import Decision, Look, Policy, sentences
from mlrepro.errors import AssetDefinitionError, ConditionError
from mlrepro.io_managers import InputHashIOManager
from mlrepro.io_managers.promotion import CHANNEL
from mlrepro.quality import Condition, View, as_alarm
from mlrepro.quality.condition import Judge
from mlrepro.quality.memory import Memory, Watch
from mlrepro.store import Store

JOB = "rollback"
"""Name of the job that rolls back, and of its op; `ml_definitions` has it."""

_MOST_PARTITIONS = 50
"""Partitions that are looked at in one tick. What is more has its turn in the next ones."""


def rollback_sensor(
    channel: ChannelDefinition,
    when: "Sequence[Condition | Judge]",
    *,
    name: str | None = None,
    to: int | str | None = None,
    cascade: bool = True,
    cooldown: dt.timedelta = dt.timedelta(hours=1),
    most_a_day: int = 3,
    dry_run: bool = False,
    notify: Sequence[Hook] = (),
    minimum_interval_seconds: int = 30,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.RUNNING,
    description: str | None = None,
) -> dg.SensorDefinition:
    """Roll a channel back when one of some conditions holds for the version that it serves.

    It launches a run of the job ``rollback`` with the reason in its config, so that the rollback has a page, a log and
    a place in the channel's history. Only what happened since the channel moved last counts, and only what is of the
    version that it serves, where the lineage tells. A metric that is missing is no reason to roll back and is said in
    the tick; one that is NaN or infinite is bad. A condition that raises is logged, and the others still count.

    A rollback whose run fails is tried three times, five minutes apart.

    Args:
        channel: The channel. Each partition of a partitioned one is looked at and rolled back by itself.
        when: Conditions, each enough by itself: ``Metric("live_quality", "auc") < 0.75``,
            ``Metric(...).dropped_by(0.05)``, ``(Metric(...) > 3).in_windows(3, of=5)``, ``CheckFailed(...)``,
            ``DownstreamFailed()``, ``Stale("live_quality", timedelta(hours=6))``, or a function that takes a `View` and
            returns True or a text (why) to roll back, and False or None otherwise.
        name: Name of the sensor. Default: asset and channel, ``churn_model_production_rollback``.
        to: Version to go back to (``"v3"`` or 3). Default: the newest one before that the channel served and that is
            not quarantined.
        cascade: Whether what stands downstream is materialized again, which the cache makes quick.
        cooldown: How long after a rollback of the channel, by whomever, there is no other.
        most_a_day: How many rollbacks of the channel the sensor makes in 24 hours. Then it gives one notice, and does
            nothing until there were fewer.
        dry_run: Whether it only says what it would do.
        notify: Functions that take a `Notice`, such as `webhook`. Each notice is given once; one that can't be given is
            logged and changes nothing.
        minimum_interval_seconds: Time between two ticks.
        default_status: Whether it runs from the start, without a click in the UI. Default: it does.
        description: Text in Dagster's UI. Default: the conditions.

    Raises:
        ConditionError: There is no condition, one of them is none, or the policy can't be.
        AssetDefinitionError: `channel` is no channel.

    Example:
        >>> from mlrepro import Metric, channel, ml_asset
        >>> @ml_asset
        ... def churn_model() -> dict[str, float]:
        ...     return {"slope": 0.5}
        >>> production = channel("production", churn_model)
        >>> rollback_sensor(production, when=[Metric("live_quality", "auc") < 0.75]).name
        'churn_model_production_rollback'
    """
    if not isinstance(channel, ChannelDefinition):
        raise AssetDefinitionError(f"{channel!r} is no channel: give what channel(...) returned")
    conditions = tuple(as_alarm(each) for each in when)
    if not conditions:
        raise ConditionError("a rollback sensor needs a condition: when=[Metric('live_quality', 'auc') < 0.75]")
    if most_a_day < 1 or cooldown < dt.timedelta(0):
        raise ConditionError("a rollback sensor needs most_a_day of at least 1, and a cooldown that is not negative")
    called = name or re.sub(r"\W", "_", f"{'_'.join(channel.key.path)}_rollback", flags=re.ASCII)
    policy = Policy(
        called, conditions, _number(to), cascade, cooldown, most_a_day, dry_run=dry_run, notify=tuple(notify)
    )
    (output,) = channel.op.output_defs
    resource = output.io_manager_key

    @dg.sensor(
        JOB,
        name=called,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description
        or f"Rolls back {channel.key.to_user_string()} when {', or '.join(str(each) for each in conditions)}.",
        required_resource_keys={resource},
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        manager: Any = getattr(context.resources, resource)
        if not isinstance(manager, InputHashIOManager):
            raise AssetDefinitionError(
                f"{called} needs InputHashIOManager as the resource {resource!r}, to find the channel's store:"
                f" it is a {type(manager).__name__}"
            )
        return _tick(context, manager.open_store(context.instance), channel, policy)

    return watch


def _tick(
    context: dg.SensorEvaluationContext, store: Store, channel: ChannelDefinition, policy: Policy
) -> dg.SensorResult:
    memory = Memory.load(context.cursor)
    if memory.damaged:
        context.log.warning(f"the cursor of {policy.sensor} could not be read and begins anew: {context.cursor!r:.200}")
    graph = context.repository_def.asset_graph if context.repository_def else None
    key = _actual_key(channel, graph)
    names = _names(store, key, partitioned=channel.partitions_def is not None)
    decisions: list[Decision] = []
    for name in _turn(names, memory):
        watch = memory.watches.setdefault(partition_part(name.partition), Watch())
        view = View(
            instance=context.instance,
            model=dg.AssetKey(key.path[:-1]),
            partition=name.partition,
            graph=graph,
        )
        decisions.append(Look(policy, store, name, watch, view, context.log).decide())
    there = {partition_part(name.partition) for name in names}
    for gone in memory.watches.keys() - there:
        del memory.watches[gone]
    requests = [decision.request for decision in decisions if decision.request]
    said = sentences(decisions) or f"no partition of {key.to_user_string()} serves anything yet"
    if requests:
        # Dagster takes a reason to skip or requests, not both
        context.log.warning(said)
        return dg.SensorResult(run_requests=requests, cursor=memory.dump())
    return dg.SensorResult(skip_reason=said, cursor=memory.dump())


def _actual_key(channel: ChannelDefinition, graph: BaseAssetGraph | None) -> dg.AssetKey:  # type: ignore[type-arg]
    """Key of the channel's asset: Dagster may have prefixed those of its module, which no sensor is told of.

    Raises:
        AssetDefinitionError: Several channels have this name under different prefixes.
    """
    path = channel.key.path
    if graph is None or graph.has(channel.key):
        return channel.key
    ending = [key for key in graph.get_all_asset_keys() if key.path[-len(path) :] == path]
    found = [key for key in ending if CHANNEL in graph.get(key).metadata]
    if len(found) > 1:
        names = ", ".join(sorted(key.to_user_string() for key in found))
        raise AssetDefinitionError(
            f"several channels are called {channel.key.to_user_string()} here ({names}): give the prefix where the"
            " model and the channel are defined (key_prefix=...), instead of where they are loaded"
        )
    return found[0] if found else channel.key


def _names(store: Store, key: dg.AssetKey, *, partitioned: bool) -> list[ChannelName]:
    """The channel, or each of its partitions that has entries."""
    *model, channel = key.path
    if not partitioned:
        return [ChannelName(tuple(model), channel)]
    found = [each for each in channels_of(store, model) if each.channel == channel]
    return sorted((each for each in found if each.partition is not None), key=lambda each: each.partition or "")


def _turn(names: Sequence[ChannelName], memory: Memory) -> Sequence[ChannelName]:
    """Those whose turn it is, where there are more than one tick can look at."""
    if len(names) <= _MOST_PARTITIONS:
        memory.after = ""
        return names
    later = [name for name in names if (name.partition or "") > memory.after]
    turn = [*later, *names][:_MOST_PARTITIONS]
    memory.after = turn[-1].partition or ""
    return turn


def _number(to: int | str | None) -> int | None:
    if to is None:
        return None
    found = re.fullmatch(r"v?([1-9][0-9]*)", str(to))
    if found is None or isinstance(to, bool):
        raise ConditionError(f"to={to!r} is no version: write 'v3', or 3")
    return int(found[1])
