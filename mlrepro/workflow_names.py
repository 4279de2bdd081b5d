"""Names of what a code location serves, or can't: ``pricing@v5``, or ``pricing@history`` for all of it."""

import re
from typing import Final

NAME: Final = re.compile(r"(?P<location>.+)@(?P<what>v[1-9][0-9]*|history)")
"""Such a name, whole."""


def location_of(name: str) -> str:
    """The code location that a name is about; any other name is one itself.

    Example:
        >>> location_of("pricing@v5"), location_of("pricing")
        ('pricing', 'pricing')
    """
    found = NAME.fullmatch(name)
    return name if found is None else found["location"]
