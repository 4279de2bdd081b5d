"""Lineage by version: exactly which versions a version was made from, and what was made from it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dagster import AssetKey
from pydantic import BaseModel, Field

from mlrepro.catalog import Version, VersionName
from mlrepro.catalog.history import find_number, find_version
from mlrepro.comparison.lineage import Origin, origins_of
from mlrepro.comparison.records import Records, at_once
from mlrepro.errors import MlreproError
from mlrepro.store import Store
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.history import newest_versions
from mlrepro.web.pages.page import Told

MOST_NODES: Final = 40
"""Versions that are shown each way."""

_DEEPEST: Final = 6
_BACK: Final = 30
"""Newest versions of an asset downstream that are looked at."""


class Node(BaseModel):
    """A version in the lineage."""

    id: str
    name: str
    number: int | None = Field(description="None where nothing tells which version it was.")
    channel: str | None = Field(default=None, description="The channel that it was read from.")
    content: str = Field(default="", description="What tells its content, where no version does.")
    partition: str | None = None
    level: int = Field(description="0 for the version asked for; below 0 what it was made from, above what of it.")
    made: Told = None
    who: Told = None
    page: str | None = None


class Edge(BaseModel):
    """From what was read to what was made of it."""

    source: str
    target: str
    argument: str = Field(description="Name of the argument that took it.")


class Lineage(BaseModel):
    """A version's lineage."""

    nodes: list[Node]
    edges: list[Edge]
    complete: bool = Field(description="Whether all of it is shown.")


