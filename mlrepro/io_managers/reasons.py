"""The reason why a step computes, told by what differs from the nearest earlier result."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from mlrepro.catalog.explaining import Explanation, explain_result
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.key_record import code_sources, key_record
from mlrepro.io_managers.lookup import Miss
from mlrepro.store import Store
from mlrepro.versioning import Evidence

PATIENCE = 5.0
"""Seconds that a step waits for its reason."""

_MOST_ASSETS = 4
"""Assets of one step whose histories are looked for until one has an entry."""


def explain(store: Store, asset: Sequence[str], partition: str | None, key: StepKey) -> Explanation:
    """Compare what a step is about to compute with the nearest earlier result of its asset.

    Args:
        store: Where histories and results are.
        asset: Asset key, one part an element.
        partition: Partition key, or None.
        key: The step's key.

    Returns:
        What differs, and one sentence that says it.

    Raises:
        StoreError: If the store fails.
    """
    return explain_result(store, asset, partition, Evidence(key_record(key), code_sources(key.code)))


def explained(miss: Miss, store: Store, assets: Sequence[Sequence[str]], key: StepKey) -> Miss:
    """Say what differs where a miss only says that nothing was found.

    A miss for any other reason stays as it is. So does one that can't be explained: a store that fails or is slow
    neither fails the step nor keeps it waiting.

    Args:
        miss: What the look-up said.
        store: Where histories and results are.
        assets: Keys of the step's assets.
        key: The step's key.
    """
    if not miss.unknown:
        return miss
    explanation = _in_time(lambda: _explain_any(store, assets, key))
    return miss if explanation is None else replace(miss, reason=explanation.sentence)


def _explain_any(store: Store, assets: Sequence[Sequence[str]], key: StepKey) -> Explanation | None:
    """Explain by the first of the assets that has a history: an optional one may never have been made."""
    partitions = sorted({min(key.partitions), max(key.partitions)}) if key.partitions else [None]
    first = None
    for asset in assets[:_MOST_ASSETS]:
        for partition in partitions:
            found = explain(store, asset, partition, key)
            if found.newest is not None:
                return found
            first = first or found
    return first


def _in_time(look: Callable[[], Explanation | None]) -> Explanation | None:
    found: list[Explanation | None] = []

    def run() -> None:
        try:
            found.append(look())
        except Exception:  # noqa: BLE001 -- a step that can compute does not fail for the sake of its reason
            found.append(None)

    # a daemon: nobody waits for it when the process ends
    thread = threading.Thread(target=run, name="mlrepro-reason", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return found[0] if found else None
