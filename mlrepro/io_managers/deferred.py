"""Stand-ins for values: an input not loaded yet, and an output that need not be stored again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import dagster as dg

from mlrepro.store import StoredValue


@dataclass(frozen=True)
class UpstreamVersion:
    """One version of one upstream asset, as an input of a step.

    Attributes:
        asset: Asset key as Dagster writes it ("a/b").
        partition: Partition key, or None.
        number: Version number in the asset's history, None where it has none (a source file).
        stored: What to load.
    """

    asset: str
    partition: str | None
    number: int | None
    stored: StoredValue


@dataclass(frozen=True)
class Deferred:
    """An input that is known by its hash and loaded only if the function really runs.

    Attributes:
        versions: The versions that it stands for: one, or one a partition.
        as_mapping: Whether the value is a mapping of partition key to value.
        load: Loads the value.
        loaded_as: How the declared type makes it load, where it has a say.
        code: Fingerprint of code that takes part in loading, such as a source's own reader.
        unchanged: Tells after the function ran whether what was loaded is still what the hash says.
        confirm: Says that a step uses the input: keeps a file's content in the store and logs what was observed.
        source: For a file, what a record says of how it is read again: its name, the reader, whether it is kept.
    """

    versions: tuple[UpstreamVersion, ...]
    as_mapping: bool
    load: Callable[[], Any]
    loaded_as: str | None = None
    code: str | None = None
    unchanged: Callable[[], bool] = lambda: True
    confirm: Callable[[], None] = lambda: None
    source: Mapping[str, Any] | None = None

    @property
    def content(self) -> str | Mapping[str, str]:
        """Content hash, or a mapping of partition key to content hash."""
        if self.as_mapping or not self.versions:
            return {str(version.partition): version.stored.content_hash for version in self.versions}
        return self.versions[0].stored.content_hash


@runtime_checkable
class DefersInputs(Protocol):
    """An IO manager that can tell what an input stands for before anybody loads it."""

    def deferred_input(self, context: dg.InputContext) -> Deferred:
        """Find what an input stands for; writes nothing."""
        ...


class DeferringIOManagerDefinition(dg.IOManagerDefinition):
    """The definition of one IO manager that is there already, and defers inputs."""

    def __init__(self, manager: dg.IOManager) -> None:
        super().__init__(resource_fn=lambda _: manager)


@dataclass(frozen=True)
class Replayed:
    """An output that a hit found: in the store already, and not loaded.

    Attributes:
        stored: What is stored, or one a partition for a range of partitions.
    """

    stored: StoredValue | Mapping[str, StoredValue] | None
