"""Single flight: of all that compute one result at a time, one does, and the others take what it made."""

import dataclasses
import time
from collections.abc import Callable

from mlrepro.errors import StoreError
from mlrepro.execution.decision import reason_not_to_look
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.lookup import Hit, Miss
from mlrepro.io_managers.provenance import code_location, launched_by
from mlrepro.store import Claim, Holder, Lease, LeaseWatch, Store
from mlrepro.store.leases import LEASE_TTL

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two looks at who has the lease; each pause is half as long again as the one before."""

SAY_AGAIN = 60.0
"""Seconds after which a step that still waits says so again."""


def waits_its_turn(outputs: StepOutputs, key: StepKey, found: Hit | Miss) -> bool:
    """Whether a step may compute only while nobody else computes the same result."""
    # a step that was told to compute, or whose result nobody could take, has nothing to wait for
    return (
        outputs.computation.cache.serialize
        and isinstance(found, Miss)
        and key.uncacheable is None
        and reason_not_to_look(outputs) is None
    )


def take_turn(
    outputs: StepOutputs,
    store: Store,
    key: StepKey,
    look: Callable[[], Hit | Miss],
    *,
    ttl: float | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> Lease | Hit | None:
    """Wait until nobody else computes a result, or until it is there.

    The run's log says for which run, user and code location the step waits, and for how long it did.

    Args:
        outputs: The step.
        store: Where results and leases are.
        key: The step's key.
        look: Looks the result up.
        ttl: Seconds that the lease lasts at first; LEASE_TTL by default.
        pause: Waits so many seconds; may raise to give up.

    Returns:
        The lease to compute under; the hit, where somebody else computed meanwhile; None where the store can't tell,
        so that the step computes at the risk of doing what somebody else does too.
    """
    log = outputs.step_context.log
    ttl = LEASE_TTL if ttl is None else ttl
    watch, started, said_at, seconds = LeaseWatch(), time.monotonic(), None, FIRST_PAUSE
    before: Holder | None = None
    try:
        while True:
            turn = store.acquire_lease(
                key.input_hash, claim_of(outputs), watch=watch, ttl=ttl, scope=outputs.scope(store)
            )
            if isinstance(found := look(), Hit):  # with the lease too: its last holder may just have stored it
                if isinstance(turn, Lease):
                    turn.release()
                log.info(f"waited {_seconds(started)} for {_whom(before)}, which stored the result")
                return found
            if isinstance(turn, Lease):
                if (gone := turn.replaced or before) is not None:
                    log.info(f"{_whom(gone)} ended without a result: computing instead of it")
                return turn
            if said_at is None or time.monotonic() - said_at >= SAY_AGAIN or not _same(turn, before):
                log.info(f"waiting for {_whom(turn)}, which computes the same result (so far {_seconds(started)})")
                said_at = time.monotonic()
            before = turn
            pause(seconds)
            seconds = min(seconds * 1.5, LONGEST_PAUSE)
    except StoreError as error:
        log.warning(f"computing without waiting for others, as the store does not tell who they are: {error}")
        return None


def claim_of(outputs: StepOutputs) -> Claim:
    """Say who wants to compute: a step of a run, whichever process it runs in."""
    context = outputs.step_context
    return Claim(
        holder=f"{context.run_id}/{context.step.key}",
        who=launched_by(dict(context.dagster_run.tags)),
        run_id=context.run_id,
        step=context.step.key,
        code_location=code_location(context),
    )


def _whom(holder: Holder | None) -> str:
    if holder is None:
        return "another run"
    where = f" in code location {holder.code_location}" if holder.code_location else ""
    return f"step {holder.step} of run {holder.run_id} by {holder.who}{where}"


def _same(one: Holder, other: Holder | None) -> bool:
    return other is not None and dataclasses.replace(one, written=other.written, ttl=other.ttl) == other


def _seconds(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"
