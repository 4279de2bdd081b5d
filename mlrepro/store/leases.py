"""Leases: one computation for one input hash at a time.

``leases/<2 hex>/<input hash>/<n>.json`` is a history like the others: who takes, extends or gives back the lease
appends an entry, and put-if-absent of the next number decides every race. The newest entry says who has it.
"""

import dataclasses
import datetime as dt
import functools
import os
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

from mlrepro.errors import CacheWarning, StoreError
from mlrepro.store import history
from mlrepro.store.history import Entry, Make
from mlrepro.store.keys import check_sha256, lease_history
from mlrepro.store.objects import Objects

CLOCK_SKEW: Final = 2 * 3600.0
"""Seconds by which the clocks of two machines may differ without a living holder being taken for dead."""

LEASE_TTL: Final = 60.0
"""Seconds that a lease lasts at first."""

_LONGEST_TTL: Final = 86_400.0
_SHARE: Final = 0.05
"""The ttl grows with the time held, so a dead holder costs at most this share of what was lost with it."""

_LAST_BEAT: Final = 5.0
"""Seconds that the end of a computation waits for an extension that is under way."""

State = Literal["held", "released", "failed"]
Append = Callable[[Make], Entry | None]


@dataclass(frozen=True, slots=True)
class Clock:
    """Where leases take their time from.

    Attributes:
        monotonic: Seconds that only grow; measures how long.
        now: The time of day, with its zone; written into entries.
        wait: Waits for an event at most so many seconds; whether it was set.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait


SYSTEM_CLOCK: Final = Clock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who wants a lease.

    Attributes:
        holder: Says whether two claims are one and the same, such as ``"<run id>/<step key>"``.
        who: The person, for those who wait.
        run_id: The run.
        step: The step.
        code_location: The code location, where there is one.
    """

    holder: str
    who: str
    run_id: str
    step: str
    code_location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder(Claim):
    """Who has a lease, or had it: the body of an entry.

    Attributes:
        state: ``held``, or how it ended: ``released`` or ``failed``.
        since: When this holder got it, by its own clock.
        ttl: Seconds after which the entry is dead, if no other follows it.
        written: When the entry was written, by the holder's clock.
        token: Tells apart two leases that one holder got, one after the other.
    """

    state: State
    since: dt.datetime
    ttl: float
    written: dt.datetime
    token: str


class LeaseWatch:
    """What a caller that waits remembers from one ``acquire`` to the next: how long the newest entry is unchanged.

    It is measured on the caller's own monotonic clock, so that no two machines need agree on the time.
    """

    def __init__(self) -> None:
        self._entry: Entry | None = None
        self._since = 0.0

    def unchanged(self, entry: Entry, *, asked: float, seen: float) -> float:
        """Seconds that an entry has been the newest one, at least; none the first time.

        Args:
            entry: The newest entry.
            asked: Monotonic time before it was read.
            seen: Monotonic time after it was read.
        """
        if entry != self._entry:
            self._entry, self._since = entry, seen
        return max(0.0, asked - self._since)


class Lease:
    """A lease that is held. As a context manager it is extended in the background and given back at the end.

    The entry says ``failed`` where the block raised anything at all, so that the next one need not wait. The store's
    troubles never reach the block; they are warned of.

    Attributes:
        holder: The newest entry that was written.
        replaced: Whom it was taken over from, where that one failed or died.
        lost: Whether someone else took it over, or the store could not be reached for the whole ttl. It is not extended
            any more; what was computed is still good.
    """

    def __init__(self, append: Append, holder: Holder, *, replaced: Holder | None, taken: float, clock: Clock) -> None:
        self.holder = holder
        self.replaced = replaced
        self.lost = False
        self._history = append
        self._shortest_ttl = holder.ttl
        self._taken = self._extended = taken
        self._clock = clock
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="mlrepro-lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:
            # A forked child that unwinds its parent's stack does not hold the parent's lease.
            return
        self._stop.set()
        # An extension that hangs for longer does no harm: it will find the lease given back, and add nothing.
        self._thread.join(_LAST_BEAT)
        self.release(failed=kind is not None)

    def extend(self) -> bool:
        """Append that it is still held, for a time that grows with the time held.

        Returns:
            Whether it is; False where it was taken over or given back.

        Raises:
            StoreError: The store failed. The lease may still be held.
        """
        asked = self._clock.monotonic()
        ttl = min(max(self._shortest_ttl, _SHARE * (asked - self._taken)), _LONGEST_TTL)
        if not self._append("held", ttl):
            # What was given back is not lost.
            self.lost = not self._stop.is_set()
            return False
        self._extended = asked
        return True

    def release(self, *, failed: bool = False) -> None:
        """Give it back, if it is still held. Where the store fails, those who wait do so until the ttl is over.

        Args:
            failed: Whether there will be no result.
        """
        self._stop.set()
        try:
            self._append("failed" if failed else "released", self.holder.ttl)
        except Exception as error:  # noqa: BLE001 - the computation is done, and nothing may fail it now
            _warn(f"The lease of {self.holder.holder} was not given back, so it blocks others until it ends: {error}")

    def _append(self, state: State, ttl: float) -> bool:
        holder = dataclasses.replace(self.holder, state=state, ttl=ttl, written=self._clock.now())

        def unless_lost(newest: Entry | None) -> Mapping[str, Any] | None:
            found = _parse(newest)
            ours = found is None or (found.token == holder.token and found.state == "held")
            return _body(holder) if ours else None

        if self._history(unless_lost) is None:
            return False
        self.holder = holder
        return True

    def _beat(self) -> None:
        pause = self.holder.ttl / 3
        while not self._clock.wait(self._stop, pause):
            try:
                if not self.extend():
                    return
                pause = self.holder.ttl / 3
            except Exception as error:  # noqa: BLE001 - a store that fails in any way may be back in a moment
                if self._clock.monotonic() - self._extended >= self.holder.ttl:
                    self.lost = True
                    _warn(f"The lease of {self.holder.holder} ran out, so others may compute the same: {error}")
                    return
                pause = self.holder.ttl / 12


