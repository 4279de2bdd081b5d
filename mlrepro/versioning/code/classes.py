"""Classes: fields, methods, bases and metaclass.

A class counts whole. What calls its methods may be a library, and calls them by any name.
"""

import _abc  # type: ignore[import-not-found]
import ast
import enum
import hashlib
import re
import sys
import threading
import types
import weakref
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

from mlrepro.versioning.code import instances, introspection
from mlrepro.versioning.code.graph import Node
from mlrepro.versioning.code.lookup import Scope, path_of
from mlrepro.versioning.code.origin import module_file
from mlrepro.versioning.code.report import Source
from mlrepro.versioning.code.source import SourceFile, source_file
from mlrepro.versioning.code.syntax import Syntax, read_class, read_expression

if TYPE_CHECKING:
    from mlrepro.versioning.code.walker import Walker

# Names that the interpreter and the standard library write into classes; what they follow from counts itself.
_DERIVED = frozenset(
    [
        "__module__",
        "__qualname__",
        "__doc__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__annotate__",
        "__firstlineno__",
        "__static_attributes__",
        "__abstractmethods__",
        "_abc_impl",
        "__dataclass_params__",
        "__match_args__",
        "__signature__",
        "__parameters__",
        "__orig_bases__",
        "__attrs_attrs__",
        "__attrs_props__",
        "__annotations_cache__",
        "__annotate_func__",
        "__protocol_attrs__",
        "__non_callable_proto_members__",
        "__callable_proto_members_only__",
        "_is_protocol",
        "_is_runtime_protocol",
        "model_fields",
        "model_computed_fields",
        "__classcell__",
        "__slotnames__",
        "__replace__",
    ]
)
# Methods that dataclasses, named tuples and attrs write from the fields, which count themselves.
_GENERATED = frozenset(
    [
        "__init__",
        "__repr__",
        "__eq__",
        "__ne__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
        "__hash__",
        "__setattr__",
        "__delattr__",
        "__new__",
        "__getnewargs__",
        "__replace__",
        "__getstate__",
        "__setstate__",
        "__attrs_init__",
        "__match_args__",
    ]
)
_SUNDER = re.compile(r"^_[a-z]\w*_$")

_FIRST_SEEN: "weakref.WeakKeyDictionary[type, _Body | None]" = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def expand_class(walker: "Walker", node: Node, cls: type) -> None:
    """Fill a node from a class of the project."""
    config = node.mode == "config"
    parts = node.parts
    parts += [b"class", cls.__qualname__.encode()]
    for base in cls.__bases__:
        parts.append(walker.part(node, base, mode="config" if config and is_schema(base) else ""))
    if type(cls) is not type:
        parts += [b"metaclass", walker.part(node, type(cls))]
    for base in getattr(cls, "__orig_bases__", ()):
        if not isinstance(base, type):
            parts += [b"generic", walker.part(node, base)]
    if introspection.SUBCLASSES in walker.sees:
        parts += [b"subclasses", walker.part(node, introspection.own_subclasses(cls, walker.origins))]
    registered = _registered(cls)
    if registered:
        parts += [b"registered", walker.part(node, registered)]
    body = _source(cls)
    if body is not None:
        _expand_source(walker, node, cls, body)
    else:
        _without_source(walker, node, cls)
    _members(walker, node, cls, body)


@dataclass(slots=True)
class _Body:
    """What was read of a class statement."""

    file: SourceFile
    plain: Syntax
    config: Syntax
    decorators: list[Syntax]
    first: int
    last: int
    text: str

    def closer(self) -> tuple[Syntax, ast.AST] | None:
        """The statement again, with the nodes of its calls."""
        tree = ast.parse(self.text)
        statement = tree.body[0]
        if not isinstance(statement, ast.ClassDef):
            return None
        return read_class(statement, self.first - 1, nodes=True), statement


