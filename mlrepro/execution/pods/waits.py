"""How long a pod has been kept from running, and what was said of it."""

import time
from typing import Final

from mlrepro.execution.pods.trouble import Patience

_QUIET: Final = 60.0
"""Seconds between two lines about one pod: a quota's use may change with every other pod that ends."""


class Wait:
    """A pod that does not run yet.

    Example:
        >>> wait = Wait()
        >>> wait.note("no node is free"), wait.note("no node is free")
        (True, False)
        >>> wait.lasted(Patience.LONG)
        0.0
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._since: dict[Patience, float] = {}
        self._said = ""
        self._said_at = float("-inf")

    @property
    def seconds(self) -> float:
        """How long, in all."""
        return time.monotonic() - self._begun

    def note(self, sentence: str) -> bool:
        """Whether it is to be said: it is new, and the last was not just now.

        What is of another kind is said at once; only numbers that change are held back.
        """
        now = time.monotonic()
        if sentence == self._said or (_kind(sentence) == _kind(self._said) and now - self._said_at < _QUIET):
            return False
        self._said, self._said_at = sentence, now
        return True

    def lasted(self, patience: Patience) -> float:
        """For how many seconds there has been trouble of this kind, from the first time on."""
        now = time.monotonic()
        return now - self._since.setdefault(patience, now)


def _kind(sentence: str) -> str:
    return "".join(letter for letter in sentence if not letter.isdigit())
