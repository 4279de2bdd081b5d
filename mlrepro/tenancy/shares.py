"""Which tenant's runs start next: those of whoever has the fewest, so that a long queue keeps nobody else waiting."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_LONGEST_PAUSE: Final = 32
"""Rounds."""


@dataclass(frozen=True)
class Queue:
    """A tenant's runs at a moment.

    Attributes:
        running: How many have a place.
        waiting: Those in the queue, by their numbers; the oldest has the smallest.
        limit: How many may have a place at once.
    """

    running: int
    waiting: frozenset[int]
    limit: int

    @property
    def startable(self) -> int:
        """How many could start, if there were places enough."""
        return max(0, min(len(self.waiting), self.limit - self.running))


class FairShares:
    """Hands out free places, round by round.

    Each place goes to the tenant with the fewest runs, and of several to the one that was served longest ago. How many
    runs a tenant has queued, and when, does not matter.

    A tenant that was given places twice and started nothing is **held up** by something that only Dagster knows: a pool
    that is full, a code server that does not answer. For some rounds its share goes to the others, and it may start as
    many as its limit allows, as what stands in front may be just what can't start. Then it has its share again, and
    after each time in vain it waits for twice as many rounds. Once one of its runs leaves the queue, all is forgotten.

    Example:
        >>> queues = {"a": Queue(4, frozenset(range(200)), 8), "b": Queue(0, frozenset({200, 201}), 8)}
        >>> FairShares().caps(queues, free=2)
        {'a': 4, 'b': 2}
    """

    def __init__(self) -> None:
        self._turn = 0
        self._served: dict[str, int] = {}
        self._given: dict[str, None] = {}  # who was given a place, in the order of the turns
        self._waited: dict[str, frozenset[int]] = {}
        self._vain: dict[str, int] = {}
        self._pause: dict[str, int] = {}

    def caps(self, queues: Mapping[str, Queue], free: int) -> dict[str, int]:
        """How many runs each tenant may have once this round's have started.

        Args:
            queues: The runs of each tenant that has any.
            free: How many places there are.
        """
        self._look_back(queues)
        granted = dict.fromkeys(queues, 0)
        held_up = {name for name in queues if self._pause.get(name)}
        open_ = {name for name, queue in queues.items() if queue.startable and name not in held_up}
        oldest = {name: min(queues[name].waiting) for name in open_}

        def rank(name: str) -> tuple[int, int, int]:
            return queues[name].running + granted[name], self._served.get(name, 0), oldest[name]

        for _ in range(free):
            if not open_:
                break
            name = min(open_, key=rank)
            granted[name] += 1
            self._given.pop(name, None)
            self._given[name] = None
            if granted[name] == queues[name].startable:
                open_.remove(name)
        self._waited = {name: queue.waiting for name, queue in queues.items()}
        return {
            name: queue.limit if name in held_up else min(queue.limit, queue.running + granted[name])
            for name, queue in queues.items()
        }

    def _look_back(self, queues: Mapping[str, Queue]) -> None:
        """What became of the last round."""
        for name in [*self._given, *self._pause]:
            waiting = queues[name].waiting if name in queues else frozenset[int]()
            if self._waited[name] - waiting:
                self._turn += 1
                self._served[name] = self._turn
                self._vain.pop(name, None)
                self._pause.pop(name, None)
            elif name in self._given:
                self._vain[name] = self._vain.get(name, 0) + 1
                if self._vain[name] > 1:
                    self._pause[name] = min(_LONGEST_PAUSE, 2 ** (self._vain[name] - 2))
            elif name in self._pause:
                self._pause[name] -= 1
                if not self._pause[name]:
                    del self._pause[name]
        self._given = {}
