"""Versions side by side: metrics, config, inputs, code and environment, as text, JSON, Markdown and a page."""

from mlrepro.comparison.comparing import compare
from mlrepro.comparison.comparison import Comparison
from mlrepro.comparison.evaluations import evaluations_of
from mlrepro.comparison.lineage import Lineage
from mlrepro.comparison.metrics import MetricComparison

__all__ = ["Comparison", "Lineage", "MetricComparison", "compare", "evaluations_of"]
