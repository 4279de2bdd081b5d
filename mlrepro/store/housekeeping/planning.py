"""What a collection does with each object, in which order: worked out before anything is touched.

Phases come one after the other, and the steps of a unit too, so that a collection that is killed leaves a store whose
histories have no gaps and whose records come before the blobs that they name.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any, Final

from mlrepro.store import records
from mlrepro.store.housekeeping.inventory import Inventory, Row
from mlrepro.store.housekeeping.places import FAMILY, Kind
from mlrepro.store.housekeeping.retention import Policy
from mlrepro.store.housekeeping.side_by_side import side_by_side

_BLOBS_BACK, _RECORDS_BACK, _RECORDS_GONE, _BLOBS_GONE, _REMAINS, _RESULTS, _DERIVATIONS, _BLOBS = range(1, 9)

_IDLE: Final = dt.timedelta(days=1)
"""How long a lease must have been over before it goes."""

_LONGEST: Final = 86_400.0

_Action = tuple[int, str, int, str, Kind, str, int, str]


def plan(found: Inventory, policy: Policy, now: float) -> None:
    """Fill the inventory's actions.

    Args:
        found: The scope, listed and marked.
        policy: What is kept.
        now: Seconds since 1970, by the clock of the place.
    """
    before = now - policy.grace.total_seconds()
    idle = now - max(policy.grace, _IDLE).total_seconds()
    found.add("actions", _blobs_back(found))
    found.add("actions", _records_back(found))
    found.db.execute("CREATE INDEX actions_by_path ON actions (path)")
    found.db.execute("CREATE INDEX actions_by_unit ON actions (unit, phase)")
    found.add("actions", _trash(found, before))
    found.add("actions", _leases(found, idle))
    found.add("actions", _remains(found, before))
    found.add("actions", _results(found, before))
    found.add("actions", _derivations(found, before, now - policy.younger_than.total_seconds()))
    found.add("actions", _blobs(found, before))


def _action(phase: int, row: Row, act: str, *, unit: str = "", step: int = 0) -> _Action:
    path = f"trash/{row.path}" if row.trash and act == "delete" else row.path
    return phase, unit or path, step, act, row.kind, path, row.size, row.name


def _blobs_back(found: Inventory) -> Iterator[_Action]:
    rows = found.rows(
        "trash AND kind = 'blob' AND name IN (SELECT digest FROM marks) AND NOT EXISTS"
        " (SELECT 1 FROM objects p WHERE p.kind = 'blob' AND p.name = o.name AND NOT p.trash)"
    )
    return (_action(_BLOBS_BACK, row, "put back") for row in rows)


def _records_back(found: Inventory) -> Iterator[_Action]:
    for (name,) in found.ask("SELECT name FROM families WHERE kept"):
        yield from _result_back(found, name)
    for row in found.rows("trash AND kind = 'derivation' AND path IN (SELECT path FROM kept_derivations)"):
        if found.has(row.path) is None:
            yield _action(_RECORDS_BACK, row, "put back")


def _result_back(found: Inventory, name: str) -> Iterator[_Action]:
    """What was set aside of a result that is kept now: its mark, its histories from the oldest on, last its record."""
    aside: dict[str, list[Row]] = {kind: list(_of(found, kind, name, trash=True)) for kind in FAMILY}
    here = {str(kind): {row.number for row in _of(found, kind, name, trash=False)} for kind in FAMILY}
    if not any(aside.values()):
        return
    if aside["result"] and here["result"]:
        # it was computed anew since: what was said of the old record does not hold of this one
        return
    step = 0
    for kind in ("replaced", "replacement", "deviation", "result"):
        for row in aside[kind]:
            if row.number in here[kind]:
                if here["result"]:
                    break  # somebody has appended that number anew
                continue
            step += 1
            yield _action(_RECORDS_BACK, row, "put back", unit=name, step=step)


def _of(found: Inventory, kind: str, name: str, *, trash: bool) -> Iterable[Row]:
    return found.rows("kind = ? AND name = ? AND trash = ? ORDER BY number", kind, name, trash)


def _trash(found: Inventory, before: float) -> Iterator[_Action]:
    """What lay in the trash for the whole grace period, and does not come back."""
    rows = found.rows(
        "trash AND modified < ? AND kind != 'foreign' AND NOT EXISTS"
        " (SELECT 1 FROM actions a WHERE a.path = o.path AND a.act = 'put back')",
        before,
    )
    return (_action(_BLOBS_GONE if row.kind == "blob" else _RECORDS_GONE, row, "delete") for row in rows)


def _remains(found: Inventory, before: float) -> Iterator[_Action]:
    rows = found.rows("kind IN ('tmp', 'damaged') AND NOT trash AND modified < ?", before)
    return (_action(_REMAINS, row, "delete") for row in rows)


def _leases(found: Inventory, idle: float) -> Iterator[_Action]:
    """Leases that were over long ago: the newest entry first, so that what is left has no gap."""
    newest = found.rows(
        "kind = 'lease' AND NOT trash AND modified < ? AND number ="
        " (SELECT max(number) FROM objects p WHERE p.kind = 'lease' AND p.name = o.name AND NOT p.trash)",
        idle,
    )
    for row, data in side_by_side(found.read, newest):
        if row.modified + _held_for(data) < idle:
            entries = found.rows("kind = 'lease' AND NOT trash AND name = ? ORDER BY number DESC", row.name)
            for step, entry in enumerate(entries):
                yield _action(_REMAINS, entry, "delete", unit=row.name, step=step)


def _held_for(data: bytes | None) -> float:
    """Seconds that a lease lasts from its newest entry on; none where it was given back, or says nothing."""
    try:
        body: Any = records.from_bytes(data or b"").get("entry")
        return min(float(body["ttl"]), _LONGEST) if body["state"] == "held" else 0.0
    except (ValueError, TypeError, KeyError):
        return 0.0


def _results(found: Inventory, before: float) -> Iterator[_Action]:
    """Results that nothing keeps: their histories from the newest entry on, their mark, and last their record."""
    names = found.ask("SELECT name FROM families WHERE NOT kept AND here AND modified < ?", before)
    for (name,) in names:
        step = 0
        for kind in ("deviation", "replacement", "replaced", "result"):
            for row in reversed(list(_of(found, kind, name, trash=False))):
                step += 1
                yield _action(_RESULTS, row, "set aside", unit=name, step=step)
    # a mark whose result is gone altogether
    lone = found.rows(
        "kind = 'replaced' AND NOT trash AND modified < ? AND name NOT IN (SELECT name FROM families)", before
    )
    for row in lone:
        yield _action(_RESULTS, row, "set aside")


def _derivations(found: Inventory, before: float, old: float) -> Iterator[_Action]:
    """Marks beside versions that are not kept, once their result goes; that of another scope is as old as its mark."""
    rows = found.rows(
        "kind = 'derivation' AND NOT trash AND modified < ? AND path NOT IN (SELECT path FROM kept_derivations)"
        " AND name NOT IN (SELECT name FROM families WHERE kept)"
        " AND (modified < ? OR EXISTS (SELECT 1 FROM actions a WHERE a.unit = o.name AND a.phase = ?))",
        before,
        old,
        _RESULTS,
    )
    return (_action(_DERIVATIONS, row, "set aside") for row in rows)


def _blobs(found: Inventory, before: float) -> Iterator[_Action]:
    rows = found.rows("kind = 'blob' AND NOT trash AND modified < ? AND name NOT IN (SELECT digest FROM marks)", before)
    return (_action(_BLOBS, row, "set aside") for row in rows)
