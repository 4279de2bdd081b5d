"""Functions and everything that wraps them."""

import ast
import dataclasses
import functools
import hashlib
import types
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from mlrepro.versioning.code import introspection
from mlrepro.versioning.code.bytecode import read_code
from mlrepro.versioning.code.graph import Node
from mlrepro.versioning.code.lookup import Found, Scope, path_of
from mlrepro.versioning.code.origin import Kind
from mlrepro.versioning.code.report import Source
from mlrepro.versioning.code.source import SourceFile
from mlrepro.versioning.code.syntax import Reference, Syntax, dotted, read_expression, read_function, read_inner_hints

if TYPE_CHECKING:
    from mlrepro.versioning.code.walker import Walker

# Where objects that wrap a function keep it, among libraries that compile, retry, trace or register functions.
_WRAPPED = ("__wrapped__", "py_func", "func", "fn", "_func", "_fun", "decorated_fn", "pyfunc", "fget")
_CACHED = type(functools.lru_cache(lambda: None))


def expand_function(walker: "Walker", node: Node, function: FunctionType) -> None:
    """Fill a node from a function: its syntax, its defaults, what it closes over, what its names mean."""
    module = function.__globals__.get("__name__") or function.__module__ or ""
    if not walker.origins.first_party(module):
        _expand_foreign(walker, node, function, module)
        return
    code = function.__code__
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    scope = Scope(walker.origins, function.__globals__, cells, code.co_filename)
    file = walker.source_file(code.co_filename, function.__globals__)
    body = _body(file, code) if file is not None else None
    path = path_of(module, code.co_filename)
    name = f"{module}:{function.__qualname__}"
    node.parts.append(b"function")
    _values(walker, node, function)
    if body is None:
        _expand_code(walker, node, function, scope, name, path, changed=file is not None)
        if introspection.HINTS in walker.sees:
            _hints(walker, node, function, scope)
        return
    node.parts.append(body.form)
    node.looks |= body.looks
    if not node.quiet:
        node.sources.append(Source(name, path, code.co_firstlineno, body.text))
    walker.references(node, body.syntax, scope, name, path, body.closer)
    decorated = bool(body.decorators) and _decorators(walker, node, body, scope)
    if introspection.HINTS in walker.sees:
        if node.mode != "target" or decorated:
            _hints(walker, node, function, scope)
        hints = body.inner_hints()
        node.parts.append(b"inner hints " + hints.form.encode("utf-8", "surrogatepass"))
        walker.references(node, hints, scope, "", "")


@dataclass(slots=True)
class _Body:
    """What was read of a function, once for its code object."""

    code: CodeType
    file: SourceFile
    syntax: Syntax
    form: bytes
    text: str
    decorators: tuple[Reference | None, ...]
    looks: frozenset[str]
    expressions: list[Syntax] | None = None

    def closer(self) -> tuple[Syntax, ast.AST] | None:
        """The syntax again, with the nodes of its calls."""
        definition = self.file.definition_of(self.code)
        if definition is None:
            return None
        return read_function(definition.node, definition.offset, nodes=True), definition.node

    def inner_hints(self) -> Syntax:
        """The hints of the functions that the body defines; its own are at hand as values."""
        definition = self.file.definition_of(self.code)
        assert definition is not None
        return read_inner_hints(definition.node, definition.offset)


def _body(file: SourceFile, code: CodeType) -> _Body | None:
    known: _Body | None = file.facts.get(id(code))
    if known is not None:
        return known
    definition = file.definition_of(code)
    if definition is None:
        return None
    node, offset = definition.node, definition.offset
    try:
        syntax = read_function(node, offset)
        decorators = tuple([_called(entry) for entry in getattr(node, "decorator_list", ())])
    except RecursionError:  # a body nested deeper than the interpreter's limit
        return None
    form = hashlib.sha256(syntax.form.encode("utf-8", "surrogatepass")).digest()
    looks = frozenset(introspection.of_text(syntax.form))
    syntax = dataclasses.replace(syntax, form="")
    known = file.facts[id(code)] = _Body(code, file, syntax, form, definition.text, decorators, looks)
    return known


def _called(decorator: ast.expr) -> Reference | None:
    """The name that a decorator starts from."""
    while isinstance(decorator, ast.Call):
        decorator = decorator.func
    chain = dotted(decorator)
    return Reference(chain[0], chain[1], decorator.lineno) if chain is not None else None


