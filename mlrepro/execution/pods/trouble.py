"""What keeps a pod from running, or ended it: one sentence, and whether waiting may help."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from mlrepro.errors import AssetDefinitionError

Json = Mapping[str, Any]
"""An object of Kubernetes, as `kubectl get -o json` shows it."""


class Patience(StrEnum):
    """How long a trouble may last."""

    NEVER = "never"
    """It will not go away by waiting."""
    SHORT = "short"
    """It may be a slip that somebody mends soon, or a registry that does not answer: minutes."""
    LONG = "long"
    """Others are before it: a quota in use, nodes that are full or still to come."""


@dataclass(frozen=True)
class Trouble:
    """Why a pod does not run.

    Attributes:
        reason: Kubernetes' own word for it, or ours where it has none.
        sentence: What is wrong, with the limit that was hit.
        patience: Whether waiting may help.
    """

    reason: str
    sentence: str
    patience: Patience


@dataclass(frozen=True)
class Ending:
    """Why a pod ended that should have run on.

    Attributes:
        reason: Kubernetes' own word for it.
        sentence: What ended it, with the limit that was hit.
        disrupted: Whether it was not the pod's doing: its node went away, or somebody else was more important. Then it
            may be started again.
    """

    reason: str
    sentence: str
    disrupted: bool = False

    @property
    def told_in_full(self) -> bool:
        """Whether the sentence says all; else what the pod wrote last may say more."""
        return self.disrupted or self.reason in ("OOMKilled", "Evicted", "DeadlineExceeded", "PodGone")


_WAIT: Final = "MLREPRO_POD_WAIT_SECONDS"
_SHORT: Final = "MLREPRO_POD_SHORT_WAIT_SECONDS"
_RESTARTS: Final = "MLREPRO_POD_RESTARTS"
_EVERY: Final = "MLREPRO_POD_CHECK_SECONDS"


@dataclass(frozen=True)
class Bounds:
    """How long troubles are waited for, and how often disrupted pods are started again.

    Attributes:
        long: Seconds for a quota in use and for nodes: ``MLREPRO_POD_WAIT_SECONDS``.
        short: Seconds for images, secrets and mounts: ``MLREPRO_POD_SHORT_WAIT_SECONDS``.
        restarts: How often a step whose pod was disrupted is started again: ``MLREPRO_POD_RESTARTS``.
        every: Seconds between two looks: ``MLREPRO_POD_CHECK_SECONDS``.
    """

    long: float = 600.0
    short: float = 180.0
    restarts: int = 3
    every: float = 5.0

    @classmethod
    def from_environment(cls) -> Self:
        """As the environment says.

        Raises:
            AssetDefinitionError: A variable is no number, or a negative one.
        """
        return cls(
            long=_number(_WAIT, cls.long),
            short=_number(_SHORT, cls.short),
            restarts=int(_number(_RESTARTS, cls.restarts)),
            every=max(0.1, _number(_EVERY, cls.every)),
        )

    def seconds(self, patience: Patience) -> float:
        """How long a trouble may last."""
        return {Patience.NEVER: 0.0, Patience.SHORT: self.short, Patience.LONG: self.long}[patience]


def _number(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise AssetDefinitionError(f"{name} is {text!r}: set it to a number from 0, or leave it out")
    return number
