"""The id of a code server: when it changes, webserver and daemon load the code location again."""

import time
import uuid
from typing import Final

SETTLING: Final = 1.0
"""Seconds until a change is announced."""


class ServerId:
    """An id that follows what is served, a moment later.

    Webserver and daemon ask what there is, then for the id, then for the definitions. Were a new id told at once, one
    that asks meanwhile would keep the old answer with the new id, for ever.

    Args:
        settling: Seconds until a change is announced.

    Example:
        >>> shown = ServerId(settling=0.0)
        >>> before = shown.current
        >>> shown.follow("v2")
        >>> shown.current == before
        False
    """

    def __init__(self, settling: float = SETTLING) -> None:
        self._settling = settling
        first = str(uuid.uuid4())
        self._ids = (first, first, 0.0)  # in one assignment, as requests read it meanwhile

    @property
    def current(self) -> str:
        """The id that is told now."""
        before, after, when = self._ids
        return after if time.monotonic() >= when else before

    def follow(self, what: str) -> None:
        """Announce another id, in a moment.

        Args:
            what: What is served: another text gives another id.
        """
        after = str(uuid.uuid5(uuid.NAMESPACE_OID, what))
        self._ids = (self.current, after, time.monotonic() + self._settling)
