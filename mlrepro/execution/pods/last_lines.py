"""What a pod wrote last: the reason, where a program ended by itself before Dagster could tell."""

from typing import Any, Final

from mlrepro.execution.pods.trouble import Json

_LINES: Final = 10


def last_lines(client: Any, namespace: str, pod: Json | None) -> str:
    """The end of a pod's output, to be put behind a sentence; empty where there is none to be had.

    Args:
        client: dagster-k8s' client.
        namespace: Where the pod is.
        pod: The pod.
    """
    if pod is None:
        return ""
    try:
        answer = client.core_api.read_namespaced_pod_log(
            pod["metadata"]["name"], namespace, tail_lines=_LINES, _preload_content=False, _request_timeout=5
        )
        lines = answer.data.decode(errors="replace").strip()
    except Exception:  # noqa: BLE001 -- it is an extra, and the pod may be gone
        return ""
    return f". It wrote last:\n{lines}" if lines else ""