def acquire(
    objects: Objects,
    scope: str,
    input_hash: str,
    claim: Claim,
    *,
    watch: LeaseWatch | None = None,
    ttl: float = LEASE_TTL,
    clock: Clock = SYSTEM_CLOCK,
) -> Lease | Holder:
    """Take the lease if it is free, or say who has it. See ``Store.acquire_lease``."""
    if not 0 < ttl <= _LONGEST_TTL:
        raise StoreError(f"A lease cannot last {ttl!r} seconds: use more than 0, and at most {_LONGEST_TTL:.0f}")
    append = functools.partial(history.append, objects, scope, lease_history(check_sha256(input_hash, "input hash")))
    watch = LeaseWatch() if watch is None else watch
    token = uuid.uuid4().hex
    asked = clock.monotonic()
    found: Holder | None = None
    ours: Holder | None = None

    def if_free(newest: Entry | None) -> Mapping[str, Any] | None:
        nonlocal found, ours
        found, ours, now = _parse(newest), None, clock.now()
        since = now
        if newest is not None and found is not None and found.state == "held":
            if found.holder == claim.holder:
                since = found.since
            else:
                unchanged = watch.unchanged(newest, asked=asked, seen=clock.monotonic())
                # The clocks of two machines are compared only where any fault of theirs is long outweighed.
                past = (now - found.written).total_seconds()
                if unchanged < found.ttl and past <= found.ttl + CLOCK_SKEW:
                    return None
        ours = Holder(**dataclasses.asdict(claim), state="held", since=since, ttl=ttl, written=now, token=token)
        return _body(ours)

    append(if_free)
    if ours is None:
        assert found is not None
        return found
    replaced = found if found and found.holder != claim.holder and found.state != "released" else None
    return Lease(append, ours, replaced=replaced, taken=asked, clock=clock)


def _body(holder: Holder) -> dict[str, Any]:
    times = {"since": holder.since.isoformat(), "written": holder.written.isoformat()}
    return dataclasses.asdict(holder) | times


def _parse(entry: Entry | None) -> Holder | None:
    """The entry's holder; None where there is none, or where it says nothing, so that the lease is free."""
    if entry is None:
        return None
    try:
        # What a later version may have added is left out.
        facts = {field.name: entry.body[field.name] for field in dataclasses.fields(Holder)}
        times = {name: dt.datetime.fromisoformat(facts[name]) for name in ("since", "written")}
        texts = [facts[name] for name in ("holder", "who", "run_id", "step", "token")]
        if (
            not all(isinstance(text, str) for text in (*texts, facts["code_location"] or ""))
            or facts["state"] not in get_args(State)
            or not 0 < facts["ttl"] <= _LONGEST_TTL
            or any(time.tzinfo is None for time in times.values())
        ):
            raise ValueError("a field has no sensible value")  # noqa: TRY301 - one handler for all that is wrong
        return Holder(**facts | times)
    except (KeyError, TypeError, ValueError) as error:
        _warn(f"Entry {entry.number} of a lease is damaged, so the lease counts as free: {error!r}")
        return None


def _warn(message: str) -> None:
    warnings.warn(message, CacheWarning, stacklevel=3)
