"""Finding the workflow version of another team that a shared asset's code is taken from."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlrepro.bundles.interfaces import SCHEMA
from mlrepro.bundles.workflow import Workflow
from mlrepro.catalog.channels import ChannelName, served_pointer
from mlrepro.catalog.history import find_number
from mlrepro.catalog.names import VersionName
from mlrepro.catalog.workflows import (
    WorkflowVersion,
    current_version,
    known_locations,
    parse_number,
    unknown_location,
    workflow_version,
)
from mlrepro.dagster_internals import DefinitionsLoadContext, DefinitionsLoadType
from mlrepro.errors import AssetDefinitionError, BundleError, StoreError, UnknownVersionError
from mlrepro.store import FoundResult, Store

_known: dict[str, Workflow] = {}


@dataclass(frozen=True)
class Published:
    """A workflow version of another team.

    Attributes:
        store: The store that it was found in.
        scope: The other team's scope.
        version: The entry of its history.
        workflow: What it defines.
        result: The result that names it, where a version of an asset was asked for; a signature may vouch for that.
        input_hash: What that stands under.
    """

    store: Store
    scope: str
    version: WorkflowVersion
    workflow: Workflow
    result: FoundResult | None = None
    input_hash: str | None = None

    @property
    def bundle(self) -> str:
        """Digest of its code bundle."""
        assert self.version.bundle is not None, "it was looked at when it was found"
        return self.version.bundle.content_hash

    def interface(self, asset: str) -> Mapping[str, Any]:
        """What it takes to define an asset, and those that the same function makes.

        Raises:
            AssetDefinitionError: It has no such asset, or none that another team could run.
        """
        for each in self.workflow.interfaces:
            if each.get("schema") == SCHEMA and asset in {output["asset"] for output in each["outputs"].values()}:
                return each
        if asset not in self.workflow.description["assets"]:
            known = ", ".join(sorted(self.workflow.description["assets"])[:5]) or "none"
            raise AssetDefinitionError(f"{self.version.name} defines no asset {asset}; its assets are {known}")
        if not self.workflow.interfaces:
            raise AssetDefinitionError(
                f"{self.version.name} was pushed by an mlrepro that did not note what it takes to run its assets"
                " elsewhere: its team must push it again"
            )
        raise AssetDefinitionError(
            f"{asset} of {self.version.name} is no @ml_asset, so that no other team can run it: use it as it is,"
            f" shared_asset({asset!r}, scope={self.scope!r})"
        )

    def runnable(self) -> list[str]:
        """Keys of the assets that another team can run."""
        interfaces = [each for each in self.workflow.interfaces if each.get("schema") == SCHEMA and not obstacle(each)]
        return sorted(output["asset"] for each in interfaces for output in each["outputs"].values())

    @property
    def environment(self) -> Mapping[str, Any]:
        """What it ran with: Python, platform, and a blob with the list of all distributions."""
        told: Mapping[str, Any] = (self.version.body if self.result is None else self.result.record)["environment"]
        return told

    def refusal(self) -> str | None:
        """Why its code is not run here; None where somebody who is trusted vouches for it."""
        if self.store.is_vouched(None, None, self.scope):
            return None
        record = {} if self.result is None else self.result.record
        if record.get("bundle") == self.bundle and self.store.is_vouched(self.input_hash, record, self.scope):
            return None
        return (
            f"{self.version.name} is code of scope {self.scope!r}, which is not trusted, so it is not run: if you trust"
            f" all who write there, add {self.scope!r} to ReproStore(trusted_scopes=[...]) or MLREPRO_TRUSTED_SCOPES"
        )


def check_readable(store: Store, scope: str, what: object) -> None:
    """Refuse a scope that the store does not read.

    Raises:
        AssetDefinitionError: With the next step.
    """
    if scope not in (store.scope, *store.read_scopes):
        reads = ", ".join((store.scope, *store.read_scopes))
        raise AssetDefinitionError(
            f"{what} is in scope {scope!r}, and the store {store.url} reads {reads}: add it to"
            " ReproStore(read_scopes=[...]) or to MLREPRO_READ_SCOPES"
        )


def published_asset(store: Store, wanted: VersionName, scope: str, location: str | None) -> Published:
    """Find the workflow version whose code computed a version of an asset; of ``latest``, what is served now.

    Raises:
        AssetDefinitionError: The scope is not read, or no code location of it defines the asset, or several do.
        UnknownVersionError: There is no such version of the asset or of the code location.
        BundleError: The version has no code bundle.
        StoreError: The store failed.
    """
    check_readable(store, scope, wanted)
    if wanted.number is None and wanted.channel is None:
        number = _for_the_run(
            f"{scope}:{wanted}:{location}", lambda: _named(_serving(store, "/".join(wanted.asset), scope, location))
        )
        return _published(store, scope, *_parsed(number))
    input_hash = _for_the_run(f"{scope}:{wanted}", lambda: _input_hash(store, wanted, scope))
    found = store.get_result(input_hash, only=scope)
    named = None if found is None else found.record.get("workflow_version")
    if found is None or not isinstance(named, str):
        raise AssetDefinitionError(
            f"nothing tells which workflow version computed {wanted} of scope {scope!r}: it was not served by `mlrepro"
            " code-server`. version='latest' takes the code that is served now"
        )
    return _published(store, scope, *_parsed(named), found, input_hash)


def published_workflow(store: Store, location: str, version: str, scope: str) -> Published:
    """Find a workflow version by name: ``v3``, or ``latest`` for what is served now.

    Raises:
        AssetDefinitionError: The scope is not read.
        UnknownVersionError: There is no such code location or version.
        BundleError: The version has no code bundle, or the name is none.
        StoreError: The store failed.
    """
    check_readable(store, scope, f"the code location {location}")
    if version != "latest":
        return _published(store, scope, location, parse_number(version))
    number = _for_the_run(f"{scope}:{location}", lambda: _named(_current(store, location, scope)))
    return _published(store, scope, *_parsed(number))


def _for_the_run(name: str, find: Callable[[], str]) -> str:
    """What was found when the code location was loaded, in the processes of its runs as well.

    The other team may push, or promote, between the moment when a run is launched and that when its steps start.
    """
    context, key = DefinitionsLoadContext.get(), f"mlrepro/shared/{name}"
    known = None
    if context.load_type is DefinitionsLoadType.RECONSTRUCTION:
        known = context.reconstruction_metadata.get(key)
    found = known if isinstance(known, str) else find()
    context.add_to_pending_reconstruction_metadata(key, found)
    return found


def _named(version: WorkflowVersion) -> str:
    return version.name


def _parsed(name: str) -> tuple[str, int]:
    location, _, number = name.rpartition("@")
    return location, parse_number(number)


def _current(store: Store, location: str, scope: str) -> WorkflowVersion:
    found = current_version(store, location, scope=scope)
    if found is None:
        raise unknown_location(store, location, scope=scope)
    return found


def _serving(store: Store, asset: str, scope: str, location: str | None) -> WorkflowVersion:
    """The version that is served of the code location that defines an asset."""
    if location is not None:
        return _current(store, location, scope)
    found = []
    for name in known_locations(store, scope=scope):
        version = current_version(store, name, scope=scope)
        if version is not None and asset in _workflow(store, version).description["assets"]:
            found.append(version)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(version.location for version in found)
        raise AssetDefinitionError(
            f"{asset} is defined by several code locations of scope {scope!r} ({names}): name one with location="
        )
    known = ", ".join(known_locations(store, scope=scope)[:5])
    raise AssetDefinitionError(
        f"no code location of scope {scope!r} in {store.url} defines {asset}"
        + (f" (there are {known})" if known else "")
        + ": its team must `mlrepro push` the one that does"
    )


def _input_hash(store: Store, wanted: VersionName, scope: str) -> str:
    number = wanted.number
    if wanted.channel is not None:
        pointer = served_pointer(store, ChannelName(wanted.asset, wanted.channel, None), only=scope)
        number = None if pointer is None else pointer.number
    version = None if number is None else find_number(store, wanted.asset, None, number, only=scope)
    if version is None:
        raise UnknownVersionError(
            f"{wanted} is not in scope {scope!r} of the store {store.url}: its team must"
            f" {'promote one' if wanted.channel else 'materialize it'} first. Of an asset with partitions, take"
            " version='latest'"
        )
    if version.input_hash is None:
        raise AssetDefinitionError(f"{wanted} of scope {scope!r} was stored by a plain asset, whose code is not kept")
    return version.input_hash


def _published(
    store: Store,
    scope: str,
    location: str,
    number: int,
    result: FoundResult | None = None,
    input_hash: str | None = None,
) -> Published:
    version = workflow_version(store, location, number, scope=scope)
    if version.bundle is None:
        raise BundleError(
            f"{version.name} of scope {scope!r} has no code bundle, as its image {version.image} holds the code: its"
            " team must push it without --no-bundle"
        )
    return Published(store, scope, version, _workflow(store, version), result, input_hash)


def _workflow(store: Store, version: WorkflowVersion) -> Workflow:
    digest = str(version.body.get("definitions"))
    try:
        # its name is the hash of its bytes, so it never changes; a code location may share a hundred assets of it
        if digest not in _known:
            _known[digest] = _checked(Workflow.from_json(json.loads(store.read_bytes(digest))))
    except (StoreError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(
            f"what {version.name} defines can't be read from {store.url}: {error}; its team must push it again"
        ) from error
    return _known[digest]


def _checked(workflow: Workflow) -> Workflow:
    """Refuse what has not the form that is relied on: whoever may write to a scope may have written it."""
    for each in workflow.interfaces:
        if each.get("schema") == SCHEMA:
            obstacle(each)
            dict.fromkeys(output["asset"] for output in each["outputs"].values())
    return workflow


def obstacle(interface: Mapping[str, Any]) -> str | None:
    """Why another team can't run an asset; None where it can."""
    if found := interface.get("obstacle"):
        return str(found)
    if interface["resources"]:
        several = "s" if len(interface["resources"]) > 1 else ""
        names = ", ".join(interface["resources"])
        return f"it takes the resource{several} {names}, which its own code location configures"
    if not interface["cache"]["enabled"]:
        return "it has cache=False, so that no result of it is kept"
    return None
