"""What gates and rollback sensors judge by: metrics, asset checks, runs and feeds, as Dagster's event log has them."""

from mlrepro.quality.condition import Condition, as_alarm, as_gate
from mlrepro.quality.conditions.checks import CheckFailed, CheckPassed
from mlrepro.quality.conditions.feeds import DownstreamFailed, Stale
from mlrepro.quality.metric import Metric
from mlrepro.quality.verdict import Verdict
from mlrepro.quality.view import View

__all__ = [
    "CheckFailed",
    "CheckPassed",
    "Condition",
    "DownstreamFailed",
    "Metric",
    "Stale",
    "Verdict",
    "View",
    "as_alarm",
    "as_gate",
]
