"""Keys of captured output: names of folders and files, so they must not lead anywhere else."""

from collections.abc import Sequence
from typing import Final

_FORBIDDEN: Final = ("/", "\\", "\x00")


def check_log_key(key: Sequence[str]) -> str | None:
    """What is wrong with a log key; None if nothing is.

    Example:
        >>> check_log_key(["a4c1", "compute_logs", "step"]) is None
        True
        >>> check_log_key(["..", "forecast", "compute_logs", "step"])
        "the log key has the part '..', which no log has"
    """
    for part in key:
        if part in {"", ".", ".."} or any(mark in part for mark in _FORBIDDEN):
            return f"the log key has the part {part[:50]!r}, which no log has"
    return None if key else "the log key is empty"
