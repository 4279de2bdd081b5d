"""The walk over live objects: what a definition reaches becomes a graph of nodes."""

import ast
import hashlib
import os
import sys
from collections.abc import Callable, Collection
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from mlrepro.versioning.code import ambient, callables, classes, instances, introspection, values
from mlrepro.versioning.code.checkout import portable
from mlrepro.versioning.code.graph import Node, Part, digest_of, explore
from mlrepro.versioning.code.lookup import MISSING, Found, Place, Scope
from mlrepro.versioning.code.origin import Kind, Origin, Origins
from mlrepro.versioning.code.report import Report
from mlrepro.versioning.code.source import SourceFile, source_file
from mlrepro.versioning.code.syntax import Reference, Syntax

_NAMING = frozenset(("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__file__"))


class Walker:
    """One walk; nodes are shared by everything fingerprinted with it.

    Args:
        origins: What is first-party.
        ignored: Top-level modules whose decorators are no part of a definition.
        sees: What of code counts besides, since the code looks at it: see `introspection`.
    """

    def __init__(self, origins: Origins, ignored: Collection[str], sees: Collection[str] = ()) -> None:
        self.origins = origins
        self.ignored = frozenset(ignored)
        self.sees = frozenset(sees)
        self.nodes: dict[tuple[int, str], Node] = {}
        self.effects: dict[str, tuple[Node | None, tuple[str, ...]]] = {}
        self.effects_together: dict[frozenset[str], frozenset[Node]] = {}
        self._files: dict[tuple[str, int], SourceFile | None] = {}

    def root(self, target: Any, mode: str = "") -> Node:
        """The explored node of a target, with its digest."""
        start = Node(None)
        start.parts.append(self.part(start, target, mode=mode))
        start.number = start.low = -1
        part = start.parts[0]
        if isinstance(part, Node):
            explore(part, self.expand)
            start.reach = part.reach
        if start.tells:
            start.reach |= {start}
        start.digest = digest_of(part) if isinstance(part, Node) else hashlib.sha256(part).digest()
        return start

    def source_file(self, filename: str, module_globals: dict[str, Any]) -> SourceFile | None:
        """The source of a file, which is looked at once a walk: a thousand functions may lie in it."""
        place = (filename, id(module_globals))  # several modules may be called "<string>"
        if place not in self._files:
            self._files[place] = source_file(filename, module_globals)
        return self._files[place]

    def explore(self, node: Node, fill: Callable[[], None] | None = None) -> None:
        """Explore a node, one that is filled by other means than its object where ``fill`` is given."""
        explore(node, lambda other: fill() if fill is not None and other is node else self.expand(other))
        node.digest = digest_of(node)

    # -- from an object to a part of a node

    def part(self, owner: Node, value: Any, where: Place | None = None, mode: str = "") -> Part:
        """What stands for an object in the node that refers to it.

        Args:
            owner: The node that refers to it; it is told of the outside names that the object stands for.
            value: The object.
            where: The module-level name that holds it.
            mode: ``"config"`` for a schema whose values arrive resolved, ``"target"`` for a function whose own hints
                are read by the platform only.
        """
        kind = type(value)
        atom = values.atom(value, kind)
        if atom is not None:
            if kind is str and value[:1] == os.sep:
                return b"s" + portable(value).encode("utf-8", "surrogatepass")
            return atom
        node = self.nodes.get((id(value), mode))
        if node is not None:
            return node
        outside = self._outside_name(value, kind)
        if outside is not None:
            return self.outside(owner, *outside)
        node = Node(value, mode)
        node.where = where or owner.where
        self.nodes[id(value), mode] = node
        return node

    def outside(self, owner: Node, dotted: str, origin: Origin) -> bytes:
        """A name outside the project: its distribution, and the name itself."""
        if origin.kind is not Kind.PLATFORM and origin.distribution:
            owner.distributions[origin.distribution] = origin.version
        owner.names.add(dotted)
        if introspection.of_name(dotted):
            owner.looks.add(introspection.HINTS)
        return f"outside\0{origin.token}\0{dotted}".encode()

    def outside_name(self, value: Any) -> tuple[str, Origin] | None:
        """The dotted name and the origin of what does not belong to the project."""
        return self._outside_name(value, type(value))

    def _outside_name(self, value: Any, kind: type) -> tuple[str, Origin] | None:
        """The dotted name of a function, class or module that does not belong to the project."""
        if kind is FunctionType:
            module = value.__globals__.get("__name__") or value.__module__ or ""
            origin = self.origins.of(module)
            if origin.kind is Kind.FIRST_PARTY or not _importable(module, value.__code__.co_qualname, value):
                return None
            return f"{module}.{value.__qualname__}", origin
        if issubclass(kind, type):
            module = value.__module__ if isinstance(value.__module__, str) else ""
            origin = self.origins.of(module or "builtins")
            if origin.kind is Kind.FIRST_PARTY:
                return None
            if module == "builtins":
                return f"builtins.{value.__qualname__}", _BUILTIN
            if _made_here(module, value):
                return None
            return f"{module}.{value.__qualname__}", origin
        if issubclass(kind, ModuleType):
            name = str(getattr(value, "__name__", ""))
            origin = self.origins.of(name)
            return None if origin.kind is Kind.FIRST_PARTY else (name, origin)
        if kind is _ENVIRON:
            return "os.environ", self.origins.of("os")
        if kind is BuiltinFunctionType:
            holder = value.__self__
            if holder is not None and not isinstance(holder, (ModuleType, type)):
                return None  # bound to an object
            module = value.__module__ or getattr(holder, "__module__", None) or "builtins"
            if module == "builtins":
                return f"builtins.{value.__qualname__}", _BUILTIN
            origin = self.origins.of(module)
            return None if origin.kind is Kind.FIRST_PARTY else (f"{module}.{value.__qualname__}", origin)
        if kind is MethodDescriptorType or kind is WrapperDescriptorType:
            owner = value.__objclass__
            origin = _BUILTIN if owner.__module__ == "builtins" else self.origins.of(owner.__module__)
            return f"{owner.__module__}.{owner.__qualname__}.{value.__name__}", origin
        return None

    # -- from a node to its parts

    def expand(self, node: Node) -> None:
        """Fill a node's parts from its object."""
        value = node.target
        kind = type(value)
        try:
            if kind is FunctionType:
                callables.expand_function(self, node, value)
            elif issubclass(kind, type):
                classes.expand_class(self, node, value)
            elif kind is MethodType:
                callables.expand_method(self, node, value)
            elif issubclass(kind, ModuleType):
                instances.expand_module(self, node, value)
            elif values.expand_container(self, node, value, kind):
                pass
            elif not callables.expand_wrapper(self, node, value, kind):
                instances.expand_instance(self, node, value, kind)
        except Exception as error:  # noqa: BLE001 -- objects of the project may raise anything when looked at
            if kind is FunctionType:
                callables.expand_failed(self, node, value, error)
            else:
                instances.opaque(self, node, value)

    # -- references

    def reference(self, node: Node, reference: Reference, found: Found) -> None:
        """Add what a reference leads to to the node that makes it."""
        value, attrs = found.value, found.attrs
        parts = node.parts
        if attrs:
            self._looking(node, value, attrs)
        if found.origin is not None:
            name = self.outside(node, found.dotted, found.origin)
            if not self._replaced(value):
                parts.append(name)
                return
            parts.append(name)  # the project has put an object of its own into somebody else's module
        elif found.dotted:
            parts.append(f"builtin\0{found.dotted}".encode())
            if attrs:
                parts.append(".".join(attrs).encode())
            return
        elif value is MISSING:
            parts.append(f"unresolved\0{reference}".encode())
            return
        where = None
        kind = type(value)
        if found.home is not None and kind not in _DEFINED and not issubclass(kind, (type, ModuleType)):
            where = self._where(node, found)
        parts.append(self.part(node, value, where))
        if attrs:
            parts.append(b"." + ".".join(attrs).encode())
            if not _NAMING.isdisjoint(attrs):
                self._naming(node, value, attrs)

    def _looking(self, node: Node, value: Any, attrs: tuple[str, ...]) -> None:
        looks = introspection.of_attributes(attrs)
        node.looks |= looks
        if introspection.SUBCLASSES in looks and isinstance(value, type) and self._outside_name(value, type(value)):
            node.parts.append(self.part(node, introspection.own_subclasses(value, self.origins)))

    def _where(self, node: Node, found: Found) -> Place | None:
        assert found.home is not None
        scope = Scope(self.origins, found.home[0])
        filename = found.home[0].get("__file__")
        scope.filename = filename if isinstance(filename, str) else ""
        place = scope.place(found.home)
        source = place.source() if place is not None else None
        if source is not None:
            node.sources.append(source)
        return place

    def _replaced(self, value: Any) -> bool:
        if type(value) is FunctionType:
            return self.origins.first_party(value.__globals__.get("__name__") or "")
        return issubclass(type(value), type) and self.origins.first_party(str(value.__module__))

    def _naming(self, node: Node, value: Any, attrs: tuple[str, ...]) -> None:
        """``f.__name__`` and its like: the one case in which a definition's own name can change a result."""
        for attr in attrs:
            try:
                value = getattr(value, attr)
            except Exception:  # noqa: BLE001 -- looked at, never needed
                return
        if isinstance(value, str) and attrs[-1] != "__file__":
            node.parts.append(self.part(node, value))

    def references(
        self,
        node: Node,
        syntax: Syntax,
        scope: Scope,
        name: str,
        path: str,
        closer: Callable[[], tuple[Syntax, ast.AST] | None] | None = None,
        *,
        ran: bool = False,
    ) -> None:
        """Add all that a piece of syntax refers to, and what it reads from its surroundings.

        Args:
            node: The definition's node.
            syntax: What was read of it.
            scope: The namespace it runs in.
            name: The definition, for reports; empty where nothing shall be told.
            path: Its file, for reports.
            closer: Gives the syntax with its nodes, where calls need a closer look.
            ran: It has run already, so that a name without a meaning can only be a hint's.
        """
        found = [scope.find(reference) for reference in syntax.references]
        for reference, target in zip(syntax.references, found, strict=True):
            if target.value is MISSING and target.origin is None and name and not ran:
                what = f"{reference} is not defined (yet)"
                self.report(node, "unresolved name", what, name, path, reference.line, followed=False)
            self.reference(node, reference, target)
        if closer is not None and ambient.matters(syntax, found):
            again = closer()
            if again is not None:
                ambient.read(self, node, again[0], again[1], scope, found, name, path)

    def report(self, node: Node, kind: str, what: str, name: str, path: str, line: int, *, followed: bool) -> None:
        """Tell something about a node."""
        message = f"{what} ({path}:{line})" if line else f"{what} ({path})"
        node.reports.append(Report(kind, message, name, path, line, followed))


_ENVIRON = type(os.environ)
_BUILTIN = Origin(Kind.PLATFORM, "builtins")
_DEFINED = frozenset((FunctionType, MethodType, BuiltinFunctionType))


def _made_here(module: str, cls: type) -> bool:
    """Whether a class only claims to be a library's: one that a call of ``make_dataclass`` or the like has made."""
    namespace = vars(cls)
    if (
        "__dataclass_fields__" not in namespace
        and "__pydantic_fields__" not in namespace
        and "_fields" not in namespace
    ):
        return False
    found: Any = sys.modules.get(module)
    for part in cls.__qualname__.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found is not cls


def _importable(module: str, qualname: str, function: FunctionType) -> bool:
    """Whether a function is what its module holds under its name, so that the name says all."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
        if found is None:
            return False
    found = getattr(found, "__func__", found)
    return (getattr(found, "__code__", None) is function.__code__ and function.__closure__ is None) or found is function
