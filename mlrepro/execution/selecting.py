"""From what a user selects, as text, selection or keys, to the assets that a run would compute."""

import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.loading import one_line
from mlrepro.io_managers.modes import REFRESH_TAG

Selection: TypeAlias = str | dg.AssetSelection | Iterable[str | dg.AssetKey]
"""Text in Dagster's asset selection syntax, a selection, or keys and texts that are taken together."""


def selected_keys(graph: AssetGraph, selection: Selection) -> frozenset[dg.AssetKey]:
    """Resolve a selection to the assets that can be computed.

    Sources that a selection reaches are left out: a run only reads them.

    Args:
        graph: The assets of the definitions.
        selection: What is selected.

    Raises:
        AssetDefinitionError: If the text can't be read, or any part of it selects nothing that can be computed.
    """
    if isinstance(selection, str | dg.AssetSelection):
        return _resolve(graph, selection)
    found = [_resolve(graph, each) for each in selection]
    if not found:
        raise AssetDefinitionError("nothing is selected")
    return frozenset[dg.AssetKey]().union(*found)


def check_refreshed(keys: frozenset[dg.AssetKey], tags: Mapping[str, str] | None) -> None:
    """Refuse the name of an asset to compute again that the run would not compute: it would change nothing.

    Raises:
        AssetDefinitionError: If there is such a name.
    """
    named = {name.strip() for name in (tags or {}).get(REFRESH_TAG, "").split(",")} - {""}
    if others := sorted(named - {key.to_user_string() for key in keys}):
        raise AssetDefinitionError(f"{', '.join(others)} can't be computed again: it is not among the selected assets")


def _resolve(graph: AssetGraph, selection: str | dg.AssetKey | dg.AssetSelection) -> frozenset[dg.AssetKey]:
    can_be_computed = graph.materializable_asset_keys
    if selection == "*" and can_be_computed:
        return frozenset(can_be_computed)
    shown = selection.to_user_string() if isinstance(selection, dg.AssetKey) else str(selection)
    if isinstance(selection, str):
        # a key as it is: Dagster's syntax wants quotes around some of them
        key = dg.AssetKey.from_user_string(selection)
        selection = key if graph.has(key) else selection
    if isinstance(selection, dg.AssetKey):
        found: Iterable[dg.AssetKey] = {selection} if graph.has(selection) else set()
    else:
        try:
            with warnings.catch_warnings():
                # Dagster's own parser uses what Dagster calls beta: whoever writes a selection can do nothing about it
                warnings.simplefilter("ignore", category=dg.BetaWarning)
                made = dg.AssetSelection.from_string(selection) if isinstance(selection, str) else selection
                found = made.resolve(graph)
        except Exception as error:
            unknown = _unknown(graph, shown)
            told = unknown or f"the selection {shown!r} can't be read: {one_line(error)}"
            raise AssetDefinitionError(told) from error
    if not found:
        raise AssetDefinitionError(_unknown(graph, shown) or f"{shown!r} selects no asset of the definitions")
    computed = frozenset(found) & can_be_computed
    if not computed:
        raise AssetDefinitionError(f"{_names(found)} can't be computed: it is a source that runs only read")
    return computed


def _unknown(graph: AssetGraph, text: str) -> str | None:
    """Say that a text which looks like a key is none; None for other texts."""
    if not text.replace("/", "").replace("_", "").isalnum():
        return None
    names = [key.to_user_string() for key in graph.materializable_asset_keys]
    near = difflib.get_close_matches(text, names, n=1)
    return f"the definitions have no asset {text}" + (f": do you mean {near[0]}?" if near else "")


def _names(keys: Iterable[dg.AssetKey]) -> str:
    names: Sequence[str] = sorted(key.to_user_string() for key in keys)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
