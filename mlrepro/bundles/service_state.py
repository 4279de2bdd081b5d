"""What a code server serves and what it can't, where Dagster's UI lists a location's libraries.

Dagster has a location or an error, not both. The libraries of a location come from its code server, are shown on its
page, and change nothing: so every webserver shows there what is wrong, and `mlrepro webserver` makes an error of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mlrepro.workflow_names import NAME

HISTORY: Final = "history"
"""In the place of a version: the whole history can't be followed."""

_IN_SERVICE: Final = "in service"
_LONGEST: Final = 2000


@dataclass(frozen=True)
class Problem:
    """What is not served, and why.

    Attributes:
        what: ``v5``, or ``history``.
        told: In one sentence, with what stays in service.
    """

    what: str
    told: str


def libraries(location: str, serving: str, problem: Problem | None) -> dict[str, str]:
    """What the code server of a location adds to its libraries.

    Args:
        location: The code location.
        serving: The name of the version that is served.
        problem: What is not served.

    Example:
        >>> libraries("pricing", "pricing@v4", Problem("v5", "can't be served: no module named 'tea'"))
        {'pricing@v4': 'in service', 'pricing@v5': "can't be served: no module named 'tea'"}
    """
    shown = {serving: _IN_SERVICE}
    if problem is not None:
        # a version whose process is gone can be both
        shown[f"{location}@{problem.what}"] = problem.told
    return shown


def problem_of(location: str, shown: Mapping[str, str]) -> Problem | None:
    """What a location's libraries say is not served. Of another location they say nothing.

    Example:
        >>> problem_of("pricing", {"dagster": "1.13", "pricing@v5": "can't be served: no module named 'tea'"})
        Problem(what='v5', told="can't be served: no module named 'tea'")
    """
    for name, told in shown.items():
        found = NAME.fullmatch(name)
        if found is not None and found["location"] == location and told != _IN_SERVICE:
            return Problem(found["what"], told[:_LONGEST])
    return None
