"""The source of the code that runs: found by file and line, and checked against the running code.

A file may have been edited after its import. Its text then is not what runs, so text counts only where it is known
to be the code's own: by the bytecode cache that the import wrote, by the file being older than the process, or by
compiling it again.

Files are never parsed whole if it can be helped: a tree takes 75 times its text, and walking it once more in every
garbage collection costs more than all the rest.
"""

import ast
import bisect
import importlib.util
import linecache
import marshal
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

_KEPT_SOURCE = 20_000_000  # characters of files kept
_TRIES = 60
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def _process_start() -> float:
    """When this process began: a file older than that is the file that was imported."""
    imported = time.time()
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks = float(fields[19]) / os.sysconf("SC_CLK_TCK")
        up = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, AttributeError, IndexError):
        return 0.0  # not known: every file is compiled and compared
    return min(imported, imported - (up - ticks)) - 2.0  # coarse clocks of file systems


_START = _process_start()


@dataclass(slots=True)
class Definition:
    """One definition in a file.

    Attributes:
        file: The file.
        node: Its syntax; line numbers are relative to ``offset``.
        offset: Lines before the part of the file that was parsed.
        statement: For a lambda, the statement that holds it.
    """

    file: "SourceFile"
    node: Any
    offset: int
    statement: Any = None

    @property
    def first(self) -> int:
        """First line, decorators included."""
        return _first_line(self.node) + self.offset

    @property
    def last(self) -> int:
        """Last line."""
        return int(self.node.end_lineno or self.node.lineno) + self.offset

    @property
    def text(self) -> str:
        """The definition as written, dedented."""
        shown = self.statement or self.node
        lines = self.file.lines[_first_line(shown) + self.offset - 1 : shown.end_lineno + self.offset]
        indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
        if indent:
            margin = lines[0][:indent]
            lines = [line.removeprefix(margin) for line in lines]
        return "".join(lines).rstrip()


