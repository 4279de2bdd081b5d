"""A double of the Kubernetes API: it keeps Jobs, Pods and Events, and runs each Pod's command as a local process.

It is what Dagster's real ``K8sRunLauncher`` and ``k8s_job_executor`` talk to in CI, with the real Kubernetes client
over http. It stands on the standard library's http server. kmock, the stateful mock server on PyPI, stores objects as
they come: its lists know neither label nor field selectors, its errors are not Kubernetes' own (``Object Not Found``
for ``NotFound``), and a Job would still need all of what is below, inside kmock's event loop.

What it does as a cluster does:

* A Job gets one Pod, and its status follows the Pod's: active, then succeeded or failed, with conditions.
* A Pod goes from Pending over Running to Succeeded or Failed, with its container's state, log and Events.
* A deleted Pod gets SIGTERM, and SIGKILL when its time is over. With its first process all others in it end.
* Deleting a Job orphans its Pods, as batch/v1 does, unless ``propagationPolicy`` says otherwise. What has owner
  references goes with its owner.
* ``env`` and ``envFrom`` read the ConfigMaps and Secrets that were created through the API.
* LimitRanges, ResourceQuotas and Pod Security refuse Pods, and not Jobs: the Job controller tries again, and says
  ``FailedCreate`` each time. The only node takes what fits; images in ``.invalid`` are not found; who uses more memory
  than its limit is OOMKilled. Pods can be evicted through the API.

What it leaves out: volumes, all but a Pod's first container, restarts (``backoffLimit`` counts as 0, which is what
dagster-k8s sets), ``PUT``, all of ``PATCH`` but JSON patches that test and replace, and ``watch``. Whoever asks may do
everything, but for what a test puts into ``forbidden``. What only a node of one's own shows - eviction by the kubelet,
preemption, shutdown - a test asks of the double itself.

The stations of a Job are methods of their own, in the order in which a cluster reaches them: ``_admit`` (the API
server), ``_control`` (the Job controller makes the Pod), ``_prepare`` (the scheduler, then the node, until it starts),
``_start``, ``_ended``.
"""

import base64
import collections
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml

from tests.kubernetes.admission import (
    ForbiddenError,
    apply_defaults,
    check_limit_ranges,
    check_quotas,
    check_security,
)
from tests.kubernetes.api_server import (
    RESOURCES,
    ApiError,
    ApiServer,
    Object,
    Request,
    api_version,
    field,
    matches,
    not_found,
    qualified,
)
from tests.kubernetes.node import Node, PullError, memory_limit, memory_of, pull

LASTING = ("PodScheduled", "DisruptionTarget")
"""Conditions of a Pod that stay, whatever its container does."""

RETRY = 0.5
"""Seconds until controller, scheduler and node try again: a cluster takes from one to hundreds."""

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class ContainerConfigError(Exception):
    """A container asks for a ConfigMap, a Secret or a key that is not there."""


@dataclass(frozen=True)
class CreatedJob:
    """A Job as it was created, kept when it is deleted.

    Attributes:
        name: The Job's name.
        namespace: Where it was created.
        labels: The Job's own labels.
        command: The container's command and arguments.
        env: The container's variables that have a plain value.
        body: The whole Job, as sent.
    """

    name: str
    namespace: str
    labels: dict[str, str]
    command: list[str]
    env: dict[str, str]
    body: Object


