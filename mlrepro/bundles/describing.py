"""Reading from loaded definitions what a code location defines.

It is read from Dagster's own snapshot of a repository, which is what the webserver shows. Texts for people
(descriptions, metadata, owners) are left out, and so is every path of a machine.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.repository_definition import RepositoryDefinition
from dagster._core.definitions.schedule_definition import DecoratedScheduleFunction
from dagster._core.remote_representation.external_data import AssetCheckNodeSnap, AssetNodeSnap, RepositorySnap
from dagster._core.snap import JobSnap
from dagster._serdes import serialize_value

from mlrepro.bundles.interfaces import identities_of, interface_of
from mlrepro.bundles.workflow import KINDS, Workflow
from mlrepro.errors import FingerprintError
from mlrepro.io_managers.computation import computation_of
from mlrepro.io_managers.key_record import code_sources
from mlrepro.io_managers.promotion import Promotion
from mlrepro.versioning import CodeFingerprint, FingerprintSession, digest

_SCHEMA: Final = 1


def describe(repositories: Iterable[RepositoryDefinition]) -> Workflow:
    """Describe what the repositories of a code location define.

    Args:
        repositories: As Dagster loads them.

    Example:
        >>> @dg.asset
        ... def numbers() -> int:
        ...     return 1
        >>> sorted(describe([dg.Definitions(assets=[numbers]).get_repository_def()]).description["assets"])
        ['numbers']
    """
    made = Workflow({"schema": _SCHEMA, **{kind: {} for kind in KINDS}})
    for repository in repositories:
        _Describing(made, repository).run()
    return made


class _Describing:
    def __init__(self, made: Workflow, repository: RepositoryDefinition) -> None:
        self._made = made
        self._repository = repository
        self._session = FingerprintSession()

    def run(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the walk could not follow is told where the asset is loaded
            snap = RepositorySnap.from_def(self._repository)
            for asset in snap.asset_nodes:
                self._asset(asset)
            self._interfaces()
            for check in snap.asset_check_nodes or ():
                self._check(check)
            for data in snap.job_datas or ():
                # Dagster's own job over all assets follows from them
                if not data.name.startswith("__"):
                    self._job(data.job)
            for schedule in snap.schedules:
                self._add(
                    "schedules",
                    schedule.name,
                    {
                        "cron": schedule.cron_schedule,
                        "timezone": schedule.execution_timezone,
                        "job": schedule.job_name,
                        "assets": _text(schedule.asset_selection),
                        "ops": schedule.op_selection,
                        "tags": dict(schedule.tags),
                        "default_status": _text(schedule.default_status),
                    },
                    self._schedule_functions(schedule.name),
                )
            for sensor in snap.sensors:
                self._add(
                    "sensors",
                    sensor.name,
                    {
                        "type": _text(sensor.sensor_type),
                        "interval": sensor.min_interval,
                        "jobs": sorted(sensor.target_dict),
                        "assets": _text(sensor.asset_selection),
                        "tags": dict(sensor.tags),
                        "run_tags": dict(sensor.run_tags),
                        "default_status": _text(sensor.default_status),
                    },
                    self._sensor_functions(sensor.name),
                )
            for resource in snap.resources or ():
                self._add(
                    "resources",
                    resource.name,
                    {
                        "type": resource.resource_type,
                        "config": sorted(f"{each.name}:{each.type_key}" for each in resource.config_field_snaps),
                    },
                    (),
                )

    def _asset(self, snap: AssetNodeSnap) -> None:
        definition = self._repository.assets_defs_by_key.get(snap.asset_key)
        ops = _ops_of(definition)
        self._add(
            "assets",
            snap.asset_key.to_user_string(),
            {
                "type": snap.execution_type.value,
                "code_version": snap.code_version,
                "inputs": {
                    edge.parent_asset_key.to_user_string(): {
                        "argument": edge.input_name,
                        "partitions": _text(edge.partition_mapping),
                    }
                    for edge in snap.parent_edges
                },
                "partitions": _text(snap.partitions),
                "backfill": _text(snap.backfill_policy),
                "output": snap.output_name,
                "config": {op.name: key for op in ops if (key := _config_key(op)) is not None},
                "resources": sorted({key for op in ops for key in op.required_resource_keys}),
                "io": [_io_manager(definition, snap)],
                "pools": sorted(snap.pools),
                "tags": {key: str(value) for op in ops for key, value in sorted(op.tags.items())},
                "retries": sorted(str(op.retry_policy) for op in ops if op.retry_policy),
                "group": snap.group_name,
                "automation": _text(snap.automation_condition_snapshot),
                "freshness": _text(snap.freshness_policy),
            },
            ops,
        )

    def _interfaces(self) -> None:
        for definition in dict.fromkeys(self._repository.assets_defs_by_key.values()):
            computation = computation_of(definition.node_def) if definition.is_executable else None
            # a channel is a decision of its team, and no code that another one could run
            if computation is not None and not isinstance(computation, Promotion):
                code = computation.fingerprint(None if computation.first_party else self._session)
                self._made.interfaces.append(interface_of(definition, computation, code))

        modules = {source["name"].partition(":")[0] for each in self._made.sources.values() for source in each}
        self._made.identities.update(identities_of(modules, self._session))

    def _check(self, snap: AssetCheckNodeSnap) -> None:
        key = dg.AssetCheckKey(snap.asset_key, snap.name)
        definition = self._repository.asset_checks_defs_by_key.get(key)
        self._add(
            "checks",
            f"{snap.asset_key.to_user_string()}:{snap.name}",
            {"blocking": snap.blocking, "partitions": _text(snap.partitions_def_snapshot)},
            _ops_of(definition),
        )

    def _job(self, snap: JobSnap) -> None:
        job = self._repository.get_job(snap.name)
        (mode,) = snap.mode_def_snaps
        self._add(
            "jobs",
            snap.name,
            {
                "wiring": digest(serialize_value(snap.dep_structure_snapshot)),
                "ops": sorted(each.name for each in snap.node_defs_snapshot.op_def_snaps),
                # what the whole config of a run may be, with that of resources and executor
                "config": mode.root_config_key,
                "executor": job.executor_def.name,
                "resources": sorted(each.name for each in mode.resource_def_snaps),
                "loggers": sorted(each.name for each in mode.logger_def_snaps),
                "partitions": None if job.partitions_def is None else str(job.partitions_def),
                "tags": dict(snap.tags),
                "run_tags": dict(snap.run_tags or {}),
            },
            list(job.graph.iterate_op_defs()) if not job.asset_layer.executable_asset_keys else (),
        )

    def _schedule_functions(self, name: str) -> Iterable[Callable[..., Any]]:
        execution = self._repository.get_schedule_def(name)._execution_fn  # Dagster has no other name for it
        if isinstance(execution, DecoratedScheduleFunction):
            return (execution.decorated_fn,)
        return ()  # a function of Dagster's own, made from cron and job

    def _sensor_functions(self, name: str) -> Iterable[Callable[..., Any]]:
        function = self._repository.get_sensor_def(name)._raw_fn
        return () if _is_dagsters(function) else (function,)

    def _add(self, kind: str, name: str, said: dict[str, Any], code: Iterable[Any]) -> None:
        prints = [found for each in code if (found := self._fingerprint(each)) is not None]
        said["code"] = sorted(each.digest for each in prints)
        for each in prints:
            self._made.libraries.update(each.distributions)
        self._made.description[kind][name] = {key: value for key, value in said.items() if value not in (None, [], {})}
        if sources := [source for each in prints for source in code_sources(each)]:
            self._made.sources[f"{kind}/{name}"] = sources

    def _fingerprint(self, code: Any) -> CodeFingerprint | None:
        computation = computation_of(code)
        if computation is not None:
            return computation.fingerprint(None if computation.first_party else self._session)
        function = code.compute_fn if isinstance(code, dg.OpDefinition) else code
        function = getattr(function, "decorated_fn", function)
        if not callable(function) or _is_dagsters(function):
            return None
        try:
            return self._session.fingerprint(function)
        except FingerprintError:
            return None


def _ops_of(definition: dg.AssetsDefinition | None) -> list[dg.OpDefinition]:
    if definition is None or not definition.is_executable:
        return []
    node = definition.node_def
    return [node] if isinstance(node, dg.OpDefinition) else sorted(node.iterate_op_defs(), key=lambda op: op.name)


def _config_key(op: dg.OpDefinition) -> str | None:
    """Dagster's name for a config schema; that of one with fields is a hash of them."""
    if not op.has_config_field:
        return None
    kind = op.config_schema.config_type
    return None if kind is None or kind.key == "Any" else kind.key


def _io_manager(definition: dg.AssetsDefinition | None, snap: AssetNodeSnap) -> str | None:
    if definition is None or snap.asset_key not in definition.specs_by_key:
        return None
    found = definition.specs_by_key[snap.asset_key].metadata.get("dagster/io_manager_key")
    return None if found is None else str(found)


def _is_dagsters(function: Any) -> bool:
    module = getattr(function, "__module__", None) or ""
    return module.split(".", 1)[0] in ("dagster", "dagster_shared")


def _text(value: Any) -> Any:
    """A snapshot of Dagster's as text that is equal wherever it is made."""
    if value is None or isinstance(value, str):
        return value
    return serialize_value(value)
