"""Whether a step has to compute: one answer, whether it is asked inside the step or before it is launched."""

from collections.abc import Collection, Mapping
from typing import Any

from mlrepro.catalog.pins import Pinned
from mlrepro.errors import StoreError
from mlrepro.execution.exporting import is_exported
from mlrepro.execution.pinned import pinned
from mlrepro.execution.served import pointer_of, served
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.lookup import Hit, Miss, declined, look_up
from mlrepro.io_managers.modes import Mode, cache_mode
from mlrepro.io_managers.promotion import Promotion
from mlrepro.store import Store


def decide(
    outputs: StepOutputs,
    store: Store,
    key: StepKey,
    *,
    check_values: bool = True,
    replaced: Collection[str] | None = None,
    held: Pinned | None = None,
) -> Hit | Miss:
    """Look the result of a step up, as its run, its process and its author ask for it.

    Args:
        outputs: The step's outputs.
        store: Where results are.
        key: The step's key.
        check_values: Whether a hit's values have to be in the store, see `look_up`.
        replaced: All replaced results, where that is known, see `Store.get_result`.
        held: All pins of the store, where they are known.

    Returns:
        A hit that covers everything that the run selected of the step, or why it computes.

    Raises:
        ChannelError: If the step's assets are pinned in a way that no hit can follow.
    """
    if (found := _pinned(outputs, store, key, held)) is not None:
        return found
    if isinstance(outputs.computation, Promotion):
        return _served(outputs, outputs.computation, store, key)
    if (not_looked := reason_not_to_look(outputs)) is not None:
        return not_looked
    found = look_up(
        store,
        key,
        outputs.computation.cache,
        outputs.selected(),
        check_values=check_values,
        replaced=replaced,
    )
    if isinstance(found, Hit) and (missing := outputs.selected_checks() - _checks(found.record)):
        names = ", ".join(sorted(name for _, name in missing))
        return Miss(f"the result lacks the checks {names}", supersedes=True)
    return found


def reason_not_to_look(outputs: StepOutputs) -> Miss | None:
    """Why a step computes whatever the store holds; None if the store is to be asked."""
    if len(outputs.selected()) < len(outputs.assets()):
        return Miss("only some of its outputs were selected")
    return declined(outputs.computation.cache, _mode(outputs))


def _served(outputs: StepOutputs, promotion: Promotion, store: Store, key: StepKey) -> Hit | Miss:
    found = served(outputs, store, key)
    if isinstance(found, Hit) and promotion.export and not is_exported(pointer_of(found), promotion.export):
        return Miss(f"what is served is not written to {promotion.export} yet")
    return found


def _pinned(outputs: StepOutputs, store: Store, key: StepKey, held: Pinned | None) -> Hit | Miss | None:
    if isinstance(outputs.computation, Promotion):
        return None  # a channel is held by its own history
    try:
        return pinned(outputs, store, key, held)
    except StoreError as error:
        return Miss(f"the store could not be read: {error}", warning=True, unanswered=True)


def _mode(outputs: StepOutputs) -> Mode:
    step_context = outputs.step_context
    assets = frozenset(key.to_user_string() for key in step_context.get_output_asset_keys())
    return cache_mode(step_context.dagster_run.tags, assets)


def _checks(record: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(check["output"], check["name"]) for check in record["checks"]}
