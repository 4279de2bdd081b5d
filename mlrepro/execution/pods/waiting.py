"""Pods that have a node and do not start: images, ConfigMaps and Secrets, volumes."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mlrepro.execution.pods.trouble import Json, Patience, Trouble

_PULLS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"})
_CREATING: Final = frozenset({"ContainerCreating", "PodInitializing", ""})
_MISSING: Final = re.compile(r"""(secret|configmap) ["']([^"']+)["'] not found""", re.IGNORECASE)
_KEY: Final = re.compile(r"couldn't find key (\S+) in (Secret|ConfigMap) (?:[^/\s]+/)?(\S+)")
_ROOT: Final = re.compile(r"runAsNonRoot and image (?:will run as root|has non-numeric user)")
_MOUNT: Final = re.compile(r'MountVolume\.\S+ failed for volume "([^"]+)" ?: (.+)', re.DOTALL)
_KINDS: Final = {"secret": "Secret", "configmap": "ConfigMap"}

# what registries answer, by what it means; the first that fits counts
_ANSWERS: Final = (
    (re.compile(r"no such host|server misbehaving"), "its registry's name is not known (no such host)"),
    (re.compile(r"toomanyrequests|429 Too Many", re.IGNORECASE), "its registry has had too many requests for now"),
    (
        re.compile(r"pull access denied|insufficient_scope|unauthorized|authentication required|denied|40[13]"),
        "there is none, or its registry wants credentials (image pull secrets)",
    ),
    (re.compile(r"not found|manifest unknown|NotFound"), "its registry has no such image"),
    (re.compile(r"x509|certificate"), "its registry's certificate is not trusted"),
    (re.compile(r"i/o timeout|deadline exceeded|connection refused|no route to host"), "its registry does not answer"),
    (re.compile(r"no match for platform|exec format"), "it was not built for the node's kind of processor"),
    (re.compile(r"no space left"), "the node's disk is full"),
)


def not_starting(pod: Json, events: Sequence[Json]) -> Trouble | None:
    """Why a pod's containers do not start, None where nothing is known to be wrong.

    Args:
        pod: A pod that has a node.
        events: Its events, the newest last.
    """
    for status in _statuses(pod):
        waiting = (status.get("state") or {}).get("waiting")
        if waiting is None:
            continue
        reason, message = waiting.get("reason") or "", waiting.get("message") or ""
        image = _image(pod, status)
        if reason in _PULLS:
            return Trouble(reason, f"image {image!r} can't be pulled: {_answer(message, events)}", Patience.SHORT)
        if reason == "InvalidImageName":
            return Trouble(reason, f"image {image!r} is not the name of one", Patience.NEVER)
        if reason == "ErrImageNeverPull":
            told = f"image {image!r} is not on the node, and its pull policy is Never"
            return Trouble(reason, told, Patience.SHORT)
        if reason == "SignatureValidationFailed":
            return Trouble(reason, f"image {image!r} is not signed as the cluster wants it: {message}", Patience.SHORT)
        if reason == "CreateContainerConfigError":
            return _config(message)
        if reason not in _CREATING:
            return Trouble(reason, f"its container can't be started: {message or reason}", Patience.SHORT)
        break
    return _mounting(events)


def _statuses(pod: Json) -> Iterator[dict[str, Any]]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _image(pod: Json, status: Json) -> str:
    """As it was asked for: the status has what the node makes of it."""
    spec = pod.get("spec") or {}
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        if container.get("name") == status.get("name"):
            return str(container.get("image") or status.get("image") or "")
    return str(status.get("image") or "")


def _answer(message: str, events: Sequence[Json]) -> str:
    """What the registry said; a pod that waits for its next try says only that it does."""
    told = [event.get("message") or "" for event in events if event.get("reason") == "Failed"]
    pulled = [text for text in told if "Failed to pull image" in text]
    full = next(reversed(pulled), "") or message
    for pattern, meaning in _ANSWERS:
        if pattern.search(full):
            return meaning
    return full or "the node does not say why"


def _config(message: str) -> Trouble:
    reason = "CreateContainerConfigError"
    if found := _MISSING.search(message):
        kind = _KINDS[found[1].lower()]
        told = f"{kind} {found[2]!r}, which the pod's environment comes from, is not in its namespace"
        return Trouble(reason, told, Patience.SHORT)
    if found := _KEY.search(message):
        told = f"{found[2]} {found[3]!r}, which the pod's environment comes from, has no key {found[1]!r}"
        return Trouble(reason, told, Patience.SHORT)
    if _ROOT.search(message):
        told = "the image runs as root, which the pod forbids (runAsNonRoot): build it with a numeric USER"
        return Trouble(reason, told, Patience.NEVER)
    return Trouble(reason, f"its container can't be made: {message or reason}", Patience.SHORT)


def _mounting(events: Sequence[Json]) -> Trouble | None:
    """What the newest of its events says of volumes and network."""
    for event in reversed(events):
        reason, message = event.get("reason"), event.get("message") or ""
        if reason in ("Pulling", "Pulled", "Created", "Started"):
            return None  # it went on since
        if reason == "FailedMount":
            found = _MOUNT.search(message)
            if not found:
                return Trouble(reason, f"its volumes can't be mounted: {message}", Patience.SHORT)
            missing = _MISSING.search(found[2])
            why = (
                f"{_KINDS[missing[1].lower()]} {missing[2]!r} is not in its namespace" if missing else found[2].strip()
            )
            return Trouble(reason, f"volume {found[1]!r} can't be mounted: {why}", Patience.SHORT)
        if reason in ("FailedAttachVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer"):
            return Trouble(reason, f"its node can't start it: {message}", Patience.LONG)
    return None