def _source(cls: type) -> _Body | None:
    """The class statement, as it was when the class was first met: a later edit is not what runs."""
    try:
        return _FIRST_SEEN[cls]
    except (KeyError, TypeError):
        pass
    found: _Body | None = None
    functions = list(_own_functions(cls))
    filename = functions[0].__code__.co_filename if functions else module_file(cls.__module__)
    file = source_file(filename) if filename else None
    if file is not None:
        lines = [function.__code__.co_firstlineno for function in functions]
        definition = file.class_of(cls.__qualname__, lines)
        if definition is not None and all(file.runs(function.__code__) for function in functions):
            node, offset = definition.node, definition.offset
            found = _Body(
                file=file,
                plain=read_class(node, offset),
                config=read_class(node, offset, resolved_fields=True),
                decorators=[read_expression(decorator, offset) for decorator in node.decorator_list],
                first=definition.first,
                last=definition.last,
                text=definition.text,
            )
    try:
        with _LOCK:
            _FIRST_SEEN[cls] = found
    except TypeError:
        pass
    return found


def _own_functions(cls: type) -> list[FunctionType]:
    """Functions written in the class's own body."""
    found: list[FunctionType] = []
    prefix = cls.__qualname__ + "."
    for value in vars(cls).values():
        function = getattr(value, "__func__", value)
        function = getattr(function, "fget", None) or getattr(function, "func", None) or function
        if (
            type(function) is FunctionType
            and function.__globals__.get("__name__") == cls.__module__
            and function.__code__.co_qualname == prefix + function.__code__.co_name
        ):
            found.append(function)
    return found


def _expand_source(walker: "Walker", node: Node, cls: type, body: _Body) -> None:
    config = node.mode == "config"
    syntax = body.config if config else body.plain
    node.parts.append(hashlib.sha256(syntax.form.encode("utf-8", "surrogatepass")).digest())
    name = f"{cls.__module__}:{cls.__qualname__}"
    path = path_of(cls.__module__, body.file.filename)
    if not node.quiet:
        node.sources.append(Source(name, path, body.first, body.text))
    scope = Scope(walker.origins, _globals(cls), _cells(cls), body.file.filename)
    if config:
        for reference in syntax.references:
            found = scope.find(reference)
            if isinstance(found.value, type) and is_schema(found.value) and found.origin is None:
                node.parts.append(walker.part(node, found.value, mode="config"))
            else:
                walker.reference(node, reference, found)
    else:
        # a class made inside a function may use names that only that function knows
        local = "<locals>" in cls.__qualname__
        walker.references(node, syntax, scope, "" if local else name, path, None if local else body.closer, ran=True)
    for expression in body.decorators:
        node.parts.append(b"@" + expression.form.encode("utf-8", "surrogatepass"))
        walker.references(node, expression, scope, "", "")


def _globals(cls: type) -> dict[str, Any]:
    functions = _own_functions(cls)
    if functions:
        return functions[0].__globals__
    return dict(vars(sys.modules[cls.__module__])) if cls.__module__ in sys.modules else {}


