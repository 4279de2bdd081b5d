"""What differs between two keys: the things that count, and nothing that does not."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from mlrepro.versioning.canonical import canonical_json
from mlrepro.versioning.code_difference import counted_code_changes, uncounted_code_changes
from mlrepro.versioning.difference import Change, Evidence, part_changes, parts_of

ALL_CODE = "code"
"""Stands for all of the code, where the sources of one side are not known."""

VALUES = "values"
"""Stands for what code refers to without its text: a closure's cell, a file, an environment variable."""

_DEPENDENCY = "(asset) "
_SHORT = 12


def key_changes(before: Evidence, after: Evidence) -> list[Change]:
    """List what makes the input hash of one result differ from that of another.

    Unlike `differences` it leaves out what a key does not cover: other libraries of the environment, comments and
    formatting, where code lies, ignored config fields, versions whose content is the same.

    Args:
        before: A result; its sources may be left out.
        after: Another, or one that is still to be computed.

    Returns:
        What differs, code first. Empty if the records tell of nothing.

    Example:
        >>> old = Evidence({"config": {"C": 1.0}, "seed": 1})
        >>> new = Evidence({"config": {"C": 2.0}, "seed": 1})
        >>> [(change.name, change.before, change.after) for change in key_changes(old, new)]
        [('C', 1.0, 2.0)]
    """
    old, new = before.record, after.record
    old_parts, new_parts = parts_of(old), parts_of(new)
    parts = list(part_changes(old_parts, new_parts))
    libraries = [*_library_changes(old, new), *(change for change in parts if change.kind == "library")]
    python = list(_python_changes(old, new))
    return [
        *_code_changes(before, after, otherwise_explained=bool(libraries or python)),
        *_config_changes(old, new),
        *_input_changes(old, new),
        *_changed("seed", "seed", old.get("seed"), new.get("seed")),
        *_partition_changes(old, new),
        *dict.fromkeys(libraries),
        *python,
        *(change for change in parts if change.kind != "library"),
    ]


def _code_changes(before: Evidence, after: Evidence, *, otherwise_explained: bool) -> list[Change]:
    was, now = (_mapping(each.record.get("code")).get("fingerprint") for each in (before, after))
    if was == now:
        return []
    if not before.sources or not after.sources:
        return [Change("code", ALL_CODE, _short(was), _short(now))]
    found = counted_code_changes(before.sources, after.sources)
    if found or otherwise_explained:
        return found
    return uncounted_code_changes(before.sources, after.sources) or [Change("code", VALUES, None, None)]


def _library_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    was, now = (_mapping(_mapping(record.get("code")).get("distributions")) for record in (old, new))
    for name in sorted(was.keys() | now.keys()):
        yield from _changed("library", name, was.get(name), now.get(name))


def _python_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Compare the interpreters, where both sides' code uses the standard library."""
    now = parts_of(new).get("python")
    was = parts_of(old).get("python") if parts_of(old) else _python_of_environment(old)
    if was and now:
        same_kind = was.split()[0] == now.split()[0]
        yield from _changed("environment", "python", *(text.split()[-1] if same_kind else text for text in (was, now)))


def _python_of_environment(record: Mapping[str, Any]) -> str | None:
    version = _mapping(record.get("environment")).get("python")
    return f"cpython {'.'.join(version.split('.')[:2])}" if isinstance(version, str) else None


# --- config


def _config_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    now_ignored = parts_of(new).get("ignore_config") or []
    was_ignored = parts_of(old).get("ignore_config") or [] if parts_of(old) else now_ignored
    ignored = {*was_ignored, *now_ignored}
    was, now = (
        {
            name: value
            for name, value in _leaves(record.get("config")).items()
            if not any(name == field or name.startswith(f"{field}.") for field in ignored)
        }
        for record in (old, new)
    )
    for name in sorted(was.keys() | now.keys()):
        if name not in was or name not in now:
            # {} where the other side has fields: they tell of themselves
            here, other = (was, now) if name in was else (now, was)
            if here[name] == {} and any(field.startswith(f"{name}." if name else "") for field in other):
                continue
        elif _same_setting(was[name], now[name]):
            continue
        yield Change("config", name, *_without_secrets(was.get(name), now.get(name)))


