"""What mlrepro knows of an op that promotes: the step behind a channel's asset."""

from dataclasses import dataclass
from typing import Any, Literal

from mlrepro.io_managers.computation import Computation

CHANNEL = "mlrepro/channel"
"""Metadata of a channel's asset: the channel's name."""

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
