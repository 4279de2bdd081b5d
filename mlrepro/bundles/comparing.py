"""What differs between two workflow versions: what was added, removed and changed, with the lines of code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlrepro.bundles.extracting import read_manifest
from mlrepro.bundles.manifest import Manifest
from mlrepro.bundles.workflow import KINDS, Workflow
from mlrepro.catalog.workflows import WorkflowVersion
from mlrepro.errors import BundleError, StoreError
from mlrepro.store import Store
from mlrepro.versioning import Change
from mlrepro.versioning.code_difference import counted_code_changes


@dataclass(frozen=True)
class Difference:
    """One thing of a code location that differs.

    Attributes:
        kind: ``assets``, ``checks``, ``jobs``, ``schedules``, ``sensors`` or ``resources``.
        name: Which one.
        what: ``added``, ``removed`` or ``changed``.
        fields: For what changed, each part of it that differs: before and after.
    """

    kind: str
    name: str
    what: str
    fields: Mapping[str, tuple[Any, Any]]

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        fields = {name: {"before": before, "after": after} for name, (before, after) in self.fields.items()}
        return {"kind": self.kind, "name": self.name, "what": self.what, "fields": fields}


@dataclass(frozen=True)
class WorkflowDiff:
    """What differs between two versions of a code location.

    Attributes:
        before: The one version.
        after: The other one.
        differences: What was added, removed and changed.
        code: Definitions whose code differs, with the lines.
        files: Files of the bundle that differ: what happened to each. Empty where a version has no bundle.
        libraries: Third-party distributions that differ: before and after.
    """

    before: WorkflowVersion
    after: WorkflowVersion
    differences: tuple[Difference, ...]
    code: tuple[Change, ...]
    files: Mapping[str, str]
    libraries: Mapping[str, tuple[str | None, str | None]]

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "differences": [each.to_json() for each in self.differences],
            "code": [each.to_json() for each in self.code],
            "files": dict(self.files),
            "libraries": {name: list(each) for name, each in self.libraries.items()},
        }

    def __str__(self) -> str:
        lines = [f"{each.what:<8} {each.kind[:-1]} {each.name}{_fields(each)}" for each in self.differences]
        lines += [
            f"library  {name} {old or '(none)'} -> {new or '(none)'}" for name, (old, new) in self.libraries.items()
        ]
        lines += [f"{what:<8} file {name}" for name, what in self.files.items()]
        lines += [f"\ncode  {change.name}\n{change.diff}" for change in self.code]
        return "\n".join(lines) if lines else f"v{self.before.number} and v{self.after.number} are the same"


def workflow_diff(store: Store, before: WorkflowVersion, after: WorkflowVersion) -> WorkflowDiff:
    """Compare two versions of a code location, from the store alone.

    Args:
        store: Where they are.
        before: The one.
        after: The other.

    Raises:
        BundleError: What they define is not in the store any more.
    """
    old, new = _workflow(store, before), _workflow(store, after)
    differences = [each for kind in KINDS for each in _of_kind(kind, old.description[kind], new.description[kind])]
    names = sorted({*old.sources, *new.sources})
    changes: dict[tuple[str, Any, Any], Change] = {}
    for name in names:
        for change in counted_code_changes(old.sources.get(name, []), new.sources.get(name, [])):
            changes.setdefault((change.name, change.before, change.after), change)
    libraries = {
        name: (old.libraries.get(name), new.libraries.get(name))
        for name in sorted({*old.libraries, *new.libraries})
        if old.libraries.get(name) != new.libraries.get(name)
    }
    return WorkflowDiff(
        before, after, tuple(differences), tuple(changes.values()), _files(store, before, after), libraries
    )


def _workflow(store: Store, version: WorkflowVersion) -> Workflow:
    try:
        return Workflow.from_json(json.loads(store.read_bytes(str(version.body.get("definitions")))))
    except (StoreError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BundleError(f"what {version.name} defines can't be read: {error}") from error


def _of_kind(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    found = []
    for name in sorted({*old, *new}):
        if name not in old:
            found.append(Difference(kind, name, "added", {}))
        elif name not in new:
            found.append(Difference(kind, name, "removed", {}))
        elif old[name] != new[name]:
            fields = sorted({*old[name], *new[name]})
            differing = {
                each: (old[name].get(each), new[name].get(each))
                for each in fields
                if old[name].get(each) != new[name].get(each)
            }
            if kind == "assets" and "code" in differing:
                differing.pop("code_version", None)  # follows from the code
            found.append(Difference(kind, name, "changed", differing))
    return found


def _files(store: Store, before: WorkflowVersion, after: WorkflowVersion) -> dict[str, str]:
    old, new = _manifest(store, before), _manifest(store, after)
    if old is None or new is None:
        return {}
    return {
        name: "added" if name not in old.entries else "removed" if name not in new.entries else "changed"
        for name in sorted({*old.entries, *new.entries})
        if old.entries.get(name) != new.entries.get(name)
    }


def _manifest(store: Store, version: WorkflowVersion) -> Manifest | None:
    return None if version.bundle is None else read_manifest(store, version.bundle.content_hash)


def _fields(difference: Difference) -> str:
    shown = [
        name if _is_opaque(before) or _is_opaque(after) else f"{name} {_shown(before)} -> {_shown(after)}"
        for name, (before, after) in difference.fields.items()
    ]
    return f": {', '.join(shown)}" if shown else ""


def _is_opaque(value: Any) -> bool:
    return not (value is None or isinstance(value, bool | int) or (isinstance(value, str) and len(value) < 40))


def _shown(value: Any) -> str:
    return "(none)" if value is None else str(value)