def _leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value or set(value) in _SINGLE_VALUES:
        return {} if value is None and not prefix else {prefix: value}
    found: dict[str, Any] = {}
    for name, item in value.items():
        found |= _leaves(item, f"{prefix}.{name}" if prefix else name)
    return found


_SECRET = {"env", "sha256"}
_SINGLE_VALUES = ({"$float"}, {"enum"}, {"type", "value"}, _SECRET)


def _same_setting(was: Any, now: Any) -> bool:
    # a value that comes from a variable now is the same value: only its hash is known
    if is_secret(was) or is_secret(now):
        return bool(_hash(was) == _hash(now))
    return _same(was, now)


def is_secret(value: Any) -> bool:
    """Whether a config value of a record stands for one that came from an environment variable."""
    return isinstance(value, Mapping) and bool(value) and set(value) <= _SECRET and "env" in value


def _hash(value: Any) -> Any:
    return value.get("sha256") if is_secret(value) else hashlib.sha256(str(value).encode()).hexdigest()[:_SHORT]


def _without_secrets(*values: Any) -> list[Any]:
    """Name the variables instead of their hashes; what a secret took the place of may have been one too."""
    hidden = any(is_secret(value) for value in values)
    return [_masked(value) if is_secret(value) or not hidden else None for value in values]


def _masked(value: Any) -> Any:
    if is_secret(value):
        return {"env": value["env"]}
    if isinstance(value, Mapping):
        return {name: _masked(item) for name, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple) else value


# --- inputs


def _input_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    was, now = (_mapping(record.get("inputs")) for record in (old, new))
    was_parts, now_parts = (_mapping(parts_of(record).get("inputs")) for record in (old, new))
    for name in sorted(was.keys() | now.keys(), key=lambda name: (name.startswith(_DEPENDENCY), name)):
        before, after = (_mapping(side.get(name)) for side in (was, now))
        contents = [_mapping(parts.get(name)).get("content") for parts in (was_parts, now_parts)]
        if None in contents:  # known by records of this version only; it tells the format as well
            contents = [_content(before), _content(after)]
        if name in was and name in now and _same(*contents):
            continue
        if name.startswith(_DEPENDENCY):
            yield Change("dependency", name.removeprefix(_DEPENDENCY), *_shown(before, after))
        else:
            yield Change("input", name, *_shown(before, after))


def _content(origin: Mapping[str, Any]) -> Any:
    content = origin.get("content_hash")
    return origin.get("data_version") if content is None else content


def _shown(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Any]:
    """Name the two versions; of many partitions only those that differ."""
    was, now = _content(before), _content(after)
    if isinstance(was, Mapping) and isinstance(now, Mapping) and was and now:
        differing = [key for key in sorted(was.keys() | now.keys()) if was.get(key) != now.get(key)]
        return [_partitions(origin, content, differing) for origin, content in ((before, was), (after, now))]
    return [_version(before), _version(after)]


def _version(origin: Mapping[str, Any]) -> Any:
    if not origin:
        return None
    content, number = _content(origin), origin.get("version")
    shown = f"{len(content)} partitions" if isinstance(content, Mapping) and content else _short(content or "nothing")
    return {"asset": origin.get("asset"), "version": number if isinstance(number, int) else None, "content": shown}


def _partitions(origin: Mapping[str, Any], contents: Mapping[str, Any], keys: list[str]) -> Any:
    numbers = _mapping(origin.get("version"))
    named = {key: {"version": numbers.get(key), "content": _short(contents[key])} for key in keys if key in contents}
    return {"asset": origin.get("asset"), "partitions": named}


# --- the rest


def _partition_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Compare the partitions where the function can see them: else results are shared among them."""
    if parts_of(new).get("partition") and parts_of(old).get("partition", True):
        # Dagster lists a range of static partitions in no particular order
        was, now = (sorted(map(str, record.get("partitions") or ())) for record in (old, new))
        yield from _changed("partition", "partition", was, now)


def _changed(kind: Any, name: str, before: Any, after: Any) -> Iterator[Change]:
    if not _same(before, after):
        yield Change(kind, name, before, after)


def _same(one: Any, other: Any) -> bool:
    """Compare as a key does: 1, 1.0 and True are three values."""
    try:
        return canonical_json(one) == canonical_json(other)
    except TypeError:
        return bool(one == other)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _short(value: Any) -> Any:
    return value[:_SHORT] if isinstance(value, str) else value
