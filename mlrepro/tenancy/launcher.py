"""A run launcher that starts each run where ``tenants.yaml`` says, whatever the run says of itself.

In ``dagster.yaml``::

    run_launcher:
      module: mlrepro.tenancy.launcher
      class: TenantRunLauncher
      config:
        tenants_file: /etc/mlrepro/tenants.yaml   # default: the one that MLREPRO_TENANTS names
        ...                                       # and all that K8sRunLauncher takes
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, get_job_name_from_run_id

from mlrepro.errors import RunRefusedError
from mlrepro.execution.pods.answers import told_by
from mlrepro.execution.pods.diagnosis import trouble
from mlrepro.execution.pods.observing import Observer
from mlrepro.execution.pods.run_workers import RUN_WORKERS, RunWorkerWatch, how_it_ended
from mlrepro.execution.pods.trouble import Bounds
from mlrepro.kubernetes_names import image_repository
from mlrepro.tenancy.location import CodeLocation
from mlrepro.tenancy.model import Named, Tenants
from mlrepro.tenancy.pod_requests import requested
from mlrepro.tenancy.rendering.launcher import container_context
from mlrepro.tenancy.rendering.settings import bundle_cache
from mlrepro.tenancy.tags import TENANT_TAG
from mlrepro.tenancy.tenants_file import TenantsFile
from mlrepro.workflow_names import NAME, location_of

_PINNED: Final = ("namespace", "service_account_name")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class TenantRunLauncher(K8sRunLauncher):
    """`K8sRunLauncher`, whose runs are held to their tenant.

    A run belongs to the tenant that has its code location. Namespace, service account, security context, nodes,
    secrets and labels of its pod are what ``tenants.yaml`` says of that tenant; of what the code server says, only the
    code bundle that a run was submitted with counts, and a run's tags may ask for resources only. Who asks for more is
    refused, and the run fails with the reason.

    Steps are started by the run's own pod with the tenant's own service account: what they may ask for, the tenant's
    Role, Pod Security and quota decide.

    Args:
        tenants_file: Path of ``tenants.yaml``. Default: the one that ``MLREPRO_TENANTS`` names. It is read when a run
            is started, and again when it has changed: a run's pod gets these settings too, and has no such file.
        inst_data: Dagster's own.
        **config: As `K8sRunLauncher` takes it.
    """

    def __init__(
        self, tenants_file: str | None = None, inst_data: ConfigurableClassData | None = None, **config: Any
    ) -> None:
        super().__init__(inst_data=inst_data, **config)
        self._tenants_path = tenants_file
        self._tenants_file: TenantsFile | None = None
        self._watch = RunWorkerWatch(lambda: self._instance, self._api_client, Bounds.from_environment())

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The settings in ``dagster.yaml``."""
        return {
            **super().config_type(),  # type: ignore[no-untyped-call]
            "tenants_file": dg.Field(
                dg.Noneable(dg.StringSource),
                is_required=False,
                default_value=None,
                description="Path of tenants.yaml. Default: the one that MLREPRO_TENANTS names.",
            ),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Make it from its settings."""
        return cls(inst_data=inst_data, **config_value)

    def get_container_context_for_run(self, dagster_run: DagsterRun) -> K8sContainerContext:
        """What the run's pod is to be. Also where it is looked for, and ended.

        Raises:
            RunRefusedError: Its code location is nobody's.
        """
        tenants = self._tenants
        tenant, location = _owner(tenants, dagster_run)
        own = K8sContainerContext.create_for_run(
            dagster_run._replace(job_code_origin=None), self, include_run_tags=False
        )
        settings = container_context(tenants, tenant)
        if location.bundle and (submitted := _bundle(location, dagster_run)):
            variables = submitted | {"MLREPRO_BUNDLE_CACHE": bundle_cache(self.dagster_home)}
            settings["env"] += [{"name": name, "value": value} for name, value in variables.items()]
        container: dict[str, Any] = {}
        if image := _image(tenants, location, dagster_run):
            container["image"] = image
            settings["env"] += [{"name": "DAGSTER_CURRENT_IMAGE", "value": image}]  # so that it can say what it is
        context = own.merge(K8sContainerContext.create_from_config({"k8s": settings}))
        try:
            resources = requested(dagster_run.tags, tenant)
        except RunRefusedError:
            resources = {}  # it is ended and looked at all the same
        if resources:
            container["resources"] = resources
        return context.merge(
            K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig(container_config=container))
        )

    def _launch_k8s_job_with_args(self, job_name: str, args: Sequence[str] | None, run: DagsterRun) -> None:
        try:
            self._check(run)
        except RunRefusedError:
            self._instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})  # it would be refused again
            raise
        super()._launch_k8s_job_with_args(job_name, args, run)
        self._watch.add(run.run_id, self._namespace(run), job_name)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """See how a run's pod is; one that failed says why."""
        health: CheckRunHealthResult = super().check_run_worker_health(run)
        if health.status is WorkerStatus.FAILED and (said := self._said_of(run)):
            return health._replace(msg=f"{health.msg}: {said}")
        return health

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """What is known of a run's pod, in plain words first."""
        info = super().get_run_worker_debug_info(run, include_container_logs=include_container_logs)
        said = self._said_of(run)
        return "\n\n".join(part for part in (said, info) if part) or None

    def dispose(self) -> None:
        """Let go of what is held."""
        self._watch.stop()
        super().dispose()

    def _namespace(self, run: DagsterRun) -> str:
        return str(self.get_container_context_for_run(run).namespace)

    def _said_of(self, run: DagsterRun) -> str | None:
        """What keeps a run's pod from running, or ended it; None where nothing is known."""
        namespace = self._namespace(run)
        attempt = self._get_resume_attempt_number(run)
        job = get_job_name_from_run_id(run.run_id, resume_attempt_number=attempt)  # type: ignore[no-untyped-call]
        observer = Observer(self._api_client, namespace, f"dagster/run-id={run.run_id},{RUN_WORKERS}")
        try:
            view = observer.look().get(job)
            if view is None:
                return None
            if view.failed:
                return how_it_ended(self._api_client, namespace, view, observer)
            found = trouble(view)
        except Exception as error:  # noqa: BLE001 -- health is told without it
            return f"what Kubernetes knows of the run's pod can't be read: {told_by(error)}"
        return found.sentence if found else None

    @property
    def _tenants(self) -> Tenants:
        if self._tenants_file is None:
            self._tenants_file = TenantsFile(self._tenants_path)
        return self._tenants_file.tenants

    def _check(self, run: DagsterRun) -> None:
        """Refuse a run that asks for what it does not get.

        Raises:
            RunRefusedError: With what it asks for.
        """
        tenants = self._tenants
        tenant, location = _owner(tenants, run)
        tagged = run.tags.get(TENANT_TAG, tenant.name)
        if tagged != tenant.name:
            raise RunRefusedError(
                f"the run is tagged as tenant {tagged}'s, and code location {location.name} is {tenant.name}'s"
            )
        requested(run.tags, tenant)
        _check_code_server(tenants, tenant, location, run)


def _owner(tenants: Tenants, run: DagsterRun) -> tuple[Named, CodeLocation]:
    if run.remote_job_origin is None:
        raise RunRefusedError("the run says no code location, so nobody knows whose it is: launch it from one")
    name = run.remote_job_origin.repository_origin.code_location_origin.location_name
    for tenant in tenants:
        for location in tenant.locations:
            if location.name == name:
                return tenant, location
    raise RunRefusedError(f"code location {name} is no tenant's: add it to one in tenants.yaml")


def _told(run: DagsterRun) -> tuple[Mapping[str, Any], str | None]:
    """What the code server said of the pods that its runs are to be, and of its own image."""
    if run.job_code_origin is None:
        return {}, None
    origin = run.job_code_origin.repository_origin
    told = (origin.container_context or {}).get("k8s") or {}
    return told if isinstance(told, Mapping) else {}, origin.container_image


def _image(tenants: Tenants, location: CodeLocation, run: DagsterRun) -> str | None:
    """The code server's image, so that a run has the code that was looked at; else what the file says."""
    declared = location.image or tenants.instance.image
    _, told = _told(run)
    if told is None or (declared is not None and image_repository(told) != image_repository(declared)):
        return declared
    return told


def _bundle(location: CodeLocation, run: DagsterRun) -> dict[str, str] | None:
    """Environment variables with the code bundle that a run was submitted with; None where it names none.

    The code server says which, as it is the tenant's own: the digest names a blob in the tenant's scope.
    """
    origin = run.job_code_origin.repository_origin if run.job_code_origin is not None else None
    told = ((origin.container_context if origin is not None else None) or {}).get("mlrepro")
    if not isinstance(told, Mapping):
        return None
    digest, version = str(told.get("bundle")), str(told.get("workflow_version"))
    if not _DIGEST.fullmatch(digest) or not NAME.fullmatch(version) or location_of(version) != location.name:
        return None
    return {"MLREPRO_BUNDLE": digest, "MLREPRO_WORKFLOW_VERSION": version}


def _check_code_server(tenants: Tenants, tenant: Named, location: CodeLocation, run: DagsterRun) -> None:
    told, image = _told(run)
    pinned = {"namespace": tenant.namespace, "service_account_name": tenant.service_account}
    for field in _PINNED:
        if told.get(field) not in (None, "", pinned[field]):
            raise RunRefusedError(
                f"the code server of {location.name} asks for {field} {told[field]!r}, tenants.yaml says"
                f" {pinned[field]}: render and apply its settings again"
            )
    submitted = _bundle(location, run)
    if location.bundle and submitted is None:
        raise RunRefusedError(
            f"the code server of {location.name} names no code bundle, tenants.yaml says bundle: let the image's own"
            " command, mlrepro code-server, start it"
        )
    if submitted is not None and not location.bundle:
        raise RunRefusedError(
            f"the code server of {location.name} serves code bundles, tenants.yaml says nothing of it: write bundle:"
            " true in place of module or args"
        )
    declared = location.image or tenants.instance.image
    if image and declared and image_repository(image) != image_repository(declared):
        raise RunRefusedError(
            f"the code server of {location.name} runs the image {image}, tenants.yaml says {declared}: only tag and"
            " digest may differ"
        )
