"""Pods for which there is no node: which resource, which selector, which taint."""

import re
from typing import Any, Final

from mlrepro.execution.pods.trouble import Json, Patience, Trouble
from mlrepro.quantities import amount

_NODES: Final = re.compile(r"^(\d+/\d+) nodes are available:? ?(.*)$", re.DOTALL)
_REST: Final = re.compile(r"\.? ?(?:preemption:|no new claims to deallocate|Preemption is not helpful).*$", re.DOTALL)
_PART: Final = re.compile(r", (?=\d+ )")
_COUNT: Final = re.compile(r"^(\d+) (?:node\(s\) )?(.*)$", re.DOTALL)
_TAINT: Final = re.compile(r"^had (?:untolerated )?taints?(?:\(s\))? \{([^}]*)\}")


def unscheduled(pod: Json) -> Trouble | None:
    """Why the scheduler found no node for a pod, None while it has one or was not asked yet."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") != "PodScheduled" or condition.get("status") != "False":
            continue
        if condition.get("reason") == "SchedulingGated":
            told = "pod waits until something else lets it be scheduled (scheduling gates)"
            return Trouble("SchedulingGated", told, Patience.LONG)
        if condition.get("reason") == "Unschedulable":
            return Trouble("Unschedulable", _told(condition.get("message") or "", pod), Patience.LONG)
    return None


def _told(message: str, pod: Json) -> str:
    found = _NODES.match(message)
    if not found:
        return f"no node can take the pod: {message or 'the scheduler does not say why'}"
    reasons = _REST.sub("", found[2]).strip().rstrip(".")
    parts = [_reason(part, pod) for part in _PART.split(reasons) if part]
    why = f": {'; '.join(parts)}" if parts else ": there are none"
    return f"no node can take the pod ({found[1]} nodes are available){why}"


def _reason(part: str, pod: Json) -> str:
    found = _COUNT.match(part)
    if not found:
        return part
    count, why = found.groups()
    one = count == "1"
    has, does = ("has", "does") if one else ("have", "do")
    if why.startswith("Insufficient "):
        resource = why.removeprefix("Insufficient ")
        asked = requested(pod, resource)
        return f"{count} {has} less than {asked} {resource} free" if asked else f"{count} {has} too little {resource}"
    if taint := _TAINT.match(why):
        key, _, value = (text.strip() for text in taint[1].partition(":"))
        return f"{count} {has} the taint {key}{'=' if value else ''}{value}, which the pod does not tolerate"
    if "affinity/selector" in why or why.startswith(("didn't match node selector", "didn't match Pod's node")):
        return f"{count} {does} not match {_selector(pod)}"
    if why == "were unschedulable":
        return f"{count} {'is' if one else 'are'} cordoned"
    if why == "Too many pods":
        return f"{count} {has} all the pods that a node takes"
    return f"{count} {why}"


def requested(pod: Json, resource: str) -> str | None:
    """How much of a resource the pod's containers request together, as it was written where there is one."""
    asked = [
        str(amounts[resource])
        for container in (pod.get("spec") or {}).get("containers") or []
        if resource in (amounts := (container.get("resources") or {}).get("requests") or {})
    ]
    if len(asked) <= 1:
        return asked[0] if asked else None
    try:
        return f"{sum(map(amount, asked)).normalize():f}"  # type: ignore[union-attr]  # there are two at least
    except ValueError:
        return None


def _selector(pod: Json) -> str:
    spec: dict[str, Any] = dict(pod.get("spec") or {})
    labels = spec.get("nodeSelector") or {}
    if not labels:
        return "the pod's node affinity"
    told = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return f"the node selector {told}" + (" and the node affinity" if (spec.get("affinity") or {}) else "")
