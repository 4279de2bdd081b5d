"""The normal form of a definition: its syntax without all that cannot change a result.

One pass over the tree yields the normal form and every name that the definition takes from outside, with the
attributes it takes of it (``util.shift`` is one reference, not the whole of ``util``). Names of globals do not
appear in the form: they are numbered, and the walk puts what they *are* beside it. So a helper may be renamed
or moved to another module.
"""

import ast
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from mlrepro.versioning.code.syntax_names import FRAME_READERS, Names, Reference, Syntax

__all__ = [
    "FILE_METHODS",
    "Reference",
    "Syntax",
    "dotted",
    "read_class",
    "read_expression",
    "read_function",
    "read_inner_hints",
]

_SKIPPED_FIELDS = frozenset(("ctx", "type_comment", "kind", "type_params", "type_ignores", "returns", "annotation"))
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
FILE_METHODS = frozenset(("read_text", "read_bytes", "open", "iterdir", "glob", "rglob"))


class _Reader(Names):
    """One pass over one definition."""

    def visit(self, node: Any) -> None:
        _VISIT.get(node.__class__, _Reader.generic)(self, node)

    def generic(self, node: ast.AST) -> None:
        out = self.out
        out.append("(" + node.__class__.__name__)
        for name in _fields(node.__class__):
            value = getattr(node, name, None)
            if value is None or value == []:
                continue
            out.append(name)
            if value.__class__ is list:
                for item in value:
                    if isinstance(item, ast.AST):
                        self.visit(item)
                    else:
                        out.append("_" if item is None else repr(item))
            elif isinstance(value, ast.AST):
                self.visit(value)
            else:
                out.append(repr(value))
        out.append(")")

    def body(self, statements: Iterable[ast.stmt]) -> None:
        self.out.append("{")
        for statement in statements:
            kind = statement.__class__
            if kind is ast.Pass or (kind is ast.Expr and statement.value.__class__ is ast.Constant):  # type: ignore[attr-defined]
                continue  # docstrings, strings used as comments, ``...``
            _VISIT.get(kind, _Reader.generic)(self, statement)
        self.out.append("}")

    def chain(self, node: ast.Attribute) -> int:
        """``a.b.c``: one use when it starts at a name; returns its position, or -1."""
        attrs = [node.attr]
        value = node.value
        while value.__class__ is ast.Attribute:
            attrs.append(value.attr)
            value = value.value
        attrs.reverse()
        if value.__class__ is ast.Name:
            if node.ctx.__class__ is not ast.Load:
                self.out.append("=" if node.ctx.__class__ is ast.Store else "~")
            return self.use(value.id, tuple(attrs), node.lineno)
        if attrs[-1] in FRAME_READERS:
            self.frame_reader = True
        self.out.append("(.")
        self.visit(value)
        self.out.extend(attrs)
        self.out.append(")" if node.ctx.__class__ is ast.Load else ")" + node.ctx.__class__.__name__)
        return -1

    def attribute(self, node: ast.Attribute) -> None:
        self.chain(node)

    def name(self, node: ast.Name) -> None:
        if node.ctx.__class__ is not ast.Load:
            self.scopes[-1].bound.add(node.id)
            self.out.append("=" if node.ctx.__class__ is ast.Store else "~")
        self.use(node.id, (), node.lineno)

    def constant(self, node: ast.Constant) -> None:
        value = node.value
        kind = value.__class__
        if kind is str:
            self.strings.append(value)  # type: ignore[arg-type]
            self.out.append(repr(value))
        elif kind is int:
            self.out.append(hex(value))  # type: ignore[arg-type]
        else:
            self.out.append(f"{kind.__name__}:{value!r}")

    def call(self, node: ast.Call) -> None:
        out = self.out
        out.append("(()")
        function = node.func
        position = -1
        if function.__class__ is ast.Name:
            position = self.use(function.id, (), node.lineno)
        elif function.__class__ is ast.Attribute:
            position = self.chain(function)
            if function.attr in FILE_METHODS:
                self.methods.append(node)
        else:
            self.visit(function)
        if position >= 0:
            self.sites.append((position, node))
        arguments = node.args
        if function.__class__ is ast.Name and function.id == "getattr" and len(arguments) > 1:
            # getattr(x, "name") takes one attribute, as x.name does
            base, name = dotted(arguments[0]), arguments[1]
            if base is not None and isinstance(name, ast.Constant) and isinstance(name.value, str):
                self.use(base[0], (*base[1], name.value), node.lineno)
                arguments = arguments[2:]
        for argument in arguments:
            _VISIT.get(argument.__class__, _Reader.generic)(self, argument)
        for keyword in node.keywords:
            out.append("**" if keyword.arg is None else keyword.arg + "=")
            self.visit(keyword.value)
        out.append(")")

    def subscript(self, node: ast.Subscript) -> None:
        self.out.append("([" if node.ctx.__class__ is ast.Load else "([" + node.ctx.__class__.__name__)
        value = node.value
        position = -1
        if value.__class__ is ast.Name:
            position = self.use(value.id, (), node.lineno)
        elif value.__class__ is ast.Attribute:
            position = self.chain(value)
        else:
            self.visit(value)
        if position >= 0:
            self.sites.append((position, node))
        self.visit(node.slice)
        self.out.append(")")

    def compare(self, node: ast.Compare) -> None:
        self.out.append("(?")
        self.visit(node.left)
        for operator, value in zip(node.ops, node.comparators, strict=True):
            self.out.append(operator.__class__.__name__)
            before = len(self.out)
            self.visit(value)
            if operator.__class__ in (ast.In, ast.NotIn) and len(self.out) == before + 1:
                self.sites.append((before, node))
        self.out.append(")")

    def binary(self, node: ast.BinOp) -> None:
        self.out.append("(" + node.op.__class__.__name__)
        self.visit(node.left)
        self.visit(node.right)
        self.out.append(")")

    def expression(self, node: ast.Expr) -> None:
        self.out.append("(;")
        self.visit(node.value)
        self.out.append(")")

    def assign(self, node: ast.Assign) -> None:
        self.out.append("(:=")
        for target in node.targets:
            self.visit(target)
        self.visit(node.value)
        self.out.append(")")

    def annotated(self, node: ast.AnnAssign) -> None:
        in_class = self.scopes[-1].kind == "class"
        if not in_class:
            if node.value is None:
                if isinstance(node.target, ast.Name):
                    self.bind(node.target.id)
                return
            self.out.append("(:=")
            self.visit(node.target)
            self.visit(node.value)
            self.out.append(")")
            return
        self.out.append("(::")
        self.visit(node.target)
        self.annotation(node.annotation)
        if node.value is not None:
            self.out.append("=")
            self.visit(node.value)
        self.out.append(")")

    def annotation(self, node: ast.expr) -> None:
        """A field's type: one written in quotes counts as the expression it holds."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            with contextlib.suppress(SyntaxError):
                node = ast.parse(node.value.strip(), mode="eval").body
        self.visit(node)

    def joined(self, node: ast.JoinedStr) -> None:
        self.out.append("(f")
        text = ""
        for value in [*node.values, None]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                text += value.value  # pieces are split differently from one Python minor to the next
                continue
            if text:
                self.strings.append(text)
                self.out.append(repr(text))
                text = ""
            if value is not None:
                self.visit(value)
        self.out.append(")")

    def set_display(self, node: ast.Set) -> None:
        if all(item.__class__ is ast.Constant for item in node.elts):
            start = len(self.out)
            for item in node.elts:
                self.visit(item)
            self.out[start:] = ["(Set", *sorted(self.out[start:]), ")"]
            return
        self.generic(node)

    def comprehension(self, node: Any) -> None:
        self.out.append("(" + node.__class__.__name__)
        first = node.generators[0]
        self.visit(first.iter)
        self.enter("comprehension")
        for generator in node.generators:
            self.out.append("afor" if generator.is_async else "for")
            self.visit(generator.target)
            if generator is not first:
                self.visit(generator.iter)
            for condition in generator.ifs:
                self.out.append("if")
                self.visit(condition)
        if node.__class__ is ast.DictComp:
            self.visit(node.key)
            self.visit(node.value)
        else:
            self.visit(node.elt)
        self.leave()
        self.out.append(")")

    def walrus(self, node: ast.NamedExpr) -> None:
        self.out.append("(walrus")
        self.visit(node.value)
        for scope in reversed(self.scopes):
            if scope.kind != "comprehension":
                scope.bound.add(node.target.id)
                break
        self.use(node.target.id, (), node.lineno)
        self.out.append(")")

    def parameters(self, args: ast.arguments) -> None:
        out = self.out
        out.append("(params")
        for mark, group in (("/", args.posonlyargs), ("", args.args), ("*", args.kwonlyargs)):
            for arg in group:
                out.append(mark + arg.arg)
                self.bind_fixed(arg.arg)
        for mark, single in (("*", args.vararg), ("**", args.kwarg)):
            if single is not None:
                out.append(mark + "(" + single.arg)
                self.bind_fixed(single.arg)
        out.append(f"{len(args.defaults)}")
        out.extend("_" if default is None else "d" for default in args.kw_defaults)
        out.append(")")

    def defaults(self, args: ast.arguments) -> None:
        for default in (*args.defaults, *args.kw_defaults):
            if default is not None:
                self.visit(default)

    def lambda_(self, node: ast.Lambda) -> None:
        self.out.append("(lambda")
        self.defaults(node.args)
        self.enter("function")
        self.parameters(node.args)
        self.visit(node.body)
        self.leave()
        self.out.append(")")

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.bind_fixed(node.name)
        self.out.append("(" + node.__class__.__name__)
        self.out.append(node.name)
        for decorator in node.decorator_list:
            self.out.append("@")
            self.visit(decorator)
        self.defaults(node.args)
        self.function_scope(node)
        self.out.append(")")

    def function_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self.enter("function")
        self.parameters(node.args)
        if isinstance(node, ast.Lambda):
            self.out.append("{(Return")
            self.visit(node.body)
            self.out.append(")}")
        else:
            self.body(node.body)
        self.leave()

    def class_(self, node: ast.ClassDef) -> None:
        self.bind_fixed(node.name)
        self.out.append("(class")
        self.out.append(node.name)
        for decorator in node.decorator_list:
            self.out.append("@")
            self.visit(decorator)
        for base in node.bases:
            self.visit(base)
        for keyword in node.keywords:
            self.out.append(f"{keyword.arg}=")
            self.visit(keyword.value)
        self.enter("class")
        self.body(node.body)
        self.leave()
        self.out.append(")")

    def import_(self, node: ast.Import) -> None:
        scope = self.scopes[-1]
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            module = alias.name if alias.asname else name
            self.out.append(f"(import {alias.name} {bool(alias.asname)}")
            self.bind(name)
            scope.imports.setdefault(name, []).append(Reference("", (), node.lineno, module))
            scope.whole.setdefault(name, []).append(Reference("", (), node.lineno, alias.name))
            self.out.append(")")

    def import_from(self, node: ast.ImportFrom) -> None:
        scope = self.scopes[-1]
        for alias in node.names:
            name = alias.asname or alias.name
            self.out.append(f"(from {'.' * node.level}{node.module or ''} {alias.name})")
            self.bind(name)
            target = Reference("", (alias.name,), node.lineno, node.module or "", node.level)
            scope.imports.setdefault(name, []).append(target)

    def global_(self, node: ast.Global) -> None:
        self.scopes[-1].outer.update(node.names)

    def nonlocal_(self, node: ast.Nonlocal) -> None:
        self.not_local(node.names)

    def handler(self, node: ast.ExceptHandler) -> None:
        self.out.append("(except")
        if node.type is not None:
            self.visit(node.type)
        self.local_name(node.name)
        self.body(node.body)
        self.out.append(")")

    def match_as(self, node: ast.MatchAs) -> None:
        self.out.append("(MatchAs")
        if node.pattern is not None:
            self.visit(node.pattern)
        self.local_name(node.name)
        self.out.append(")")

    def match_star(self, node: ast.MatchStar) -> None:
        self.out.append("(MatchStar")
        self.local_name(node.name)
        self.out.append(")")

    def match_mapping(self, node: ast.MatchMapping) -> None:
        self.out.append("(MatchMapping")
        for key, pattern in zip(node.keys, node.patterns, strict=True):
            self.visit(key)
            self.visit(pattern)
        self.local_name(node.rest)
        self.out.append(")")


_FIELDS: dict[type, tuple[str, ...]] = {}


def _fields(kind: type) -> tuple[str, ...]:
    fields = _FIELDS.get(kind)
    if fields is None:
        names = kind._fields  # type: ignore[attr-defined]
        fields = _FIELDS[kind] = tuple(name for name in names if name not in _SKIPPED_FIELDS)
    return fields


def _statement(self: _Reader, node: Any) -> None:
    """Compound statements: expressions by field, blocks without what does nothing."""
    out = self.out
    out.append("(" + node.__class__.__name__)
    for name in _fields(node.__class__):
        value = getattr(node, name)
        if value is None or value == []:
            continue
        out.append(name)
        if value.__class__ is not list:
            self.visit(value)
        elif name in ("body", "orelse", "finalbody"):
            self.body(value)
        else:
            for item in value:
                self.visit(item)
    out.append(")")


_VISIT: dict[type, Callable[[_Reader, Any], None]] = {
    ast.Name: _Reader.name,
    ast.Attribute: _Reader.attribute,
    ast.Constant: _Reader.constant,
    ast.Call: _Reader.call,
    ast.Subscript: _Reader.subscript,
    ast.Compare: _Reader.compare,
    ast.BinOp: _Reader.binary,
    ast.Expr: _Reader.expression,
    ast.Assign: _Reader.assign,
    ast.AnnAssign: _Reader.annotated,
    ast.JoinedStr: _Reader.joined,
    ast.Set: _Reader.set_display,
    ast.ListComp: _Reader.comprehension,
    ast.SetComp: _Reader.comprehension,
    ast.DictComp: _Reader.comprehension,
    ast.GeneratorExp: _Reader.comprehension,
    ast.NamedExpr: _Reader.walrus,
    ast.Lambda: _Reader.lambda_,
    ast.FunctionDef: _Reader.function,
    ast.AsyncFunctionDef: _Reader.function,
    ast.ClassDef: _Reader.class_,
    ast.Import: _Reader.import_,
    ast.ImportFrom: _Reader.import_from,
    ast.Global: _Reader.global_,
    ast.Nonlocal: _Reader.nonlocal_,
    ast.ExceptHandler: _Reader.handler,
    ast.MatchAs: _Reader.match_as,
    ast.MatchStar: _Reader.match_star,
    ast.MatchMapping: _Reader.match_mapping,
    **dict.fromkeys(
        (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.match_case),
        _statement,
    ),
}


def dotted(node: ast.AST) -> tuple[str, tuple[str, ...]] | None:
    """The name and attributes of ``a.b.c``; ``None`` for any other expression."""
    attrs: list[str] = []
    while isinstance(node, ast.Attribute):
        attrs.append(node.attr)
        node = node.value
    return (node.id, tuple(reversed(attrs))) if isinstance(node, ast.Name) else None


def read_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, offset: int = 0, *, nodes: bool = False
) -> Syntax:
    """Signature and body of a function, without its name, hints, docstring and decorators.

    Defaults are left out too: the walk takes their values.

    Args:
        node: The function.
        offset: What to add to its line numbers.
        nodes: Keep the nodes of calls, for a closer look at them.
    """
    reader = _Reader()
    reader.out.append("async" if isinstance(node, ast.AsyncFunctionDef) else "def")
    reader.function_scope(node)
    return reader.finish(offset, nodes=nodes)


def read_inner_hints(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, offset: int = 0) -> Syntax:
    """The hints of the functions defined in a body, for code that reads them as it runs.

    Args:
        node: The function around them.
        offset: What to add to its line numbers.
    """
    reader = _Reader()
    for inner in ast.walk(node):
        if inner is node or not isinstance(inner, _FUNCTIONS):
            continue
        reader.out.append(f"(hints {inner.name}")
        args = inner.args
        for arg in (*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg):
            if arg is not None and arg.annotation is not None:
                reader.out.append(arg.arg)
                reader.annotation(arg.annotation)
        if inner.returns is not None:
            reader.out.append("->")
            reader.annotation(inner.returns)
        reader.out.append(")")
    return reader.finish(offset, nodes=False)


def read_class(node: ast.ClassDef, offset: int = 0, *, nodes: bool = False, resolved_fields: bool = False) -> Syntax:
    """Fields, statements and keywords of a class body; its functions are taken from the live class.

    Args:
        node: The class statement.
        offset: What to add to its line numbers.
        nodes: Keep the nodes of calls.
        resolved_fields: The class is a config schema whose values arrive resolved and by keyword, so the order
            and the defaults of its fields are left out.
    """
    reader = _Reader()
    for keyword in node.keywords:
        reader.out.append(f"{keyword.arg}=")
        reader.visit(keyword.value)
    reader.enter("class")
    fields: list[tuple[str, ast.expr]] = []
    rest: list[ast.stmt] = []
    for statement in node.body:
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            reader.bind_fixed(statement.name)
        elif (
            resolved_fields
            and isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and not statement.target.id.startswith("_")
            and "ClassVar" not in ast.dump(statement.annotation)
        ):
            fields.append((statement.target.id, statement.annotation))
        else:
            rest.append(statement)
    for name, annotation in sorted(fields, key=lambda entry: entry[0]):
        reader.bind_fixed(name)
        reader.out.append(f"(:: {name}")
        reader.annotation(annotation)
        reader.out.append(")")
    reader.body(rest)
    reader.leave()
    return reader.finish(offset, nodes=nodes)


def read_expression(node: ast.AST, offset: int = 0) -> Syntax:
    """An expression or statement on its own: a decorator, or the statement that makes an object.

    Args:
        node: The expression.
        offset: What to add to its line numbers.
    """
    reader = _Reader()
    reader.enter("class")  # names that it binds stay as they are
    reader.visit(node)
    reader.leave()
    return reader.finish(offset, nodes=False)
