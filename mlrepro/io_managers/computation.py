"""What mlrepro knows of an op that computes an asset: its function, and what its author said about it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mlrepro.io_managers.cache import Cache
from mlrepro.io_managers.context_use import reads_surroundings
from mlrepro.versioning import CodeFingerprint, FingerprintSession, OutputDeclaration

_ATTRIBUTE = "__mlrepro_computation__"


@dataclass(frozen=True)
class Computation:
    """A function under `@ml_asset` or `@ml_multi_asset`.

    Attributes:
        fn: The function as the user wrote it.
        cache: How its results are cached.
        seed: Random seed set before it runs.
        outputs: What was declared for each output, by output name.
        config_class: The Config class of its ``config`` parameter. Its methods are code that the function calls.
        declared_version: The ``code_version`` that the user gave besides; it is folded in.
        takes_context: Whether the function has a ``context`` parameter.
        first_party: Further distributions that count as the user's own code.
    """

    fn: Callable[..., Any]
    cache: Cache = field(default_factory=Cache)
    seed: int | None = None
    outputs: Mapping[str, OutputDeclaration] = field(default_factory=dict)
    config_class: type | None = None
    declared_version: str | None = None
    takes_context: bool = False
    first_party: tuple[str, ...] = ()

    @property
    def taken_from(self) -> str | None:
        """The workflow version that its code is run from, for one of another team."""
        return None

    def fingerprint(self, session: FingerprintSession | None = None) -> CodeFingerprint:
        """Fingerprint the function as it is now, with everything that it can reach.

        Args:
            session: Walks what several functions share only once. Default: everything is looked at anew.
        """
        also = () if self.config_class is None else (self.config_class,)
        return (session or FingerprintSession(first_party=self.first_party)).fingerprint(self.fn, also=also)

    def code_version(self, code: CodeFingerprint) -> str:
        """The code version: the fingerprint, with the user's own version string folded in if there is one."""
        if self.declared_version is None:
            return code.digest
        return hashlib.sha256(f"{code.digest}\0{self.declared_version}".encode()).hexdigest()

    def identity(self, reference: str) -> str | None:  # noqa: ARG002 -- for a function whose code is elsewhere
        """The code that a name in a value refers to, where this process can't import what it names; else None."""
        return None

    def sees_partition(self, code: CodeFingerprint) -> bool:
        """Whether the function could learn which partition it computes.

        For one that can't, the partition key can't change the result, so that partitions with equal inputs share one.
        """
        return self.sees_context(code)

    def sees_context(self, code: CodeFingerprint) -> bool:
        """Whether the function takes Dagster's context, or reaches for it through Dagster."""
        return self.takes_context or any(
            name.split(".", 1)[0] == "dagster" and (name == "dagster" or "Context" in name or "._" in name)
            for name in code.names
        )

    def reads_surroundings(self, code: CodeFingerprint) -> bool:
        """Whether the function may ask its context for what is in no other part of the key."""
        return self.sees_context(code) and reads_surroundings(self.fn, code, takes_context=self.takes_context)


def attach(wrapper: Callable[..., Any], computation: Computation) -> None:
    """Note on the function that Dagster gets whose computation it is."""
    setattr(wrapper, _ATTRIBUTE, computation)


def computation_of(node: object) -> Computation | None:
    """Find the computation behind an op or the op of an asset; None where mlrepro did not define it."""
    if not isinstance(node, dg.OpDefinition):
        return None
    function = getattr(node.compute_fn, "decorated_fn", None)
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, Computation) else None