def _cells(cls: type) -> dict[str, types.CellType]:
    cells: dict[str, types.CellType] = {}
    for function in _own_functions(cls):
        cells.update(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return cells


def _without_source(walker: "Walker", node: Node, cls: type) -> None:
    """A class made by a call, or edited after its import: its hints are all there is to its fields."""
    node.parts.append(b"made")
    compiled = instances.compiled_file(cls.__module__)
    if compiled:
        node.parts.append(instances.file_digest(compiled))
    annotations = vars(cls).get("__annotations__")
    if isinstance(annotations, dict):
        items = annotations.items()
        for key, hint in sorted(items) if node.mode == "config" else items:
            node.parts += [str(key).encode(), walker.part(node, hint)]


def _registered(cls: type) -> frozenset[type]:
    """The virtual subclasses of an abstract class, which answer for it in ``isinstance``."""
    if "_abc_impl" not in vars(cls):
        return frozenset()
    known = [reference() for reference in _abc._get_dump(cls)[0]]
    return frozenset([found for found in known if found is not None])


def _members(walker: "Walker", node: Node, cls: type, body: _Body | None) -> None:
    namespace = dict(vars(cls))
    parts = node.parts
    config = node.mode == "config"
    schema_fields = namespace.get("__pydantic_fields__") or {}
    if isinstance(schema_fields, dict) and schema_fields and not config:
        for name in schema_fields:
            _schema_field(walker, node, name, schema_fields[name])
    if issubclass(cls, enum.Enum):
        for name, member in cls.__members__.items():
            parts += [b"member", name.encode(), walker.part(node, member._value_)]
    for field in (namespace.get("__dataclass_fields__") or {}).values():
        parts += [b"field", str(field.name).encode()]
        parts += [walker.part(node, value) for value in (field.default, field.default_factory, dict(field.metadata))]
        parts.append(repr((field.init, field.repr, field.hash, field.compare, field.kw_only)).encode())
    for name in sorted(namespace, key=str):
        value = namespace[name]
        if name in _DERIVED or name.startswith(("__pydantic_", "__dataclass_", "__attrs_")):
            continue
        if config and name in schema_fields:
            continue
        if name == "model_config" and body is not None and "__pydantic_fields__" in namespace:
            continue  # written in the statement, or a base class's
        if isinstance(value, (types.GetSetDescriptorType, types.MemberDescriptorType)):
            continue
        if issubclass(cls, enum.Enum) and (name in cls.__members__ or _sunder(name, value)):
            continue
        if name in _GENERATED and _generated(cls, value):
            continue
        part = walker.part(node, value)
        parts += [name.encode(), part]
        if body is not None and isinstance(part, Node):
            _quiet(walker, part, value, body)


def _quiet(walker: "Walker", part: Node, value: Any, body: _Body) -> None:
    """A method's text is part of the class's."""
    functions = [value, *(getattr(value, name, None) for name in ("__func__", "fget", "fset", "fdel", "func"))]
    for function in functions:
        if type(function) is not FunctionType or part.number:
            continue
        code = function.__code__
        if code.co_filename == body.file.filename and body.first <= code.co_firstlineno <= body.last:
            if function is value:
                part.quiet = True
            else:
                inner = walker.part(Node(None), function)
                if isinstance(inner, Node):
                    inner.quiet = True


def _generated(cls: type, value: Any) -> bool:
    function = getattr(value, "__func__", value)
    function = getattr(function, "__wrapped__", function)
    if type(function) is not FunctionType:
        return False
    filename = function.__code__.co_filename
    module = str(function.__globals__.get("__name__"))
    if filename.startswith("<attrs generated") or (
        module.startswith("pydantic.") and "__pydantic_fields__" in vars(cls)
    ):
        return True
    made = "__dataclass_fields__" in vars(cls) or "_fields" in vars(cls)
    return made and (filename == "<string>" or module == "dataclasses")


def _sunder(name: str, value: Any) -> bool:
    if _SUNDER.match(name):
        return type(getattr(value, "__func__", value)) is not FunctionType or name == "_generate_next_value_"
    return name == "__new__" or name in (
        "_member_map_",
        "_value2member_map_",
        "_hashable_values_",
        "_unhashable_values_",
    )


def is_schema(cls: type) -> bool:
    """Whether a class is a pydantic model, which Dagster's ``Config`` is."""
    return "__pydantic_fields__" in vars(cls) or hasattr(cls, "__pydantic_core_schema__")


def _schema_field(walker: "Walker", node: Node, name: str, field: Any) -> None:
    node.parts += [b"field", name.encode()]
    for attribute in ("default", "default_factory", "alias", "metadata"):
        node.parts.append(walker.part(node, getattr(field, attribute, None)))
