"""Rolling back a code location that an image holds, in the cluster itself: a patch of its code server's Deployment.

It goes by the rights of whoever asks: ``get`` and ``patch`` on ``deployments`` of the group ``apps``.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from mlrepro.errors import BundleError
from mlrepro.execution.pods.answers import told_by
from mlrepro.kubernetes_names import image_repository

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_OWN_IMAGE: Final = "DAGSTER_CURRENT_IMAGE"
"""Variable by which a code server names the image of the runs that it launches."""

_CONTAINERS: Final = "/spec/template/spec/containers"
_TIMEOUT: Final = (5, 30)
"""Seconds to connect, and to wait for an answer."""


def patch_image(deployment: str, image: str) -> bool:
    """Have a Deployment run another image of the same repository. Kubernetes rolls it out.

    Args:
        deployment: ``NAMESPACE/NAME``.
        image: ``repository:tag``.

    Returns:
        Whether anything changed.

    Raises:
        BundleError: There is no cluster, no such Deployment, no right to change it, or it runs something else.
    """
    namespace, _, name = deployment.partition("/")
    if not namespace or not name or "/" in name:
        raise BundleError(f"{deployment!r} is no Deployment: write NAMESPACE/NAME, as kubectl get deployments -A shows")
    try:
        from kubernetes.client import AppsV1Api
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError
    except ImportError as error:
        raise BundleError("patching a Deployment needs Kubernetes' client: pip install 'mlrepro[k8s]'") from error
    client = _client(deployment)
    api = AppsV1Api(client)
    try:
        found = client.sanitize_for_serialization(
            api.read_namespaced_deployment(name, namespace, _request_timeout=_TIMEOUT)
        )
        edits = list(_edits(deployment, found["spec"]["template"]["spec"]["containers"], image))
        if edits:
            api.patch_namespaced_deployment(name, namespace, edits, _request_timeout=_TIMEOUT)
    except ApiException as error:
        step = {
            403: "ask for get and patch on deployments.apps there, or roll back by --helm-values",
            404: "kubectl get deployments -A shows which there are",
            422: "somebody else changed it meanwhile: try again",
        }
        raise BundleError(
            f"the Deployment {deployment} can't be changed, so nothing is: {told_by(error)}; "
            f"{step.get(int(error.status or 0), 'try again')}"
        ) from error
    except HTTPError as error:
        raise BundleError(
            f"the Deployment {deployment} can't be changed, so nothing is: {client.configuration.host} does not answer"
            f" ({told_by(error)})"
        ) from error
    return bool(edits)


def _client(deployment: str) -> "ApiClient":
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration

    configuration = Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            # the client itself reads the variable when it is imported
            config.load_kube_config(os.environ.get("KUBECONFIG") or None, client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise BundleError(
            f"the Deployment {deployment} can't be changed, so nothing is: there is no cluster to ask ({error}); set"
            " KUBECONFIG"
        ) from error
    configuration.retries = 1
    return ApiClient(configuration)


def _edits(deployment: str, containers: list[dict[str, Any]], image: str) -> Iterator[dict[str, Any]]:
    """A JSON patch, which fails where what it replaces is not there any more."""
    repository, found = image_repository(image), False
    for place, container in enumerate(containers):
        if image_repository(container["image"]) != repository:
            continue
        found = True
        yield from _replace(f"{_CONTAINERS}/{place}/image", container["image"], image)
        for number, variable in enumerate(container.get("env") or []):
            if variable["name"] == _OWN_IMAGE and variable.get("value"):
                yield from _replace(f"{_CONTAINERS}/{place}/env/{number}/value", variable["value"], image)
    if not found:
        runs = ", ".join(container["image"] for container in containers)
        raise BundleError(f"the Deployment {deployment} runs {runs}, and nothing of {repository}: it is another one's")


def _replace(path: str, before: str, after: str) -> Iterator[dict[str, Any]]:
    if before != after:
        yield {"op": "test", "path": path, "value": before}
        yield {"op": "replace", "path": path, "value": after}
