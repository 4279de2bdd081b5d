"""The input hash of one step, from its function, its config, its resources and what its inputs hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mlrepro.dagster_internals import StepExecutionContext, StepOutputHandle
from mlrepro.errors import MlreproError, UnstorableValueError
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.config import plain_config, redacted, secrets_of, without_fields
from mlrepro.io_managers.deferred import Deferred
from mlrepro.io_managers.resource_fingerprints import resource_fingerprints
from mlrepro.io_managers.surroundings import surroundings
from mlrepro.io_managers.upstream import data_version_of, dependency_version
from mlrepro.store import Store, StoredValue
from mlrepro.versioning import (
    READER,
    CodeFingerprint,
    FingerprintSession,
    InputHashParts,
    InputVersion,
    digest,
    distribution_of,
    fingerprint,
    input_hash,
    is_first_party,
    resolve_reference,
)

Identity: TypeAlias = Callable[[str], str | None]
"""Tells what code a name refers to, where that is known without importing it."""


@dataclass(frozen=True)
class StepKey:
    """The input hash of a step, with what it was made of.

    Attributes:
        input_hash: The cache key.
        code: Fingerprint of the function.
        config: The config as a record may show it, secrets replaced.
        inputs: Where each input came from, by argument name, as a record shows it.
        partitions: Partition keys that the step computes, None for an asset without partitions.
        uncacheable: Why no result may be looked up or kept under this key; None if it may.
        parts: All that was hashed. Holds secrets: nothing of it is shown or kept as it is.
        declared_version: The ``code_version`` that the author gave besides, which is folded into the code's part.
        ignored_config: Config fields that do not count.
        value_codes: What came with the value of each input: libraries and their versions, code and its hash.
    """

    input_hash: str
    code: CodeFingerprint
    config: Any
    inputs: Mapping[str, Any]
    partitions: tuple[str, ...] | None
    uncacheable: str | None
    parts: InputHashParts = field(repr=False)
    declared_version: str | None = None
    ignored_config: tuple[str, ...] = ()
    value_codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def step_key(
    step_context: StepExecutionContext,
    computation: Computation,
    inputs: Mapping[str, Any],
    store: Store,
    session: FingerprintSession | None = None,
) -> StepKey:
    """Compute the input hash of a step.

    Args:
        step_context: The step.
        computation: Its function.
        inputs: What Dagster hands to the function, by argument name: values, or stand-ins for them.
        store: Hashes values that other IO managers loaded.
        session: Walks code that several steps share only once. Default: everything is looked at anew.

    Returns:
        The key, and what a record says about it.
    """
    code = computation.fingerprint(session)
    config = plain_config(step_context.op_config)
    ignored = computation.cache.ignore_config
    partitions = partitions_of(step_context)
    versions: dict[str, InputVersion] = {}
    origins: dict[str, Any] = {}
    value_codes: dict[str, dict[str, str]] = {}
    uncacheable: str | None = None
    for name, value in inputs.items():
        try:
            given = _input(step_context, name, value, store, computation.identity)
            versions[name], origins[name], value_codes[name] = given
        except UnstorableValueError as error:
            version = _upstream_data_version(step_context, name)
            if version is None:
                uncacheable = f"the content of input {name!r} can't be hashed: {error}"
            versions[name] = InputVersion(content=f"data version {version}")
            origins[name] = {"asset": _upstream_asset(step_context, name), "data_version": version}
    dependencies = _dependencies(step_context, inputs)
    for asset, known in dependencies.items():
        if known is None:
            uncacheable = f"upstream asset {asset} has no data version: nothing tells when it changed"
        origins[f"(asset) {asset}"] = {"asset": asset, "data_version": known}
    sees_partition = (
        computation.sees_partition(code)
        or bool(step_context.op_def.required_resource_keys)
        or (partitions is not None and len(partitions) > 1)  # the keys of what a range returns
    )
    parts = InputHashParts(
        code=computation.code_version(code),
        config=without_fields(config, ignored),
        inputs=versions,
        dependencies={asset: known or "" for asset, known in dependencies.items()},
        resources=resource_fingerprints(step_context, computation.cache.ignore_resources),
        outputs=computation.outputs,
        partition=partitions if sees_partition else None,
        surroundings=surroundings(step_context, computation, code),
        seed=computation.seed,
        salt=computation.cache.salt,
    )
    return StepKey(
        input_hash=input_hash(parts),
        code=code,
        config=redacted(config, secrets_of(step_context, computation.config_class)),
        inputs=origins,
        partitions=partitions,
        uncacheable=uncacheable,
        parts=parts,
        declared_version=computation.declared_version,
        ignored_config=ignored,
        value_codes=value_codes,
    )


def partitions_of(step_context: StepExecutionContext) -> tuple[str, ...] | None:
    """List the partitions that a step computes; None for assets without partitions."""
    for output in step_context.step.step_outputs:
        if output.properties.asset_check_key is None and step_context.has_asset_partitions_for_output(output.name):
            handle = StepOutputHandle(step_context.step.key, output.name)
            # A key of several dimensions is a str of its own class. Static keys come in the order of a set.
            return tuple(sorted(str(key) for key in step_context.get_output_context(handle).asset_partition_keys))
    return None


def _input(
    step_context: StepExecutionContext, name: str, value: Any, store: Store, identity: Identity
) -> tuple[InputVersion, dict[str, Any], dict[str, str]]:
    if isinstance(value, Deferred):
        identities = [value_identities(version.stored, identity) for version in value.versions]
        codes = [_code(each) for each in identities if each]
        codes += [value.code] if value.code else []
        named = _named({reference: code for each in identities for reference, code in each.items()})
        named |= {READER: value.code[:12]} if value.code else {}
        origin: dict[str, Any] = {
            "asset": value.versions[0].asset if value.versions else _upstream_asset(step_context, name),
            "content_hash": value.content,
            "version": (
                {str(version.partition): version.number for version in value.versions}
                if value.as_mapping or not value.versions
                else value.versions[0].number
            ),
        }
        if value.source is not None:
            origin["source"] = value.source
        if len(value.versions) == 1:
            only = value.versions[0]
            origin |= {"partition": only.partition} if only.partition is not None else {}
            origin["stored_as"] = only.stored.to_input()
        code = digest(sorted(set(codes))) if codes else None
        contents = {str(version.partition): _content(version.stored) for version in value.versions}
        content = contents if value.as_mapping or not contents else next(iter(contents.values()))
        return InputVersion(content, value.loaded_as, code), origin, named
    stored = store.hash_value(value)
    origin = {
        "asset": _upstream_asset(step_context, name),
        "content_hash": stored.content_hash,
        "data_version": _upstream_data_version(step_context, name),
    }
    comes_with = value_identities(stored, identity)
    return InputVersion(_content(stored), None, _code(comes_with) if comes_with else None), origin, _named(comes_with)


def _content(stored: StoredValue) -> str:
    """Content with its format: the bytes of ``b"1"`` and of the number 1 are the same."""
    return f"{stored.format}:{stored.content_hash}"


def value_identities(stored: StoredValue, identity: Identity = lambda _: None) -> dict[str, str]:
    """Identify the code that comes along with a stored value.

    A model's `predict` is code of its class, which no content hash covers: a pickle holds a class by name only.
    So what a downstream function receives counts by the libraries and the first-party code behind its type and
    behind everything that its pickle names.

    Args:
        stored: The value.
        identity: What is known already of a name that the value refers to.

    Returns:
        A library's version or a hash of code for each name that the value refers to; nothing where only Python's own
        types are involved.
    """
    references = (stored.python_type, *stored.references)
    found = {reference: identity(reference) or _identity(reference) for reference in references}
    return {reference: known for reference, known in found.items() if known is not None}


def _code(identities: Mapping[str, str]) -> str:
    return digest(sorted(set(identities.values())))


def _named(identities: Mapping[str, str]) -> dict[str, str]:
    """Name what comes with a value for people: versions by library, short hashes by reference."""
    named: dict[str, str] = {}
    for reference, identity in identities.items():
        library, known, version = identity.partition("==")
        named |= {library: version} if known else {reference: identity[:12]}
    return named


def _identity(reference: str) -> str | None:
    module = reference.partition(":")[0]
    if is_first_party(module):
        try:
            return fingerprint(resolve_reference(reference)).digest  # type: ignore[arg-type]
        except (ImportError, AttributeError, MlreproError):
            return f"unresolved {reference}"
    found = distribution_of(module)
    return f"{found[0]}=={found[1]}" if found else None


def _upstream_asset(step_context: StepExecutionContext, input_name: str) -> str | None:
    key = step_context.job_def.asset_layer.get_asset_key_for_node_input(step_context.node_handle, input_name)
    return key.to_user_string() if key else None


def _upstream_data_version(step_context: StepExecutionContext, input_name: str) -> str | None:
    key = step_context.job_def.asset_layer.get_asset_key_for_node_input(step_context.node_handle, input_name)
    return data_version_of(step_context, key) if key else None


def _dependencies(
    step_context: StepExecutionContext, inputs: Mapping[str, Any]
) -> dict[str, str | dict[str, str] | None]:
    """Data version of each upstream asset that the function does not get as an argument."""
    layer = step_context.job_def.asset_layer
    own = step_context.get_output_asset_keys()
    arguments = {layer.get_asset_key_for_node_input(step_context.node_handle, name) for name in inputs}
    parents = {parent for key in own if layer.has(key) for parent in layer.get(key).parent_keys}
    return {
        key.to_user_string(): dependency_version(step_context, key)
        for key in sorted(parents - own - arguments, key=lambda key: key.to_user_string())
    }


def describe_inputs(inputs: Mapping[str, Any]) -> Sequence[str]:
    """Say in words which versions a step used: ``features v3``."""
    lines = []
    for origin in inputs.values():
        match origin:
            case {"asset": asset, "version": int() as number}:
                lines.append(f"{asset} v{number}")
            case {"asset": asset, "version": dict() as numbers}:
                lines.append(f"{asset} ({len(numbers)} partitions)")
            case {"asset": asset, "data_version": version}:
                lines.append(f"{asset} ({str(version)[:12]})")
    return lines