def _values(walker: "Walker", node: Node, function: FunctionType) -> None:
    """Defaults by value, and what was put on the function after its definition."""
    parts = node.parts
    if function.__defaults__:
        parts.append(b"defaults %d" % len(function.__defaults__))
        parts.extend([walker.part(node, value) for value in function.__defaults__])
    if function.__kwdefaults__:
        parts.append(b"kwdefaults %d" % len(function.__kwdefaults__))
        for key in sorted(function.__kwdefaults__):
            parts.append(key.encode())
            parts.append(walker.part(node, function.__kwdefaults__[key]))
    if function.__dict__:
        for key in sorted(function.__dict__):
            parts.append(b"attribute " + key.encode())
            parts.append(walker.part(node, function.__dict__[key]))


def _hints(walker: "Walker", node: Node, function: FunctionType, scope: Scope) -> None:
    """The hints of a function, for code that reads them."""
    for name, hint in function.__annotations__.items():
        node.parts.append(b"hint " + name.encode())
        if not isinstance(hint, str):
            node.parts.append(walker.part(node, hint))
            continue
        try:
            syntax = read_expression(ast.parse(hint.strip(), mode="eval").body)
        except SyntaxError:
            node.parts.append(hint.encode("utf-8", "surrogatepass"))
            continue
        node.parts.append(syntax.form.encode("utf-8", "surrogatepass"))
        walker.references(node, syntax, scope, "", "")


def _expand_code(
    walker: "Walker", node: Node, function: FunctionType, scope: Scope, name: str, path: str, *, changed: bool
) -> None:
    """A function whose text is unknown or is not what runs: its bytecode."""
    form, references = read_code(function.__code__)
    node.parts.append(form)
    node.looks |= introspection.of_attributes(function.__code__.co_names)
    line = function.__code__.co_firstlineno
    if changed:
        what = f"{name} is not what its file says (edited after the import, or rewritten by it): hashed as it runs"
    else:
        what = f"{name} has no source: hashed by its bytecode, which holds for this minor version of Python only"
    walker.report(node, "source changed" if changed else "no source", what, name, path, line, followed=True)
    for reference in references:
        walker.reference(node, reference, scope.find(reference))


def expand_failed(walker: "Walker", node: Node, function: FunctionType, error: Exception) -> None:
    """A function some part of which cannot be looked at: its bytecode in any case."""
    node.parts += [b"failed", read_code(function.__code__)[0]]
    module = function.__globals__.get("__name__") or ""
    name = f"{module}:{function.__qualname__}"
    path, line = path_of(module, function.__code__.co_filename), function.__code__.co_firstlineno
    what = f"not all that {name} uses can be looked at ({type(error).__name__})"
    walker.report(node, "opaque object", what, name, path, line, followed=False)


def _expand_foreign(walker: "Walker", node: Node, function: FunctionType, module: str) -> None:
    """A function of a library that is not found under its name: a wrapper, so what it wraps counts."""
    origin = walker.origins.of(module)
    qualname = function.__code__.co_qualname
    node.parts += [b"wrapper", walker.outside(node, f"{module}.{qualname}", origin)]
    registry = getattr(function, "registry", None)
    if isinstance(registry, types.MappingProxyType) and hasattr(function, "dispatch"):
        dispatch_registry(walker, node, registry)
        return
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        node.parts.append(walker.part(node, value))
    for cell in function.__closure__ or ():
        node.parts.append(walker.part(node, cell))
    for key in sorted(function.__dict__):
        value = function.__dict__[key]
        if isinstance(value, (FunctionType, type)):  # not its call statistics
            node.parts += [key.encode(), walker.part(node, value)]


def dispatch_registry(walker: "Walker", node: Node, registry: Any) -> None:
    """The implementations of a single-dispatch function, in an order of their own."""
    node.parts.append(b"singledispatch")
    for kind in sorted(registry, key=lambda kind: (str(kind.__module__), kind.__qualname__)):
        node.parts += [walker.part(node, kind), walker.part(node, registry[kind])]


