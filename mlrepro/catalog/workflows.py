"""Workflow versions: the append-only history of what a code location defined, and served.

One history a code location, ``locations/<code location>/``. Every entry is a version that was served from then on: one
that was pushed, or, after a rollback, an earlier one again. So the newest entry says what is served.
"""

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlrepro.catalog.appending import append_once
from mlrepro.errors import BundleError, UnknownVersionError
from mlrepro.store import Entry, Store, StoredValue

SCHEMA: Final = 1
PUSH: Final = "push"
ROLLBACK: Final = "rollback"

_LOOKED_AT: Final = 200
"""Entries of a history that are looked through for an image: older ones are not deployed any more."""

_NUMBER: Final = re.compile(r"v?([1-9][0-9]{0,11})")


@dataclass(frozen=True)
class WorkflowVersion:
    """One entry of a code location's history.

    Attributes:
        location: The code location.
        number: 1 for the first entry.
        body: What it says, as JSON.
    """

    location: str
    number: int
    body: Mapping[str, Any]

    @property
    def of(self) -> int:
        """The number of the version that was pushed: another one than ``number`` after a rollback."""
        return int(self.body["of"])

    @property
    def name(self) -> str:
        """What runs carry, such as ``pricing@v3``."""
        return f"{self.location}@v{self.of}"

    @property
    def kind(self) -> str:
        """``push`` or ``rollback``."""
        return str(self.body["kind"])

    @property
    def digest(self) -> str:
        """Hash of all that the code location defines."""
        return str(self.body["digest"])

    @property
    def bundle(self) -> StoredValue | None:
        """The code bundle; None where an image holds the code."""
        found = self.body.get("bundle")
        return None if found is None else StoredValue.from_json(found)

    @property
    def module(self) -> str:
        """The module with the definitions."""
        return str(self.body["module"])

    @property
    def attribute(self) -> str | None:
        """The definitions' name in the module, where it holds several."""
        return self.body.get("attribute")

    @property
    def import_from(self) -> str:
        """The folder of the bundle that modules are imported from."""
        found = str(self.body.get("import_from", "."))
        return found if found in {".", "src"} else "."

    @property
    def image(self) -> str | None:
        """The container image, where one is known."""
        return self.body.get("image")

    @property
    def who(self) -> str:
        """Who made the entry."""
        return str(self.body.get("who"))

    @property
    def when(self) -> dt.datetime:
        """When, in UTC."""
        return dt.datetime.fromisoformat(self.body["when"])

    @property
    def reason(self) -> str:
        """Why, in their words."""
        return str(self.body.get("reason") or "")

    def same_code(self, content: Mapping[str, Any]) -> bool:
        """Whether it serves the very same: definitions, bundle and image."""
        return all(_of_content(self.body, name) == _of_content(content, name) for name in _CONTENT)

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        return {"location": self.location, "version": self.number, **self.body}


_CONTENT: Final = ("digest", "bundle", "image", "module", "attribute")


def workflow_versions(store: Store, location: str) -> Iterator[WorkflowVersion]:
    """The history of a code location, newest first.

    Raises:
        UnknownVersionError: It has none.
    """
    found = False
    for entry in store.entries(_history(location)):
        if (version := _version(location, entry)) is not None:
            found = True
            yield version
    if not found:
        raise unknown_location(store, location)


def current_version(store: Store, location: str, *, scope: str | None = None) -> WorkflowVersion | None:
    """What a code location serves; None where nothing was ever pushed. One look, whatever the history's length.

    Args:
        store: The store.
        location: The code location.
        scope: Whose. Default: the own.
    """
    entry = store.newest(_history(location), scope)
    return None if entry is None else _version(location, entry)


def workflow_version(store: Store, location: str, number: int, *, scope: str | None = None) -> WorkflowVersion:
    """One version of a code location.

    Args:
        store: The store.
        location: The code location.
        number: Which one.
        scope: Whose. Default: the own.

    Raises:
        UnknownVersionError: There is none of that number.
        BundleError: It is there, but says nothing that this version of mlrepro knows.
    """
    try:
        entry = store.entry(_history(location), number, scope)
    except UnknownVersionError as error:
        newest = current_version(store, location, scope=scope)
        if newest is None:
            raise unknown_location(store, location, scope=scope) from error
        raise UnknownVersionError(
            f"the code location {location} has no v{number} in {store.url}: its newest version is v{newest.number}"
        ) from error
    version = _version(location, entry)
    if version is None:
        raise BundleError(
            f"v{number} of the code location {location} was written by another version of mlrepro: update it"
        )
    return version


def image_version(store: Store, location: str, image: str) -> WorkflowVersion | None:
    """The newest version of a code location that was pushed as what an image holds; None where none was.

    Args:
        store: The own scope's histories.
        location: The code location.
        image: The image, as it was named when it was pushed.
    """
    for entry in itertools.islice(store.entries(_history(location)), _LOOKED_AT):
        version = _version(location, entry)
        if version is not None and version.bundle is None and version.image == image:
            return version
    return None


