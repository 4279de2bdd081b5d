"""What a version was made from, followed through the records of results."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlrepro.catalog import Version
from mlrepro.catalog.channels import Pointer, channels_of
from mlrepro.catalog.history import history_name
from mlrepro.comparison.records import Records
from mlrepro.errors import StoreError
from mlrepro.store import Store
from mlrepro.store.keys import history_folder

MOST_STEPS = 20_000
"""Inputs that are followed for one question; a lineage that is longer counts as unknown."""

DEEPEST = 100

_SLASH = re.compile(r"(?<!\\)/")


@dataclass(frozen=True)
class Origin:
    """One input of a result.

    Attributes:
        asset: Asset key, one part an element.
        tokens: What tells its content: content hash, data version.
        number: Version number, None where the record has none.
        partition: Partition key, where the record names it.
        foreign: Whether the record was written for another asset that shares its result, and names that one's inputs.
    """

    asset: tuple[str, ...]
    tokens: frozenset[str]
    number: int | None = None
    partition: str | None = None
    foreign: bool = False


@dataclass(frozen=True)
class _Seen:
    """Versions of the asset asked for that a result was made from; None where the asset does not occur.

    Of several inputs all must come from the same version, so that a mixture belongs to none of them. A channel's
    version is beside the point where the asset itself occurs: a candidate evaluated against production is what is
    evaluated.
    """

    itself: frozenset[str] | None = None
    by_channel: frozenset[str] | None = None

    def __and__(self, other: "_Seen") -> "_Seen":
        return _Seen(_both(self.itself, other.itself), _both(self.by_channel, other.by_channel))

    def __or__(self, other: "_Seen") -> "_Seen":
        return _Seen(_either(self.itself, other.itself), _either(self.by_channel, other.by_channel))

    @property
    def contents(self) -> frozenset[str] | None:
        return self.itself if self.itself is not None else self.by_channel


class _TooMuchError(Exception):
    """A lineage is longer than anybody waits for."""


class Lineage:
    """Tells which versions of one asset other versions were made from.

    Versions are told apart by content, so that a version that came back after a rollback has the evaluations that it
    had before. Records that are missing or damaged tell nothing.

    Args:
        records: The store's records.
        of: Versions of the asset, the ones that matter, all of one partition.

    Example:
        >>> from mlrepro.store import StoredValue, open_store
        >>> model, other = (
        ...     Version((name,), None, 1, StoredValue("5eed" * 16, "json", "builtins:int", 1), {"data_version": "x"})
        ...     for name in ("model", "other")
        ... )
        >>> Lineage(Records(open_store("memory://lineage-example")), [model]).made_from(other, model)
        False
    """

    def __init__(self, records: Records, of: Sequence[Version]) -> None:
        self._records = records
        self._asset = of[0].asset
        self._partition = of[0].partition
        self._keys = {name.key for name in channels_of(records.store, self._asset)}
        self._contents: dict[str, set[str]] = {}
        for version in of:
            for token in _tokens(version):
                self._contents.setdefault(token, set()).add(identity(version))
        self._known: dict[tuple[tuple[str, ...], str | None, str, bool], _Seen] = {}
        self._steps = 0

    def made_from(self, version: Version, ancestor: Version) -> bool:
        """Whether a version was made from exactly this version of the asset, directly or over other assets.

        A version that came out the same of several ones was made from each.
        """
        return any(identity(ancestor) in (self.contents(way) or ()) for way in self._records.ways_of(version))

    def contents(self, version: Version) -> frozenset[str] | None:
        """List the contents of the asset that a version was made from, by the input hash that it bears.

        Returns:
            As `identity` names them: one, or several that led to the very same inputs. Empty where it was made from a
            mixture of versions, or nothing tells; None if the asset is not in its lineage.
        """
        if version.asset == self._asset or version.input_hash is None:
            return None
        try:
            return self._walk(version, ()).contents
        except _TooMuchError:
            return frozenset()

    def _walk(self, version: Version, trail: tuple[str, ...], *, foreign: bool = False) -> _Seen:
        input_hash = version.input_hash
        if not isinstance(input_hash, str) or input_hash in trail:  # only an edited record leads back to itself
            return _Seen()
        key = (version.asset, version.partition, input_hash, foreign)
        if key not in self._known:
            seen = _Seen()
            for origin in origins_of(self._records.inputs(input_hash), version.asset, foreign=foreign):
                seen &= self._seen_in(origin, version.partition, (*trail, input_hash))
            self._known[key] = seen
        return self._known[key]

    def _seen_in(self, origin: Origin, partition: str | None, trail: tuple[str, ...]) -> _Seen:
        contents = frozenset().union(*(self._contents.get(token, {token}) for token in origin.tokens))
        if origin.asset == self._asset or origin.asset in self._keys:
            if origin.partition not in (None, self._partition):
                return _Seen()
            contents = self._of_number(origin) or contents
            return _Seen(itself=contents) if origin.asset == self._asset else _Seen(by_channel=contents)
        if origin.foreign and any(token in self._contents for token in origin.tokens):
            return _Seen(itself=contents)
        self._steps += 1
        if self._steps > MOST_STEPS or len(trail) > DEEPEST:
            raise _TooMuchError
        seen = _Seen()
        # equal bytes may have come about in several ways: what was made of them is of each
        for version in self._versions(origin, partition):
            seen |= self._walk(version, trail, foreign=origin.foreign)
        return seen

    def _of_number(self, origin: Origin) -> frozenset[str] | None:
        """Tell versions without a value apart by their number: their content is the same."""
        for version in self._records.versions(self._asset, self._partition) if self._is_valueless(origin) else ():
            if version.number == origin.number:
                return frozenset({identity(version)})
        return None

    def _is_valueless(self, origin: Origin) -> bool:
        newest = self._records.newest(self._asset, self._partition)
        return newest is not None and origin.number is not None and _is_none(newest)

    def _versions(self, origin: Origin, partition: str | None) -> Iterator[Version]:
        """Find the versions that an input is; those of a channel are versions of its asset."""
        partitions = [origin.partition] if origin.partition is not None else list(dict.fromkeys([partition, None]))
        for asset in (origin.asset, origin.asset[:-1]):
            for each in partitions:
                found = [
                    version
                    for version in (self._records.ways(asset, each) if asset else ())
                    if origin.tokens & _tokens(version)
                    or (_is_none(version) and version.number == origin.number and asset == origin.asset)
                ]
                if found:
                    yield from found
                    return


def identity(version: Version) -> str:
    """Name a version's content: its hash, or what stands for it where there is no value."""
    return Pointer.to(version).content


