"""An asset of another team as an asset of this code location, defined from what its team noted when it pushed."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg

from mlrepro.bundles.config_types import read_field
from mlrepro.dagster_internals import DeserializationError, deserialize_value
from mlrepro.errors import AssetDefinitionError, BundleError
from mlrepro.io_managers import Cache
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.dagster_types import StandInType
from mlrepro.sharing.published import Published, obstacle
from mlrepro.versioning import CodeFingerprint, OutputDeclaration, resolve_reference
from mlrepro.versioning.code.report import Source

Env = Literal["current", "recorded"]
Rename = Callable[[dg.AssetKey], dg.AssetKey]


@dataclass(frozen=True)
class ForeignComputation(Computation):
    """A function of another team, of which this process has no code.

    Attributes:
        published: Where its code is.
        interface: What its team noted.
        env: Which libraries it is computed with.
        rename: From its team's asset keys to those that it has here.
    """

    published: Published = field(kw_only=True)
    interface: Mapping[str, Any] = field(kw_only=True)
    env: Env = field(kw_only=True)
    rename: Rename = field(kw_only=True)

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The source of everything that its code reaches."""
        name = next(iter(self.interface["outputs"].values()))["asset"]
        return self.published.workflow.sources.get(f"assets/{name}", [])

    @property
    def taken_from(self) -> str:
        """The workflow version that its code is run from."""
        return self.published.version.name

    def renamed(self, asset: str) -> str:
        """The key here of an asset of its team."""
        return self.rename(dg.AssetKey.from_user_string(asset)).to_user_string()

    def fingerprint(self, session: Any = None) -> CodeFingerprint:  # noqa: ARG002 -- the same question as to others
        """The fingerprint that it had when it was pushed."""
        return CodeFingerprint(
            digest=self.interface["code"]["fingerprint"],
            sources=tuple(Source(**each) for each in self.sources),
            distributions=self.interface["code"]["distributions"],
        )

    def identity(self, reference: str) -> str | None:
        """The code of a class or function of its team's, which a pickle may name."""
        return self.published.workflow.identities.get(reference)

    def sees_partition(self, code: CodeFingerprint) -> bool:  # noqa: ARG002 -- likewise
        """Whether it could learn which partition it computes."""
        return bool(self.interface["code"]["sees_partition"])

    def reads_surroundings(self, code: CodeFingerprint) -> bool:  # noqa: ARG002 -- likewise
        """Whether it may ask its context for what is in no other part of the key."""
        return bool(self.interface["code"]["reads_surroundings"])


def define(
    published: Published,
    asset: str,
    *,
    run: Callable[[Computation], Callable[..., Any]],
    env: Env,
    rename: Rename,
    **arguments: Any,
) -> dg.AssetsDefinition:
    """Define an asset, and those that the same function makes.

    Args:
        published: The workflow version.
        asset: Its key there.
        run: Makes the function that Dagster calls.
        env: Which libraries it is computed with.
        rename: From the other team's keys to those here.
        **arguments: What is said of the assets here: ``group_name``, ``description``, ``tags``,
            ``automation_condition``; by default what the other team said.

    Raises:
        AssetDefinitionError: Something about it can't be defined here.
        BundleError: What was noted can't be read.
    """
    interface = published.interface(asset)
    if (why := obstacle(interface)) is not None:
        raise AssetDefinitionError(
            f"{asset} of {published.version.name} can't be run by another team: {why}. Use it as it is,"
            f" shared_asset({asset!r}, scope={published.scope!r})"
        )
    try:
        return _define(published, interface, run, env, rename, arguments)
    except (BundleError, KeyError, TypeError, ValueError, AttributeError, DeserializationError) as error:
        raise BundleError(
            f"what {published.version.name} noted of {asset} can't be read: {error!r}; its team must push it again"
        ) from error


