"""The assets that Dagster shows a user, with whose each is."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from dagster import AssetKey
from dagster._core.definitions.assets.graph.remote_asset_graph import RemoteWorkspaceAssetGraph

from mlrepro.io_managers.promotion import CHANNEL, approvers_in
from mlrepro.tenancy.permissions import IdentifiedRequestContext


@dataclass(frozen=True)
class Known:
    """An asset as a code location defines it.

    Attributes:
        key: Its key.
        location: The code location.
        repository: The repository in it.
        group: Its group.
        is_channel: Whether it is a channel, so that it has no versions of its own.
        is_source: Whether nothing computes it here: it is observed, and has no versions.
        partitioned: Whether it has partitions.
        description: What its author says of it.
        approvers: Of a channel, who may approve; empty for anybody.
        parents: Keys of the assets that it depends on.
        children: Keys of the assets that depend on it.
    """

    key: AssetKey
    location: str
    repository: str
    group: str
    is_channel: bool
    is_source: bool
    partitioned: bool
    description: str
    approvers: tuple[str, ...] | None
    parents: tuple[AssetKey, ...]
    children: tuple[AssetKey, ...]

    @cached_property
    def name(self) -> str:
        """Its key as Dagster writes it."""
        return self.key.to_user_string()


class Assets:
    """All assets of a workspace.

    Args:
        graph: Dagster's own view of them.
    """

    def __init__(self, graph: RemoteWorkspaceAssetGraph) -> None:
        self._known = {known.key: known for known in _assets(graph)}

    def __iter__(self) -> Iterator[Known]:
        return iter(self._known.values())

    def get(self, key: AssetKey) -> Known | None:
        """An asset by its key; None where no code location defines it."""
        return self._known.get(key)

    @cached_property
    def versioned(self) -> list[Known]:
        """Those that are no channels; what has a channel first, then by name."""
        found = [known for known in self if not known.is_channel]
        return sorted(found, key=lambda known: (not self.channels_of(known), known.name))

    def channels_of(self, asset: Known) -> list[Known]:
        """The channels of an asset."""
        children = (self._known.get(key) for key in asset.children)
        return [
            each for each in children if each is not None and each.is_channel and each.key.path[:-1] == asset.key.path
        ]

    def downstream(self, keys: Iterable[AssetKey], most: int) -> list[Known]:
        """What depends on some assets, directly or over others, the nearest first, at most so many."""
        return self._walk(keys, most, "children")

    def upstream(self, keys: Iterable[AssetKey], most: int) -> list[Known]:
        """What some assets depend on, directly or over others, the nearest first, at most so many."""
        return self._walk(keys, most, "parents")

    def _walk(self, keys: Iterable[AssetKey], most: int, way: str) -> list[Known]:
        waiting = list(keys)
        seen = dict.fromkeys(waiting)
        found: list[Known] = []
        while waiting and len(found) < most:
            known = self._known.get(waiting.pop(0))
            for key in getattr(known, way) if known else ():
                if key not in seen:
                    seen[key] = None
                    waiting.append(key)
                    if (each := self._known.get(key)) is not None and len(found) < most:
                        found.append(each)
        return found


class Workspace:
    """Remembers the assets of a workspace until it changes: to list thousands takes longer than to show a page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._graph: RemoteWorkspaceAssetGraph | None = None
        self._assets: Assets | None = None

    def assets(self, context: IdentifiedRequestContext) -> Assets:
        """The assets that a request sees."""
        graph = context.asset_graph
        with self._lock:
            if self._assets is None or self._graph is not graph:
                self._graph, self._assets = graph, Assets(graph)
            return self._assets


def _assets(graph: RemoteWorkspaceAssetGraph) -> Iterator[Known]:
    for key, node in graph.remote_asset_nodes_by_key.items():
        chosen = node.resolve_to_singular_repo_scoped_node()
        snap = chosen.asset_node_snap
        yield Known(
            key=key,
            location=chosen.repository_handle.location_name,
            repository=chosen.repository_handle.repository_name,
            group=snap.group_name or "default",
            is_channel=CHANNEL in (snap.metadata or {}),
            is_source=not node.is_materializable,
            partitioned=snap.partitions is not None,
            description=snap.description or "",
            approvers=approvers_in(snap.metadata or {}),
            parents=tuple(sorted(node.parent_keys)),
            children=tuple(sorted(node.child_keys)),
        )
