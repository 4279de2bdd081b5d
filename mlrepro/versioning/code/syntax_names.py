"""The names of one definition: which are its own, and which it takes from outside.

One pass over the tree meets names before it is known what binds them, so each leaves a gap in the normal form that is
filled when its scope ends: local variables by a number, since their names say nothing, and outside names by the
number of the reference that they make.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# Calls through which a function can see the names of its own locals: then they are not renamed.
FRAME_READERS = frozenset(
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


class Names:
    """Scopes and names while one definition is read."""

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

    def enter(self, kind: str) -> _Scope:
        """Open a scope."""
        self.count += 1
        scope = _Scope(kind, self.count)
        self.scopes.append(scope)
        return scope

    def leave(self) -> None:
        """Close the innermost scope: its own names are settled, the others are its parent's to settle."""
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
        """A name is bound here."""
        self.scopes[-1].bound.add(name)

    def bind_fixed(self, name: str) -> None:
        """A name is bound here that can be seen from outside: a parameter, a function, a class."""
        scope = self.scopes[-1]
        scope.bound.add(name)
        scope.fixed.add(name)

    def not_local(self, names: Iterable[str]) -> None:
        """Names declared ``nonlocal``: the bindings that follow do not make them this scope's own."""
        scope = self.scopes[-1]
        scope.bound = _Without(scope.bound, names)

    def use(self, name: str, attrs: tuple[str, ...], line: int) -> int:
        """A name is used, with attributes; returns the position of the gap it leaves."""
        position = len(self.out)
        self.out.append("")
        self.scopes[-1].uses.append((position, name, attrs, line))
        if name in FRAME_READERS or (attrs and attrs[-1] in FRAME_READERS):
            self.frame_reader = True
        return position

    def local_name(self, name: str | None) -> None:
        """A name bound by a statement's own syntax (``except E as name``, a capture pattern)."""
        if name is None:
            self.out.append("_")
            return
        self.bind(name)
        self.use(name, (), 0)

    def finish(self, offset: int, *, nodes: bool) -> Syntax:
        """Fill the gaps and number the references."""
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
