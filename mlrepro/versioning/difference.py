"""What differs between two results: code line by line, config, inputs, libraries, metrics."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "code",
    "config",
    "input",
    "dependency",
    "seed",
    "partition",
    "library",
    "environment",
    "resource",
    "output",
    "loading",
    "input code",
    "code version",
    "salt",
    "context",
    "setting",
    "metric",
]

What = Literal["function", "class", "value"]

READER = "reader:"
"""Stands for the function that reads a source, among the code that comes with an input."""

_ABSENT = None
_FUNCTION = re.compile(r"^(?:async\s+)?def\s", re.MULTILINE)
_CLASS = re.compile(r"^class\s", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        kind: What sort of thing: ``code``, ``config``, ``input``, ``dependency`` (an upstream asset that is not an
            argument), ``seed``, ``partition``, ``library``, ``environment``, ``resource``, ``output`` (how one was
            declared), ``loading`` (how an input's type makes it load), ``input code`` (code that comes with an
            input's value), ``code version`` (the author's own), ``salt``, ``context`` (what a function reads of
            its step), ``setting`` or ``metric``.
        name: Which one: a function ("proj.util:scale"), a config field, an argument, a distribution, a metric.
        before: What it was; None where there was none.
        after: What it is; None where there is none.
        diff: For code, the lines that differ, as a unified diff.
        what: For code, what it defines.
    """

    kind: Kind
    name: str
    before: Any
    after: Any
    diff: str | None = None
    what: What | None = None

    def to_json(self) -> dict[str, Any]:
        """Write the change as a JSON object, without fields that do not apply."""
        return {key: value for key, value in asdict(self).items() if key not in ("diff", "what") or value is not None}


@dataclass(frozen=True)
class Evidence:
    """What two results are compared by.

    Attributes:
        record: The result record.
        sources: Sources of the code's closure, as the record's blob holds them.
        freeze: Installed distributions, one ``name==version`` a line.
        metrics: Numbers of the result.
    """

    record: Mapping[str, Any]
    sources: Sequence[Mapping[str, Any]] = ()
    freeze: str = ""
    metrics: Mapping[str, float] | None = None


def differences(before: Evidence, after: Evidence) -> list[Change]:
    """List what differs between two results, what makes a key differ first.

    Example:
        >>> old = Evidence({"config": {"C": 1.0}}, metrics={"auc": 0.8})
        >>> new = Evidence({"config": {"C": 2.0}}, metrics={"auc": 0.9})
        >>> [(change.kind, change.name, change.before, change.after) for change in differences(old, new)]
        [('config', 'C', 1.0, 2.0), ('metric', 'auc', 0.8, 0.9)]
    """
    old, new = before.record, after.record
    return [
        *code_changes(before.sources, after.sources),
        *_changes("config", _flat(old.get("config")), _flat(new.get("config"))),
        *_changes("input", _inputs(old), _inputs(new)),
        *_changes("seed", {"seed": old.get("seed")}, {"seed": new.get("seed")}),
        *_changes("partition", {"partition": old.get("partitions")}, {"partition": new.get("partitions")}),
        *_changes("environment", _environment(old), _environment(new)),
        *_changes("library", _freeze(before.freeze), _freeze(after.freeze)),
        # the freeze has told of libraries already
        *(change for change in part_changes(parts_of(old), parts_of(new)) if change.kind != "library"),
        *_changes("metric", dict(before.metrics or {}), dict(after.metrics or {})),
    ]


def code_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[Change]:
    """Compare two closures, definition by definition.

    Args:
        before: Sources with ``name``, ``file``, ``line`` and ``text``.
        after: Likewise.

    Yields:
        A change for each definition that was added, removed or edited, by name.
    """
    old = {source["name"]: source for source in before}
    new = {source["name"]: source for source in after}
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if (was and was["text"]) == (now and now["text"]):
            continue
        lines = difflib.unified_diff(
            (was["text"] if was else "").splitlines(),
            (now["text"] if now else "").splitlines(),
            f"{was['file']}:{was['line']}" if was else "(not there)",
            f"{now['file']}:{now['line']}" if now else "(not there)",
            lineterm="",
        )
        what = _what((now or was or {})["text"])
        yield Change("code", name, was and was["file"], now and now["file"], "\n".join(lines), what)


def parts_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take what a record says of its key beside code, config and inputs; a record of an older version says nothing."""
    found = record.get("key_parts")
    return found if isinstance(found, Mapping) else {}


def part_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Compare what two records say of their keys beside code, config and inputs (`key_parts`).

    Args:
        before: Parts of the one; empty if nothing is known of them.
        after: Likewise.

    Yields:
        A change for each part that differs; none if either side is unknown.

    Example:
        >>> [change.name for change in part_changes({"resources": {"db": "1f"}}, {"resources": {"db": "2e"}})]
        ['db']
    """
    if not before or not after:
        return
    yield from _changes("resource", _part(before, "resources"), _part(after, "resources"))
    yield from _changes("output", _part(before, "outputs"), _part(after, "outputs"))
    yield from _input_part_changes(_part(before, "inputs"), _part(after, "inputs"))
    yield from _changes("code version", _only(before, "code_version"), _only(after, "code_version"))
    yield from _changes("salt", _only(before, "salt"), _only(after, "salt"))
    yield from _changes("context", _part(before, "surroundings"), _part(after, "surroundings"))
    yield from _changes("setting", _only(before, "ignore_config"), _only(after, "ignore_config"))


def _input_part_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(before.keys() & after.keys()):
        was, now = before[name], after[name]
        yield from _changes("loading", {name: was.get("loaded_as")}, {name: now.get("loaded_as")})
        codes, codes_now = _part(was, "code"), _part(now, "code")
        for identity in sorted(codes.keys() | codes_now.keys()):
            change = codes.get(identity), codes_now.get(identity)
            # another value brings other code along: only the code of the same kind of value is news
            if change[0] == change[1] or (None in change and was.get("content") != now.get("content")):
                continue
            if ":" in identity:
                yield Change("input code", f"{name}: {identity}", *change)
            else:
                yield Change("library", identity, *change)


def _part(parts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = parts.get(name)
    return found if isinstance(found, Mapping) else {}


def _only(parts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {name: parts.get(name)}


def _what(text: str) -> What:
    return "function" if _FUNCTION.search(text) else "class" if _CLASS.search(text) else "value"


def _changes(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name, _ABSENT) != after.get(name, _ABSENT):
            yield Change(kind, name, before.get(name), after.get(name))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {} if value is None and not prefix else {prefix or "config": value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{prefix}.{key}" if prefix else key)
    return flat


def _inputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Name what each input held, by its content; the version number tells a person which one that was."""
    named = {}
    for name, origin in (record.get("inputs") or {}).items():
        content = origin.get("content_hash") or origin.get("data_version")
        version = origin.get("version")
        shown = f"{origin.get('asset')} v{version}" if isinstance(version, int) else str(origin.get("asset"))
        named[name] = f"{shown} ({content[:12] if isinstance(content, str) else content})"
    return named


def _environment(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (record.get("environment") or {}).items() if key not in ("freeze", "local")}


def _freeze(text: str) -> dict[str, str]:
    return dict(line.split("==", 1) for line in text.splitlines() if "==" in line)
