"""The Kubernetes API out of reach: said when it begins, now and then while it lasts, and when it is over."""

import time
from typing import Final

_EVERY: Final = 300.0


class Outage:
    """What there is to say while pods can't be seen. Nothing that runs is ended for it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._said = 0.0

    def away(self, why: str) -> str | None:
        """Note that a look failed; what is to be said, None where it was said lately."""
        now = time.monotonic()
        if self._since is None:
            self._since = self._said = now
            return f"The Kubernetes API does not show the run's pods: {why}. What runs goes on, unseen."
        if now - self._said < _EVERY:
            return None
        self._said = now
        return f"The Kubernetes API has not shown the run's pods for {now - self._since:.0f} s: {why}."

    def back(self) -> str | None:
        """Note that a look went well; what is to be said, None where there was no outage."""
        if self._since is None:
            return None
        lasted, self._since = time.monotonic() - self._since, None
        return f"The Kubernetes API shows the run's pods again, after {lasted:.0f} s."
