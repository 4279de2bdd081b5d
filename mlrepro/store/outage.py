"""What to do while a bucket does not answer: ask it now and then, not for every look-up anew."""

import threading
import time
from typing import Final

from mlrepro.errors import StoreError

ASKED_AGAIN_AFTER: Final = 20.0
"""Seconds for which a bucket that did not answer is taken to be down: each look-up in that time would wait as long."""

_outages: Final[dict[str, "Outage"]] = {}
_lock: Final = threading.Lock()


class Outage:
    """Whether a bucket was down a moment ago, known to all who look things up there in this process.

    Writes do not ask it: what was computed is worth a long try.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._said = ""

    def check(self) -> None:
        """Raise what was raised when the bucket did not answer, if that is not long ago.

        Raises:
            StoreError: It is not asked now.
        """
        since, now = self._since, time.monotonic()
        if since is not None and now - since < ASKED_AGAIN_AFTER:
            raise StoreError(f"{self._said} (that was {now - since:.0f} s ago; it is not asked again so soon)")

    def note(self, error: StoreError) -> None:
        """Note that the bucket did not answer."""
        self._since, self._said = time.monotonic(), str(error)

    def over(self) -> None:
        """Note that it has answered."""
        self._since = None


def outage_of(place: str) -> Outage:
    """What is known of a place: a bucket at an endpoint."""
    with _lock:
        return _outages.setdefault(place, Outage())
