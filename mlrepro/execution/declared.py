"""A plain `@asset` with a `code_version`: its author says when its code changed, so its results can be kept too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dagster._core.definitions.assets.definition.asset_spec import AssetExecutionType
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction
from dagster._core.execution.context.system import StepExecutionContext

from mlrepro.io_managers.computation import Computation, computation_of
from mlrepro.versioning import CodeFingerprint, FingerprintSession, OutputDeclaration, canonical_json, digest


@dataclass(frozen=True)
class DeclaredComputation(Computation):
    """A function whose code is not followed: what it is called and its code version stand for it.

    Attributes:
        name: Module and name of the function, and its assets: two functions may have code version "1".
    """

    name: str = ""

    def fingerprint(self, session: FingerprintSession | None = None) -> CodeFingerprint:  # noqa: ARG002 -- the same question as to others
        """What is known of the code."""
        return CodeFingerprint(digest=digest(["declared", self.name]))

    def sees_partition(self, code: CodeFingerprint) -> bool:  # noqa: ARG002 -- the same question as to others
        """A function that nobody looked into may ask which partition it computes."""
        return True

    def sees_context(self, code: CodeFingerprint) -> bool:  # noqa: ARG002 -- the same question as to others
        """As its signature says."""
        return self.takes_context


def computation_for(context: StepExecutionContext) -> Computation | None:
    """Find what a step computes: an `@ml_asset`'s function, or a plain asset's that declares its code version."""
    return computation_of(context.op_def) or _declared(context)


def _declared(context: StepExecutionContext) -> DeclaredComputation | None:
    assets = context.assets_def
    if assets is None or assets.execution_type != AssetExecutionType.MATERIALIZATION or context.is_op_in_graph:
        return None
    versions = {spec.key.to_user_string(): spec.code_version for spec in assets.specs}
    if not versions or any(version is None for version in versions.values()):
        return None
    decorated = context.op_def.compute_fn
    if not isinstance(decorated, DecoratedOpFunction):
        return None
    function: Callable[..., Any] = decorated.decorated_fn
    return DeclaredComputation(
        fn=function,
        name=canonical_json([function.__module__, function.__qualname__, sorted(versions)]),
        outputs={
            output.name: OutputDeclaration(type=output.dagster_type.key)
            for output in context.op_def.output_defs
            if output.name in assets.node_keys_by_output_name
        },
        declared_version=next(iter(versions.values())) if len(versions) == 1 else canonical_json(versions),
        takes_context=bool(decorated.has_context_arg()),
    )