def _selectable(item: Object, path: str) -> str:
    """A field under the name that selectors have for it."""
    if path == "status.successful":
        return field(item, "status.succeeded") or "0"
    return field(item, path)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _command(container: Object) -> list[str]:
    return [*(container.get("command") or []), *(container.get("args") or [])]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the first process to end; when it does, or does not in time, what it started is killed."""
    if grace > 0:
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    _kill_group(process)


@dataclass(frozen=True)
class _Container:
    pod: Object
    process: subprocess.Popen[bytes]
    log: Path


class KubernetesDouble:
    """The API server, its controllers and its only node, in this process.

    Args:
        folder: Where the containers' output goes, ``logs/<pod>``, and their working folders.
        namespaces: The namespaces that exist from the start.
        environment: What every container finds in its environment, as if the image had set it, besides a ``PATH`` with
            this Python's folder first.
        node: The only node.
        entrypoint: The images' own, which arguments are given to where a container has no command.

    Example:
        ``with KubernetesDouble(tmp_path, namespaces=["team-a"]) as double: double.write_kubeconfig(path, "team-a")``
    """

    def __init__(
        self,
        folder: Path,
        *,
        namespaces: Sequence[str] = ("default",),
        environment: Mapping[str, str] | None = None,
        node: Node | None = None,
        entrypoint: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.node = node or Node()
        self.entrypoint = list(entrypoint)
        self.environment = {
            **{name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            **(environment or {}),
        }
        self.forbidden: set[tuple[str, str]] = set()  # verb and resource
        self.lists: collections.Counter[str] = collections.Counter()  # calls so far, by resource
        self._created: list[CreatedJob] = []
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._containers: dict[str, _Container] = {}  # by the Pod's uid, kept when the Pod is deleted
        self._threads: list[threading.Thread] = []
        self._version = 0
        self._closed = False
        self._out_of_memory: set[str] = set()  # by the Pod's uid
        self.lock = threading.RLock()
        for name in namespaces:
            self._add("namespaces", "", {"metadata": {"name": name}, "status": {"phase": "Active"}})
        self._server = ApiServer(self)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_serving()
        with self.lock:
            self._closed = True
            for container in self._containers.values():
                if container.process.poll() is None:
                    _kill_group(container.process)
        for thread in self._threads:
            thread.join(timeout=10)

    # --- for tests

    @property
    def url(self) -> str:
        """The API's address."""
        return self._server.url

    @property
    def created(self) -> list[CreatedJob]:
        """Every Job ever created, the deleted ones too, in order."""
        with self.lock:
            return list(self._created)

    def process(self, job: str, *, namespace: str) -> subprocess.Popen[bytes]:
        """The process that a Job's Pod started, also when it has ended and the Job is deleted.

        Raises:
            LookupError: While no Pod of the Job has started.
        """
        with self.lock:
            for container in self._containers.values():
                metadata = container.pod["metadata"]
                if metadata["namespace"] == namespace and metadata["labels"].get("job-name") == job:
                    return container.process
        raise LookupError(f"no Pod of the Job {job} has started in {namespace}")

    def create(self, resource: str, namespace: str, body: Object) -> Object:
        """Create an object, as if it had come through the API."""
        with self.lock:
            return self._admit(resource, namespace, body)

    def label(self, namespace: str, name: str, value: str) -> None:
        """Put a label on a namespace."""
        with self.lock:
            self._touch(self._find("namespaces", "", namespace))["metadata"]["labels"][name] = value

    def objects(self, resource: str, namespace: str) -> list[Object]:
        """The objects that there are now."""
        with self.lock:
            return [item for (kind, place, _), item in self._objects.items() if (kind, place) == (resource, namespace)]

    def disrupt(self, job: str, *, namespace: str, reason: str, condition: str = "", message: str = "") -> None:
        """End a Job's Pod as its node does: for want of something, or when it shuts down.

        Args:
            job: The Job.
            namespace: Where it is.
            reason: The Pod's ``status.reason``; empty where the scheduler or the API server would be the one.
            condition: The reason of the condition ``DisruptionTarget``, where there is one.
            message: Of both.
        """
        process = self.process(job, namespace=namespace)
        with self.lock:
            pods = self.objects("pods", namespace)
            pod = next(pod for pod in pods if pod["metadata"]["labels"].get("job-name") == job)
            pod["status"] |= {"reason": reason, "message": message} if reason else {}
            if condition:
                self._disrupted(pod, condition, message)
            if reason:
                self._event(pod, "Warning", reason, message)
        _kill_group(process)

    def started(self, job: str, *, namespace: str) -> bool:
        """Whether a Job's Pod has started its process."""
        with contextlib.suppress(LookupError):
            return self.process(job, namespace=namespace).pid > 0
        return False

    @contextlib.contextmanager
    def out_of_reach(self) -> Iterator[None]:
        """Close every connection without an answer, while the block runs. What runs goes on."""
        self._server.silent = True
        try:
            yield
        finally:
            self._server.silent = False

    def stop_serving(self) -> None:
        """Be out of reach from now on. What runs goes on."""
        self._server.stop()

    def write_kubeconfig(self, path: Path, namespace: str) -> None:
        """Write the file with which clients find this double."""
        context = {"cluster": "double", "user": "tester", "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "double", "cluster": {"server": self.url}}],
            "users": [{"name": "tester", "user": {"token": "any"}}],
            "contexts": [{"name": "double", "context": context}],
            "current-context": "double",
        }
        path.write_text(yaml.safe_dump(config))

    # --- the API's verbs

    def respond(self, request: Request) -> tuple[int, Object | str]:
        """Answer one call with an http status, and an object or a log's text."""
        resource, namespace, name = request.resource, request.namespace or "", request.name
        self._check_rights(request)
        match request.method, name:
            case _ if "watch" in request.query or "follow" in request.query:
                raise ApiError(405, "MethodNotAllowed", "the double has neither watch nor follow")
            case "POST", str() if request.part == "eviction":
                return 201, self._evict(self._find("pods", namespace, name))
            case "POST", None:
                return 201, self._admit(resource, namespace, request.body)
            case "GET", None:
                self.lists[resource] += 1
                items, first = self._select(request), int(request.query.get("continue") or 0)
                behind = first + int(request.query.get("limit") or len(items) or 1)
                more = {"continue": str(behind)} if behind < len(items) else {}
                return 200, {
                    "apiVersion": api_version(resource),
                    "kind": f"{RESOURCES[resource][1]}List",
                    "metadata": {"resourceVersion": str(self._version), **more},
                    "items": items[first:behind],
                }
            case "GET", str():
                item = self._find(resource, namespace, name)
                return 200, self._log(item, request.query) if request.part == "log" else item
            case "PATCH", str():
                return 200, self._patch(resource, namespace, name, request.body)
            case "DELETE", _ if resource != "namespaces" and request.part is None:
                items = [self._find(resource, namespace, name)] if name else self._select(request)
                for item in items:
                    self._delete(resource, item, **_delete_options(resource, item, request.body | dict(request.query)))
                if name and resource == "pods":
                    return 200, items[0]
                return 200, {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"}
        raise ApiError(405, "MethodNotAllowed", f"the double does not know {request.method} for {resource}")

    def _check_rights(self, request: Request) -> None:
        verb = {"GET": "get", "PATCH": "patch", "POST": "create", "DELETE": "delete"}.get(request.method, "")
        if (verb, request.resource) in self.forbidden:
            what = f'{qualified(request.resource)} "{request.name}" is forbidden: User "tester" cannot {verb}'
            told = f'{what} resource "{request.resource}" in the namespace "{request.namespace}"'
            raise ApiError(403, "Forbidden", told, name=request.name or "", kind=request.resource)

    def _patch(self, resource: str, namespace: str, name: str, edits: Any) -> Object:
        if not isinstance(edits, list):
            raise ApiError(415, "UnsupportedMediaType", "the double knows JSON patches only")
        item = self._find(resource, namespace, name)
        patched: Any = json.loads(json.dumps(item))
        for edit in edits:
            *path, last = edit["path"].removeprefix("/").split("/")
            inner = patched
            for part in path:
                inner = inner[int(part) if isinstance(inner, list) else part]
            key = int(last) if isinstance(inner, list) else last
            if edit["op"] == "test" and inner[key] != edit["value"]:
                raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request")
            if edit["op"] == "replace":
                inner[key] = edit["value"]
        item.update(patched)
        return self._touch(item)

    def _find(self, resource: str, namespace: str, name: str) -> Object:
        try:
            return self._objects[resource, namespace, name]
        except KeyError:
            raise not_found(resource, name) from None

    def _select(self, request: Request) -> list[Object]:
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        return [
            item
            for (resource, namespace, _), item in self._objects.items()
            if resource == request.resource
            and request.namespace in (None, namespace)
            and matches(labels, item["metadata"]["labels"].get)
            and matches(fields, lambda path, item=item: _selectable(item, path))  # type: ignore[misc]
        ]

    def _log(self, pod: Object, query: Mapping[str, str]) -> str:
        container = self._containers.get(pod["metadata"]["uid"])
        if container is None:
            name = pod["metadata"]["name"]
            raise ApiError(400, "BadRequest", f"container in pod {name!r} is waiting to start: ContainerCreating")
        lines = container.log.read_text(errors="replace").splitlines(keepends=True)
        return "".join(lines[-int(query["tailLines"]) :] if "tailLines" in query else lines)

    def _admit(self, resource: str, namespace: str, body: Object) -> Object:
        if resource != "namespaces" and ("namespaces", "", namespace) not in self._objects:
            raise not_found("namespaces", namespace)
        metadata = body.setdefault("metadata", {})
        if "name" not in metadata and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)
        name = metadata.get("name", "")
        spec = (body.get("spec") or {}) if resource in ("jobs", "pods") else None
        pod_spec = (spec.get("template") or {}).get("spec", {}) if spec is not None and resource == "jobs" else spec
        if not NAME.fullmatch(name) or len(name) > 63 or (pod_spec is not None and not pod_spec.get("containers")):
            raise ApiError(422, "Invalid", f"{resource} {name!r} is invalid: it needs a name and a container")
        if (resource, namespace, name) in self._objects:
            raise ApiError(409, "AlreadyExists", f'{qualified(resource)} "{name}" already exists', name=name)
        if resource == "secrets":
            written = body.pop("stringData", None) or {}
            body["data"] = (body.get("data") or {}) | {
                key: base64.b64encode(value.encode()).decode() for key, value in written.items()
            }
        if resource == "jobs":
            container = pod_spec["containers"][0] if pod_spec else {}
            plain = {entry["name"]: entry["value"] for entry in container.get("env") or [] if "value" in entry}
            labels = dict(metadata.get("labels") or {})
            sent = json.loads(json.dumps(body))
            self._created.append(CreatedJob(name, namespace, labels, _command(container), plain, sent))
        item = self._add(resource, namespace, body)
        if resource in ("jobs", "pods"):
            self._spawn(self._control if resource == "jobs" else self._run, item)
        return item

    def _add(self, resource: str, namespace: str, item: Object) -> Object:
        item |= {"apiVersion": api_version(resource), "kind": RESOURCES[resource][1]}
        metadata = item["metadata"]
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now()}
        metadata["labels"] = metadata.get("labels") or {}
        if namespace:
            metadata["namespace"] = namespace
        if resource in ("jobs", "pods"):
            item["status"] = {"phase": "Pending"} if resource == "pods" else {}
        self._objects[resource, namespace, metadata["name"]] = item
        return self._touch(item)

    def _touch(self, item: Object) -> Object:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        return item

    def _stored(self, resource: str, item: Object) -> bool:
        metadata = item["metadata"]
        return self._objects.get((resource, metadata.get("namespace", ""), metadata["name"])) is item

    # --- what a Job and its Pod go through

    def _spawn(self, target: Callable[..., object], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _control(self, job: Object) -> None:
        """Make the Job's Pod, as soon as it is let in."""
        while True:
            with self.lock:
                if not self._stored("jobs", job) or self._closed:
                    return
                pod = self._pod_of(job)
                try:
                    self._let_in(pod)
                except ForbiddenError as error:
                    told = f'Error creating: pods "{pod["metadata"]["name"]}" is forbidden: {error}'
                    job["status"].setdefault("startTime", _now())
                    self._event(job, "Warning", "FailedCreate", told)
                else:
                    namespace = job["metadata"]["namespace"]
                    pod = self._add("pods", namespace, pod)
                    job["status"] = {"startTime": job["status"].get("startTime") or _now(), "active": 1, "ready": 0}
                    self._touch(job)
                    self._event(job, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
                    break
            time.sleep(RETRY)
        self._run(pod)

    def _pod_of(self, job: Object) -> Object:
        name, uid = (job["metadata"][key] for key in ("name", "uid"))
        template: Object = json.loads(json.dumps(job["spec"]["template"]))
        metadata = template.get("metadata") or {}
        labels = {"job-name": name, "controller-uid": uid}
        labels |= {f"batch.kubernetes.io/{key}": value for key, value in labels.items()}
        metadata["labels"] = (metadata.get("labels") or {}) | labels
        metadata["name"] = f"{name[:57]}-{secrets.token_hex(3)[:5]}"
        metadata["namespace"] = job["metadata"]["namespace"]
        metadata["ownerReferences"] = [
            {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
        ]
        return {"metadata": metadata, "spec": template["spec"]}

    def _let_in(self, pod: Object) -> None:
        namespace = pod["metadata"]["namespace"]
        ranges = self.objects("limitranges", namespace)
        apply_defaults(pod, ranges)
        check_limit_ranges(pod, ranges)
        check_security(pod, self._find("namespaces", "", namespace)["metadata"]["labels"])
        check_quotas(pod, self.objects("resourcequotas", namespace), self._alive(self.objects("pods", namespace)))

    @staticmethod
    def _alive(pods: list[Object]) -> list[Object]:
        return [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]

    def _run(self, pod: Object) -> None:
        """Be the scheduler and the node of a Pod, from its start to its end."""
        process = self._prepare(pod)
        if process is None:
            return
        limit = memory_limit(pod)
        while True:
            try:
                code = process.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                if limit is not None and memory_of(process.pid) > limit:
                    self._out_of_memory.add(pod["metadata"]["uid"])
                    _kill_group(process)
                with self.lock:
                    self._end_late_job_of(pod)
        _kill_group(process)
        with self.lock:
            reason = "Error" if code else "Completed"
            if pod["metadata"]["uid"] in self._out_of_memory:
                reason = "OOMKilled"
            # as a shell does, Kubernetes reports the signal n as 128 + n
            self._ended(pod, code if code >= 0 else 128 - code, reason, None)

    def _prepare(self, pod: Object) -> subprocess.Popen[bytes] | None:
        """Start a Pod's process, as soon as there is a place and all that it needs; None if the Pod is gone before."""
        said = ""
        while True:
            with self.lock:
                if not self._stored("pods", pod) or self._closed:
                    return None
                others = [other for other in self._bound() if other is not pod]
                if "nodeName" not in pod["spec"] and (why := self.node.refuses(pod, others)):
                    self._unscheduled(pod, why, told=said)
                    said = why
                else:
                    pod["spec"]["nodeName"] = "node"
                    if "startTime" not in pod["status"]:
                        pod["status"]["startTime"] = _now()
                        scheduled = {"type": "PodScheduled", "status": "True"}
                        pod["status"]["conditions"] = [scheduled]
                    try:
                        pull(pod["spec"]["containers"][0].get("image") or "")
                        process = self._start(pod)
                    except PullError as error:
                        self._not_pulled(pod, error, again=said == error.reason)
                        said = "" if said else error.reason
                    except ContainerConfigError as error:
                        if said != str(error):
                            self._event(pod, "Warning", "Failed", f"Error: {error}")
                        said = str(error)
                        waiting = {"reason": "CreateContainerConfigError", "message": said}
                        self._report(pod, "Pending", {"waiting": waiting})
                    except OSError as error:
                        self._event(pod, "Warning", "Failed", f"Error: {error}")
                        self._ended(pod, 128, "StartError", str(error))
                        return None
                    else:
                        self._event(pod, "Normal", "Started", "Started container")
                        self._report(pod, "Running", {"running": {"startedAt": _now()}})
                        return process
            time.sleep(RETRY)

    def _bound(self) -> list[Object]:
        pods = [item for (resource, _, _), item in self._objects.items() if resource == "pods"]
        return [pod for pod in self._alive(pods) if "nodeName" in pod["spec"]]

    def _unscheduled(self, pod: Object, why: str, *, told: str) -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        pod["status"]["conditions"] = [condition]
        self._touch(pod)
        if why != told:
            self._event(pod, "Warning", "FailedScheduling", why)

    def _not_pulled(self, pod: Object, error: PullError, *, again: bool) -> None:
        image = pod["spec"]["containers"][0].get("image") or ""
        if error.reason == "InvalidImageName":
            self._event(pod, "Warning", "InspectFailed", error.message)
            waiting = {"reason": error.reason, "message": error.message}
        elif again:
            self._event(pod, "Normal", "BackOff", f'Back-off pulling image "{image}"')
            waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
        else:
            self._event(pod, "Warning", "Failed", f'Failed to pull image "{image}": {error.message}')
            waiting = {"reason": error.reason, "message": error.message}
        self._report(pod, "Pending", {"waiting": waiting})

    def _start(self, pod: Object) -> subprocess.Popen[bytes]:
        uid, container = pod["metadata"]["uid"], pod["spec"]["containers"][0]
        environment = self.environment | {"HOSTNAME": pod["metadata"]["name"]} | self._variables(pod, container)
        folder, log = self.folder / "work" / uid, self.folder / "logs" / pod["metadata"]["name"]
        folder.mkdir(parents=True)
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*([] if container.get("command") else self.entrypoint), *_command(container)],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._containers[uid] = _Container(pod, process, log)
        return process

    def _variables(self, pod: Object, container: Object) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom") or []:
            kind = "configMapRef" if "configMapRef" in source else "secretRef"
            values = self._values(pod, kind, source[kind])
            found |= {source.get("prefix", "") + key: value for key, value in values.items()}
        for entry in container.get("env") or []:
            given = entry.get("valueFrom") or {}
            if "fieldRef" in given:
                found[entry["name"]] = field(pod, given["fieldRef"]["fieldPath"])
            elif given:
                ((kind, reference),) = given.items()
                values = self._values(pod, kind, reference)
                if reference["key"] in values:
                    found[entry["name"]] = values[reference["key"]]
                elif not reference.get("optional"):
                    raise ContainerConfigError(f"couldn't find key {reference['key']} in {reference['name']}")
            else:
                found[entry["name"]] = entry.get("value") or ""
        return found

    def _values(self, pod: Object, kind: str, reference: Object) -> dict[str, str]:
        resource = "configmaps" if kind.startswith("configMap") else "secrets"
        item = self._objects.get((resource, pod["metadata"]["namespace"], reference["name"]))
        if item is None:
            if reference.get("optional"):
                return {}
            raise ContainerConfigError(f'{resource[:-1]} "{reference["name"]}" not found')
        data: dict[str, str] = item.get("data") or {}
        if resource == "secrets":
            return {key: base64.b64decode(value).decode() for key, value in data.items()}
        return data

    def _ended(self, pod: Object, code: int, reason: str, message: str | None) -> None:
        terminated = {"exitCode": code, "reason": reason, "finishedAt": _now()}
        terminated |= {"message": message} if message else {}
        self._report(pod, "Failed" if code else "Succeeded", {"terminated": terminated})
        self._finish_job_of(pod)
        if self._stored("pods", pod) and "deletionTimestamp" in pod["metadata"]:
            self._remove("pods", pod)

    def _report(self, pod: Object, phase: str, state: Object) -> None:
        running = phase == "Running"
        container = pod["spec"]["containers"][0]
        status = {
            "name": container["name"], "image": container.get("image", ""), "imageID": "", "restartCount": 0,
            "ready": running, "started": running, "state": state, "lastState": {},
        }  # fmt: skip
        conditions = [
            *(
                kept
                for kept in pod["status"].get("conditions") or []
                if kept["type"] in ("PodScheduled", "DisruptionTarget")
            ),
            {"type": "Ready", "status": str(running), "lastTransitionTime": _now()},
        ]
        pod["status"] |= {"phase": phase, "conditions": conditions, "containerStatuses": [status]}
        self._touch(pod)
        job = self._job_of(pod)
        if job is not None and job["status"].get("active"):
            job["status"]["ready"] = int(running)
            self._touch(job)

    def _job_of(self, pod: Object) -> Object | None:
        owners = {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []}
        jobs = (item for (resource, _, _), item in self._objects.items() if resource == "jobs")
        return next((job for job in jobs if job["metadata"]["uid"] in owners), None)

    def _end_late_job_of(self, pod: Object) -> None:
        """A Job that is active for too long fails, and its Pod is deleted."""
        job = self._job_of(pod)
        seconds = job and job["spec"].get("activeDeadlineSeconds")
        if job is None or not seconds or not job["status"].get("active"):
            return
        if (datetime.now(UTC) - datetime.fromisoformat(job["status"]["startTime"])).total_seconds() < seconds:
            return
        reason, message = "DeadlineExceeded", "Job was active longer than specified deadline"
        conditions = [
            {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": _now()}
            for kind in ("FailureTarget", "Failed")
        ]
        job["status"] = {"startTime": job["status"]["startTime"], "ready": 0, "failed": 1, "conditions": conditions}
        self._touch(job)
        self._event(job, "Warning", reason, message)
        self._delete("pods", pod, **_delete_options("pods", pod, {}))

    def _finish_job_of(self, pod: Object) -> None:
        job = self._job_of(pod)
        if job is None or not job["status"].get("active"):
            return
        succeeded = pod["status"]["phase"] == "Succeeded"
        reason, message = (
            ("CompletionsReached", "Reached expected number of succeeded pods")
            if succeeded
            else ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        )
        conditions = [
            {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": _now()}
            for kind in (("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed"))
        ]
        job["status"] = {
            "startTime": job["status"]["startTime"],
            "ready": 0,
            "conditions": conditions,
            **({"succeeded": 1, "completionTime": _now()} if succeeded else {"failed": 1}),
        }
        self._touch(job)
        if succeeded:
            self._event(job, "Normal", "Completed", "Job completed")
        else:
            self._event(job, "Warning", reason, message)

    def _event(self, item: Object, kind: str, reason: str, message: str) -> None:
        about = item["metadata"]
        involved = {key: about[key] for key in ("name", "namespace", "uid")}
        event = {
            "metadata": {"name": f"{about['name']}.{secrets.token_hex(8)}"},
            "involvedObject": {"apiVersion": item["apiVersion"], "kind": item["kind"], **involved},
            "type": kind, "reason": reason, "message": message, "count": 1,
            "firstTimestamp": _now(), "lastTimestamp": _now(), "source": {"component": "double"},
        }  # fmt: skip
        self._add("events", about["namespace"], event)

    # --- how they go

    def _disrupted(self, pod: Object, reason: str, message: str) -> None:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        pod["status"]["conditions"] = [*(pod["status"].get("conditions") or []), condition]
        self._touch(pod)

    def _evict(self, pod: Object) -> Object:
        self._disrupted(pod, "EvictionByEvictionAPI", "Eviction API: evicting")
        self._delete("pods", pod, **_delete_options("pods", pod, {}))
        return {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "code": 201}

    def _delete(self, resource: str, item: Object, *, policy: str, grace: float) -> None:
        metadata = item["metadata"]
        if not self._stored(resource, item):  # it went with its owner
            return
        if resource == "pods" and item["status"]["phase"] == "Running":
            if "deletionTimestamp" in metadata and grace > 0:
                return  # one SIGTERM is all that it gets
            if "deletionTimestamp" not in metadata:
                metadata |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": int(grace)}
                self._touch(item)
                self._event(item, "Normal", "Killing", "Stopping container")
            self._spawn(_stop, self._containers[metadata["uid"]].process, grace)
            return
        dependents = self._dependents(item)
        if policy == "Orphan":
            for _, dependent in dependents:
                owners = dependent["metadata"]["ownerReferences"]
                owners[:] = [owner for owner in owners if owner["uid"] != metadata["uid"]]
        elif policy == "Foreground" and dependents:
            metadata |= {"deletionTimestamp": _now(), "finalizers": ["foregroundDeletion"]}
            self._touch(item)
            for kind, dependent in dependents:
                self._delete(kind, dependent, **_delete_options(kind, dependent, {}))
            return
        self._remove(resource, item)

    def _dependents(self, item: Object) -> list[tuple[str, Object]]:
        return [
            (resource, other)
            for (resource, _, _), other in self._objects.items()
            if any(owner["uid"] == item["metadata"]["uid"] for owner in other["metadata"].get("ownerReferences") or [])
        ]

    def _remove(self, resource: str, item: Object) -> None:
        metadata = item["metadata"]
        del self._objects[resource, metadata.get("namespace", ""), metadata["name"]]
        if resource == "pods":
            self._finish_job_of(item)  # as failed, if the Pod never came to its end
        for kind, dependent in self._dependents(item):
            options = _delete_options(kind, dependent, {"propagationPolicy": "Background"})
            self._delete(kind, dependent, **options)
        owners = {owner["uid"] for owner in metadata.get("ownerReferences") or []}
        for (kind, _, _), owner in list(self._objects.items()):
            about = owner["metadata"]
            if about["uid"] in owners and "finalizers" in about and not self._dependents(owner):
                self._remove(kind, owner)


def _delete_options(resource: str, item: Object, given: Object) -> dict[str, Any]:
    policy = given.get("propagationPolicy") or ("Orphan" if resource == "jobs" else "Background")
    grace = given.get("gracePeriodSeconds")
    if grace is None:
        grace = (item.get("spec") or {}).get("terminationGracePeriodSeconds", 30)
    return {"policy": policy, "grace": float(grace)}
