"""What was changed between two versions, by section, and in words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlrepro.comparison.facts import Compared
from mlrepro.comparison.shown import value
from mlrepro.versioning import Change, Evidence, differences, say

SECTIONS: Mapping[str, frozenset[str]] = {
    "config": frozenset({"config"}),
    "inputs": frozenset({"input", "dependency", "loading", "input code"}),
    "code": frozenset({"code", "code version", "output"}),
    "environment": frozenset({"environment", "library"}),
    "settings": frozenset({"seed", "partition", "resource", "salt", "context", "setting"}),
}
"""Kinds of changes, by the heading that they stand under."""

_ALL_CODE = "code"
_INPUT = re.compile(r"(.+) v(\d+) \((.+)\)")
_MOST = 4


def changes_between(first: Compared, other: Compared) -> list[Change]:
    """List what differs in how two versions were made; nothing where either is not known.

    Metrics are not among it: they are compared by themselves.
    """
    readable = first.readable & other.readable
    if "record" not in readable:
        return []
    before, after = (_readable(each.evidence, readable) for each in (first, other))
    try:
        found = [change for change in differences(before, after) if change.kind != "metric"]
    except (TypeError, AttributeError, KeyError, ValueError):  # somebody edited a record
        return []
    if "sources" not in readable:
        was, now = (each.record["code"]["fingerprint"][:12] for each in (before, after))
        if was != now:
            found.insert(0, Change("code", _ALL_CODE, was, now))
    return found


def sections(changes: Sequence[Change]) -> dict[str, list[Change]]:
    """Sort changes under the headings of `SECTIONS`; those without any change are left out.

    Example:
        >>> list(sections([Change("library", "pandas", "2.2", "2.3"), Change("config", "C", 1, 2)]))
        ['config', 'environment']
    """
    sorted_ = {title: [each for each in changes if each.kind in kinds] for title, kinds in SECTIONS.items()}
    return {title: found for title, found in sorted_.items() if found}


def in_a_line(changes: Sequence[Change]) -> str:
    """Say changes of one section in one line.

    Example:
        >>> in_a_line([Change("config", "C", 1.0, 2.0), Change("config", "depth", None, 4)])
        'C 1.0 -> 2.0, depth none -> 4'
    """
    said = list(dict.fromkeys(in_words(change) for change in changes))
    more = f" and {len(said) - _MOST + 1} more" if len(said) > _MOST else ""
    return ", ".join(said[: _MOST - 1] if more else said) + more


def in_words(change: Change) -> str:
    """Say one change; its section tells of what."""
    match change.kind:
        case "config" | "seed":
            return f"{change.name} {_shown(change.before)} -> {_shown(change.after)}"
        case "input":
            return f"{change.name} {_input(change)}"
        case _:
            return say(change)


def rows(by_version: Sequence[Sequence[Change]], kinds: frozenset[str]) -> dict[str, list[Any]]:
    """Put what differs side by side: one value a version, None where there is none.

    Args:
        by_version: For each version after the first, its changes against the first.
        kinds: Kinds of changes to show.

    Example:
        >>> rows([[Change("config", "C", 1, 2)], []], frozenset({"config"}))
        {'C': [1, 2, 1]}
    """
    first: dict[str, Any] = {}
    for changes in by_version:
        first |= {_row_name(change): change.before for change in changes if change.kind in kinds}
    table = {name: [before] for name, before in sorted(first.items())}
    for changes in by_version:
        now = {_row_name(change): change.after for change in changes if change.kind in kinds}
        for name, values in table.items():
            values.append(now.get(name, first[name]))
    return table


def _row_name(change: Change) -> str:
    # an input can be another one, and be loaded another way
    return f"{change.name} ({change.kind})" if change.kind in ("loading", "input code") else change.name


def _input(change: Change) -> str:
    was, now = (_INPUT.fullmatch(str(each)) for each in (change.before, change.after))
    if was and now and was[1] == now[1] and was[2] != now[2]:
        asset = "" if was[1].rpartition("/")[2] == change.name else f"{was[1]} "
        return f"{asset}v{was[2]} -> v{now[2]}"
    return f"{_shown(change.before)} -> {_shown(change.after)}"


def _readable(evidence: Evidence, readable: frozenset[str]) -> Evidence:
    sources = evidence.sources if "sources" in readable else ()
    freeze = evidence.freeze if "freeze" in readable else ""
    return Evidence(evidence.record, sources, freeze)


def _shown(anything: Any) -> str:
    return "none" if anything is None else value(anything)
