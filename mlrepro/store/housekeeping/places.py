"""From an object's name to what it is: the layout of a scope, read backwards."""

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from mlrepro.store.keys import entry_number

Kind = Literal[
    "blob",
    "result",
    "replacement",
    "deviation",
    "replaced",
    "lease",
    "version",
    "channel",
    "pin",
    "location",
    "run",
    "gc",
    "derivation",
    "marker",
    "tmp",
    "damaged",
    "foreign",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

HISTORIES: Final[tuple[Kind, ...]] = ("version", "channel", "pin", "location", "run")
"""Histories that are never shortened."""

FAMILY: Final[tuple[Kind, ...]] = ("result", "replacement", "deviation", "replaced")
"""What stands under one input hash, and is kept or removed together."""

_SHA256: Final = r"(?P<two>[0-9a-f]{2})/(?P<name>(?P=two)[0-9a-f]{62})"
_ENTRY: Final = r"(?P<entry>[0-9]{12}\.json)"
_FORMS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = tuple(
    (kind, re.compile(form))  # type: ignore[misc]
    for kind, form in (
        ("blob", rf"blobs/sha256/{_SHA256}"),
        ("result", rf"results/{_SHA256}\.json"),
        ("replacement", rf"results/{_SHA256}\.replacements/{_ENTRY}"),
        ("deviation", rf"results/{_SHA256}\.deviations/{_ENTRY}"),
        ("replaced", r"replaced/(?P<name>[0-9a-f]{64})\.json"),
        ("lease", rf"leases/{_SHA256}/{_ENTRY}"),
        ("version", rf"(?P<name>versions/.+)/{_ENTRY}"),
        ("channel", rf"(?P<name>channels/.+/.+)/{_ENTRY}"),
        ("derivation", r"derivations/.+/(?P<name>[0-9a-f]{64})\.json"),
        ("pin", rf"(?P<name>pins)/{_ENTRY}"),
        ("location", rf"(?P<name>locations/.+)/{_ENTRY}"),
        ("run", rf"(?P<name>runs/.+)/{_ENTRY}"),
        ("gc", rf"(?P<name>gc)/{_ENTRY}"),
        ("marker", r"(?P<name>store\.json)"),
        ("tmp", r"(?P<name>tmp/.+)"),
        ("damaged", r"(?P<name>damaged/.+)"),
    )
)


@dataclass(frozen=True, slots=True)
class Place:
    """What an object is.

    Attributes:
        kind: What kind of thing.
        name: A blob's digest, the input hash of a result and what goes with it, or a history's folder below its scope.
        number: Number of the entry, where it is one; else 0.
    """

    kind: Kind
    name: str
    number: int = 0


def place_of(path: str) -> Place:
    """What an object is, by its path below its scope.

    Example:
        >>> place_of("versions/churn_model/_/999999999998.json")
        Place(kind='version', name='versions/churn_model/_', number=1)
        >>> place_of("notes.txt").kind
        'foreign'
    """
    for kind, form in _FORMS:
        found = form.fullmatch(path)
        if found is None:
            continue
        parts = found.groupdict()
        if "entry" not in parts:
            return Place(kind, parts["name"])
        number = entry_number(parts["entry"])
        # a zero or less can't come from the layout
        return Place(kind, parts["name"], number) if number else Place("foreign", path)
    return Place("foreign", path)
