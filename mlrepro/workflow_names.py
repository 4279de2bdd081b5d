"""Names of what a code location serves, or can't: ``pricing@v5``, or ``pricing@history`` for all of it.

And the tag and the variables that carry them.
"""

import re
from typing import Final

NAME: Final = re.compile(r"(?P<location>.+)@(?P<what>v[1-9][0-9]*|history)")
"""Such a name, whole."""

WORKFLOW_VERSION_TAG: Final = "mlrepro/workflow_version"
"""Run tag with the workflow version that executes the run, such as ``pricing@v3``."""

WORKFLOW_VERSION: Final = "MLREPRO_WORKFLOW_VERSION"
"""Environment variable of every process of a version: its name."""

BUNDLE: Final = "MLREPRO_BUNDLE"
"""Environment variable of every process of a version: digest of the bundle that its code is from."""


def location_of(name: str) -> str:
    """The code location that a name is about; any other name is one itself.

    Example:
        >>> location_of("pricing@v5"), location_of("pricing")
        ('pricing', 'pricing')
    """
    found = NAME.fullmatch(name)
    return name if found is None else found["location"]
