"""`explain`: why an asset would run, or why a version was computed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from mlrepro.catalog import find_store, parse_version_name, version
from mlrepro.catalog.explaining import Explanation as Comparison
from mlrepro.catalog.explaining import explain_version
from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.before_launch import StepsBeforeLaunch
from mlrepro.execution.explained import AssetExplanation
from mlrepro.execution.loading import definitions_in
from mlrepro.execution.look_ahead import LookAhead, Outlook, is_followed
from mlrepro.execution.planned import names
from mlrepro.execution.run_config import run_config_from
from mlrepro.execution.run_to_be import steps_of_run
from mlrepro.execution.selecting import selected_keys
from mlrepro.io_managers.lookup import Miss
from mlrepro.io_managers.reasons import explain as compare
from mlrepro.store import Store

_MOST_UPSTREAM = 10
"""Assets upstream that are explained: those nearest to the one that was asked for."""


def explain(
    asset: str,
    definitions: dg.Definitions | str | None = None,
    *,
    partition: str | None = None,
    config: str | Path | dict[str, Any] | None = None,
    instance: dg.DagsterInstance | None = None,
    tags: Mapping[str, str] | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
) -> AssetExplanation:
    """Tell why an asset would run if it and all upstream of it were materialized; or whose result it would reuse.

    What it would compute is compared with the nearest earlier result: code with the lines that differ, config,
    inputs, libraries. Where it depends on upstream, that is explained as well. Nothing is written.

    Args:
        asset: Key of the asset; or ``asset@v3`` without definitions: why that version was computed, compared with
            those before it.
        definitions: The Definitions, or the name of a module that holds them.
        partition: Partition key, for a partitioned asset.
        config: Run config, or a YAML file that holds it.
        instance: As in `plan`.
        tags: Tags of the run.
        store: For a version: a store or its URL. Default: as the resource finds it.
        scope: For a version: whose history.

    Raises:
        AssetDefinitionError: If the module has no Definitions, they have no such asset or partition, or the config
            does not fit.
        UnknownVersionError: If there is no such version.

    Example:
        >>> from mlrepro import ReproStore, ml_asset, ml_definitions
        >>> @ml_asset
        ... def three() -> int:
        ...     return 3
        >>> defs = ml_definitions(assets=[three], store=ReproStore(url="memory://explain-verb-example"))
        >>> print(explain("three", defs))
        three: runs: first result of this asset
    """
    if definitions is None:
        return _of_version(asset, partition, find_store(store, scope=scope))
    if parse_version_name(asset).number is not None:
        raise AssetDefinitionError(
            f"{asset} is a version that is there already: it is explained by the store alone, without definitions"
        )
    found = definitions_in(definitions)
    graph = found.resolve_asset_graph()
    keys = selected_keys(graph, [dg.AssetKey.from_user_string(asset)])
    (key,) = keys
    job = found.resolve_implicit_global_asset_job_def()
    run: dict[str, Any] = {
        "partition": partition,
        "config": run_config_from(config),
        "tags": tags,
        "instance": instance,
    }
    with steps_of_run(job, _with_upstream(graph, key), **run) as steps:
        outlooks = list(_walk(steps))
        explanation = _of_asset(steps, key, partition, outlooks)
    if explanation.verdict == "depends":
        with steps_of_run(job, keys, **run) as steps:
            alone = _of_asset(steps, key, partition, list(_walk(steps)))
        explanation = replace(explanation, by_itself=alone)
    return explanation


def _walk(steps: StepsBeforeLaunch) -> Iterator[Outlook]:
    for level in LookAhead(steps, check_values=False).walk():
        yield from level


def _with_upstream(graph: AssetGraph, key: dg.AssetKey) -> frozenset[dg.AssetKey]:
    """All upstream that one run can compute: of partitioned assets, those with the partitions of the asset."""
    partitions = graph.get(key).partitions_def
    found: set[dg.AssetKey] = {key}
    waiting = [key]
    while waiting:
        for parent in graph.get(waiting.pop()).parent_keys - found:
            if parent in graph.materializable_asset_keys and graph.get(parent).partitions_def in (None, partitions):
                found.add(parent)
                waiting.append(parent)
    return frozenset(found)


def _of_asset(
    steps: StepsBeforeLaunch, key: dg.AssetKey, partition: str | None, outlooks: list[Outlook]
) -> AssetExplanation:
    by_step = {outlook.step.key: outlook for outlook in outlooks}
    wanted = next(outlook for outlook in outlooks if key in steps.asset_keys(outlook.step))
    upstream: list[AssetExplanation] = []
    seen = {wanted.step.key}
    waiting = list(wanted.waits_for)
    while waiting and len(upstream) < _MOST_UPSTREAM:
        step = waiting.pop(0)
        if step not in seen:
            seen.add(step)
            waiting += by_step[step].waits_for
            upstream.append(_of_step(steps, by_step[step], None, partition))
    return replace(_of_step(steps, wanted, key, partition), upstream=tuple(upstream))


def _of_step(
    steps: StepsBeforeLaunch, outlook: Outlook, key: dg.AssetKey | None, partition: str | None
) -> AssetExplanation:
    keys = steps.asset_keys(outlook.step)
    key = key or next(iter(keys), None)
    asset = key.to_user_string() if key else outlook.step.key
    partition = partition if key and steps.job_def.asset_layer.get(key).is_partitioned else None
    known = outlook.known
    if outlook.verdict == "hit" and known is not None:
        return AssetExplanation(asset, partition, "hit", known.hit.describe())
    reason = outlook.reason
    if outlook.waits_for:
        reason = f"depends on what {names(outlook.waits_for)} yields"
    told = known is not None and isinstance(known.found, Miss) and known.found.unknown and is_followed(known)
    if known is None or key is None or not told:
        return AssetExplanation(asset, partition, outlook.verdict, reason)
    # every asset of the step is told by the first that has a history: an optional one may never have been made
    found = [compare(known.store, each.path, partition, known.key) for each in [key, *keys]]
    comparison = next((each for each in found if each.newest is not None), found[0])
    return AssetExplanation(asset, partition, outlook.verdict, **_compared(comparison))


def _of_version(name: str, partition: str | None, store: Store) -> AssetExplanation:
    found = version(name, partition=partition, store=store)
    asset = dg.AssetKey(list(found.asset)).to_user_string()
    comparison = explain_version(found, store)
    return AssetExplanation(asset, partition, "computed", version=found.number, **_compared(comparison))


def _compared(comparison: Comparison) -> dict[str, Any]:
    return {
        "reason": comparison.sentence,
        "compared_with": comparison.earlier.number if comparison.earlier else None,
        "changes": comparison.changes,
    }
