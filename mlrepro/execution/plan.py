"""`plan`: what a materialization would do, before it does it."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from mlrepro.catalog.history import newest_version
from mlrepro.errors import StoreError
from mlrepro.execution.before_launch import StepsBeforeLaunch
from mlrepro.execution.loading import definitions_in
from mlrepro.execution.look_ahead import LookAhead, Outlook, is_followed
from mlrepro.execution.planned import Plan, PlannedAsset, PlannedCheck, names, utc
from mlrepro.execution.run_config import run_config_from
from mlrepro.execution.run_to_be import steps_of_run
from mlrepro.execution.selecting import Selection, check_refreshed, selected_keys
from mlrepro.io_managers.lookup import Miss
from mlrepro.io_managers.reasons import explained
from mlrepro.store import Store
from mlrepro.versioning.collecting import no_collection

_TOLD_AT_ONCE = 8
"""Steps whose reasons are looked for at a time; each reads up to ten earlier results at once."""

_MOST_VERSIONS = 100
"""Hits of a plan that tells their version numbers: two requests each, for display only."""


def plan(
    definitions: dg.Definitions | str,
    selection: Selection = "*",
    *,
    partition: str | None = None,
    config: str | Path | dict[str, Any] | None = None,
    instance: dg.DagsterInstance | None = None,
    tags: Mapping[str, str] | None = None,
) -> Plan:
    """Tell what a materialization would do: which assets are in the cache, which run, and why.

    Nothing is written: no run, no event, nothing in the store. It is the look-up that `cache_first` makes before a
    run's first step, but for one thing: a run also checks that the bytes of each hit are there.

    Args:
        definitions: The Definitions, or the name of a module that holds them.
        selection: What would be materialized, in Dagster's asset selection syntax: ``churn_model``, ``*churn_model``
            with all that is upstream, ``+churn_model`` with what it depends on directly, ``group:training``, … or a
            selection, or keys.
        partition: Partition key, where some of the assets are partitioned.
        config: Run config, or a YAML file that holds it.
        instance: The Dagster instance whose event log tells the versions of inputs that are not selected. Default:
            that of DAGSTER_HOME; where it is not set, the newest versions in the store.
        tags: Tags of the run, such as ``{"mlrepro/refresh": "churn_model"}``.

    Returns:
        One row an asset, in the order of the run, with totals. It prints as a table.

    Raises:
        AssetDefinitionError: If the module has no Definitions, the selection selects nothing that can be computed,
            the partition is missing or unknown, or the config does not fit.

    Example:
        >>> from mlrepro import ReproStore, ml_asset, ml_definitions
        >>> @ml_asset
        ... def three() -> int:
        ...     return 3
        >>> defs = ml_definitions(assets=[three], store=ReproStore(url="memory://plan-example"))
        >>> [(row.asset, row.verdict, row.reason) for row in plan(defs).assets]
        [('three', 'run', 'first result of this asset')]
        >>> defs.resolve_implicit_global_asset_job_def().execute_in_process().success
        True
        >>> [(row.verdict, row.version) for row in plan(defs).assets]
        [('hit', 1)]
    """
    found = definitions_in(definitions)
    keys = selected_keys(found.resolve_asset_graph(), selection)
    job = found.resolve_implicit_global_asset_job_def()
    return plan_run(job, keys, partition=partition, config=config, instance=instance, tags=tags)


def plan_run(
    assets: dg.JobDefinition,
    keys: frozenset[dg.AssetKey],
    *,
    partition: str | None = None,
    config: str | Path | dict[str, Any] | None = None,
    instance: dg.DagsterInstance | None = None,
    tags: Mapping[str, str] | None = None,
) -> Plan:
    """Tell what a run of some assets would do; the other arguments and what it raises are those of `plan`.

    Args:
        assets: The code location's job of all assets.
        keys: Those that would be materialized.
        partition: Partition key.
        config: Run config.
        instance: The Dagster instance.
        tags: Tags of the run.
    """
    run_config = run_config_from(config)
    with no_collection():
        check_refreshed(keys, tags)
        with steps_of_run(assets, keys, partition=partition, config=run_config, tags=tags, instance=instance) as steps:
            look_ahead = LookAhead(steps, check_values=False)
            outlooks = [outlook for level in look_ahead.walk() for outlook in level]
            return _Planner(steps, partition, outlooks).plan()


class _Planner:
    """Puts what the look-ahead found into words.

    Args:
        steps: The steps of the run.
        partition: Partition key, or None.
        outlooks: What each step will do, in the order of the plan.
    """

    def __init__(self, steps: StepsBeforeLaunch, partition: str | None, outlooks: list[Outlook]) -> None:
        self._steps = steps
        self._partition = partition
        self._outlooks = outlooks
        self._assets = {outlook.step.key: steps.asset_keys(outlook.step) for outlook in outlooks}

    def plan(self) -> Plan:
        """Make the plan."""
        left = [outlook for outlook in self._outlooks if outlook.verdict != "hit"]
        told: dict[str, tuple[str, float | None]] = {}
        if left:
            with ThreadPoolExecutor(max_workers=_TOLD_AT_ONCE) as pool:
                told = dict(zip((each.step.key for each in left), pool.map(self._tell, left), strict=True))
        rows = [
            row for outlook in self._outlooks for row in self._rows(outlook, *told.get(outlook.step.key, ("", None)))
        ]
        hits = [row for row in rows if row.verdict == "hit"]
        if hits and len(hits) <= _MOST_VERSIONS:
            by_step = {outlook.step.key: outlook for outlook in self._outlooks}
            with ThreadPoolExecutor(max_workers=len(hits)) as pool:
                numbers = pool.map(lambda row: self._version(row, by_step[row.step]), hits)
                numbered = {row.asset: replace(row, version=number) for row, number in zip(hits, numbers, strict=True)}
            rows = [numbered.get(row.asset, row) for row in rows]
        checks = [
            PlannedCheck(check.name, check.asset_key.to_user_string(), outlook.step.key)
            for outlook in left
            if not self._assets[outlook.step.key]
            for check in self._steps.check_keys(outlook.step)
        ]
        return Plan(tuple(rows), tuple(checks), self._partition)

    def _rows(self, outlook: Outlook, reason: str, seconds: float | None) -> Iterator[PlannedAsset]:
        """One row for each asset of a step."""
        known = outlook.known
        facts: dict[str, Any] = {"reason": reason, "seconds": seconds}
        if outlook.verdict == "hit" and known is not None:
            record = known.hit.record
            facts = {
                "reason": known.hit.said,
                "computed_by": record["who"],
                "computed_at": utc(record["started"]),
                "computed_in_run": record["run_id"],
                "scope": known.hit.scope,
                "seconds": float(record["seconds"]),
            }
        for key in self._assets[outlook.step.key]:
            yield PlannedAsset(
                asset=key.to_user_string(),
                step=outlook.step.key,
                verdict=outlook.verdict,
                depends_on=self._waits_for(outlook),
                input_hash=known.key.input_hash if known else None,
                **facts,
            )

    def _version(self, row: PlannedAsset, outlook: Outlook) -> int | None:
        """Number of the version that a hit is, or that it would be made."""
        known = outlook.known
        if known is None or len(known.key.partitions or ()) > 1:  # each partition has a number of its own
            return None
        key = dg.AssetKey.from_user_string(row.asset)
        layer = self._steps.job_def.asset_layer
        partition = known.key.partitions[0] if known.key.partitions else None
        for name, output in known.hit.record["outputs"].items():
            if layer.get_asset_key_for_node_output(outlook.step.node_handle, name) == key:
                try:
                    newest = newest_version(known.store, key.path, partition)
                except StoreError:
                    return None  # for display only
                if newest is None:
                    return 1
                return newest.number + int(newest.data_version != output["data_version"])
        return None

    def _waits_for(self, outlook: Outlook) -> tuple[str, ...]:
        """What a step waits for: assets; a step without any by its key."""
        waits_for = (
            key.to_user_string() for step in outlook.waits_for for key in self._assets[step] or [dg.AssetKey(step)]
        )
        return tuple(sorted(waits_for))

    def _tell(self, outlook: Outlook) -> tuple[str, float | None]:
        """Why a step runs, and how long its newest version took."""
        reason = outlook.reason
        assets: list[list[str]] = [list(key.path) for key in self._assets[outlook.step.key]]
        if outlook.waits_for:
            reason = f"depends on what {names(self._waits_for(outlook))} yields"
        elif outlook.known is not None and isinstance(outlook.known.found, Miss) and is_followed(outlook.known):
            reason = explained(outlook.known.found, outlook.known.store, sorted(assets), outlook.known.key).reason
        store = outlook.known.store if outlook.known else self._steps.store_of(outlook.step)
        return reason, _seconds(store, assets, self._partition) if store is not None else None


def _seconds(store: Store, assets: Sequence[Sequence[str]], partition: str | None) -> float | None:
    """Seconds that the newest version of the first asset that has one took; None where that is not known."""
    try:
        for asset in assets[:1]:
            newest = newest_version(store, asset, partition)
            found = store.get_result(newest.input_hash) if newest is not None and newest.input_hash else None
            if found is not None:
                return float(found.record["seconds"])
    except (StoreError, KeyError, TypeError, ValueError):
        return None  # an estimate is not worth an error
    return None
