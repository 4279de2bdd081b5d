"""Assets that evaluate another one: which there are, and which of their versions speak of which of its versions."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlrepro.catalog import Version, VersionName, parse_version_name
from mlrepro.comparison.lineage import Lineage, identity
from mlrepro.comparison.metrics import Number, own_metrics
from mlrepro.comparison.records import Records, at_once
from mlrepro.store import Store

MOST_PARTITIONS = 20
"""Partitions up to which a partitioned evaluation of an asset without partitions is shown, each by itself."""

_CHUNK = 64


@dataclass(frozen=True)
class Evaluation:
    """The history of an asset that has metrics.

    Attributes:
        asset: Asset key, one part an element.
        partition: Partition key, or None.
        title: What its metrics are named by: ``evaluation``, ``evaluation[eu]`` for a partition.
    """

    asset: tuple[str, ...]
    partition: str | None
    title: str


def evaluations_of(store: Store, version: Version, *, only: Sequence[str] = ()) -> dict[str, Version]:
    """Find the evaluations of a version: of each asset the newest version that was made from exactly this one.

    Looked at are the assets that have metrics and whose newest version descends from the version's asset, over other
    assets or a channel too. That costs a few requests for each asset in the store.

    Args:
        store: The store.
        version: What was evaluated.
        only: Names of assets; only these are looked at, whatever their newest version descends from.

    Returns:
        Versions by the name of their asset.

    Raises:
        StoreError: If the store fails.

    Example:
        >>> from mlrepro.store import StoredValue, open_store
        >>> stored = StoredValue("5eed" * 16, "json", "builtins:int", 1)
        >>> model = Version(("model",), None, 1, stored, {"data_version": stored.content_hash})
        >>> evaluations_of(open_store("memory://evaluations-example"), model)
        {}
    """
    found = Evaluations(Records(store), [version], only=only)
    return {title: made for title, by_content in found.of([version]).items() for made in by_content.values()}


class Evaluations:
    """Evaluations of the versions of one asset.

    Args:
        records: The store's records.
        versions: The versions that matter, all of one asset and partition.
        only: Names of assets; only these are looked at.

    Attributes:
        silent: Titles of assets that were asked for by name, and whose versions do not tell what they were made from.
    """

    def __init__(self, records: Records, versions: Sequence[Version], only: Sequence[str] = ()) -> None:
        self._records = records
        self._lineage = Lineage(records, versions)
        self._asset = versions[0].asset
        self._partition = versions[0].partition
        self._found = self._named(only) if only else self._descending()
        self.silent = [
            each.title
            for each in (self._found if only else ())
            if all(version.input_hash is None for version in records.ways(each.asset, each.partition))
        ]

    def of(self, versions: Sequence[Version]) -> dict[str, dict[str, Version]]:
        """Find for each evaluating asset its newest version that was made from each of the versions.

        Returns:
            By title and by `identity` of the version that was evaluated. A version that came out the same of several
            ones bears the input hash by which it was made from that one.
        """
        wanted = {identity(version) for version in versions}
        return {each.title: self._newest_of(each, wanted) for each in self._found}

    def metrics_of(self, versions: Sequence[Version]) -> list[dict[str, Number]]:
        """Collect the metrics of the evaluations of each version, named ``evaluation.auc``."""
        found = self.of(versions)
        made = [(title, content, each) for title, by in found.items() for content, each in by.items()]
        metrics: dict[str, dict[str, Number]] = {identity(version): {} for version in versions}
        for (title, content, _), numbers in zip(made, at_once(lambda item: self._metrics(item[2]), made), strict=True):
            metrics[content] |= {f"{title}.{name}": value for name, value in numbers.items()}
        return [metrics[identity(version)] for version in versions]

    def _metrics(self, version: Version) -> Mapping[str, Number]:
        return own_metrics(version, self._records.result(version))

    def _newest_of(self, each: Evaluation, wanted: set[str]) -> dict[str, Version]:
        versions = self._records.ways(each.asset, each.partition)
        found: dict[str, Version] = {}
        for start in range(0, len(versions), _CHUNK):
            chunk = versions[start : start + _CHUNK]
            for version, contents in zip(chunk, at_once(self._lineage.contents, chunk), strict=True):
                for content in (contents or frozenset()) & wanted:
                    found.setdefault(content, version)
            if found.keys() >= wanted:
                break
        return found

    def _named(self, only: Sequence[str]) -> list[Evaluation]:
        keys = [parse_version_name(f"{name}@latest").asset for name in only]
        wanted = dict.fromkeys(key for key in keys if key != self._asset)
        return [each for key in wanted for each in self._histories(key)]

    def _descending(self) -> list[Evaluation]:
        found = [each for each in self._histories(()) if each.asset != self._asset]

        def evaluates(each: Evaluation) -> bool:
            newest = self._records.newest(each.asset, each.partition)
            if newest is None:
                return False
            # a plain asset's version tells nothing by itself
            ways = self._records.ways_of(newest) if newest.input_hash is None else (newest,)
            return any(self._lineage.contents(way) is not None and self._metrics(way) for way in ways)

        return [each for each, is_one in zip(found, at_once(evaluates, found), strict=True) if is_one]

    def _histories(self, prefix: Sequence[str]) -> list[Evaluation]:
        """List histories that can hold evaluations: of the same partition, or of none."""
        listed = self._records.histories(prefix)
        pairs = [(asset, partition) for asset, partition in listed if not prefix or asset == tuple(prefix)]
        if self._partition is not None:
            return [
                Evaluation(asset, partition, _title(asset))
                for asset, partition in pairs
                if partition in (None, self._partition)
            ]
        return list(_few_partitions(pairs))


def _few_partitions(pairs: Sequence[tuple[tuple[str, ...], str | None]]) -> Iterator[Evaluation]:
    counted = Counter(asset for asset, partition in pairs if partition is not None)
    for asset, partition in pairs:
        if partition is None:
            yield Evaluation(asset, None, _title(asset))
        elif counted[asset] <= MOST_PARTITIONS:
            yield Evaluation(asset, partition, f"{_title(asset)}[{partition}]")


def _title(asset: tuple[str, ...]) -> str:
    return str(VersionName(asset, None))
