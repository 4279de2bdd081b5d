"""How much a store holds, by scope and by asset."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlrepro.errors import StoreError
from mlrepro.store.housekeeping.gc import Amount
from mlrepro.store.housekeeping.inventory import Inventory, Progress, inventory
from mlrepro.store.housekeeping.records_read import Reading
from mlrepro.store.keys import check_scope
from mlrepro.store.store import Store


@dataclass(frozen=True, slots=True)
class AssetUsage:
    """What an asset has in a scope.

    Attributes:
        asset: Its key, as Dagster writes it.
        bytes: Sizes of the blobs that its results and versions name; those that other assets name too count for each.
        blobs: Their number.
        results: Its results.
        versions: Its versions, of all partitions.
    """

    asset: str
    bytes: int
    blobs: int
    results: int
    versions: int


@dataclass(frozen=True)
class ScopeUsage:
    """What a scope holds.

    Attributes:
        scope: Its name.
        total: All objects.
        blobs: Blobs, each counted once.
        shared: Blobs that several assets name: they count in the bytes of each.
        records: Results, versions, channels and all else that is small.
        orphans: Blobs that no record names: of writers that were killed or are at work.
        trash: What garbage collection has set aside.
        tmp: Scratch files of writers that are at work or were killed.
        damaged: What was put aside as damaged.
        foreign: What mlrepro did not write.
        unreadable: Records that could not be read.
        assets: Its assets, the largest first.
    """

    scope: str
    total: Amount
    blobs: Amount
    shared: Amount
    records: Amount
    orphans: Amount
    trash: Amount
    tmp: Amount
    damaged: Amount
    foreign: Amount
    unreadable: int
    assets: tuple[AssetUsage, ...]


@dataclass(frozen=True)
class Usage:
    """What a store holds.

    Attributes:
        url: The store.
        scopes: Its scopes that can be read.
    """

    url: str
    scopes: tuple[ScopeUsage, ...]

    @property
    def bytes(self) -> int:
        """Sizes of all objects."""
        return sum(each.total.bytes for each in self.scopes)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {"bytes": self.bytes, **dataclasses.asdict(self)}


def measure(store: Store, *, scopes: Sequence[str] | None = None, progress: Progress | None = None) -> Usage:
    """Measure a store.

    Args:
        store: The store.
        scopes: Which scopes; by default all that there are, or where they cannot be listed, those that the store reads.
        progress: Told now and then what is being done.

    Raises:
        StoreError: The store failed.

    Example:
        >>> from mlrepro.store import open_store
        >>> store = open_store("memory://docs-usage")
        >>> _ = store.write_value(b"12345")
        >>> measure(store).scopes[0].blobs
        Amount(count=1, bytes=5)
    """
    return Usage(store.url, tuple(_scope(store, scope, progress) for scope in scopes or scopes_of(store)))


def scopes_of(store: Store) -> list[str]:
    """Scopes that a store has; where only some may be listed, those that it was opened for."""
    try:
        folders, _ = store._objects.folders("")
    except StoreError:
        return [store.scope, *store.read_scopes]
    found = []
    for name in folders:
        with contextlib.suppress(StoreError):
            found.append(check_scope(name))
    return found


def _scope(store: Store, scope: str, progress: Progress | None) -> ScopeUsage:
    with inventory(store._objects, scope, progress) as found:
        reading = Reading(found, tuple(dict.fromkeys((scope, store.scope, *store.read_scopes))), progress)
        unreadable = sum(1 for _ in reading.run())
        several = "SELECT digest FROM owners GROUP BY digest HAVING count(*) > 1"
        return ScopeUsage(
            scope=scope,
            total=_amount(found, "1"),
            blobs=_amount(found, "kind = 'blob' AND NOT trash"),
            shared=_amount(found, f"kind = 'blob' AND NOT trash AND name IN ({several})"),
            records=_amount(found, "NOT trash AND kind NOT IN ('blob', 'tmp', 'damaged', 'foreign')"),
            orphans=_amount(found, "kind = 'blob' AND NOT trash AND name NOT IN (SELECT digest FROM mentioned)"),
            trash=_amount(found, "trash"),
            tmp=_amount(found, "kind = 'tmp' AND NOT trash"),
            damaged=_amount(found, "kind = 'damaged' AND NOT trash"),
            foreign=_amount(found, "kind = 'foreign' AND NOT trash"),
            unreadable=unreadable,
            assets=tuple(_assets(found, reading)),
        )


def _amount(found: Inventory, where: str) -> Amount:
    sql = f"SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE {where}"  # noqa: S608 - ours
    count, size = found.one(sql) or (0, 0)
    return Amount(count, size)


def _assets(found: Inventory, reading: Reading) -> Iterator[AssetUsage]:
    rows = found.ask(
        "SELECT asset, count(*), sum(size) FROM owners w JOIN objects o ON o.kind = 'blob' AND o.name = w.digest"
        " WHERE NOT o.trash GROUP BY asset"
    )
    blobs = {asset: Amount(count, size) for asset, count, size in rows}
    results, versions = reading.counts["result"], reading.counts["version"]
    names = sorted({*blobs, *results, *versions}, key=lambda asset: (-blobs.get(asset, Amount()).bytes, asset))
    for asset in names:
        amount = blobs.get(asset, Amount())
        yield AssetUsage(asset, amount.bytes, amount.count, results[asset], versions[asset])
