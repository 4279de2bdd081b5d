"""The run coordinator for tenants: whose a run is, who may launch it, and whose turn it is."""

import threading
from collections.abc import Mapping
from typing import Any, Final, Self, cast

import dagster as dg
from dagster import Field, StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig
from dagster._core.storage.tags import MAX_RETRIES_TAG, PRIORITY_TAG
from dagster._serdes import ConfigurableClassData

from mlrepro.errors import TenantsError
from mlrepro.tenancy.launching import HIGHEST_PRIORITY, check_launch, location_of, tenant_of
from mlrepro.tenancy.model import Tenants
from mlrepro.tenancy.run_queue import queues_of
from mlrepro.tenancy.shares import FairShares
from mlrepro.tenancy.submitter import submitter_of
from mlrepro.tenancy.tags import GIT_REF_TAG, LOCATION_TAG, NOBODY, REFUSED_TAG, TENANT_TAG, USER_TAG
from mlrepro.tenancy.tenants_file import TenantsFile

DAEMON_THREAD: Final = "dagster-daemon-QUEUED_RUN_COORDINATOR"
"""Dagster's name for the thread that starts queued runs."""

_UNKNOWN: Final = "?"


class TenantRunCoordinator(QueuedRunCoordinator[dg.DagsterInstance]):
    """Queues runs as Dagster's `QueuedRunCoordinator` does, for many tenants.

    Each run gets tags that say who launched it and whose it is, whatever the submitter wrote there. What the submitter
    may not launch ends as failed, and says why. Free places go to the tenant with the fewest runs, within the limits
    of ``tenants.yaml``, as it is at that moment.

    Args:
        tenants_file: ``tenants.yaml``. Default: the file that ``MLREPRO_TENANTS`` names. It is read when a run is
            submitted or started, and not before.
        max_concurrent_runs: Of all tenants together. Default: as ``tenants.yaml`` says.
        **settings: As `QueuedRunCoordinator` takes them.

    Example:
        In ``dagster.yaml``::

            run_coordinator:
              module: mlrepro.tenancy.coordinator
              class: TenantRunCoordinator
              config:
                tenants_file: /etc/mlrepro/tenants.yaml
    """

    def __init__(
        self, *, tenants_file: str | None = None, max_concurrent_runs: int | None = None, **settings: Any
    ) -> None:
        super().__init__(max_concurrent_runs=max_concurrent_runs, **settings)
        self._path = tenants_file
        self._most = max_concurrent_runs
        self._opened: TenantsFile | None = None
        self._shares = FairShares()
        self._round: dict[str, int] | None = None

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Those of `QueuedRunCoordinator`, and the file."""
        described = "tenants.yaml. Default: the file that MLREPRO_TENANTS names."
        own = {"tenants_file": Field(StringSource, is_required=False, description=described)}
        return own | cast("dict[str, Any]", super().config_type())

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster of what ``dagster.yaml`` says."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def _tenants(self) -> Tenants:
        if self._opened is None:
            self._opened = TenantsFile(self._path)
        return self._opened.tenants

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Queue a run under the name of whoever launched it.

        Args:
            context: The run, and the request that it came with.

        Raises:
            RunRefusedError: Whoever asks for it may not launch it.
            TenantsError: ``tenants.yaml`` can't be read.
        """
        run = context.dagster_run
        if run.status is not dg.DagsterRunStatus.NOT_STARTED:  # it was submitted before, and has its tags
            return super().submit_run(context)
        told = {USER_TAG: _UNKNOWN, LOCATION_TAG: location_of(run), TENANT_TAG: NOBODY}
        try:
            tenants = self._tenants
            told[TENANT_TAG] = tenant_of(run, tenants)
            told |= _git_ref(run, tenants)
            submitter = submitter_of(run, context.workspace, self._instance)
            told[USER_TAG] = submitter.name
            check_launch(run, submitter, tenants=tenants, workspace=context.workspace, instance=self._instance)
        except Exception:
            # before the run is reported as failed: it would be tried again, as a run that was allowed
            self._instance.add_run_tags(run.run_id, told | {MAX_RETRIES_TAG: "0", REFUSED_TAG: "true"})
            raise
        if REFUSED_TAG in run.tags:  # of the run that this one goes on from
            told[REFUSED_TAG] = "false"
        self._instance.add_run_tags(run.run_id, told | _within_bounds(run))
        return super().submit_run(context)

    @property
    def dequeue_use_threads(self) -> bool:
        """Whether runs are started in threads. The daemon asks once a round, after it has chosen what to start."""
        self._round = None
        return super().dequeue_use_threads

    def get_run_queue_config(self) -> RunQueueConfig:
        """How many runs may run at once.

        Dagster asks for this in many places. The daemon that starts queued runs is told each tenant's share of the
        places that are free at this moment, everybody else the limits of ``tenants.yaml``.

        Raises:
            TenantsError: The daemon asks, and ``tenants.yaml`` can't be read or its limits would not count.
        """
        configured = super().get_run_queue_config()
        starts = threading.current_thread().name == DAEMON_THREAD
        try:
            tenants = self._tenants
        except TenantsError:
            if starts:
                raise
            return configured  # a run worker asks about pools, and knows no tenants
        others = self._instance.get_settings("concurrency").get("runs", {})  # these come before what is returned here
        most = others.get("max_concurrent_runs", self._most)
        most = tenants.instance.max_concurrent_runs if most is None else most
        limits = {tenant.name: tenant.tenant.limits.runs for tenant in tenants}
        if starts:
            if "tag_concurrency_limits" in others:
                raise TenantsError(
                    "concurrency.runs.tag_concurrency_limits in dagster.yaml would replace the tenants' limits:"
                    " move it to run_coordinator.config.tag_concurrency_limits"
                )
            if self._round is None:  # Dagster asks several times in a round, for each hundred runs in the queue
                self._round = self._caps(limits, most)
            limits |= self._round
        each = [{"key": TENANT_TAG, "value": name, "limit": limit} for name, limit in sorted(limits.items())]
        return configured._replace(
            max_concurrent_runs=most, tag_concurrency_limits=[*each, *configured.tag_concurrency_limits]
        )

    def _caps(self, limits: Mapping[str, int], most: int) -> dict[str, int]:
        if most < 0:  # there is no limit of all together, so there is nothing to share
            return {}
        queues = queues_of(self._instance, limits, most)
        free = most - sum(queue.running for queue in queues.values())
        return self._shares.caps(queues, max(0, free))


def _git_ref(run: dg.DagsterRun, tenants: Tenants) -> dict[str, str]:
    """Where the code came from. What the submitter wrote there does not stay."""
    name = location_of(run)
    found = (code.git_ref for tenant in tenants for code in tenant.locations if code.name == name and code.git_ref)
    ref = next(found, None)
    return {GIT_REF_TAG: ref or ""} if ref or GIT_REF_TAG in run.tags else {}


def _within_bounds(run: dg.DagsterRun) -> dict[str, str]:
    """Of what code asks for by itself the priority is cut, so that a schedule does not fail for it."""
    try:
        given = int(run.tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return {}  # counts as 0
    kept = max(-HIGHEST_PRIORITY, min(HIGHEST_PRIORITY, given))
    return {PRIORITY_TAG: str(kept)} if kept != given else {}
