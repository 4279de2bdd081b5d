"""Why an asset would run, or a version was computed: as text with diffs, and as JSON."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mlrepro.versioning import Change, say

SCHEMA = 1
"""Version of the JSON."""


@dataclass(frozen=True)
class AssetExplanation:
    """Why an asset would run, or why one of its versions was computed.

    Attributes:
        asset: Asset key as Dagster writes it ("team/churn_model").
        partition: Partition key, or None.
        verdict: ``hit``, ``run``, ``depends`` or ``unknown``, as in a plan; ``computed`` for a version that is there.
        reason: The same in a sentence.
        version: Number of the version that is explained; None for a run that is still to come.
        compared_with: Number of the earlier version that differs in the fewest things; None where there is none.
        changes: What differs from it, code first, with the lines that differ.
        upstream: Why those upstream that are no hits would run, nearest first.
        by_itself: Where it depends on upstream: what it would do if it was materialized alone, on upstream as it is.
    """

    asset: str
    partition: str | None
    verdict: Literal["hit", "run", "depends", "unknown", "computed"]
    reason: str
    version: int | None = None
    compared_with: int | None = None
    changes: tuple[Change, ...] = ()
    upstream: tuple["AssetExplanation", ...] = ()
    by_itself: "AssetExplanation | None" = None

    def to_json(self) -> dict[str, Any]:
        """Write the explanation as a JSON object."""
        return {
            "schema": SCHEMA,
            "asset": self.asset,
            "partition": self.partition,
            "verdict": self.verdict,
            "reason": self.reason,
            "version": self.version,
            "compared_with": self.compared_with,
            "changes": [change.to_json() for change in self.changes],
            "upstream": [each.to_json() for each in self.upstream],
            "by_itself": self.by_itself.to_json() if self.by_itself else None,
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        name = f"{self.asset}@v{self.version}" if self.version else self.asset
        where = f"{name} (partition {self.partition})" if self.partition is not None else name
        yield f"{where}: {_DOES[self.verdict]}: {self.reason}"
        if self.changes:
            yield f"  compared with {self.asset}@v{self.compared_with}:"
        for change in self.changes:
            yield f"  - {say(change)}"
            if change.diff:
                yield textwrap.indent(change.diff, "      ", lambda _: True)
        if self.by_itself is not None:
            yield "on upstream as it is in the store now:"
            yield textwrap.indent(str(self.by_itself), "  ")
        for each in self.upstream:
            yield ""
            yield str(each)


_DOES = {
    "hit": "from the cache",
    "run": "runs",
    "depends": "may run",
    "unknown": "runs, or is found in the cache by its step",
    "computed": "was computed",
}
