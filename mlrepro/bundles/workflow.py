"""What a code location defines, as data: each asset, job, schedule, sensor and check, with the code behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mlrepro.versioning import canonical_json, digest

KINDS: Final = ("assets", "checks", "jobs", "schedules", "sensors", "resources")
"""Sorts of things that a code location defines, in the order in which they are told."""


@dataclass
class Workflow:
    """What a code location defines.

    Attributes:
        description: By kind and name; what the digest covers.
        sources: The source of everything that their code reaches, by ``"kind/name"``.
        libraries: Third-party distributions that their code uses, with their versions.
        identities: Fingerprint of each class and function of the modules that their code is in; no part of the digest.
        interfaces: What it takes to define each asset without its code, see `interface_of`; no part of the digest.
    """

    description: dict[str, Any]
    sources: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    interfaces: list[dict[str, Any]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The hash of all that it defines."""
        return digest(self.description)

    @property
    def counts(self) -> dict[str, int]:
        """How many it defines of each kind, without those of which there are none."""
        return {kind: len(self.description[kind]) for kind in KINDS if self.description[kind]}

    def to_bytes(self) -> bytes:
        """The description and the sources, each source once, as a blob holds them."""
        numbers: dict[str, int] = {}
        unique: list[dict[str, Any]] = []
        reached: dict[str, list[int]] = {}
        for name, sources in sorted(self.sources.items()):
            for source in sources:
                key = canonical_json(source)
                if key not in numbers:
                    numbers[key] = len(unique)
                    unique.append(source)
                reached.setdefault(name, []).append(numbers[key])
        whole = {
            "description": self.description,
            "sources": unique,
            "reached": reached,
            "libraries": self.libraries,
            "interfaces": self.interfaces,
            "identities": self.identities,
        }
        return canonical_json(whole).encode()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Workflow":
        """Read what ``to_bytes`` wrote.

        Raises:
            KeyError: A field is missing.
        """
        unique = data["sources"]
        description = {**{kind: {} for kind in KINDS}, **data["description"]}
        sources = {name: [unique[number] for number in each] for name, each in data["reached"].items()}
        return cls(
            description,
            sources,
            libraries=dict(data.get("libraries", {})),
            interfaces=list(data.get("interfaces", [])),
            identities=dict(data.get("identities", {})),
        )