def _decorators(walker: "Walker", node: Node, body: _Body, scope: Scope) -> bool:
    """Decorator expressions count as code, but for the platform's and what stands above them.

    Returns:
        Whether there are any that count.
    """
    first = 0
    for position in range(len(body.decorators) - 1, -1, -1):
        called = body.decorators[position]
        if called is not None and _of_platform(walker, scope.find(called)):
            first = position + 1
            break
    if first == len(body.decorators):
        return False
    if body.expressions is None:
        definition = body.file.definition_of(body.code)
        entries = definition.node.decorator_list if definition is not None else []
        offset = definition.offset if definition is not None else 0
        body.expressions = [read_expression(entry, offset) for entry in entries]
    for syntax in body.expressions[first:]:
        node.parts.append(b"@" + syntax.form.encode("utf-8", "surrogatepass"))
        # a name of the enclosing class or function cannot be looked up from here, which is no reason to warn
        walker.references(node, syntax, scope, "", "")
    return True


def _of_platform(walker: "Walker", found: Found) -> bool:
    if found.dotted and found.origin is not None and found.dotted.partition(".")[0] in walker.ignored:
        return True
    value = found.value
    while isinstance(value, functools.partial):
        value = value.func
    module = getattr(value, "__module__", None)
    if isinstance(value, FunctionType):
        module = value.__globals__.get("__name__")  # functools.wraps copies __module__
    elif not isinstance(value, (type, types.BuiltinFunctionType)):
        module = type(value).__module__
    if not isinstance(module, str):
        return False
    return module.partition(".")[0] in walker.ignored or (
        "dagster" in walker.ignored and walker.origins.of(module).kind is Kind.PLATFORM
    )


def expand_method(walker: "Walker", node: Node, method: types.MethodType) -> None:
    """A bound method: the function and the object."""
    node.parts += [b"method", walker.part(node, method.__func__), walker.part(node, method.__self__)]


def expand_wrapper(walker: "Walker", node: Node, value: Any, kind: type) -> bool:
    """Fill a node from the standard library's wrappers of functions; ``False`` for anything else."""
    parts, part = node.parts, walker.part
    if isinstance(value, (functools.partial, functools.partialmethod)):
        if kind not in (functools.partial, functools.partialmethod):
            parts.append(part(node, kind))
        parts += [b"partial", part(node, value.func), part(node, value.args), part(node, value.keywords)]
        if kind is functools.partial and vars(value):
            parts.append(part(node, vars(value)))
    elif kind is _CACHED:
        parts += [b"lru_cache", part(node, value.__wrapped__), part(node, value.cache_parameters())]
    elif kind is property:
        parts += [b"property", *(part(node, function) for function in (value.fget, value.fset, value.fdel))]
    elif kind is classmethod or kind is staticmethod:
        parts += [kind.__name__.encode(), part(node, value.__func__)]
    elif kind is functools.cached_property:
        parts += [b"cached_property", part(node, value.func)]
    elif kind is functools.singledispatchmethod:
        parts.append(b"singledispatchmethod")
        dispatch_registry(walker, node, value.dispatcher.registry)
    elif kind is types.BuiltinFunctionType:
        parts += [b"builtin method", value.__name__.encode(), part(node, value.__self__)]
    elif kind is types.MethodWrapperType:
        parts += [b"method wrapper", value.__name__.encode(), part(node, value.__self__)]
    elif kind is types.GetSetDescriptorType or kind is types.MemberDescriptorType:
        parts += [b"descriptor", value.__name__.encode()]
    elif kind is types.CodeType:
        parts += [b"code", read_code(value)[0]]
    else:
        return False
    return True


def wrapped_by(value: Any) -> list[tuple[str, FunctionType]]:
    """The Python functions that an object of a library wraps, under the names such objects are known to use."""
    found: list[tuple[str, FunctionType]] = []
    for name in _WRAPPED:
        inner = _static(value, name)
        if type(inner) is FunctionType:
            found.append((name, inner))
    return found


def _static(value: Any, name: str) -> Any:
    """An attribute that an object itself holds, without running anybody's ``__getattr__``."""
    namespace = getattr(value, "__dict__", None)
    if isinstance(namespace, dict) and name in namespace:
        return namespace[name]
    descriptor = getattr(type(value), name, None)
    if isinstance(descriptor, (types.GetSetDescriptorType, types.MemberDescriptorType)):
        return getattr(value, name, None)
    return None