def _define(
    published: Published,
    interface: Mapping[str, Any],
    run: Callable[[Computation], Callable[..., Any]],
    env: Env,
    rename: Rename,
    arguments: Mapping[str, Any],
) -> dg.AssetsDefinition:
    def not_called(context: dg.AssetExecutionContext, **inputs: Any) -> None:  # noqa: ARG001 -- what Dagster passes
        raise AssetDefinitionError(
            f"{interface['function']} is code of {published.version.name}: it is computed in a run, not called"
        )

    not_called.__name__ = not_called.__qualname__ = interface["op"]
    # Dagster would take an annotation for the type of the output
    not_called.__annotations__ = {}
    computation = ForeignComputation(
        fn=not_called,
        cache=_cache(interface["cache"]),
        seed=interface["seed"],
        outputs={
            name: OutputDeclaration(type=declared, format=chosen)
            for name, (declared, chosen) in interface["declared"].items()
        },
        declared_version=interface["code"]["declared"],
        takes_context=True,
        published=published,
        interface=interface,
        env=env,
        rename=rename,
    )

    def key(named: str) -> dg.AssetKey:
        return rename(dg.AssetKey.from_user_string(named))

    def read(text: str | None) -> Any:
        return None if text is None else deserialize_value(text)

    partitions = read(interface["partitions"])
    mappings = {asset: read(text) for asset, text in interface["mappings"].items()}
    version = computation.code_version(computation.fingerprint())
    checks = {
        spec.get_python_identifier(): spec
        for spec in (
            dg.AssetCheckSpec(each["name"], asset=key(each["asset"]), blocking=each["blocking"])
            for each in interface["checks"]
        )
    }
    keys = {name: key(each["asset"]) for name, each in interface["outputs"].items()}
    op: dg.OpDefinition = dg.op(
        name=next(iter(keys.values())).to_python_identifier() if len(keys) == 1 else interface["op"],
        ins={name: _in(each) for name, each in interface["inputs"].items()},
        out={
            **{name: _out(each) for name, each in interface["outputs"].items()},
            **dict.fromkeys(checks, dg.Out(dagster_type=None)),
        },
        config_schema=None if interface["config"] is None else read_field(interface["config"]),
        # they choose the image and the rights of a pod that works with this team's credentials
        tags=interface["tags"] if published.refusal() is None else {},
        pool=interface["pool"],
    )(run(computation))
    return dg.AssetsDefinition(
        keys_by_input_name={name: key(each["asset"]) for name, each in interface["inputs"].items()},
        keys_by_output_name=keys,
        node_def=op,
        specs=[
            _spec(
                each,
                published,
                arguments,
                key=keys[name],
                deps=[dg.AssetDep(key(asset), partition_mapping=mappings.get(asset)) for asset in each["upstream"]],
                code_version=version,
                partitions_def=None if partitions is None else partitions.get_partitions_definition(),
            )
            for name, each in interface["outputs"].items()
        ],
        backfill_policy=read(interface["backfill"]),
        check_specs_by_output_name=checks,
    )


def _spec(told: Mapping[str, Any], published: Published, arguments: Mapping[str, Any], **fixed: Any) -> dg.AssetSpec:
    said = {name: value for name, value in arguments.items() if value is not None}
    of = f"Run from {published.version.name} of scope {published.scope}."
    description = f"{told['description']}\n\n{of}" if told["description"] else of
    return dg.AssetSpec(
        kinds=set(told["kinds"]),
        owners=told["owners"],
        metadata={title: _metadata(value) for title, value in told["metadata"].items()},
        # nothing is added but here: a function may look at its tags and metadata, which are in its key then
        **{"group_name": told["group"], "description": description, "tags": told["tags"], **said},
        **fixed,
    )


def _metadata(told: Any) -> Any:
    if not isinstance(told, Mapping):
        return told
    return deserialize_value(told["serialized"]) if "serialized" in told else told["text"]


def _in(told: Mapping[str, Any]) -> dg.In:
    if told["nothing"]:
        return dg.In(dg.Nothing)
    typed: dict[str, Any] = {} if told["type"] is None else {"dagster_type": _type(told["type"])}
    return dg.In(metadata=told["metadata"], **typed)


def _out(told: Mapping[str, Any]) -> dg.Out:
    typed: dict[str, Any] = {"dagster_type": dg.Nothing} if told["nothing"] else {}
    return dg.Out(is_required=told["required"], **typed)


def _cache(told: Mapping[str, Any]) -> Cache:
    age = told["max_age"]
    return Cache(
        enabled=told["enabled"],
        # whether results on this team's data are published is not its author's to say
        scope=None,
        serialize=told["serialize"],
        salt=told["salt"],
        max_age=None if age is None else dt.timedelta(seconds=age),
        ignore_config=tuple(told["ignore_config"]),
    )


def _type(name: str) -> dg.DagsterType:
    """A type that checks nothing and is called as the annotation is: the name says how a value is loaded.

    What checks the value is the function's own process. A library's class is not imported to define an asset.
    """
    module, _, qualname = name.partition(":")
    named = resolve_reference(name) if module in {"builtins", "pathlib"} else None
    if not isinstance(named, type):
        named = type(qualname.rpartition(".")[2], (), {"__module__": module, "__qualname__": qualname})
    return StandInType(
        dg.DagsterType(lambda _context, _value: True, key=f"shared/{name}", name=qualname, typing_type=named)
    )
