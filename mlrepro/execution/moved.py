"""What a verb did to a channel or a pin, as the command prints it and the jobs log it."""

from dataclasses import dataclass
from typing import Any, Literal

from mlrepro.catalog.channels import ChannelEntry
from mlrepro.execution.cascade import Cascade


@dataclass(frozen=True)
class Moved:
    """What a verb did.

    Attributes:
        what: The channel, or the asset that was pinned or released.
        kind: What was done.
        before: Number of the version that was served before, or None.
        after: Number of the version that is served, or pinned, now; None for what is pinned no more.
        who: Who did it.
        reason: Why.
        entry: Number of the entry in the history.
        told: Whether Dagster's event log has the materialization.
        exported: Where what is served was written to, or None.
        cascade: What became of the assets downstream; None if that was not asked for.
        note: What else one should know.
    """

    what: str
    kind: Literal["promotion", "rollback", "proposal", "release", "pin"]
    before: int | None
    after: int | None
    who: str
    reason: str
    entry: int
    told: bool = False
    exported: str | None = None
    cascade: Cascade | None = None
    note: str = ""

    @classmethod
    def of(cls, entry: ChannelEntry) -> "Moved":
        """What an entry of a channel's history did."""
        return cls(
            what=str(entry.name),
            kind=entry.kind,
            before=entry.before.number if entry.before else None,
            after=entry.after.number if entry.after else None,
            who=entry.who,
            reason=entry.reason,
            entry=entry.number,
        )

    def __str__(self) -> str:
        before = f"v{self.before}" if self.before is not None else "nothing"
        after = f"v{self.after}" if self.after is not None else "nothing"
        match self.kind:
            case "pin":
                first = f"{self.what} is pinned at {after} until it is released (mlrepro release {self.what})"
            case "release" if self.after is None:
                first = f"{self.what} is pinned no more: its next materialization goes by its code and inputs again"
            case "release":
                first = f"{self.what} serves {after} as before; the version may be promoted again"
            case _:
                first = f"{self.what}: {before} -> {after} ({self.kind}, entry {self.entry} of its history)"
        lines = [first]
        if self.kind != "release" and not self.told:
            lines.append(
                "Dagster was not told, as DAGSTER_HOME is not set: the next materialization of it will be the first"
            )
        if self.exported is not None:
            lines.append(f"written to {self.exported}")
        if self.cascade is not None:
            lines.append(str(self.cascade))
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """What was done as a JSON object."""
        return {
            "what": self.what,
            "kind": self.kind,
            "from": self.before,
            "to": self.after,
            "who": self.who,
            "reason": self.reason,
            "entry": self.entry,
            "told_dagster": self.told,
            "exported": self.exported,
            "cascade": self.cascade.to_json() if self.cascade else None,
            "note": self.note,
        }
