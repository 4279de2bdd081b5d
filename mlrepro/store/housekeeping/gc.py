"""Garbage collection: what nothing keeps is set aside first, and deleted by a later collection.

It takes no lock. What was written less than the grace period ago is never touched; the rest moves to ``trash/``, under
the same path. Who comes to need a blob between its being marked and its being moved takes it back from there; records
are put back by the next collection, which deletes only what lay in the trash for the whole grace period and is still
not kept. A collection that is killed is completed by the next one, and two at once do no harm.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from mlrepro.errors import StoreError
from mlrepro.store import history
from mlrepro.store.housekeeping import store_clock
from mlrepro.store.housekeeping.inventory import Inventory, Progress, inventory
from mlrepro.store.housekeeping.marking import Notes, mark
from mlrepro.store.housekeeping.planning import plan
from mlrepro.store.housekeeping.retention import Policy
from mlrepro.store.housekeeping.side_by_side import side_by_side
from mlrepro.store.keys import check_scope, trash_key
from mlrepro.store.objects import Objects
from mlrepro.store.store import Store

HISTORY: Final = ("gc",)
_SCHEMA: Final = 1
_TOP: Final = 10
_UNNAMED: Final = "(parts of folders, and what no record names)"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of something.

    Attributes:
        count: Objects.
        bytes: Their sizes.
    """

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Collected:
    """What a collection did, or would do.

    Attributes:
        url: The store.
        scope: The scope.
        delete: Whether it was done; otherwise it is what would be.
        policy: What was kept.
        set_aside: What goes to the trash, by kind.
        put_back: What comes back from there because it is needed after all, by kind.
        deleted: What is deleted for good, by kind: what lay in the trash, old leases, remains of killed writers.
        kept: What stays, by kind; ``foreign`` is what mlrepro did not write.
        later: What lies in the trash afterwards and goes after the grace period.
        by_asset: Whose bytes are set aside, the most first.
        notes: What could not be read, and what that means.
        more_notes: How many more there are.
    """

    url: str
    scope: str
    delete: bool
    policy: Policy
    set_aside: Mapping[str, Amount]
    put_back: Mapping[str, Amount]
    deleted: Mapping[str, Amount]
    kept: Mapping[str, Amount]
    later: Amount
    by_asset: tuple[tuple[str, Amount], ...]
    notes: tuple[str, ...] = ()
    more_notes: int = 0

    @property
    def bytes_freed(self) -> int:
        """Bytes that are deleted."""
        return sum(each.bytes for each in self.deleted.values())

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return dataclasses.asdict(self) | {
            "policy": self.policy.to_json(),
            "bytes_freed": self.bytes_freed,
            "by_asset": [{"asset": asset, **dataclasses.asdict(amount)} for asset, amount in self.by_asset],
        }


def collect(
    store: Store,
    policy: Policy,
    *,
    delete: bool = False,
    scope: str | None = None,
    who: str = "",
    progress: Progress | None = None,
) -> Collected:
    """Set aside what a policy does not keep, and delete what was set aside before.

    Args:
        store: The store.
        policy: What is kept.
        delete: Whether to do it; otherwise nothing is changed and the report says what would be.
        scope: Whose objects; by default the own scope's.
        who: Who does it, for the history ``gc``.
        progress: Told now and then what is being done.

    Returns:
        What was done, or would be.

    Raises:
        StoreError: The store failed. Nothing was removed unless all that is kept was known; run it again.

    Example:
        >>> from mlrepro.store import open_store
        >>> store = open_store("memory://docs-gc")
        >>> _ = store.write_value([1, 2])
        >>> collect(store, Policy()).bytes_freed
        0
    """
    scope = store.scope if scope is None else check_scope(scope)
    objects = store._objects
    if delete:
        store.check()
    now = store_clock.now(objects, scope, write=delete)
    notes = Notes()
    with inventory(objects, scope, progress) as found:
        mark(found, policy, now, (scope, store.scope, *store.read_scopes), notes, progress)
        plan(found, policy, now)
        report = Collected(
            url=store.url,
            scope=scope,
            delete=delete,
            policy=policy,
            set_aside=_amounts(found, "set aside"),
            put_back=_amounts(found, "put back"),
            deleted=_amounts(found, "delete"),
            kept=_kept(found),
            later=_later(found),
            by_asset=tuple(_by_asset(found)),
            notes=tuple(notes.said),
            more_notes=notes.more,
        )
        if delete:
            _note(objects, report, who)
            _carry_out(found, progress)
    return report


