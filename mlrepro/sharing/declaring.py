"""`shared_asset` and `shared_workflow`: work of another team in one's own code location."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, overload

import dagster as dg

from mlrepro.catalog import find_store
from mlrepro.catalog.names import VersionName, parse_version_name
from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.step_run import cached_function
from mlrepro.resources import ReproStore
from mlrepro.sharing.external import external_asset
from mlrepro.sharing.foreign import Env, Rename, define
from mlrepro.sharing.published import published_asset, published_workflow
from mlrepro.sharing.shared_run import SharedRun
from mlrepro.store import Store
from mlrepro.store.keys import check_scope

_run = functools.partial(cached_function, run_of=SharedRun)


@overload
def shared_asset(
    name: str,
    *,
    materializable: Literal[False] = ...,
    version: str | None = ...,
    scope: str | None = ...,
    key: dg.AssetKey | str | None = ...,
    partitions_def: dg.PartitionsDefinition[Any] | None = ...,
    group_name: str | None = ...,
    description: str | None = ...,
    tags: dict[str, str] | None = ...,
    automation_condition: dg.AutomationCondition[Any] | None = ...,
) -> dg.SourceAsset: ...


@overload
def shared_asset(
    name: str,
    *,
    materializable: Literal[True],
    version: str | None = ...,
    scope: str | None = ...,
    location: str | None = ...,
    env: Env = ...,
    store: ReproStore | Store | str | None = ...,
    key: dg.AssetKey | str | None = ...,
    group_name: str | None = ...,
    description: str | None = ...,
    tags: dict[str, str] | None = ...,
    automation_condition: dg.AutomationCondition[Any] | None = ...,
) -> dg.AssetsDefinition: ...


def shared_asset(
    name: str,
    *,
    version: str | None = None,
    scope: str | None = None,
    materializable: bool = False,
    location: str | None = None,
    env: Env = "current",
    store: ReproStore | Store | str | None = None,
    key: dg.AssetKey | str | None = None,
    partitions_def: dg.PartitionsDefinition[Any] | None = None,
    group_name: str | None = None,
    description: str | None = None,
    tags: dict[str, str] | None = None,
    automation_condition: dg.AutomationCondition[Any] | None = None,
) -> dg.SourceAsset | dg.AssetsDefinition:
    """Declare an asset of another team: its newest version, one version, or what a channel serves.

    By default it is a source asset. Each step that uses it looks at the other team's history in the store, and takes
    the version by its content hash. Nothing is written there, and neither their code nor a stub of it is needed. In one
    instance that both teams share, the newest version takes no more than the asset's key, as Dagster knows what the
    other team materialized.

    With ``materializable=True`` it is an asset that this team runs itself, with the code that the other team pushed: of
    ``latest`` what their code location serves when this one is loaded, else what computed the version. Its key, code
    version and input hash are theirs, so what they computed on the same inputs is a hit. Their code is never imported
    here: a step that has to compute starts a process with their bundle.

    Args:
        name: Key of the asset: ``delay/flight_features``. A version can be named with it: ``delay/model@production``.
        version: ``latest``, ``v7``, or the name of a channel: ``production``. Default: what the name says, else
            ``latest``.
        scope: The other team's scope; the store must read it (`ReproStore(read_scopes=...)`, ``MLREPRO_READ_SCOPES``).
            Default: the first part of a key that has several.
        materializable: Whether this team can run it itself.
        location: Their code location, where several define the asset. This and the next two are for an asset that can
            be run.
        env: ``current`` computes with the libraries that are installed here, which have to be those of its team as far
            as its code uses them; ``recorded`` with those of its team, in a fresh environment built by uv.
        store: Where their code is noted. Default: as the resource finds it.
        key: Asset key. Default: the other team's, so that lineage joins up in an instance that both share; with the
            version for a last part where it is one that never changes.
        partitions_def: Partitions of a source asset, where it has some: those of the other team.
        group_name: Group in Dagster's UI.
        description: Text in Dagster's UI.
        tags: Tags in Dagster's UI.
        automation_condition: When Dagster should observe it by itself.

    Returns:
        An observable source asset; with ``materializable``, the definition of it and of all that its function makes.

    Raises:
        AssetDefinitionError: If the scope is not named and the key has one part, or two versions are named; or it is
            to be run, and can't be.
        BundleError: If it is to be run, and its code bundle is not there.
        VersionNameError: If it is no name.

    Example:
        >>> shared_asset("delay/flight_features", version="production").key.to_user_string()
        'delay/flight_features/production'
        >>> shared_asset("flight_features", version="v7", scope="delay").key.to_user_string()
        'flight_features/v7'
    """
    wanted = _wanted(name, version)
    if scope is None and len(wanted.asset) == 1:
        raise AssetDefinitionError(f"whose is {name}? Name its team's scope: shared_asset({name!r}, scope=...)")
    scope = check_scope(wanted.asset[0] if scope is None else scope)
    own = None if key is None else dg.AssetKey.from_coercible(key)
    said = {
        "group_name": group_name,
        "description": description,
        "tags": tags,
        "automation_condition": automation_condition,
    }
    if not materializable:
        return external_asset(wanted, scope, key=own, partitions_def=partitions_def, **said)  # type: ignore[arg-type]
    if partitions_def is not None:
        raise AssetDefinitionError(f"{name}: leave out partitions_def, as they are those that its team noted")
    asset = "/".join(wanted.asset)
    published = published_asset(_opened(store), wanted, scope, location)
    return define(published, asset, run=_run, env=env, rename=_only(asset, own), **said)


def shared_workflow(
    location: str,
    *,
    version: str = "latest",
    scope: str,
    selection: Sequence[str] | None = None,
    prefix: str | Sequence[str] | None = None,
    env: Env = "current",
    store: ReproStore | Store | str | None = None,
    group_name: str | None = None,
) -> list[dg.AssetsDefinition]:
    """Declare all assets of a workflow version of another team, wired as there, as assets that this team can run.

    Each is what ``shared_asset(..., materializable=True)`` gives. What they are made from and is not among them, such
    as a source file, is asked for under its key: declare it yourself, or take theirs by `shared_asset`. Plain assets,
    channels, and what takes resources of its code location are left out unless they are selected.

    Args:
        location: Their code location.
        version: ``v3``, or ``latest`` for what it serves when this code location is loaded.
        scope: Their scope.
        selection: Keys of the assets. Default: all that can be run here.
        prefix: Put before the keys of the assets, where this team has assets of these names.
        env: See `shared_asset`.
        store: Where their code is noted. Default: as the resource finds it.
        group_name: Group in Dagster's UI. Default: theirs.

    Raises:
        AssetDefinitionError: If the scope is not read, or something that is selected can't be run here.
        UnknownVersionError: If there is no such code location or version.
        BundleError: If it has no code bundle.

    Example:
        >>> shared_workflow("pricing", scope="pricing", store="memory://shared-workflow-example")
        Traceback (most recent call last):
        mlrepro.errors.AssetDefinitionError: the code location pricing is in scope 'pricing', and the store \
