"""What docs/tenants.md warns of in a shared instance: when this is no longer so, the page can say so."""

from typing import Any

import dagster as dg
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s.container_context import K8sContainerContext


def test_the_daemon_starts_a_run_wherever_its_code_server_says() -> None:
    said: Any = {"k8s": {"namespace": "another-tenants", "service_account_name": "another-tenants"}}
    repository = RepositoryPythonOrigin("python", code_pointer=dg._core.code_pointer.ModuleCodePointer("m", "defs"))
    origin = JobPythonOrigin("job", repository._replace(container_context=said))
    run = dg.DagsterRun(job_name="job", job_code_origin=origin)
    context = K8sContainerContext.create_for_run(run, None, include_run_tags=True)
    assert context.namespace == "another-tenants"
