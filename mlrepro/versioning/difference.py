"""What differs between two results: code line by line, config, inputs, libraries, metrics."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["code", "config", "input", "library", "environment", "seed", "partition", "metric"]

_ABSENT = None


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        kind: What sort of thing: ``code``, ``config``, ``input``, ``library``, ``environment``, ``seed``,
            ``partition`` or ``metric``.
        name: Which one: a function ("proj.util:scale"), a config field, an argument, a distribution, a metric.
        before: What it was; None where there was none.
        after: What it is; None where there is none.
        diff: For code, the lines that differ, as a unified diff.
    """

    kind: Kind
    name: str
    before: Any
    after: Any
    diff: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Write the change as a JSON object, without fields that do not apply."""
        return {key: value for key, value in asdict(self).items() if key != "diff" or value is not None}


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
        yield Change("code", name, was and was["file"], now and now["file"], "\n".join(lines))


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
    return {key: value for key, value in (record.get("environment") or {}).items() if key != "freeze"}


def _freeze(text: str) -> dict[str, str]:
    return dict(line.split("==", 1) for line in text.splitlines() if "==" in line)