class SourceFile:
    """One file, notebook cell or doctest at one moment."""

    def __init__(self, filename: str, text: str, status: os.stat_result | None) -> None:
        self.filename = filename
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self.status = status
        # Lines at the margin: where a statement of the module may start.
        self._starts = [number for number, line in enumerate(self.lines) if line[0] not in " \t\r\n\f#"]
        self._codes: dict[tuple[str, int], list[CodeType]] | None = None
        self._trusted: bool | None = None
        self._bindings: dict[str, Definition | None] = {}
        self.facts: dict[Any, Any] = {}  # what was read from definitions, kept for as long as the text is the same

    # -- finding definitions

    def definition_of(self, code: CodeType) -> Definition | None:
        """The syntax of a running function, or ``None`` where the text is not its source."""
        if not self.runs(code):
            return None
        name, line = code.co_name, code.co_firstlineno

        statements: list[ast.AST] = []

        def find(body: list[ast.stmt], offset: int) -> list[Any]:
            wanted = line - offset
            statements[:] = body
            for statement in body:
                if (
                    isinstance(statement, ast.FunctionDef)
                    and statement.name == name
                    and _first_line(statement) == wanted
                ):
                    return [statement]
            return [
                node
                for statement in body
                for node in ast.walk(statement)
                if isinstance(node, _FUNCTIONS)
                and getattr(node, "name", "<lambda>") == name
                and _first_line(node) == wanted
            ]

        offset, candidates = self._around(line, find)
        if len(candidates) > 1:
            candidates = _by_columns(candidates, code, offset)
        if len(candidates) != 1:
            return None
        node = candidates[0]
        holder = _holder(statements, node) if isinstance(node, ast.Lambda) else None
        return Definition(self, node, offset, holder)

    def class_of(self, qualname: str, lines: Iterable[int]) -> Definition | None:
        """The syntax of a class, by qualified name and the first lines of its own methods."""
        name = qualname.rpartition(".")[2]
        inside = list(lines)
        found: list[Definition] = []
        for match in re.finditer(rf"^[ \t]*class[ \t]+{re.escape(name)}\b", self.text, re.MULTILINE):
            line = self.text.count("\n", 0, match.end()) + 1

            def find(body: list[ast.stmt], offset: int, line: int = line) -> list[Any]:
                return [node for path, node in _classes(body, "") if path == qualname and node.lineno + offset == line]

            offset, nodes = self._around(line, find, decorated=True)
            found += [Definition(self, node, offset) for node in nodes]
        fitting = [entry for entry in found if all(entry.first <= line <= entry.last for line in inside)]
        return fitting[-1] if fitting else None

    def binding(self, name: str) -> Definition | None:
        """The statement at module level that last binds a name."""
        if name not in self._bindings:
            self._bindings[name] = self._binding(name)
        return self._bindings[name]

    def margin(self) -> Iterator[tuple[int, str]]:
        """Numbers and texts of the lines at which a statement of the module may start."""
        for number in self._starts:
            yield number + 1, self.lines[number]

    def statements_at(self, line: int) -> list[Definition]:
        """The expression, assignment or definition of the module that starts at a line."""

        def find(body: list[ast.stmt], offset: int) -> list[Any]:
            return [
                statement for statement in body if _first_line(statement) + offset <= line <= _last(statement) + offset
            ]

        offset, nodes = self._around(line, find)
        return [
            Definition(self, node, offset)
            for node in nodes
            if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign | _DEFINITIONS)
        ]

    def _binding(self, name: str) -> Definition | None:
        # The usual forms by a pattern; the whole file is parsed for the others only.
        escaped = re.escape(name)
        pattern = rf"^(?:{escaped}[ \t]*(?::[^=\n]+)?=(?!=)|from[ \t]+[.\w]+[ \t]+import\b[^#\n]*(?:\b{escaped}\b|\())"

        def find(body: list[ast.stmt], offset: int) -> list[Any]:
            del offset
            return [statement for statement in _statements(body) if name in _bound(statement)]

        for match in reversed(list(re.finditer(pattern, self.text, re.MULTILINE))):
            offset, nodes = self._around(self.text.count("\n", 0, match.start()) + 1, find)
            if nodes:
                return Definition(self, nodes[-1], offset)
        tree = _parse(self.text)
        nodes = find(tree.body, 0) if tree is not None else []
        return Definition(self, nodes[-1], 0) if nodes else None

    def _around(
        self, line: int, find: Callable[[list[ast.stmt], int], list[Any]], *, decorated: bool = False
    ) -> tuple[int, list[Any]]:
        """Parse the statement of the module that holds a line.

        A line at the margin may lie inside brackets or a string. Such a piece does not parse, so the piece is made
        longer until it does: a statement that was cut short never parses.
        """
        starts = self._starts
        at = bisect.bisect_right(starts, line - 1) - 1
        for _ in range(4):
            if at < 0:
                break
            first = self._decorators_above(at) if decorated else at
            for end in range(self._after_decorators(at) + 1, min(at + _TRIES, len(starts)) + 1):
                stop = starts[end] if end < len(starts) else len(self.lines)
                if stop < line:
                    continue
                tree = _parse("".join(self.lines[starts[first] : stop]))
                if tree is None:
                    continue
                found = find(tree.body, starts[first])
                if found:
                    return starts[first], found
                break
            at -= 1
        tree = _parse(self.text)
        return 0, find(tree.body, 0) if tree is not None else []

    def _after_decorators(self, at: int) -> int:
        """The line of the definition under a decorator: no shorter piece can parse."""
        if self.lines[self._starts[at]][0] == "@":
            for later in range(at, min(at + 20, len(self._starts))):
                if self.lines[self._starts[later]].startswith(("def ", "async ", "class ")):
                    return later
        return at

    def _decorators_above(self, at: int) -> int:
        first = at
        for previous in range(at - 1, max(at - 20, -1), -1):
            head = self.lines[self._starts[previous]][0]
            if head == "@":
                first = previous
            elif head not in ")]}":
                break
        return first

    # -- whether the text is what runs

    def runs(self, code: CodeType) -> bool:
        """Whether the running code was compiled from this text."""
        if self._trusted is None:
            self._codes = self._cached_codes()
            self._trusted = self._codes is None and self.status is not None and self.status.st_ctime < _START
        if self._trusted:
            return True
        if self._codes is None:
            self._codes = self._compiled()
        return any(code == other for other in self._codes.get((code.co_name, code.co_firstlineno), ()))

    def _cached_codes(self) -> dict[tuple[str, int], list[CodeType]] | None:
        """The code of the bytecode cache, where that is newer than the text and made from it."""
        if self.status is None or not self.filename.endswith(".py"):
            return None
        try:
            path = Path(importlib.util.cache_from_source(self.filename))
            written = path.stat()
            if written.st_mtime_ns < self.status.st_ctime_ns:
                return self._compiled()
            data = path.read_bytes()
            fresh = (
                data[:4] == importlib.util.MAGIC_NUMBER
                and data[4:8] == b"\0\0\0\0"
                and int.from_bytes(data[8:12], "little") == int(self.status.st_mtime) & 0xFFFFFFFF
                and int.from_bytes(data[12:16], "little") == self.status.st_size & 0xFFFFFFFF
            )
            if not fresh:
                return self._compiled()
            return _code_index(marshal.loads(data[16:]))  # noqa: S302 -- the cache that the import itself reads
        except (OSError, ValueError, EOFError, TypeError, NotImplementedError):
            return None

    def _compiled(self) -> dict[tuple[str, int], list[CodeType]]:
        for flags in (0, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):  # notebook cells may await at top level
            try:
                return _code_index(compile(self.text, self.filename, "exec", flags, dont_inherit=True))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
        return {}


