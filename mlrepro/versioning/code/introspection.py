"""Code that looks at code: what it can see counts where anything of a closure looks at it.

Hints of functions and the subclasses of a class change nothing for most code, so they are left out, until something
that is reached reads them. Then the closure is walked once more with them.
"""

import sys
from typing import Any, Final

from mlrepro.versioning.code.origin import Origins

HINTS: Final = "hints"
SUBCLASSES: Final = "subclasses"

# Attributes by which code sees them.
_ATTRIBUTES = {"__annotations__": HINTS, "__subclasses__": SUBCLASSES}
# Functions outside the project that read the hints of functions, of whatever distribution.
_HINT_READERS = frozenset(
    [
        "beartype",
        "check_types",
        "from_callable",
        "get_annotations",
        "get_type_hints",
        "getfullargspec",
        "jaxtyped",
        "signature",
        "typechecked",
        "validate_arguments",
        "validate_call",
    ]
)


def of_name(dotted: str) -> bool:
    """Whether a name outside the project stands for something that reads hints."""
    return not _HINT_READERS.isdisjoint(dotted.split("."))


def of_text(text: str) -> set[str]:
    """What a normal form looks at by attribute, on whatever object."""
    return {seen for attribute, seen in _ATTRIBUTES.items() if attribute in text}


def of_attributes(attributes: tuple[str, ...]) -> set[str]:
    """What a chain of attributes looks at."""
    return {_ATTRIBUTES[attribute] for attribute in attributes if attribute in _ATTRIBUTES}


def own_subclasses(cls: type, origins: Origins) -> frozenset[type]:
    """The project's nearest subclasses of a class, those of the libraries between passed over.

    They have no order here: theirs is the order in which modules were imported.
    """
    found: set[type] = set()
    nearest: list[type] = type.__subclasses__(cls)
    for subclass in nearest:
        if not origins.first_party(str(subclass.__module__)):
            found |= own_subclasses(subclass, origins)
        elif _current(subclass):
            found.add(subclass)
    return frozenset(found)


def _current(cls: type) -> bool:
    """Whether a class is not one that a decorator has replaced (slots of a dataclass) and that lingers in memory."""
    found: Any = sys.modules.get(str(cls.__module__))
    for part in cls.__qualname__.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found is cls or found is None
