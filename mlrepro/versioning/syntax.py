"""The normal form of a definition: its syntax without all that cannot change a result.

One pass over the tree yields the normal form and every name that the definition takes from outside, with the
attributes it takes of it (``util.shift`` is one reference, not the whole of ``util``). Names of globals do not
appear in the form: they are numbered, and the walk puts what they *are* beside it. So a helper may be renamed
or moved to another module.
"""

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

# Calls through which a function can see the names of its own locals: then they are not renamed.
_FRAME_READERS = frozenset(
    [
        "locals",
        "vars",
        "dir",
        "eval",
        "exec",
        "_getframe",
        "currentframe",
        "stack",
        "query",
        "sql",
        "SQL",
        "execute",
        "evaluate",
        "read_sql",
        "sql_expr",
        "filter_sql",
        "run_line_magic",
    ]
)
_WORD = re.compile(r"[^\W\d]\w*")
_SKIPPED_FIELDS = frozenset(("ctx", "type_comment", "kind", "type_params", "type_ignores", "returns", "annotation"))
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Reference:
    """One outside name with the attributes taken of it.

    Attributes:
        name: The global or free name; empty for a name bound by an import inside the body.
        attrs: The attributes that follow it (``a.b.c`` is ``a`` with ``("b", "c")``).
        line: Where it is first used.
        module: For an import inside the body, the module (relative ones with ``level`` dots).
        level: Leading dots of a relative import.
    """

    name: str
    attrs: tuple[str, ...]
    line: int
    module: str = ""
    level: int = 0

    def __str__(self) -> str:
        return ".".join(part for part in (self.module, self.name, *self.attrs) if part)


@dataclass(frozen=True, slots=True)
class Syntax:
    """What one pass over a definition found.

    Attributes:
        form: The normal form.
        references: Outside names, in order of first use.
        uses: How often each reference occurs.
        sites: Calls, subscripts and ``in`` tests on a reference: (index of the reference, node). The nodes are
            kept only where asked for, since they take 75 times the space of their text.
        targets: The references that some site is on.
        methods: Calls of ``read_text`` and its like on any expression.
        file_methods: Whether there are any.
        offset: What to add to the line numbers of nodes.
    """

    form: str
    references: tuple[Reference, ...]
    uses: tuple[int, ...]
    sites: tuple[tuple[int, ast.AST], ...]
    targets: frozenset[int]
    methods: tuple[ast.Call, ...]
    file_methods: bool
    offset: int


@dataclass(slots=True)
class _Scope:
    """Names of one function, class or comprehension while it is read."""

    kind: str
    number: int
    bound: set[str] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)  # parameters, functions and classes keep their names
    outer: set[str] = field(default_factory=set)  # declared ``global``
    imports: dict[str, list[Reference]] = field(default_factory=dict)
    whole: dict[str, list[Reference]] = field(default_factory=dict)  # what ``import a.b`` loads besides a
    uses: list[tuple[int, str, tuple[str, ...], int]] = field(default_factory=list)
    passing: list[tuple[int, str, tuple[str, ...], int]] = field(default_factory=list)


FILE_METHODS = frozenset(("read_text", "read_bytes", "open", "iterdir", "glob", "rglob"))


