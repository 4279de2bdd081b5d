"""Looking at all Jobs of a kind at once: three calls of the Kubernetes API, however many Jobs there are."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from mlrepro.execution.pods.diagnosis import View
from mlrepro.execution.pods.trouble import Json

_PAGE: Final = 500
_PATIENCE: Final = 5
"""Seconds that the API has for an answer."""

_FORBIDDEN: Final = 403
_ONE_GO: Final = 2.0
"""Seconds within which a look that failed is not tried again: the next step's turn comes at once."""


class Observer:
    """Jobs, their pods and the warnings about them.

    What ended well is left out, so that a run of a thousand steps does not list them all again and again.

    Args:
        client: dagster-k8s' client.
        namespace: Where the Jobs are.
        selector: Labels that Jobs and pods have.
    """

    def __init__(self, client: Any, namespace: str, selector: str) -> None:
        self._client = client
        self._namespace = namespace
        self._selector = selector
        self._views: dict[str, View] = {}
        self._taken = float("-inf")
        self._failed: tuple[float, Exception] | None = None

    def view(self, job: str, *, newer_than: float) -> View | None:
        """A Job by its name, None where there is none that could still go wrong.

        Args:
            job: Its name.
            newer_than: The moment, by `time.monotonic`, that an earlier look may be from.

        Raises:
            ApiException: The API refuses.
            HTTPError: urllib3's: the API can't be reached.
        """
        if self._taken < newer_than:
            if self._failed is not None and time.monotonic() - self._failed[0] < _ONE_GO:
                raise self._failed[1]
            try:
                self._views = self.look()
            except Exception as error:
                self._failed = (time.monotonic(), error)
                raise
        return self._views.get(job)

    def look(self) -> dict[str, View]:
        """All Jobs, by name."""
        taken = time.monotonic()
        jobs = self._list(self._client.batch_api.list_namespaced_job, self._selector, "status.successful=0")
        pods = self._list(self._client.core_api.list_namespaced_pod, self._selector, "status.phase!=Succeeded")
        of_job: dict[str, list[Json]] = {}
        for pod in sorted(pods, key=_created):
            of_job.setdefault(_job_of(pod), []).append(pod)
        views = {name: View(job, of_job.get(name, ())) for job in jobs if (name := job["metadata"]["name"])}
        if any(not (view.runs or view.failed) for view in views.values()):
            warnings = self._events("type=Warning")
            views = {name: View(view.job, view.pods, _about(view, warnings)) for name, view in views.items()}
        self._taken = taken
        return views

    def events_of(self, view: View) -> list[Json]:
        """All events about a Job and its pods, also about those that are gone."""
        return _about(view, self._events("involvedObject.kind=Pod"))

    def _events(self, fields: str) -> list[Json]:
        from kubernetes.client.rest import ApiException

        try:
            return sorted(self._list(self._client.core_api.list_namespaced_event, "", fields), key=_seen)
        except ApiException as error:
            if error.status == _FORBIDDEN:  # then there is less to say, but what there is holds
                return []
            raise

    def _list(self, call: Callable[..., Any], labels: str, fields: str) -> list[Json]:
        return [item for page in _pages(call, self._namespace, labels, fields) for item in page]


def _pages(call: Callable[..., Any], namespace: str, labels: str, fields: str) -> Iterator[list[Json]]:
    """As plain JSON: the client's own objects take many times as long to make."""
    options: dict[str, Any] = {"limit": _PAGE, "_request_timeout": _PATIENCE, "_preload_content": False}
    options |= {"label_selector": labels} if labels else {}
    more = None
    while True:
        answer = json.loads(
            call(namespace, field_selector=fields, **options, **({"_continue": more} if more else {})).data
        )
        yield answer.get("items") or []
        more = (answer.get("metadata") or {}).get("continue")
        if not more:
            return


def _job_of(pod: Json) -> str:
    labels = pod["metadata"].get("labels") or {}
    return str(labels.get("batch.kubernetes.io/job-name") or labels.get("job-name") or "")


def _created(item: Json) -> str:
    return str(item["metadata"].get("creationTimestamp") or "")


def _seen(event: Json) -> str:
    series = event.get("series") or {}
    return str(
        event.get("lastTimestamp") or series.get("lastObservedTime") or event.get("eventTime") or _created(event)
    )


def _about(view: View, events: list[Json]) -> list[Json]:
    metadata = view.job["metadata"]
    name, uid = metadata["name"], metadata.get("uid")
    found = []
    for event in events:
        about = event.get("involvedObject") or {}
        if about.get("kind") == "Job":
            mine = about.get("name") == name and about.get("uid") in (None, uid)
        else:  # the pods of a Job have its name and five letters more
            mine = str(about.get("name") or "").rpartition("-")[0] == name
        if mine:
            found.append(event)
    return found