def _note(objects: Objects, report: Collected, who: str) -> None:
    """Say in the history what is about to go: before, so that whoever misses it later finds the reason."""
    if not (report.set_aside or report.deleted):
        return
    counts = {
        name: {kind: dataclasses.asdict(amount) for kind, amount in getattr(report, name).items()}
        for name in ("set_aside", "put_back", "deleted")
    }
    body = {
        "schema": _SCHEMA,
        "when": dt.datetime.now(dt.UTC).isoformat(),
        "who": who,
        "policy": report.policy.to_json(),
        **counts,
    }
    history.append(objects, report.scope, HISTORY, lambda _newest: body)


def _carry_out(found: Inventory, progress: Progress | None) -> None:
    """Do what is planned: in order within a unit, units of one phase side by side."""
    done = 0
    for (phase,) in list(found.ask("SELECT DISTINCT phase FROM actions ORDER BY phase")):
        steps = found.ask("SELECT unit, act, kind, path FROM actions WHERE phase = ? ORDER BY unit, step", phase)
        units = ([each[1:] for each in unit] for _, unit in groupby(steps, key=lambda each: each[0]))
        for unit, _ in side_by_side(lambda unit: _do(found, unit), units):
            done += len(unit)
            if progress:
                progress(f"set aside, put back or deleted in scope {found.scope}", done)


def _do(found: Inventory, unit: list[tuple[Any, ...]]) -> None:
    objects = found.objects
    for act, kind, path in unit:
        key = f"{found.scope}/{path}"
        match act:
            case "set aside":
                _move(objects, key, trash_key(key))
            case "put back" if kind == "blob":
                _move(objects, trash_key(key), key)
            case "put back":
                # somebody may have stored a record there meanwhile, and that one stands
                if (data := objects.get(trash_key(key))) is not None and objects.create(key, data):
                    objects.delete(trash_key(key))
            case _:
                # the path says already where it lies
                objects.delete(key)


def _move(objects: Objects, source: str, target: str) -> None:
    try:
        objects.move(source, target)
    except StoreError:
        # another collection was faster
        if objects.size(source) is not None:
            raise


def _amounts(found: Inventory, act: str) -> dict[str, Amount]:
    rows = found.ask("SELECT kind, count(*), sum(size) FROM actions WHERE act = ? GROUP BY kind ORDER BY kind", act)
    return {kind: Amount(count, size) for kind, count, size in rows}


def _kept(found: Inventory) -> dict[str, Amount]:
    rows = found.ask(
        "SELECT kind, count(*), sum(size) FROM objects o WHERE NOT trash AND kind != 'marker' AND NOT EXISTS"
        " (SELECT 1 FROM actions a WHERE a.path = o.path AND a.act != 'put back') GROUP BY kind ORDER BY kind"
    )
    return {kind: Amount(count, size) for kind, count, size in rows}


def _later(found: Inventory) -> Amount:
    count, size = found.one(
        "SELECT count(*), coalesce(sum(size), 0) FROM ("
        " SELECT size FROM actions WHERE act = 'set aside' UNION ALL"
        " SELECT size FROM objects o WHERE trash AND kind != 'foreign' AND NOT EXISTS"
        " (SELECT 1 FROM actions a WHERE (a.path = 'trash/' || o.path AND act = 'delete')"
        " OR (a.path = o.path AND act = 'put back')))"
    ) or (0, 0)
    return Amount(count, size)


def _by_asset(found: Inventory) -> Iterator[tuple[str, Amount]]:
    rows = found.ask(
        "SELECT coalesce((SELECT min(asset) FROM owners WHERE digest = a.name), ?) AS asset, count(*), sum(size) AS s"
        " FROM actions a WHERE act = 'set aside' AND kind = 'blob' GROUP BY asset ORDER BY s DESC LIMIT ?",
        _UNNAMED,
        _TOP,
    )
    for asset, count, size in rows:
        yield asset, Amount(count, size)