def append_push(
    store: Store, location: str, content: Mapping[str, Any], *, who: str, reason: str = "", again: bool = False
) -> tuple[WorkflowVersion, bool]:
    """Append what was pushed, unless it is what is served.

    Args:
        store: The own scope's histories.
        location: The code location.
        content: Definitions' digest, bundle, module, environment and so on.
        who: Who pushes.
        reason: Why.
        again: Push it though it was rolled back from.

    Returns:
        The version that is served now, and whether it is new.

    Raises:
        BundleError: It was rolled back from.
    """
    served: WorkflowVersion | None = None

    def make(newest: Entry | None) -> Mapping[str, Any] | None:
        nonlocal served
        served = None if newest is None else _version(location, newest)
        if served is not None and served.same_code(content):
            return None
        for left in served.body.get("left", ()) if served is not None else ():
            if all(_of_content(left, name) == _of_content(content, name) for name in _CONTENT) and not again:
                assert served is not None
                why = f" ({served.reason})" if served.reason else ""
                raise BundleError(
                    f"this code is v{left['version']} of {location}, which {served.who} rolled back from{why}: change"
                    " it, or push it with --again"
                )
        number = newest.number + 1 if newest is not None else 1
        return {**content, "schema": SCHEMA, "kind": PUSH, "of": number, "who": who, "when": _now(), "reason": reason}

    appended = append_once(store, _history(location), make)
    if appended is None:
        assert served is not None
        return served, False
    return _sure(location, appended), True


def append_rollback(
    store: Store, location: str, to: int | None, *, who: str, reason: str = "", run_id: str | None = None
) -> WorkflowVersion:
    """Serve an earlier, or a later, version again: append it as the newest entry.

    Args:
        store: The own scope's histories.
        location: The code location.
        to: Which one. Default: the newest earlier one with other code that was not rolled back from.
        who: Who does it.
        reason: Why.
        run_id: The run that does it, for the job.

    Raises:
        UnknownVersionError: There is no such version.
        BundleError: It is served already, or there is none to go back to.
    """

    def make(newest: Entry | None) -> Mapping[str, Any]:
        served = None if newest is None else _version(location, newest)
        if newest is None or served is None:
            raise unknown_location(store, location)
        target = _checked_target(store, location, served, to)
        left = [
            *served.body.get("left", ()),
            {"version": served.of, **{name: served.body.get(name) for name in _CONTENT}},
        ]
        moved = {"kind": ROLLBACK, "who": who, "when": _now(), "reason": reason, "run_id": run_id, "from": served.of}
        # whoever goes forward to what was left takes it back
        left = [each for each in left if not target.same_code(each)]
        return {**target.body, **moved, "of": target.of, "left": left}

    appended = append_once(store, _history(location), make)
    assert appended is not None
    return _sure(location, appended)


def rollback_target(store: Store, location: str, to: int | None) -> WorkflowVersion:
    """The version that `append_rollback` would serve now. Raises as it does."""
    served = current_version(store, location)
    if served is None:
        raise unknown_location(store, location)
    return _checked_target(store, location, served, to)


def parse_number(text: str) -> int:
    """Read ``v3`` or ``3``.

    Raises:
        BundleError: It is neither.

    Example:
        >>> parse_number("v3")
        3
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise BundleError(f"{text!r} is no version of a code location: write v3")
    return int(found[1])


def known_locations(store: Store, *, scope: str | None = None) -> list[str]:
    """The code locations that have versions."""
    return sorted(history[1] for history in store.histories(("locations",), scope) if len(history) == 2)


def unknown_location(store: Store, location: str, *, scope: str | None = None) -> UnknownVersionError:
    """Say that a code location has no versions, and which have."""
    known = known_locations(store, scope=scope)
    there = f"those with versions are {', '.join(known[:5])}" if known else "no code location has any"
    return UnknownVersionError(
        f"the code location {location} has no version in {store.url} (scope {scope or store.scope}); {there}."
        " `mlrepro push` makes one"
    )


def _checked_target(store: Store, location: str, served: WorkflowVersion, to: int | None) -> WorkflowVersion:
    target = _target(store, location, served, to)
    if target.of == served.of or target.same_code(served.body):
        raise BundleError(f"{location} serves v{target.of} already")
    return target


def _target(store: Store, location: str, served: WorkflowVersion, to: int | None) -> WorkflowVersion:
    if to is not None:
        return workflow_version(store, location, to)
    left = {each["version"] for each in served.body.get("left", ())} | {served.of}
    for version in workflow_versions(store, location):
        if version.kind == PUSH and version.number < served.of and version.number not in left:
            return version
    raise BundleError(f"{location} has no version before v{served.of} that it could go back to: name one with --to")


def _history(location: str) -> tuple[str, str]:
    if not location:
        raise BundleError("the code location needs a name, as in workspace.yaml")
    return "locations", location


def _version(location: str, entry: Entry) -> WorkflowVersion | None:
    body = entry.body
    texts = all(isinstance(body.get(name), str) for name in ("kind", "digest", "module", "when"))
    if body.get("schema") != SCHEMA or type(body.get("of")) is not int or not texts:
        return None
    return WorkflowVersion(location, entry.number, body)


def _sure(location: str, entry: Entry) -> WorkflowVersion:
    version = _version(location, entry)
    assert version is not None
    return version


def _of_content(body: Mapping[str, Any], name: str) -> Any:
    found = body.get(name)
    return found.get("content_hash") if name == "bundle" and isinstance(found, Mapping) else found


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()
