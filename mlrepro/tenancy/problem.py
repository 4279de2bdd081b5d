"""What is wrong in ``tenants.yaml``, in one line each."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        message: What, and what to do.
        path: Where in the file: keys and indexes.
        line: The line, counted from 1; None where it is not known.
    """

    message: str
    path: tuple[str | int, ...] = ()
    line: int | None = None

    @property
    def tenant(self) -> str | None:
        """The tenant that it concerns, None if it is not about one."""
        return str(self.path[1]) if len(self.path) > 1 and self.path[0] == "tenants" else None

    @property
    def field(self) -> str:
        """The field, within the tenant if it is about one: ``quota.cpu``, ``members[1].role``."""
        shown = self.path[2:] if self.tenant is not None else self.path
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in shown).removeprefix(".")

    def told(self, file: str) -> str:
        """The whole line.

        Example:
            >>> Problem("is missing", ("tenants", "pricing", "quota"), 7).told("tenants.yaml")
            'tenants.yaml:7: tenant pricing, quota: is missing'
        """
        where = f"{file}:{self.line}" if self.line else file
        about = [part for part in (f"tenant {self.tenant}" if self.tenant else "", self.field) if part]
        return ": ".join([where, *([", ".join(about)] if about else []), self.message])

    def to_json(self) -> dict[str, Any]:
        """As JSON, for machines."""
        return {"line": self.line, "tenant": self.tenant, "field": self.field, "message": self.message}
