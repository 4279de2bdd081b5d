"""Whether a step has to compute: one answer, whether it is asked inside the step or before it is launched."""

from collections.abc import Collection, Mapping
from typing import Any

from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.lookup import Hit, Miss, declined, look_up
from mlrepro.io_managers.modes import Mode, cache_mode
from mlrepro.store import Store


def decide(
    outputs: StepOutputs,
    store: Store,
    key: StepKey,
    *,
    check_values: bool = True,
    replaced: Collection[str] | None = None,
) -> Hit | Miss:
    """Look the result of a step up, as its run, its process and its author ask for it.

    Args:
        outputs: The step's outputs.
        store: Where results are.
        key: The step's key.
        check_values: Whether a hit's values have to be in the store, see `look_up`.
        replaced: All replaced results, where that is known, see `Store.get_result`.

    Returns:
        A hit that covers everything that the run selected of the step, or why it computes.
    """
    return reason_not_to_look(outputs) or asked(outputs, store, key, check_values=check_values, replaced=replaced)


def asked(
    outputs: StepOutputs,
    store: Store,
    key: StepKey,
    *,
    check_values: bool = True,
    replaced: Collection[str] | None = None,
) -> Hit | Miss:
    """What the store answers for a step that has no `reason_not_to_look`; see `decide`."""
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


def _mode(outputs: StepOutputs) -> Mode:
    step_context = outputs.step_context
    assets = frozenset(key.to_user_string() for key in step_context.get_output_asset_keys())
    return cache_mode(step_context.dagster_run.tags, assets)


def _checks(record: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(check["output"], check["name"]) for check in record["checks"]}
