"""Values that can be known without running a body: paths, names of environment variables, constant strings."""

import ast
import glob
import importlib.util
import inspect
import os
import sys
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, Final

from mlrepro.versioning.code.lookup import MISSING, Scope
from mlrepro.versioning.code.syntax import Reference, dotted


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()

_FUNCTIONS: tuple[Any, ...] = (
    os.path.join,
    os.path.dirname,
    os.path.abspath,
    os.path.realpath,
    os.path.normpath,
    os.path.basename,
    os.path.expanduser,
    os.fspath,
    str,
)
_METHODS = frozenset(
    [
        "joinpath",
        "resolve",
        "absolute",
        "with_name",
        "with_suffix",
        "expanduser",
        "as_posix",
        "strip",
        "lower",
        "upper",
        "removesuffix",
        "removeprefix",
        "__truediv__",
        "format",
        "replace",
    ]
)
_PROPERTIES = frozenset(("parent", "parents", "name", "stem", "suffix"))
_DEPTH = 40


class Evaluator:
    """Evaluates expressions of one body as far as constants reach.

    Args:
        scope: The namespace the body runs in.
        body: The function, whose local names may be bound to constants.
    """

    def __init__(self, scope: Scope, body: ast.AST) -> None:
        self.scope = scope
        self.body = body
        self._locals: dict[str, list[Any]] | None = None
        self._depth = 0

    def value(self, node: ast.AST | None) -> Any:
        """The value of an expression, or ``UNKNOWN``."""
        if node is None or self._depth > _DEPTH:
            return UNKNOWN
        self._depth += 1
        try:
            return self._value(node)
        except Exception:  # noqa: BLE001 -- an operation on odd operands: not a constant
            return UNKNOWN
        finally:
            self._depth -= 1

    def pattern(self, node: ast.AST | None) -> tuple[PurePath, str] | None:
        """Folder and glob pattern of a path known but for pieces of its last name: ``HERE / f"{name}.yaml"``."""
        if isinstance(node, ast.Name):
            bound = self._bound(node.id)
            return self.pattern(bound[0]) if bound is not None and len(bound) == 1 and bound[0] is not node else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            folder, last = self.value(node.left), node.right
        elif isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.func, ast.Attribute):
            folder, last = self.value(node.func.value), node.args[0]
            if node.func.attr == "with_name" and isinstance(folder, PurePath):
                folder = folder.parent
            elif node.func.attr != "joinpath":
                return None
        elif isinstance(node, ast.Call) and len(node.args) == 2 and self.value(node.func) is os.path.join:
            folder, last = self.value(node.args[0]), node.args[1]
        else:
            return None
        return (PurePath(folder), self._pieces(last)) if isinstance(folder, str | PurePath) else None

    def _pieces(self, node: ast.AST) -> str:
        value = self.value(node)
        if isinstance(value, str):
            return glob.escape(value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self._pieces(piece) for piece in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._pieces(node.left) + self._pieces(node.right)
        return "*"

    def _value(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._name(name, ())
            case ast.Attribute():
                return self._attribute(node)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._known(lambda a, b: a / b if isinstance(a, PurePath) else UNKNOWN, left, right)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._known(lambda a, b: a + b if isinstance(a, str | bytes) else UNKNOWN, left, right)
            case ast.JoinedStr(values=values):
                return self._known(lambda *parts: "".join(str(part) for part in parts), *values)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.value(value)
            case ast.Subscript(value=value, slice=index):
                return self._known(_item, value, index)
            case ast.NamedExpr(value=value):
                return self.value(value)
            case ast.Call():
                return self._call(node)
        return UNKNOWN

    def _known(self, function: Any, *nodes: ast.AST) -> Any:
        values = [self.value(node) for node in nodes]
        return UNKNOWN if any(value is UNKNOWN for value in values) else function(*values)

    def _name(self, name: str, attrs: tuple[str, ...]) -> Any:
        bound = self._bound(name)
        if bound is not None:
            if len(bound) != 1:
                return UNKNOWN
            if isinstance(bound[0], Reference):
                imported = bound[0]
                return self._found(
                    Reference("", imported.attrs + attrs, imported.line, imported.module, imported.level)
                )
            value = self.value(bound[0])
            for attr in attrs:
                value = _attribute_of(value, attr)
            return value
        return self._found(Reference(name, attrs, 0))

    def _bound(self, name: str) -> list[Any] | None:
        if self._locals is None:
            self._locals = _local_bindings(self.body)
        return self._locals.get(name)

    def _found(self, reference: Reference) -> Any:
        found = self.scope.find(reference)
        value = found.value
        if value is MISSING:
            return UNKNOWN
        for attr in found.attrs:
            value = _attribute_of(value, attr)
        return value

    def _attribute(self, node: ast.Attribute) -> Any:
        chain = dotted(node)
        if chain is not None:
            return self._name(*chain)
        return _attribute_of(self.value(node.value), node.attr)

    def _call(self, node: ast.Call) -> Any:
        arguments = [self.value(argument) for argument in node.args]
        if any(argument is UNKNOWN for argument in arguments) or any(keyword.arg is None for keyword in node.keywords):
            return UNKNOWN
        if isinstance(node.func, ast.Attribute):
            holder = self.value(node.func.value)
            if isinstance(holder, PurePath | str) and node.func.attr in _METHODS:
                named = {keyword.arg: self.value(keyword.value) for keyword in node.keywords if keyword.arg}
                if any(value is UNKNOWN for value in named.values()):
                    return UNKNOWN
                return getattr(holder, node.func.attr)(*arguments, **named)
            if holder is os.environ and node.func.attr == "get":
                return os.environ.get(*arguments)
        function = self.value(node.func)
        if isinstance(function, type) and issubclass(function, PurePath):
            return function(*arguments)
        if function is os.getenv:
            return os.getenv(*arguments)
        if any(function is known for known in _FUNCTIONS):
            return function(*arguments)
        if getattr(function, "__module__", "").startswith("importlib.resources") and function.__name__ == "files":
            return package_folder(arguments[0])
        return UNKNOWN


def package_folder(package: Any) -> Any:
    """The folder of a package, or of the package that a module is in."""
    if isinstance(package, ModuleType):
        package = package.__name__
    spec = sys.modules[package].__spec__ if package in sys.modules else importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else UNKNOWN


def _item(holder: Any, index: Any) -> Any:
    if holder is os.environ or type(holder) in (dict, list, tuple) or type(holder).__name__ == "_PathParents":
        return holder[index]
    return UNKNOWN


def _attribute_of(value: Any, name: str) -> Any:
    if value is UNKNOWN:
        return UNKNOWN
    if isinstance(value, PurePath):
        return getattr(value, name) if name in _PROPERTIES else UNKNOWN
    if isinstance(value, ModuleType):
        return vars(value).get(name, UNKNOWN)
    found = inspect.getattr_static(value, name, UNKNOWN)
    return found if isinstance(found, str | int | PurePath | dict) else UNKNOWN


def _local_bindings(body: ast.AST) -> dict[str, list[Any]]:
    """What each local name is bound to, anywhere in a body; ``None`` for what is no simple assignment."""
    bound: dict[str, list[Any]] = {}
    simple: set[int] = set()
    for node in ast.walk(body):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            simple.add(id(node.targets[0]))
            bound.setdefault(node.targets[0].id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and isinstance(node.target, ast.Name):
            simple.add(id(node.target))
            if node.value is not None:
                bound.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                module = alias.name if alias.asname else name
                bound.setdefault(name, []).append(Reference("", (), node.lineno, module))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                target = Reference("", (alias.name,), node.lineno, node.module or "", node.level)
                bound.setdefault(alias.asname or alias.name, []).append(target)
        elif isinstance(node, ast.arg):
            bound.setdefault(node.arg, []).append(None)
    for node in ast.walk(body):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in simple:
            bound.setdefault(node.id, []).extend((None, None))
        elif isinstance(node, ast.Global):
            for name in node.names:
                bound[name] = [None]
    return bound
