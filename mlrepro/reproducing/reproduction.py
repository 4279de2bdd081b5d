"""What came of computing a version again."""

from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["same", "close", "differs", "not tried"]

VERDICTS: tuple[Verdict, ...] = ("same", "close", "differs", "not tried")
"""From good to bad; "not tried" tells nothing, and so is the worst of a lineage."""


@dataclass
class Reproduction:
    """What computing one version again showed.

    Attributes:
        name: The version: ``churn_model@v3``.
        partition: Partition key, or None.
        verdict: ``same`` (bit for bit), ``close`` (other bytes, the same metrics or values within the tolerance),
            ``differs``, or ``not tried``.
        differs: What differs in the values, a line each.
        causes: Why it probably differs, the likeliest first.
        missing: What is not there, so that nothing could be tried, each with the next step.
        notes: What else a person should know.
        code: Where the code came from.
        environment: Which environment it was computed in.
        seconds: How long the function took; None where it did not run.
        recorded_seconds: How long it took then.
        content_hash: What came out.
        recorded_hash: What is recorded.
        upstream: The versions that its inputs were, where they were computed again too.
    """

    name: str
    partition: str | None
    verdict: Verdict
    differs: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    code: str | None = None
    environment: str | None = None
    seconds: float | None = None
    recorded_seconds: float | None = None
    content_hash: str | None = None
    recorded_hash: str | None = None
    upstream: "list[Reproduction]" = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        match self.verdict:
            case "same":
                return "bit for bit the same"
            case "close":
                return "same metrics within tolerance, bytes differ"
            case "differs":
                return "differs"
            case "not tried":
                return "could not be tried"

    @property
    def exit_code(self) -> int:
        """For machines: 0 the same or close, 1 differs, 2 something could not be tried, upstream included."""
        verdicts = {each.verdict for each in self.everything()}
        return 1 if "differs" in verdicts else 2 if "not tried" in verdicts else 0

    def everything(self) -> "list[Reproduction]":
        """This one and all upstream, sources first."""
        found: dict[tuple[str, str | None], Reproduction] = {}
        for each in self.upstream:
            for one in each.everything():
                found.setdefault((one.name, one.partition), one)
        return [*found.values(), self]

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object, with everything upstream as a flat list."""
        fields = {name: value for name, value in vars(self).items() if name != "upstream"}
        upstream = [{**vars(each), "upstream": None} for each in self.everything()[:-1]]
        return {
            **fields,
            "sentence": self.sentence,
            "upstream": [{name: value for name, value in each.items() if name != "upstream"} for each in upstream],
        }
