"""The code fingerprint: the hash of a definition and of everything it reaches."""

import contextlib
import functools
import hashlib
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from types import FunctionType, MappingProxyType
from typing import Any

from mlrepro.errors import FingerprintError
from mlrepro.versioning.code.classes import is_schema
from mlrepro.versioning.code.effects import effects_of
from mlrepro.versioning.code.graph import Node
from mlrepro.versioning.code.origin import Kind, Origins
from mlrepro.versioning.code.report import CodeFingerprint
from mlrepro.versioning.code.walker import Walker
from mlrepro.versioning.collecting import no_collection

_SCHEMA = b"mlrepro code fingerprint 1"
_PLATFORM = ("dagster", "mlrepro")


class FingerprintSession:
    """Fingerprints many definitions at one moment: what they share is walked once.

    A session holds what it saw. Make one for each load of a code location and let it go afterwards, so that code
    and files that change meanwhile are seen by the next. One thread uses it at a time.

    Args:
        first_party: Distributions or top-level modules that count as the project's own although installed.
        ignore_decorators_of: Top-level modules whose decorators, and any above them, are no part of a definition.

    Example:
        >>> from fractions import Fraction
        >>> def half(x):
        ...     return x / 2
        >>> def third(x):
        ...     return x / 3
        >>> session = FingerprintSession()
        >>> session.fingerprint(half).digest != session.fingerprint(third).digest
        True
    """

    def __init__(self, *, first_party: Collection[str] = (), ignore_decorators_of: Collection[str] = _PLATFORM) -> None:
        self._first_party = frozenset(first_party)
        self._ignored = frozenset(ignore_decorators_of)
        self._walkers: dict[tuple[frozenset[str], frozenset[str]], Walker] = {}

    def fingerprint(self, target: Callable[..., Any] | type, *, also: Sequence[object] = ()) -> CodeFingerprint:
        """The fingerprint of one definition, see `fingerprint`."""
        if not callable(target):
            raise FingerprintError(
                f"{target!r} cannot be fingerprinted: give a function, a method, a class or another callable"
            )
        with no_collection():
            return self._fingerprint(target, also)

    def _fingerprint(self, target: Callable[..., Any] | type, also: Sequence[object]) -> CodeFingerprint:
        sees: frozenset[str] = frozenset()
        while True:
            walker = self._walker(target, sees)
            roots = [walker.root(target, "target" if sees and type(target) is FunctionType else "")]
            roots += [
                walker.root(other, "config" if isinstance(other, type) and is_schema(other) else "") for other in also
            ]
            reached = frozenset[Node]().union(*[root.reach for root in roots])
            modules = {source.name.partition(":")[0] for node in reached for source in node.sources}
            effects = effects_of(walker, modules)
            reached = reached.union(*[effect.reach for effect in effects])
            looks = {seen for node in reached if node.looks for seen in node.looks}
            if looks <= sees:
                return _gather(roots, effects, reached)
            sees |= looks

    def _walker(self, target: Any, sees: frozenset[str]) -> Walker:
        """The walker under which the target's own package is first-party, however it was installed."""
        declared = self._first_party
        module = _module_of(target)
        if module:
            origin = self._base.of(module)
            if origin.kind is Kind.THIRD_PARTY:
                declared |= {module.partition(".")[0]}
        walker = self._walkers.get((declared, sees))
        if walker is None:
            walker = self._walkers[declared, sees] = Walker(Origins(declared), self._ignored, sees)
        return walker

    @functools.cached_property
    def _base(self) -> Origins:
        return Origins(self._first_party)


def fingerprint(
    target: Callable[..., Any] | type,
    *,
    also: Sequence[object] = (),
    first_party: Collection[str] = (),
    ignore_decorators_of: Collection[str] = _PLATFORM,
) -> CodeFingerprint:
    """Hash a definition together with everything it can reach.

    Covered: the syntax of its body, defaults, closure cells, and whatever its names mean - functions, classes and
    constants of the project across modules, distributions and versions of what is installed, the Python minor
    version where the standard library is used, environment variables and files where their names are constants.
    What modules of the project set outside it as they are imported (options, seeds, registrations) counts with the
    functions of these modules and of those that import them. Hints and subclasses count where code reads them.
    Not covered: names of the definitions themselves, where they live, comments, formatting, docstrings, type hints
    of functions that nothing reads, Dagster's decorators.

    Args:
        target: A function, method, class or other callable.
        also: Further objects to fold in. For a config schema (a pydantic model) the order and the defaults of its
            fields do not count, since its values arrive resolved.
        first_party: Distributions or top-level modules that count as the project's own although installed.
        ignore_decorators_of: Top-level modules whose decorators, and any above them, are no part of a definition.

    Raises:
        FingerprintError: The target is not callable.

    Example:
        >>> __name__ = "__main__"  # as in a script of your own
        >>> def scale(x, factor=2):
        ...     return x * factor
        >>> def same(x, factor=2):  # another name, and this comment
        ...     return x * factor
        >>> fingerprint(scale).digest == fingerprint(same).digest
        True
    """
    session = FingerprintSession(first_party=first_party, ignore_decorators_of=ignore_decorators_of)
    return session.fingerprint(target, also=also)


def code_fingerprint(target: Callable[..., Any] | type) -> str:
    """The digest of `fingerprint`.

    Args:
        target: A function, method, class or other callable.

    Example:
        >>> len(code_fingerprint(lambda x: x + 1))
        64
    """
    return fingerprint(target).digest


@contextlib.contextmanager
def fingerprint_session(
    *, first_party: Collection[str] = (), ignore_decorators_of: Collection[str] = _PLATFORM
) -> Iterator[FingerprintSession]:
    """A `FingerprintSession` for the time of one load.

    Args:
        first_party: See `fingerprint`.
        ignore_decorators_of: See `fingerprint`.

    Example:
        >>> with fingerprint_session() as session:
        ...     digests = [session.fingerprint(f).digest for f in (lambda x: x, lambda y: y)]
        >>> len(digests)
        2
    """
    with no_collection():
        yield FingerprintSession(first_party=first_party, ignore_decorators_of=ignore_decorators_of)


def _module_of(target: Any) -> str:
    inner = target
    while isinstance(inner, functools.partial):
        inner = inner.func
    with contextlib.suppress(ValueError):
        inner = inspect.unwrap(inner)
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return module if isinstance(module, str) else ""


def _gather(roots: list[Node], effects: frozenset[Node], reached: frozenset[Node]) -> CodeFingerprint:
    digest = hashlib.sha256(_SCHEMA)
    for root in roots:
        assert root.digest is not None
        digest.update(root.digest)
    for effect in sorted([effect.digest or b"" for effect in effects]):
        digest.update(b"effect" + effect)
    distributions: dict[str, str] = {}
    names: set[str] = set()
    sources = []
    reports = []
    for node in reached:
        distributions.update(node.distributions)
        names |= node.names
        sources += node.sources
        reports += node.reports
    names = {name for name in names if not name.startswith("builtins.")}
    return CodeFingerprint(
        digest=digest.hexdigest(),
        sources=tuple(sorted(set(sources), key=lambda source: (source.name, source.line))),
        distributions=MappingProxyType(dict(sorted(distributions.items()))),
        reports=tuple(sorted(set(reports))),
        names=frozenset(names),
    )
