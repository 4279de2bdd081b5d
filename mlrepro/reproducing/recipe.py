"""What it takes to compute a version again, and what is not there any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlrepro.catalog.history import Version
from mlrepro.errors import MlreproError
from mlrepro.store import FoundResult, StoredValue


@dataclass(frozen=True)
class Given:
    """One stored value that an input had.

    Attributes:
        partition: Partition key of the upstream asset, or None.
        number: Version number in its history, None for a source.
        stored: What to load.
        place: The temporary store that has it, where it was computed just now; None for what is recorded.
    """

    partition: str | None
    number: int | None
    stored: StoredValue
    place: Path | None = None


@dataclass(frozen=True)
class RecordedInput:
    """One argument of the function, as the record has it.

    Attributes:
        asset: Key of the upstream asset.
        as_mapping: Whether the argument is a mapping of partition key to value.
        given: What it held.
        source: For a file, its name and the reference of its reader.
        version: The upstream version, where that is one.
    """

    asset: str
    as_mapping: bool
    given: tuple[Given, ...]
    source: Mapping[str, Any] | None = None


@dataclass
class Recipe:
    """All that a record tells, ready to be computed.

    Attributes:
        version: The version.
        output: Name of the output that it is.
        found: The result record, and the scope it was found in.
        sources: Sources of the closure.
        inputs: By argument name.
        dependencies: Data versions of upstream assets that are no arguments, by key.
        config: The config, secrets filled in from the environment.
        missing: What is not there, each with the next step; nothing can be tried while there is some.
        lost: What is missing and could be made again: why, by content hash.
        notes: What a person should know.
    """

    version: Version
    output: str
    found: FoundResult
    sources: Sequence[Mapping[str, Any]]
    inputs: dict[str, RecordedInput] = field(default_factory=dict)
    dependencies: dict[str, Any] = field(default_factory=dict)
    config: Any = None
    missing: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def record(self) -> Mapping[str, Any]:
        """The result record."""
        return self.found.record


class NoRecipeError(MlreproError):
    """A version cannot be computed again, and why."""
