"""The source of the code that runs: found by file and line, and checked against the running code.

A file may have been edited after its import. Its text then is not what runs, so text counts only where it is known
to be the code's own: by the bytecode cache that the import wrote, by the file being older than the process, or by
compiling it again.
"""

import ast
import bisect
import gc
import importlib.util
import linecache
import marshal
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

_KEPT_SOURCE = 2_000_000  # characters of parsed files kept; a tree takes about 75 times its text
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def _process_start() -> float:
    """When this process began, so that a file older than that is the file that was imported."""
    imported = time.time()
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks = float(fields[19]) / os.sysconf("SC_CLK_TCK")
        up = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, AttributeError, IndexError):
        return 0.0  # not known: every file is compiled and compared
    return min(imported, imported - (up - ticks)) - 2.0  # coarse clocks of file systems


_START = _process_start()


class SourceFile:
    """One parsed file (or notebook cell) at one moment."""

    def __init__(self, filename: str, text: str, status: os.stat_result | None) -> None:
        self.filename = filename
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self.status = status
        self.tree = _parse(text, filename)
        body = self.tree.body
        self._starts = [_first_line(statement) for statement in body]
        self._inner: dict[int, dict[tuple[str, int], list[Definition]]] = {}
        self._codes: dict[tuple[str, int], list[CodeType]] | None = None
        self._trusted: bool | None = None
        self._bindings: dict[str, ast.stmt] | None = None
        self._classes: dict[str, list[ast.ClassDef]] = {}
        self.facts: dict[Any, Any] = {}  # what was read from a node, by node identity

    # -- definitions

    def definition_of(self, code: CodeType) -> Definition | None:
        """The syntax of a running function, or ``None`` where the text is not its source."""
        candidates = self._candidates(code.co_name, code.co_firstlineno)
        if len(candidates) > 1:
            candidates = _by_columns(candidates, code)
        if len(candidates) != 1 or not self.runs(code):
            return None
        return candidates[0]

    def _candidates(self, name: str, line: int) -> list[Definition]:
        found: list[Definition] = []
        last = bisect.bisect_right(self._starts, line) - 1
        body = self.tree.body
        while last >= 0:
            statement = body[last]
            if isinstance(statement, _FUNCTIONS) and statement.name == name and self._starts[last] == line:
                found.append(statement)
            else:
                inner = self._inner.get(last)
                if inner is None:
                    inner = self._inner[last] = _index(statement)
                found += inner.get((name, line), ())
            if self._starts[last] != line:  # several statements may share a line
                break
            last -= 1
        return found

    def class_of(self, qualname: str, lines: Iterable[int]) -> ast.ClassDef | None:
        """The syntax of a class, by qualified name and the first lines of its own methods."""
        if not self._classes:
            for path, node in _classes(self.tree.body, ""):
                self._classes.setdefault(path, []).append(node)
        candidates = self._classes.get(qualname, [])
        wanted = list(lines)
        fitting = [
            node
            for node in candidates
            if all(_first_line(node) <= line <= (node.end_lineno or line) for line in wanted)
        ]
        if not candidates or (wanted and not fitting):
            return None
        return (fitting or candidates)[-1]

    def binding(self, name: str) -> ast.stmt | None:
        """The statement at module level that last binds a name."""
        if self._bindings is None:
            self._bindings = {}
            for statement in _statements(self.tree.body):
                for bound in _bound(statement):
                    self._bindings[bound] = statement
        return self._bindings.get(name)

    def text_of(self, node: ast.AST) -> str:
        """A node's whole lines, dedented."""
        first, last = _first_line(node), getattr(node, "end_lineno", None) or 1
        lines = self.lines[first - 1 : last]
        indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
        if indent:
            margin = lines[0][:indent]
            lines = [line.removeprefix(margin) for line in lines]
        return "".join(lines).rstrip()

    # -- whether the text is what runs

    def runs(self, code: CodeType) -> bool:
        """Whether the running code was compiled from this text."""
        if self._trusted is None:
            self._codes = self._cached_codes()
            self._trusted = self._codes is None and (self.status is None or self.status.st_ctime < _START)
        if self._trusted:
            return True
        if self._codes is None:
            try:
                self._codes = _code_index(compile(self.text, self.filename, "exec", dont_inherit=True))
            except (SyntaxError, ValueError, RecursionError):
                self._codes = {}
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
        try:
            return _code_index(compile(self.text, self.filename, "exec", dont_inherit=True))
        except (SyntaxError, ValueError, RecursionError):
            return {}


_LOCK = threading.Lock()
_FILES: OrderedDict[str, tuple[tuple[object, ...], SourceFile]] = OrderedDict()


def source_file(filename: str, module_globals: dict[str, Any] | None = None) -> SourceFile | None:
    """The parsed source of a file name as code objects carry it: a path, a notebook cell, a doctest.

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
    try:
        parsed = SourceFile(filename, text, status)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    with _LOCK:
        _FILES[filename] = (signature, parsed)
        _FILES.move_to_end(filename)
        total = 0
        for name in reversed(list(_FILES)):
            total += len(_FILES[name][1].text)
            if total > _KEPT_SOURCE and name != filename:
                del _FILES[name]
    return parsed


def _parse(text: str, filename: str) -> ast.Module:
    # The collector would walk the growing tree over and over: it doubles the time of a large file.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text, filename)
    except SyntaxError:
        # notebook cells may await at top level
        flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree: ast.Module = compile(text, filename, "exec", flags, dont_inherit=True)
        return tree
    finally:
        if collecting:
            gc.enable()


def _first_line(node: Any) -> int:
    decorators = getattr(node, "decorator_list", None)
    return decorators[0].lineno if decorators else node.lineno  # type: ignore[no-any-return]


def _index(statement: ast.stmt) -> dict[tuple[str, int], list[Definition]]:
    found: dict[tuple[str, int], list[Definition]] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Lambda):
            found.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, _FUNCTIONS):
            found.setdefault((node.name, _first_line(node)), []).append(node)
    return found


def _by_columns(candidates: list[Definition], code: CodeType) -> list[Definition]:
    """Of several lambdas on one line, the one whose columns hold the code's."""
    spans = [
        (line, column, end_line, end)
        for line, end_line, column, end in code.co_positions()
        if line is not None and end_line is not None and column is not None and end is not None and end > column
    ]
    if not spans:
        return candidates
    inside = [
        node
        for node in candidates
        if isinstance(node, ast.Lambda)
        and all(
            (node.body.lineno, node.body.col_offset) <= (line, column)
            and (end_line, end) <= (node.body.end_lineno, node.body.end_col_offset)
            for line, column, end_line, end in spans[-1:]
        )
    ]
    # nested ones hold each other: the innermost starts last
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


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            for node in ast.walk(target):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id