memory://shared-workflow-example reads default, shared: add it to ReproStore(read_scopes=[...]) or to \
MLREPRO_READ_SCOPES
    """
    published = published_workflow(_opened(store), location, version, check_scope(scope))
    wanted = list(selection) if selection is not None else published.runnable()
    taken = {output["asset"] for each in wanted for output in published.interface(each)["outputs"].values()}
    before = [prefix] if isinstance(prefix, str) else list(prefix or ())

    def rename(key: dg.AssetKey) -> dg.AssetKey:
        return dg.AssetKey([*before, *key.path]) if key.to_user_string() in taken else key

    found = []
    done: set[str] = set()
    for each in wanted:
        if each not in done:
            found.append(define(published, each, run=_run, env=env, rename=rename, group_name=group_name))
            done |= {output["asset"] for output in published.interface(each)["outputs"].values()}
    return found


def _only(asset: str, key: dg.AssetKey | None) -> Rename:
    """Give one asset another key."""
    return lambda each: key if key is not None and each.to_user_string() == asset else each


def _opened(store: ReproStore | Store | str | None) -> Store:
    return store.open() if isinstance(store, ReproStore) else find_store(store)


def _wanted(name: str, version: str | None) -> VersionName:
    named = parse_version_name(name)
    if version is None:
        return named
    if "@" in name:
        raise AssetDefinitionError(f"{name} names a version already: leave out version={version!r}")
    return parse_version_name(f"{name}@{version}")
