"""On whose behalf a process works."""

import getpass
import os

USER_TAGS = ("dagster/user", "user")
"""Run tags that name who launched the run, the first that is set."""


def launched_by(tags: dict[str, str] | None = None) -> str:
    """Name the person on whose behalf this process works.

    A tag of the run comes first, then ``MLREPRO_USER``, then the operating system's user.

    Example:
        >>> launched_by({"user": "ana"})
        'ana'
    """
    for tag in USER_TAGS:
        if name := (tags or {}).get(tag):
            return name
    if name := os.environ.get("MLREPRO_USER"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without an entry in the user database
        return f"uid {os.getuid()}"
