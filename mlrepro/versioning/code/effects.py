"""What the import of a module does to the world outside the project.

``pd.set_option(...)``, ``np.random.seed(3)``, ``torch.backends.cudnn.benchmark = True`` or an accessor registered
with pandas change what a function of the module computes, though nothing in the function names them. So such
statements of the modules that a closure lies in, and of all that these import, count with it. What they do inside
the project needs no such care, since its objects are taken as they are when they are fingerprinted.
"""

import ast
import hashlib
import re
import sys
import threading
import types
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlrepro.versioning.code.graph import Node
from mlrepro.versioning.code.lookup import Found, Scope, path_of
from mlrepro.versioning.code.origin import Kind, module_file
from mlrepro.versioning.code.report import Source
from mlrepro.versioning.code.source import Definition, SourceFile, source_file
from mlrepro.versioning.code.syntax import Reference, dotted, read_expression

if TYPE_CHECKING:
    from mlrepro.versioning.code.walker import Walker

# At the margin: a call, an assignment to an attribute or item, or a decorator that may register what it is on.
_CANDIDATE = re.compile(
    r"[^\W\d]\w*(?:[.\w]*\(|\.[.\w]+[ \t]*(?:[-+*/|&%^]|//|<<|>>|\*\*)?=(?!=)|[.\w]*\[[^\n]*\][ \t]*=(?!=))"
    r"|@[.\w]*(?:regist|overload|listens_for|custom_op|implements)"
)
_IMPORT = re.compile(r"(?:from[ \t]+([.\w]+)[ \t]+import\b|import[ \t]+([^#\n]+))")
# What these libraries are told changes what is logged and shown, never a result.
_QUIET = frozenset(
    [
        "atexit",
        "coloredlogs",
        "dotenv",
        "faulthandler",
        "gc",
        "logging",
        "loguru",
        "multiprocessing",
        "rich",
        "sentry_sdk",
        "signal",
        "structlog",
        "sys",
        "tqdm",
        "typing",
        "warnings",
    ]
)
# What calls of the standard library set for a whole process.
_SETTINGS = frozenset(("decimal", "locale", "os", "random"))

_FIRST_SEEN: "weakref.WeakKeyDictionary[types.ModuleType, tuple[object, _Module]]" = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Module:
    """What was read of one module."""

    statements: tuple[Definition, ...]
    imports: tuple[tuple[str, int], ...]  # names, with leading dots counted apart


def effects_of(walker: "Walker", modules: Iterable[str]) -> frozenset[Node]:
    """The nodes of all modules with effects that are loaded together with these, explored by the walker.

    Args:
        walker: The walk; what it learns of a module it keeps.
        modules: Names of modules of the project.
    """
    start = frozenset(modules)
    together = walker.effects_together.get(start)
    if together is not None:
        return together
    found: set[Node] = set()
    seen: set[str] = set()
    rest = list(start)
    while rest:
        name = rest.pop()
        if name in seen:
            continue
        seen.add(name)
        known = walker.effects.get(name)
        if known is None:
            known = walker.effects[name] = _one(walker, name)
        node, imports = known
        if node is not None:
            found.add(node)
        rest.extend(imports)
    together = walker.effects_together[start] = frozenset(found)
    return together


def _one(walker: "Walker", name: str) -> tuple[Node | None, tuple[str, ...]]:
    """The effects of one module, if there are any, and the modules of the project that it loads."""
    module = sys.modules.get(name)
    if not isinstance(module, types.ModuleType) or not walker.origins.first_party(name):
        return None, ()
    read = _read(module)
    namespace = vars(module)
    imports = {name.rpartition(".")[0]} if "." in name else set()
    for target, level in read.imports:
        imports.add(_absolute(target, level, namespace))
    # what is imported under a condition; but a package holds its submodules too, whoever has imported them
    live = [str(getattr(value, "__name__", "")) for value in namespace.values() if type(value) is types.ModuleType]
    imports.update([target for target in live if not target.startswith(name + ".")])
    imports = {target for target in imports if target in sys.modules and walker.origins.first_party(target)}
    if not read.statements:
        return None, tuple(imports)
    scope = Scope(walker.origins, namespace, filename=read.statements[0].file.filename)
    counted = [statement for statement in read.statements if _counts(walker, scope, statement)]
    if not counted:
        return None, tuple(imports)
    node = Node(None)
    walker.explore(node, lambda: _expand(walker, node, name, scope, counted))
    return node, tuple(imports)


def _absolute(target: str, level: int, namespace: dict[str, Any]) -> str:
    if not level:
        return target
    package = str(namespace.get("__package__") or "").split(".")
    return ".".join([*package[: len(package) - level + 1], *([target] if target else [])])