def made_from(store: Store, version: Version, ancestor: Version) -> bool:
    """Whether a version was made from exactly this version of another asset, directly or over other assets.

    Args:
        store: The store that holds both.
        version: The version whose lineage is followed.
        ancestor: What it may have been made from.

    Raises:
        StoreError: If the store fails.
    """
    return Lineage(Records(store), [ancestor]).made_from(version, ancestor)


def _tokens(version: Version) -> frozenset[str]:
    content = () if _is_none(version) else (version.stored.content_hash,)
    return frozenset({version.data_version, *content})


def _is_none(version: Version) -> bool:
    return version.stored.python_type == "builtins:NoneType"


def origins_of(record: Mapping[str, Any] | None, asset: tuple[str, ...], *, foreign: bool = False) -> Iterator[Origin]:
    """List what a result was made from; nothing for a damaged record.

    Args:
        record: The result's record.
        asset: Key of the asset that it is looked at for.
        foreign: Whether it is known already to have been written for another asset.
    """
    inputs = (record or {}).get("inputs")
    made_for = (record or {}).get("assets")
    foreign = foreign or (isinstance(made_for, list) and _user_string(asset) not in made_for)
    for origin in inputs.values() if isinstance(inputs, Mapping) else ():
        if not isinstance(origin, Mapping) or not isinstance(origin.get("asset"), str):
            continue
        key = _key(origin["asset"])
        if not _can_be_looked_up(key):
            continue
        told = [origin.get(field) for field in ("content_hash", "data_version")]
        number = origin.get("version")
        texts = frozenset(each for each in told if isinstance(each, str))
        if texts:
            yield Origin(key, texts, number if isinstance(number, int) else None, None, foreign)
        for partition in {name: None for each in told if isinstance(each, Mapping) for name in each}:
            if not _can_be_looked_up(key, partition):
                continue
            tokens = frozenset(str(each[partition]) for each in told if isinstance(each, Mapping) and partition in each)
            in_partition = number.get(partition) if isinstance(number, Mapping) else None
            yield Origin(key, tokens, in_partition, partition, foreign)


def _can_be_looked_up(asset: tuple[str, ...], partition: str | None = None) -> bool:
    """Whether names are such as the store takes; what an edited record holds may be anything."""
    try:
        history_folder("default", history_name(asset, partition))
    except StoreError:
        return False
    return True


def _key(asset: str) -> tuple[str, ...]:
    return tuple(part.replace("\\/", "/") for part in _SLASH.split(asset))


def _user_string(asset: Sequence[str]) -> str:
    return "/".join(part.replace("/", "\\/") for part in asset)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return one & other if one is not None and other is not None else one if other is None else other


def _either(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return one | other if one is not None and other is not None else one if other is None else other
