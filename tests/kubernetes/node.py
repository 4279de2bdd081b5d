"""The double's only node: which pods it takes, which images it finds, and who uses too much of its memory."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from mlrepro.quantities import amount
from tests.kubernetes.admission import containers, usage

Object = dict[str, Any]
_IMAGE = re.compile(r"[a-z0-9][a-z0-9./_:@-]*")


@dataclass(frozen=True)
class Node:
    """A node.

    Attributes:
        labels: Its labels.
        allocatable: How much of what it has for pods.
    """

    labels: Mapping[str, str] = field(default_factory=lambda: {"kubernetes.io/os": "linux"})
    allocatable: Mapping[str, str] = field(default_factory=lambda: {"cpu": "64", "memory": "256Gi"})

    def refuses(self, pod: Object, others: Iterable[Object]) -> str | None:
        """Why a pod does not fit, as the scheduler says it; None where it does."""
        wanted = pod["spec"].get("nodeSelector") or {}
        if any(self.labels.get(name) != value for name, value in wanted.items()):
            return _unavailable(
                "1 node(s) didn't match Pod's node affinity/selector", "Preemption is not helpful for scheduling"
            )
        used = [usage(other) for other in others]
        lacking = []
        for key, asked in sorted(usage(pod).items()):
            if key.startswith("requests."):
                name = key.removeprefix("requests.")
                taken = sum((each.get(key, Decimal(0)) for each in used), Decimal(0))
                if taken + asked > amount(self.allocatable.get(name, "0")):
                    lacking.append(name)
        told = ", ".join(f"1 Insufficient {name}" for name in lacking)
        return _unavailable(told, "No preemption victims found for incoming pod") if told else None


def _unavailable(why: str, preemption: str) -> str:
    return f"0/1 nodes are available: {why}. preemption: 0/1 nodes are available: 1 {preemption}."


@dataclass(frozen=True)
class PullError(Exception):
    """An image that can't be had.

    Attributes:
        reason: Of the container's state.
        message: What the registry, or the kubelet, says.
    """

    reason: str
    message: str


def pull(image: str) -> None:
    """Find an image. None is known in ``.invalid``, where by RFC 6761 no registry can be; all others are there.

    Raises:
        PullError: There is none, or it is not the name of one.
    """
    if not _IMAGE.fullmatch(image):
        told = f'couldn\'t parse image name "{image}": invalid reference format'
        raise PullError("InvalidImageName", f'Failed to apply default image tag "{image}": {told}')
    host = image.partition("/")[0]
    if host.endswith(".invalid"):
        path = image.removeprefix(f"{host}/").partition(":")[0]
        raise PullError(
            "ErrImagePull",
            f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to do request:'
            f' Head "https://{host}/v2/{path}/manifests/1": dial tcp: lookup {host} on 10.96.0.10:53: no such host',
        )


def memory_limit(pod: Object) -> Decimal | None:
    """How many bytes the pod's first container may use."""
    limits = (containers(pod)[0].get("resources") or {}).get("limits") or {}
    return amount(str(limits["memory"])) if "memory" in limits else None


def memory_of(pid: int) -> int:
    """Bytes that a process and its children hold, as a cgroup would count them but for shared pages."""
    total, waiting = 0, [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        try:
            pages = (process / "statm").read_text().split()
            total += (int(pages[1]) - int(pages[2])) * 4096
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return total