def _read(module: types.ModuleType) -> _Module:
    """A module's statements as they were when it was first met: a later edit is not what ran."""
    spec = getattr(module, "__spec__", None)  # another one after a reload
    known = _FIRST_SEEN.get(module)
    if known is not None and known[0] is spec:
        return known[1]
    filename = module_file(module.__name__) or str(getattr(module, "__file__", ""))
    file = source_file(filename, vars(module)) if filename.endswith(".py") else None
    statements: list[Definition] = []
    imports: set[tuple[str, int]] = set()
    for line, text in file.margin() if file is not None else ():
        if text.startswith(("from ", "import ")):
            imports.update(_imports(_whole(file, line) if "(" in text and file is not None else text))
        elif _CANDIDATE.match(text) and file is not None:
            statements += [entry for entry in file.statements_at(line) if entry.first not in _lines(statements)]
    read = _Module(tuple(statements), tuple(sorted(imports)))
    with _LOCK:
        _FIRST_SEEN[module] = (spec, read)
    return read


def _lines(statements: list[Definition]) -> set[int]:
    return {statement.first for statement in statements}


def _whole(file: SourceFile, line: int) -> str:
    """An import in brackets, to its last line."""
    text = ""
    for later in file.lines[line - 1 :]:
        text += later.partition("#")[0] + " "
        if ")" in later:
            break
    return text


def _imports(text: str) -> Iterator[tuple[str, int]]:
    match = _IMPORT.match(text)
    if match is None:
        return
    if match[1] is not None:
        target = match[1].lstrip(".")
        level = len(match[1]) - len(target)
        yield target, level
        for name in re.findall(r"[^\W\d]\w*", text[match.end() :].partition("#")[0]):
            yield (f"{target}.{name}" if target else name), level  # perhaps a submodule
        return
    for entry in match[2].split(","):
        words = entry.split()
        if words:
            yield words[0], 0


def _expand(walker: "Walker", node: Node, name: str, scope: Scope, statements: list[Definition]) -> None:
    node.parts.append(b"effects")
    for statement in statements:
        if isinstance(statement.node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.parts.append(b"registered")
            for decorator in statement.node.decorator_list:
                _syntax(walker, node, scope, decorator, statement)
            node.parts.append(walker.part(node, scope.globals.get(statement.node.name)))
        else:
            _syntax(walker, node, scope, statement.node, statement)
    text = "\n".join([statement.text for statement in statements])
    path = path_of(name, statements[0].file.filename)
    node.sources.append(Source(f"{name}:<module>", path, statements[0].first, text))


def _syntax(walker: "Walker", node: Node, scope: Scope, tree: ast.AST, statement: Definition) -> None:
    syntax = read_expression(tree, statement.offset)
    node.parts.append(hashlib.sha256(syntax.form.encode("utf-8", "surrogatepass")).digest())
    walker.references(node, syntax, scope, "", "")


# -- which statements count


def _counts(walker: "Walker", scope: Scope, statement: Definition) -> bool:
    node = statement.node
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return any(
            _CANDIDATE.match("@" + ast.unparse(decorator)) and _outside(walker, _root(scope, decorator), called=False)
            for decorator in node.decorator_list
        )
    if isinstance(node, ast.Expr):
        found = _root(scope, node.value)
        return _outside(walker, found, called=True) or _reaches_outside(walker, found)
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(
        _outside(walker, _root(scope, target), called=False)
        for target in targets
        if isinstance(target, ast.Attribute | ast.Subscript)
    )


def _root(scope: Scope, node: ast.AST) -> Found | None:
    """What the chain of calls, attributes and items of a statement starts from."""
    while True:
        chain = dotted(node)
        if chain is not None:
            return scope.find(Reference(chain[0], chain[1], 0))
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        else:
            return None


def _outside(walker: "Walker", found: Found | None, *, called: bool) -> bool:
    """Whether it is something outside the project whose state can change results."""
    if found is None:
        return False
    dotted_name, origin = found.dotted, found.origin
    if origin is None:
        named = walker.outside_name(found.value)
        if named is None:
            return False
        dotted_name, origin = named
    top = dotted_name.partition(".")[0]
    if origin.kind is Kind.PLATFORM or top in _QUIET or top in walker.ignored or top == "builtins":
        return False
    return origin.kind is Kind.THIRD_PARTY or not called or top in _SETTINGS or "regist" in dotted_name


def _reaches_outside(walker: "Walker", found: Found | None) -> bool:
    """Whether a call of the project's own reaches a library that it may set up: ``seed_everything()``."""
    if found is None or found.attrs or type(found.value) is not types.FunctionType:
        return False
    node = walker.part(Node(None), found.value)
    if not isinstance(node, Node):
        return False
    walker.explore(node)
    return any(
        top not in _QUIET and (top in _SETTINGS - {"os"} or walker.origins.of(top).kind is Kind.THIRD_PARTY)
        for top in {name.partition(".")[0] for reached in node.reach for name in reached.names}
    )
