"""Launching runs as the signed-in user, by Dagster's own mutation: its guards, audit and coordinator decide."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from dagster import AssetKey
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.storage.tags import PARTITION_NAME_TAG
from starlette.requests import Request
from starlette.responses import JSONResponse

from mlrepro.errors import FormError, NotAllowedError
from mlrepro.web.pages.known import Known

_MUTATION: Final = """
mutation MlreproLaunch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


class Launches(Protocol):
    """What launching needs of the webserver."""

    def graphql_execution_thread(
        self, request: Request, query: str, variables: dict[str, Any] | None, operation_name: str | None
    ) -> JSONResponse:
        """Execute an operation as whoever sent the request."""


def launch_job(server: Launches, request: Request, known: Known, job: str, config: Mapping[str, Any]) -> str:
    """Launch a job that moves channels and pins, in the code location of an asset.

    Args:
        server: The webserver.
        request: Whose wish it is.
        known: The channel or asset.
        job: ``promote``, ``rollback`` or ``release``.
        config: The job's form.

    Returns:
        Id of the run.

    Raises:
        NotAllowedError: The user may not launch it.
        FormError: Dagster did not take it; the message says why.
    """
    return _launch(
        server,
        request,
        {"selector": _selector(known, job), "runConfigData": {"ops": {job: {"config": dict(config)}}}},
    )


def materialize(
    server: Launches, request: Request, known: Known, keys: Sequence[AssetKey], partition: str | None = None
) -> str:
    """Materialize assets of one code location; raises and returns as `launch_job` does.

    Args:
        server: The webserver.
        request: Whose wish it is.
        known: One of the assets.
        keys: All of them.
        partition: Partition key, where they have partitions.
    """
    selector = {
        **_selector(known, IMPLICIT_ASSET_JOB_NAME),
        "assetSelection": [{"path": list(key.path)} for key in keys],
        "assetCheckSelection": None,
    }
    tags = [] if partition is None else [{"key": PARTITION_NAME_TAG, "value": partition}]
    return _launch(server, request, {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": tags}})


def _selector(known: Known, job: str) -> dict[str, Any]:
    return {
        "repositoryLocationName": known.location,
        "repositoryName": known.repository,
        "jobName": job,
    }


def _launch(server: Launches, request: Request, params: dict[str, Any]) -> str:
    response = server.graphql_execution_thread(
        request=request, query=_MUTATION, variables={"params": params}, operation_name=None
    )
    told = json.loads(bytes(response.body))
    result = (told.get("data") or {}).get("launchRun") or {}
    match result.get("__typename"):
        case "LaunchRunSuccess":
            return str(result["run"]["runId"])
        case "UnauthorizedError":
            raise NotAllowedError(str(result.get("message")))
        case "RunConfigValidationInvalid":
            raise FormError("; ".join(str(each["message"]).splitlines()[0] for each in result["errors"]))
        case None:
            errors = [str(each.get("message")) for each in told.get("errors") or ()]
            raise FormError("; ".join(errors)[:1000] or "Dagster did not say what became of it")
        case _:
            raise FormError(str(result.get("message") or result["__typename"])[:1000])
