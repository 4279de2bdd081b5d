"""Changes in words: one line for a log, a UI and a command."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlrepro.versioning.difference import READER, Change
from mlrepro.versioning.key_difference import ALL_CODE, VALUES, is_secret

_MOST = 3
"""Changes that are all told; of more, the first two."""

_LONGEST = 40

_DEPENDENCY = "(asset) "
_NAMED = re.compile(r"(?P<asset>.*?)(?: v(?P<version>\d+))? \((?P<content>.*)\)", re.DOTALL)
"""An input as `differences` names it: ``features v3 (1f3a5c7e9b0d)``."""


def sentence(changes: Sequence[Change]) -> str:
    """Say what changed, in one line.

    Args:
        changes: What `key_changes` or `differences` found.

    Returns:
        The first change of each kind before further ones; where there are many, how many more.

    Example:
        >>> sentence([Change("config", "C", 1.0, 2.0), Change("config", "depth", 3, 4), Change("seed", "seed", 1, 2)])
        'config C: 1.0 -> 2.0; seed 1 -> 2; config depth: 3 -> 4'
    """
    firsts = {change.kind: change for change in reversed(changes)}
    ordered = sorted(changes, key=lambda change: firsts[change.kind] is not change)
    said = list(dict.fromkeys(say(change) for change in ordered))
    if len(said) <= _MOST:
        return "; ".join(said)
    return f"{'; '.join(said[:2])}; and {len(said) - 2} more"


def say(change: Change) -> str:
    """Say one change in words.

    Example:
        >>> say(Change("code", "features:clean", "features.py", "features.py", what="function"))
        '`clean()` in features.py changed'
        >>> say(Change("library", "pandas", "2.2.0", "2.2.1"))
        'pandas 2.2.0 -> 2.2.1'
    """
    name, before, after = change.name, change.before, change.after
    match change.kind:
        case "code":
            return _say_code(change)
        case "config":
            return _say_config(name, before, after)
        case "input" if name.startswith(_DEPENDENCY):
            name = name.removeprefix(_DEPENDENCY)
            return f"upstream {name}{_say_versions(name, before, after)}"
        case "input":
            return f"input {name}{_say_versions(name, before, after)}"
        case "dependency":
            return f"upstream {name}{_say_versions(name, before, after)}"
        case "library":
            return _say_library(name, before, after)
        case "environment" if name == "python":
            return f"Python {before} -> {after}"
        case "partition":
            return f"partition {_keys(before)} -> {_keys(after)}"
        case "resource":
            return f"resource {name} {_verb(before, after)}"
        case "output":
            return f"output {name}: {_declared(before)} -> {_declared(after)}"
        case "loading":
            return f"input {name} is read as {_value(before, bare=True)} -> {_value(after, bare=True)}"
        case "input code":
            argument, _, reference = name.partition(": ")
            if reference == READER:
                return f"the reader of input {argument} changed"
            return f"`{reference.replace(':', '.')}` behind input {argument} {_verb(before, after)}"
        case "code version":
            return f"code_version {_value(before, bare=True)} -> {_value(after, bare=True)}"
        case "salt":
            return "the cache's salt changed"
        case "context":
            return f"{name.replace('_', ' ')} that the function can read changed"
        case "setting":
            return f"{name} changed"
        case _:
            return f"{name} {_value(before)} -> {_value(after)}"


def _say_code(change: Change) -> str:
    if change.name == ALL_CODE:
        return "the code changed"
    if change.name == VALUES:
        return "a value, file or environment variable that the code uses changed"
    name = change.name.partition(":")[2].partition("#")[0].replace(".<locals>", "")
    shown = "a lambda" if name.endswith("<lambda>") else f"`{name}{'()' if change.what == 'function' else ''}`"
    return f"{shown} in {change.after or change.before} {_verb(change.before, change.after, gone='is no longer used')}"


def _say_config(name: str, before: Any, after: Any) -> str:
    field = f"config {name}".rstrip()
    variables = [value["env"] for value in (after, before) if is_secret(value)]
    if variables:
        return f"{field} (from {variables[0]}) changed"
    shown = _value(before), _value(after)
    # two long values that begin alike would be shown as the same
    return f"{field} changed" if shown[0] == shown[1] else f"{field}: {shown[0]} -> {shown[1]}"


def _say_versions(name: str, before: Any, after: Any) -> str:
    if not before or not after:
        return f" {_verb(before, after)}"
    before, after = _read_version(before), _read_version(after)
    if "partitions" in before:
        return _say_partitions(before["partitions"], after.get("partitions") or {})
    if before["asset"] == after["asset"]:
        # an argument is usually called like the asset, which may stand under a prefix
        same = after["asset"] is None or after["asset"].rpartition("/")[2] == name
        asset = "" if same else f"{after['asset']} "
    else:
        asset, before = "", {**before, "named": before["asset"]}
        after = {**after, "named": after["asset"]}
    was, now = _version(before), _version(after)
    if was == now:
        # the same number in another store, or bytes in another format
        was, now = (f"{text} ({each['content']})" for text, each in ((was, before), (now, after)))
    return " is in another format" if was == now else f": {asset}{was} -> {now}"


def _read_version(shown: Any) -> Mapping[str, Any]:
    if isinstance(shown, Mapping):
        return shown
    named = _NAMED.fullmatch(str(shown))
    if named is None:
        return {"asset": None, "content": str(shown)}
    asset = None if named["asset"] == "None" else named["asset"]
    return {"asset": asset, "version": int(named["version"]) if named["version"] else None, "content": named["content"]}


def _say_partitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    keys = sorted(before.keys() | after.keys())
    if len(keys) != 1:
        return f": {len(keys)} partitions changed ({', '.join(keys[:2])}{', ...' * (len(keys) > 2)})"
    (key,) = keys
    if key not in before or key not in after:
        return f": partition {key} {_verb(before.get(key), after.get(key))}"
    return f": partition {key} {_version(before[key])} -> {_version(after[key])}"


def _version(shown: Mapping[str, Any]) -> str:
    number = shown.get("version")
    text = f"v{number}" if isinstance(number, int) else str(shown.get("content"))
    return f"{shown['named']} {text}" if shown.get("named") else text


def _say_library(name: str, before: Any, after: Any) -> str:
    if before is None or after is None:
        return f"{name} {before or after} {_verb(before, after, gone='is no longer used')}"
    if before.startswith("sha256:") or after.startswith("sha256:"):  # a package without metadata, by its files
        return f"{name} changed"
    return f"{name} {before} -> {after}"


def _verb(before: Any, after: Any, *, gone: str = "is gone") -> str:
    return "is new" if before is None else gone if after is None else "changed"


def _declared(output: Any) -> str:
    if not isinstance(output, Mapping):
        return "none"
    text = output.get("type") or "no type"
    return f"{text} as {output['format']}" if output.get("format") else str(text)


def _keys(partitions: Any) -> str:
    if not isinstance(partitions, list | tuple) or not partitions:
        return "none"
    return str(partitions[0]) if len(partitions) == 1 else f"{partitions[0]}...{partitions[-1]}"


def _value(value: Any, *, bare: bool = False) -> str:
    """Write a value for one line: strings in quotes, unless they are bare."""
    match value:
        case None:
            return "none"
        case str() if bare:
            text = value
        case {"$float": text}:
            pass
        case {"enum": text}:
            pass
        case {"type": str(), "value": text}:
            pass
        case str() | bool() | int() | float():
            text = repr(value)
        case _:
            text = json.dumps(value, default=str, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