class Walk:
    """Follows records from one version both ways, as far as is shown.

    Args:
        asked: Who asks; what they do not see is shown without a link.
        store: As the version's scope sees it.
        start: The version.
    """

    def __init__(self, asked: Asked, store: Store, start: Version) -> None:
        self._asked = asked
        self._store = store
        self._records: dict[str, Records] = {}
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str, str], Edge] = {}
        self._complete = True
        self._start = start

    def lineage(self) -> Lineage:
        """Follow it."""
        first = self._add(self._start, self._store, 0)
        self._up([(self._start, self._store, first)])
        above = len(self._nodes)
        self._down([(self._start, self._store, first)], above + MOST_NODES)
        return Lineage(nodes=list(self._nodes.values()), edges=list(self._edges.values()), complete=self._complete)

    def _up(self, level: list[tuple[Version, Store, Node]]) -> None:
        for depth in range(1, _DEEPEST + 1):
            read = at_once(lambda each: list(self._inputs(each[0], each[1])), level)
            following: list[tuple[Version, Store, Node]] = []
            for (_, _, node), inputs in zip(level, read, strict=True):
                for argument, origin, found in inputs:
                    if len(self._nodes) > MOST_NODES:
                        self._complete = False
                        return
                    version, store = found if found is not None else (None, None)
                    known = version is not None and self._id(version, store) in self._nodes
                    made = self._input(origin, version, store, -depth)
                    self._edge(made, node, argument)
                    if version is not None and store is not None and not known:
                        following.append((version, store, made))
            level = following
        self._complete = self._complete and not level

    def _inputs(self, version: Version, store: Store) -> Iterator[tuple[str, Origin, tuple[Version, Store] | None]]:
        record = self._record(store).result(version)
        named = record.get("inputs") if record else None
        for argument, each in named.items() if isinstance(named, Mapping) else ():
            for origin in origins_of({"inputs": {argument: each}}, version.asset):
                yield str(argument), origin, self._find(origin, version.partition, store)

    def _find(self, origin: Origin, partition: str | None, store: Store) -> tuple[Version, Store] | None:
        known = self._asked.assets.get(AssetKey(list(origin.asset)))
        asset = origin.asset
        if known is not None and known.is_channel:
            asset = asset[:-1]
        scope = self._asked.scope_of(known) if known is not None else None
        seen = (self._asked.sight.store(scope) if scope is not None else None) or store
        for each in dict.fromkeys([origin.partition, partition, None]):
            try:
                if origin.number is not None:
                    found = find_number(seen, asset, each, origin.number)
                else:
                    token = next(iter(origin.tokens), None)
                    found = find_version(seen, asset, each, token) if token else None
            except MlreproError:
                continue
            if found is not None:
                return found, seen
        return None

    def _down(self, level: list[tuple[Version, Store, Node]], most: int) -> None:
        for depth in range(1, _DEEPEST + 1):
            following: list[tuple[Version, Store, Node]] = []
            for version, _, node in level:
                for child, store, argument in self._made_from(version):
                    if len(self._nodes) >= most:
                        self._complete = False
                        return
                    known = self._id(child, store) in self._nodes
                    made = self._add(child, store, depth)
                    self._edge(node, made, argument)
                    if not known:
                        following.append((child, store, made))
            level = following
        self._complete = self._complete and not level

    def _made_from(self, version: Version) -> list[tuple[Version, Store, str]]:
        """Versions of what Dagster knows to be downstream that were read from exactly this one."""
        known = self._asked.assets.get(AssetKey(list(version.asset)))
        if known is None:
            return []
        children = [self._asked.assets.get(key) for key in known.children]
        for channel in self._asked.assets.channels_of(known):
            children += [self._asked.assets.get(key) for key in channel.children]
        names = {version.asset, *(tuple(each.key.path) for each in self._asked.assets.channels_of(known))}
        tokens = {version.data_version, version.stored.content_hash}
        found: list[tuple[Version, Store, str]] = []
        for child in children:
            scope = self._asked.scope_of(child) if child is not None and not child.is_channel else None
            store = self._asked.sight.store(scope) if scope is not None else None
            if child is None or store is None:
                continue
            made = newest_versions(store, child.key.path, version.partition, most=_BACK) or newest_versions(
                store, child.key.path, None, most=_BACK
            )
            records = self._record(store)
            read = zip(made, at_once(records.result, made), strict=True)
            for each, record in read:
                argument = _argument(record, each, names, tokens)
                if argument is not None:
                    found.append((each, store, argument))
        return found

    def _record(self, store: Store) -> Records:
        return self._records.setdefault(store.scope, Records(store))

    def _id(self, version: Version, store: Store | None) -> str:
        scope = store.scope if store else ""
        return f"{scope}:{VersionName(version.asset, version.number)}:{version.partition or ''}"

    def _add(self, version: Version, store: Store, level: int) -> Node:
        key = self._id(version, store)
        if key not in self._nodes:
            name = str(VersionName(version.asset, None))
            self._nodes[key] = Node(
                id=key,
                name=name,
                number=version.number,
                partition=version.partition,
                level=level,
                made=version.body.get("created"),
                who=version.body.get("who"),
                page=self._asked.version_page(name, version.number, store.scope, version.partition),
            )
        return self._nodes[key]

    def _input(self, origin: Origin, version: Version | None, store: Store | None, level: int) -> Node:
        if version is not None and store is not None:
            node = self._add(version, store, level)
            if version.asset != origin.asset:
                node.channel = origin.asset[-1]
            return node
        name = str(VersionName(origin.asset, None))
        key = f":{name}:{origin.number}:{origin.partition or ''}"
        if key not in self._nodes:
            self._nodes[key] = Node(
                id=key,
                name=name,
                number=origin.number,
                content=min(origin.tokens, default="unknown"),
                partition=origin.partition,
                level=level,
            )
        return self._nodes[key]

    def _edge(self, source: Node, target: Node, argument: str) -> None:
        edge = Edge(source=source.id, target=target.id, argument=argument)
        self._edges[(edge.source, edge.target, argument)] = edge


def _argument(
    record: Mapping[str, Any] | None, made: Version, names: set[tuple[str, ...]], tokens: set[str]
) -> str | None:
    named = record.get("inputs") if record else None
    for argument, each in named.items() if isinstance(named, Mapping) else ():
        for origin in origins_of({"inputs": {argument: each}}, made.asset):
            if origin.asset in names and origin.tokens & tokens:
                return str(argument)
    return None