class _Reader:
    """One pass over one definition."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.top = _Scope("module", 0)
        self.scopes = [self.top]
        self.count = 0
        self.strings: list[str] = []
        self.frame_reader = False
        self.local: list[tuple[int, int, str, tuple[str, ...]]] = []
        self.imported: list[tuple[int, Reference]] = []
        self.sites: list[tuple[int, ast.AST]] = []
        self.methods: list[ast.Call] = []

    # -- scopes

    def enter(self, kind: str) -> _Scope:
        self.count += 1
        scope = _Scope(kind, self.count)
        self.scopes.append(scope)
        return scope

    def leave(self) -> None:
        scope = self.scopes.pop()
        parent = self.scopes[-1]
        bound, fixed, outer, imports = scope.bound, scope.fixed, scope.outer, scope.imports
        used: set[str] = set()
        for use in scope.uses:
            position, name, attrs, line = use
            if name in outer:
                self.top.uses.append(use)
            elif name in fixed or (name in bound and scope.kind == "class"):
                self.out[position] = ".".join(("N" + name, *attrs))
            elif name in bound:
                if name in imports:
                    used.add(name)
                    for target in imports[name]:
                        self.imported.append(
                            (position, Reference("", target.attrs + attrs, line, target.module, target.level))
                        )
                self.local.append((position, scope.number, name, attrs))
            elif parent.kind == "class" and scope.kind != "class":
                parent.passing.append(use)
            else:
                parent.uses.append(use)
        for use in scope.passing:
            (parent.passing if parent.kind == "class" else parent.uses).append(use)
        for name, targets in imports.items():
            if name not in used:  # imported for its effects, or used in a way not seen: all of it counts
                self.imported.extend((-1, target) for target in scope.whole.get(name, targets))

    def bind(self, name: str) -> None:
        self.scopes[-1].bound.add(name)

    def bind_fixed(self, name: str) -> None:
        scope = self.scopes[-1]
        scope.bound.add(name)
        scope.fixed.add(name)

    def use(self, name: str, attrs: tuple[str, ...], line: int) -> int:
        position = len(self.out)
        self.out.append("")
        self.scopes[-1].uses.append((position, name, attrs, line))
        if name in _FRAME_READERS or (attrs and attrs[-1] in _FRAME_READERS):
            self.frame_reader = True
        return position

    def local_name(self, name: str | None) -> None:
        """A name bound by a statement's own syntax (``except E as name``, a capture pattern)."""
        if name is None:
            self.out.append("_")
            return
        self.bind(name)
        self.use(name, (), 0)

    # -- nodes

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
            attrs.append(value.attr)  # type: ignore[attr-defined]
            value = value.value  # type: ignore[attr-defined]
        attrs.reverse()
        if value.__class__ is ast.Name:
            if node.ctx.__class__ is not ast.Load:
                self.out.append("=" if node.ctx.__class__ is ast.Store else "~")
            return self.use(value.id, tuple(attrs), node.lineno)  # type: ignore[attr-defined]
        if attrs[-1] in _FRAME_READERS:
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
            position = self.use(function.id, (), node.lineno)  # type: ignore[attr-defined]
        elif function.__class__ is ast.Attribute:
            position = self.chain(function)  # type: ignore[arg-type]
            if function.attr in FILE_METHODS:  # type: ignore[attr-defined]
                self.methods.append(node)
        else:
            self.visit(function)
        if position >= 0:
            self.sites.append((position, node))
        arguments = node.args
        if function.__class__ is ast.Name and function.id == "getattr" and len(arguments) > 1:  # type: ignore[attr-defined]
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
            position = self.use(value.id, (), node.lineno)  # type: ignore[attr-defined]
        elif value.__class__ is ast.Attribute:
            position = self.chain(value)  # type: ignore[arg-type]
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
            try:
                node = ast.parse(node.value.strip(), mode="eval").body
            except SyntaxError:
                pass
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
        # the binding statements that follow would make the name local: forget it at the end of the scope
        scope = self.scopes[-1]
        scope.bound = _Without(scope.bound, node.names)

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

    # -- the end

    def finish(self, offset: int, *, nodes: bool) -> Syntax:
        out = self.out
        words: set[str] = set()
        if self.local and self.strings:
            words.update(_WORD.findall("\n".join(self.strings)))
        numbers: dict[tuple[int, str], str] = {}
        for position, scope, name, attrs in self.local:
            label = numbers.get((scope, name))
            if label is None:
                # A name that some string mentions may be looked up by it (DataFrame.query, SQL over frames).
                keep = self.frame_reader or name in words
                label = numbers[scope, name] = f"N{name}" if keep else f"L{scope}.{len(numbers)}"
            out[position] = ".".join((label, *attrs)) if attrs else label
        references: dict[tuple[str, ...], int] = {}
        found: list[Reference] = []
        uses: list[int] = []
        at: dict[int, int] = {}
        for position, name, attrs, line in self.top.uses:
            key = (name, *attrs)
            number = references.get(key)
            if number is None:
                number = references[key] = len(found)
                found.append(Reference(name, attrs, line + offset))
                uses.append(0)
            uses[number] += 1
            at[position] = number
            out[position] = f"G{number}"
        for position, reference in self.imported:
            key = ("import", str(reference.level), reference.module, *reference.attrs)
            number = references.get(key)
            if number is None:
                number = references[key] = len(found)
                line = reference.line + offset
                found.append(Reference("", reference.attrs, line, reference.module, reference.level))
                uses.append(0)
            uses[number] += 1
            if position >= 0:
                at[position] = number
        sites = tuple((at[position], site) for position, site in self.sites if position in at)
        return Syntax(
            form="\n".join(out),
            references=tuple(found),
            uses=tuple(uses),
            sites=sites if nodes else (),
            targets=frozenset([number for number, _ in sites]),
            methods=tuple(self.methods) if nodes else (),
            file_methods=bool(self.methods),
            offset=offset,
        )


class _Without(set[str]):
    """The bound names of a scope without those declared ``nonlocal``, whatever is bound after the declaration."""

    def __init__(self, bound: set[str], names: Iterable[str]) -> None:
        self._excluded = frozenset(names) | getattr(bound, "_excluded", frozenset())
        super().__init__(bound - self._excluded)

    def add(self, name: str) -> None:
        if name not in self._excluded:
            super().add(name)


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