_LOCK = threading.Lock()
_FILES: OrderedDict[str, tuple[tuple[object, ...], SourceFile]] = OrderedDict()


def source_file(filename: str, module_globals: dict[str, Any] | None = None) -> SourceFile | None:
    """The source of a file name as code objects carry it: a path, a notebook cell, a doctest.

    Args:
        filename: ``co_filename`` of a code object, or ``__file__`` of a module.
        module_globals: Of the module, for sources that only its loader can read.
    """
    status = None
    text: str | None = None
    try:
        status = os.stat(filename)  # noqa: PTH116 -- on the hot path
        signature: tuple[object, ...] = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    except (OSError, ValueError):
        text = "".join(linecache.getlines(filename, module_globals))
        if not text:
            return None
        signature = (text,)
    known = _FILES.get(filename)
    if known is not None and known[0] == signature:
        return known[1]
    if text is None:
        try:
            text = importlib.util.decode_source(Path(filename).read_bytes())
        except (OSError, SyntaxError, UnicodeDecodeError):
            return None
    found = SourceFile(filename, text, status)
    with _LOCK:
        _FILES[filename] = (signature, found)
        _FILES.move_to_end(filename)
        total = 0
        for name in reversed(list(_FILES)):
            total += len(_FILES[name][1].text)
            if total > _KEPT_SOURCE and name != filename:
                del _FILES[name]
    return found


def _parse(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        if "await" not in text:
            return None
    try:
        flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree: ast.Module = compile(text, "<source>", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree


def _holder(body: list[ast.AST], wanted: ast.Lambda) -> ast.AST | None:
    """The innermost statement around a lambda."""
    found: ast.AST | None = None
    for statement in body:
        for node in ast.walk(statement):
            if (
                isinstance(node, ast.stmt)
                and node.lineno <= wanted.lineno
                and (node.end_lineno or 0) >= (wanted.end_lineno or 0)
                and (found is None or node.lineno >= getattr(found, "lineno", 0))
            ):
                found = node
    return found


def _last(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _first_line(node: Any) -> int:
    decorators = getattr(node, "decorator_list", None)
    return int(decorators[0].lineno if decorators else node.lineno)


def _by_columns(candidates: list[Any], code: CodeType, offset: int) -> list[Any]:
    """Of several lambdas on one line, the one whose columns hold the code's."""
    spans = [
        (line - offset, column, end_line - offset, end)
        for line, end_line, column, end in code.co_positions()
        if line is not None and end_line is not None and column is not None and end is not None and end > column
    ]
    inside = [
        node
        for node in candidates
        if isinstance(node, ast.Lambda)
        and spans
        and all(
            (node.body.lineno, node.body.col_offset) <= (line, column)
            and (end_line, end) <= (node.body.end_lineno, node.body.end_col_offset)
            for line, column, end_line, end in spans[-1:]
        )
    ]
    # of nested ones the innermost, which comes last
    return inside[-1:] if inside else candidates


def _code_index(module: CodeType) -> dict[tuple[str, int], list[CodeType]]:
    found: dict[tuple[str, int], list[CodeType]] = {}
    stack = [module]
    while stack:
        for constant in stack.pop().co_consts:
            if constant.__class__ is CodeType:
                found.setdefault((constant.co_name, constant.co_firstlineno), []).append(constant)
                stack.append(constant)
    return found


def _classes(body: Iterable[ast.AST], prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from _classes(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _classes(node.body, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                block = getattr(node, name, None)
                if isinstance(block, list):
                    yield from _classes(block, prefix)


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from _statements(handler.body)


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {
            node.id
            for target in targets
            for node in ast.walk(target)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    return set()
