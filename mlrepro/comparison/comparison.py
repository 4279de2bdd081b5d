"""The outcome of a comparison."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlrepro.catalog import VersionName
from mlrepro.comparison.facts import Compared
from mlrepro.comparison.metrics import MetricComparison
from mlrepro.comparison.past import Past
from mlrepro.versioning import Change

SCHEMA = 1


@dataclass(frozen=True)
class Comparison:
    """Versions side by side; the first is what the others are compared with.

    `str()` of it is a table for a terminal.

    Attributes:
        versions: The versions, in the order in which they were named.
        metrics: Their metrics by name, each with values, deltas and relative deltas in the order of the versions.
        changes: For each version after the first, what differs in how it was made: code, config, inputs, environment.
        notes: What could not be compared, and why.
    """

    versions: tuple[Compared, ...]
    metrics: Mapping[str, MetricComparison]
    changes: tuple[tuple[Change, ...], ...]
    notes: tuple[str, ...] = ()
    _past: Callable[[], tuple[Past, ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def title(self) -> str:
        """What is compared, in a line: ``churn_model: v3, v7``."""
        labels = ", ".join(each.label for each in self.versions)
        assets = {each.version.asset for each in self.versions}
        if len(assets) > 1:
            return labels
        first = self.versions[0].version
        partition = f" (partition {first.partition})" if first.partition else ""
        return f"{VersionName(first.asset, None)}{partition}: {labels}"

    def past(self) -> tuple[Past, ...]:
        """Read all versions of the assets that are compared, for the plots: about two requests a version."""
        return self._past()

    def to_json(self) -> dict[str, Any]:
        """Write the comparison as a JSON object; equal stores give equal objects."""
        return {
            "schema": SCHEMA,
            "versions": [each.to_json() for each in self.versions],
            "metrics": [metric.to_json() for metric in self.metrics.values()],
            "changes": [
                {"version": each.name, "changes": [change.to_json() for change in changes]}
                for each, changes in zip(self.versions[1:], self.changes, strict=True)
            ],
            "notes": list(self.notes),
        }

    def to_markdown(self) -> str:
        """Write a short summary in Markdown: the metrics with their deltas, and a line for what changed in each way."""
        from mlrepro.comparison.markdown import to_markdown

        return to_markdown(self)

    def to_html(self) -> str:
        """Write one self-contained page, with a plot of every metric over all versions of the asset.

        Raises:
            StoreError: If the history of the asset can't be read.
        """
        from mlrepro.comparison.page import to_html

        return to_html(self)

    def write_html(self, path: str | Path) -> Path:
        """Write the page of `to_html` to a file; one that is there is replaced as a whole.

        Raises:
            StoreError: If the history can't be read, or the file can't be written.
        """
        from mlrepro.comparison.page import write_page

        return write_page(self.to_html(), Path(path))

    def __str__(self) -> str:
        from mlrepro.comparison.text import to_text

        return to_text(self)
