"""What mlrepro knows of an op that promotes: the step behind a channel's asset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlrepro.io_managers.computation import Computation

CHANNEL = "mlrepro/channel"
"""Metadata of a channel's asset: the channel's name."""

APPROVERS = "mlrepro/approvers"
"""Metadata of a channel's asset: names of those who may approve, where it names some."""

OnFailure = Literal["fail", "skip"]


@dataclass(frozen=True)
class Promotion(Computation):
    """The step of a channel: it computes nothing, it decides what the channel serves.

    Which asset and which channel is told by the key of the channel's own asset, ``churn_model/production``, so that it
    holds under any prefix that the asset is given later.

    Attributes:
        gates: What a version must pass, in the words of `mlrepro.quality`.
        on_failure: What becomes of the step where a gate fails.
        approvers: Who may approve; empty for anybody.
        approval: Whether a person has to.
        export: Where what is served is written to, or None.
    """

    gates: tuple[Any, ...] = ()
    on_failure: OnFailure = "fail"
    approval: bool = False
    approvers: tuple[str, ...] = ()
    export: str | None = None


def approvers_in(metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Who may approve for a channel, by the metadata of its asset; None for an asset that is no channel.

    Example:
        >>> approvers_in({"mlrepro/channel": "production", "mlrepro/approvers": ["ana"]})
        ('ana',)
    """
    if CHANNEL not in metadata:
        return None
    said = metadata.get(APPROVERS)
    names = getattr(said, "value", said)  # as the author wrote it, or as a code server tells it
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()
