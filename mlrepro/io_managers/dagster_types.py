"""Dagster types that let a stand-in pass where the value itself would be checked."""

import functools
import typing
from typing import Any

import dagster as dg

from mlrepro.dagster_internals import DagsterTypeKind, resolve_dagster_type
from mlrepro.io_managers.deferred import Deferred, Replayed


class StandInType(dg.DagsterType):
    """A type under its own name in the UI, that also takes an input not loaded yet or an output that a hit found.

    What stands for a value was checked when the value was made, and an input is checked when it is loaded.
    """

    def __init__(self, inner: dg.DagsterType) -> None:
        self.inner = inner
        super().__init__(
            key=f"mlrepro/{inner.key}",
            type_check_fn=self._check,
            description=inner.description,
            loader=inner.loader,
            required_resource_keys=set(inner.required_resource_keys),
            typing_type=inner.typing_type,
            metadata=inner.metadata,
        )

    @property
    def display_name(self) -> str:
        """Name in the UI: the inner type's."""
        return self.inner.display_name

    def _check(self, context: dg.TypeCheckContext, value: Any) -> dg.TypeCheck | bool:
        if isinstance(value, Deferred | Replayed):
            return True
        return self.inner.type_check(context, value)


def stand_in_type(annotation: Any) -> dg.DagsterType | None:
    """Wrap the Dagster type of an annotation; None where Dagster checks nothing anyway (Any, Nothing).

    Raises:
        DagsterInvalidDefinitionError: If Dagster knows no type for it.
    """
    inner = annotation if isinstance(annotation, dg.DagsterType) else resolve_dagster_type(annotation)
    if isinstance(inner, StandInType):
        return inner
    return None if inner.kind in (DagsterTypeKind.ANY, DagsterTypeKind.NOTHING) else _wrapped(inner)


@functools.lru_cache(maxsize=1024)
def _wrapped(inner: dg.DagsterType) -> StandInType:
    return StandInType(inner)


def type_name(annotation: Any) -> str | None:
    """Name a type so that another type has another name, in every process: ``pandas.DataFrame``.

    Example:
        >>> type_name(dict[str, float])
        'dict[str, float]'
    """
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, dg.DagsterType):
        return annotation.key
    if isinstance(annotation, type) and not typing.get_args(annotation):
        module = "" if annotation.__module__ == "builtins" else f"{annotation.__module__}."
        return f"{module}{annotation.__qualname__}"
    return repr(annotation)
