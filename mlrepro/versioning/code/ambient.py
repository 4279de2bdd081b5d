"""What a body takes from its surroundings: environment variables, files, code by computed names.

Read again at every call: the same code under another setting is another fingerprint.
"""

import ast
import hashlib
import os
import sys
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from mlrepro.versioning.code.checkout import portable
from mlrepro.versioning.code.constant_paths import UNKNOWN, Evaluator, package_folder
from mlrepro.versioning.code.graph import Node
from mlrepro.versioning.code.lookup import Found, Scope
from mlrepro.versioning.code.syntax import Syntax, dotted, read_expression

if TYPE_CHECKING:
    from mlrepro.versioning.code.walker import Walker

_WHOLE_FILE = 256 * 1024 * 1024

# Calls that open the file named by their first argument. A path that cannot be known is reported.
_OPENERS = frozenset(
    [
        "builtins.open",
        "io.open",
        "codecs.open",
        "gzip.open",
        "bz2.open",
        "lzma.open",
        "tarfile.open",
        "zipfile.ZipFile",
        "os.open",
        "numpy.load",
        "numpy.loadtxt",
        "numpy.genfromtxt",
        "numpy.fromfile",
        "numpy.memmap",
        "joblib.load",
        "torch.load",
        "pyarrow.parquet.read_table",
        "pyarrow.parquet.ParquetFile",
        "pyarrow.csv.read_csv",
        "pyarrow.feather.read_table",
        "os.listdir",
        "os.scandir",
        "os.walk",
        "glob.glob",
        "glob.iglob",
        "runpy.run_path",
    ]
)
_TABLES = ("pandas", "polars", "geopandas", "dask", "duckdb")
_NOT_FILES = frozenset(
    ("read_sql", "read_sql_query", "read_sql_table", "read_gbq", "read_clipboard", "read_database", "read_database_uri")
)
# Others of libraries: their file counts when its path is known, and nothing is said when it is not.
_MAYBE = ("read", "load", "open", "scan", "from_file", "imread", "from_pretrained", "parse", "safe_load", "from_csv")
_PROCESSES = ("subprocess.", "os.system", "os.popen", "os.exec", "os.spawn", "runpy.")
_BUILTINS = frozenset(
    "builtins." + name for name in ("open", "getattr", "exec", "eval", "compile", "globals", "__import__")
)
_NAMED = frozenset(("os.getenv", "os.getenvb", "importlib.import_module"))
_CALLABLE = frozenset((FunctionType, BuiltinFunctionType, MethodType))
_RESOURCES = frozenset(("get_data", "read_text", "read_binary", "open_text", "open_binary", "path"))
# Files that are part of the code, as data is not.
_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".sql", ".jinja", ".j2", ".txt", ".md")
_MOST_SETTINGS = 100
_LISTING = frozenset(("iterdir", "glob", "rglob"))


def matters(syntax: Syntax, found: list[Found]) -> bool:
    """Whether a body may take anything from its surroundings, so that its calls need a closer look."""
    if syntax.file_methods:
        return True
    for number, target in enumerate(found):
        value = target.value
        if _of_environ(value) or value is sys.modules:
            return True
        if number in syntax.targets:
            name = target.dotted or _dotted_of(value)
            if not name:
                continue
            if name.startswith("builtins."):
                if name in _BUILTINS:
                    return True
            elif name in _NAMED or name.startswith(_PROCESSES) or _opens(name) is not None or _is_resource(name):
                return True
    return False


def _of_environ(value: Any) -> bool:
    """Whether something is ``os.environ``, or one of its methods taken as a value."""
    if type(value) is MethodType:
        value = value.__self__
    return value is os.environ or value is getattr(os, "environb", None)


def _is_resource(name: str) -> bool:
    module, _, tail = name.rpartition(".")
    return tail in _RESOURCES and (module == "pkgutil" or module.startswith("importlib.resources"))


def _opens(name: str) -> bool | None:
    """Whether a call opens the file it is given: ``True``, perhaps (``False``), or no (``None``)."""
    if name in _OPENERS:
        return True
    top, _, _ = name.partition(".")
    tail = name.rpartition(".")[2]
    if top in _TABLES and tail.startswith(("read_", "scan_")) and tail not in _NOT_FILES:
        return True
    return False if tail.startswith(_MAYBE) and "." in name else None


def read(
    walker: "Walker",
    node: Node,
    syntax: Syntax,
    body: ast.AST,
    scope: Scope,
    found: list[Found],
    name: str,
    path: str,
) -> None:
    """Add to a node what its body takes from its surroundings, and tell of it.

    Args:
        walker: The walk.
        node: The body's node.
        syntax: The body, with the nodes of its calls.
        body: The body's tree.
        scope: The namespace the body runs in.
        found: What each reference of the body leads to.
        name: The definition, for reports.
        path: Its file, for reports.
    """
    reader = _Surroundings(walker, node, syntax.offset, body, scope, name, path)
    environment: dict[int, int] = {}
    for number, site in syntax.sites:
        target = found[number]
        if _of_environ(target.value):
            environment[number] = environment.get(number, 0) + reader.environ(site, target)
        elif isinstance(site, ast.Call):
            reader.call(site, target)
        elif isinstance(site, ast.Subscript) and target.value is sys.modules:
            reader.module(site, reader.evaluator.value(site.slice))
    for number, target in enumerate(found):
        if _of_environ(target.value) and environment.get(number, 0) < syntax.uses[number]:
            reader.report(
                "environment variable",
                "os.environ is read as a whole, or by names that are computed",
                syntax.references[number].line - syntax.offset,
                followed=False,
            )
    for method in syntax.methods:
        reader.method(method)


class _Surroundings:
    """One reading of one body."""

    def __init__(
        self, walker: "Walker", node: Node, offset: int, body: ast.AST, scope: Scope, name: str, path: str
    ) -> None:
        self.walker = walker
        self.node = node
        self.scope = scope
        self.name = name
        self.path = path
        self.offset = offset
        self.evaluator = Evaluator(scope, body)

    def report(self, kind: str, what: str, line: int, *, followed: bool) -> None:
        self.walker.report(self.node, kind, what, self.name, self.path, line + self.offset, followed=followed)

    # -- environment variables

    def environ(self, site: ast.AST, target: Found) -> bool:
        """One use of ``os.environ``; whether it is understood."""
        key: ast.AST | None = None
        attrs = target.attrs
        if type(target.value) is MethodType:
            attrs = (target.value.__name__,)
        if isinstance(site, ast.Subscript) and not attrs:
            if isinstance(site.ctx, ast.Store):
                return True
            key = site.slice
        elif isinstance(site, ast.Compare):
            key = site.left
        elif isinstance(site, ast.Call) and attrs in (("get",), ("setdefault",), ("pop",), ("__getitem__",)):
            key = site.args[0] if site.args else None
        elif isinstance(site, ast.Call) and attrs in (("update",), ("clear",)):
            return True
        if key is None:
            return False
        return self._variable(key, getattr(site, "lineno", 0))

    def _variable(self, key: ast.AST, line: int) -> bool:
        name = self.evaluator.value(key)
        if isinstance(name, bytes):
            name = os.fsdecode(name)
        if not isinstance(name, str):
            return False
        value = os.environ.get(name)
        content = b"unset" if value is None else hashlib.sha256(os.fsencode(value)).digest()
        self.node.parts += [b"environment " + os.fsencode(name), content]
        what = f"reads the environment variable {name}; its present value is part of the fingerprint"
        self.report("environment variable", what, line, followed=True)
        return True

    # -- calls

    def call(self, site: ast.Call, target: Found) -> None:
        name = target.dotted or _dotted_of(target.value)
        if not name:
            return
        if target.value is os.getenv or name in ("os.getenv", "os.getenvb"):
            if not site.args or not self._variable(site.args[0], site.lineno):
                what = "an environment variable is read by a computed name"
                self.report("environment variable", what, site.lineno, followed=False)
        elif name.startswith("builtins."):
            self._builtin(site, name)
        elif name == "importlib.import_module":
            self.module(site, self.evaluator.value(site.args[0]) if len(site.args) == 1 else UNKNOWN)
        elif name.startswith(_PROCESSES) and name != "runpy.run_path":
            self.report("exec", f"{name} runs code that is not followed", site.lineno, followed=False)
        elif _is_resource(name):
            self._resource(site, name)
        else:
            self._opening(site, name)

    def _builtin(self, site: ast.Call, name: str) -> None:
        name = name.removeprefix("builtins.")
        if name == "open":
            self._opening(site, "builtins.open")
        elif name == "getattr":
            self._getattr(site)
        elif name in ("exec", "eval", "compile"):
            self._exec(site, name)
        elif name == "globals":
            self._whole_module()
            self.report("dynamic attribute", "globals() gives every name of the module", site.lineno, followed=True)
        elif name == "__import__":
            self.module(site, self.evaluator.value(site.args[0]) if site.args else UNKNOWN)

    def _getattr(self, site: ast.Call) -> None:
        if len(site.args) < 2 or isinstance(site.args[1], ast.Constant):
            return
        base = self.evaluator.value(site.args[0])
        own = isinstance(base, ModuleType) and self.walker.origins.first_party(base.__name__)
        own = own or (isinstance(base, type) and self.walker.origins.first_party(base.__module__))
        if not own:  # of a library: its version counts; of an object: its class counts whole
            return
        chain = dotted(site.args[0])
        said = ".".join((chain[0], *chain[1])) if chain else base.__name__
        what = f"getattr({said}, ...) by a computed name: all of {base.__name__} counts"
        self.report("dynamic attribute", what, site.lineno, followed=True)

    def _exec(self, site: ast.Call, name: str) -> None:
        text = self.evaluator.value(site.args[0]) if site.args else UNKNOWN
        if isinstance(text, str):
            try:
                syntax = read_expression(ast.Module(ast.parse(text.strip()).body, []))
            except SyntaxError:
                pass
            else:
                self.node.parts.append(syntax.form.encode("utf-8", "surrogatepass"))
                self.walker.references(self.node, syntax, self.scope, "", "")
                return
        self._whole_module()
        self.report("exec", f"{name}() of computed code, which is not followed", site.lineno, followed=False)

    def _whole_module(self) -> None:
        module = sys.modules.get(self.scope.module)
        if module is not None:
            self.node.parts.append(self.walker.part(self.node, module))

    def module(self, site: ast.AST, name: Any) -> None:
        """A module taken by its name as a string."""
        line = getattr(site, "lineno", 0)
        if not isinstance(name, str) or name.startswith("."):
            self.report("dynamic attribute", "a module is imported by a computed name", line, followed=False)
            return
        self.node.parts.append(name.encode())
        origin = self.walker.origins.of(name)
        if not self.walker.origins.first_party(name):
            self.node.parts.append(self.walker.outside(self.node, name, origin))
            return
        module = self.scope.load(name)
        if isinstance(module, ModuleType):
            self.node.parts.append(self.walker.part(self.node, module))
        else:
            self.report("unresolved name", f"the module {name} cannot be imported", line, followed=False)

    # -- files

    def _opening(self, site: ast.Call, name: str) -> None:
        opener = _opens(name)
        if opener is None:
            return
        tail = name.rpartition(".")[2]
        if _writes(site):
            return
        argument = site.args[0] if site.args else None
        if argument is None:
            wanted = ("file", "path", "filepath_or_buffer", "source", "fname", "filename", "io", "f", "where")
            argument = next((keyword.value for keyword in site.keywords if keyword.arg in wanted), None)
        path = self.evaluator.value(argument)
        if isinstance(path, str | bytes | PurePath):
            if opener or (isinstance(path, str | PurePath) and _exists(path)):
                self._file(path, site.lineno)
        elif opener:
            self._unknown_file(f"{tail}()", site.lineno, argument)

    def _resource(self, site: ast.Call, name: str) -> None:
        """A file of a package, named by the two."""
        package, file = (self.evaluator.value(argument) for argument in (*site.args[:2], None, None)[:2])
        if isinstance(package, str | ModuleType) and isinstance(file, str):
            try:
                folder = package_folder(package)
            except (ImportError, ValueError, AttributeError):
                folder = UNKNOWN
            if isinstance(folder, PurePath):
                self._file(folder / file, site.lineno)
                return
        self._unknown_file(f"{name.rpartition('.')[2]}()", site.lineno)

    def method(self, site: ast.Call) -> None:
        """``read_text`` and its like on an expression."""
        assert isinstance(site.func, ast.Attribute)
        tail = site.func.attr
        holder = self.evaluator.value(site.func.value)
        if isinstance(holder, PurePath):
            if tail != "open" or not _writes(site, method=True):
                self._file(holder, site.lineno, listing=tail in _LISTING)
        elif holder is UNKNOWN and tail in ("read_text", "read_bytes", "iterdir", "rglob"):
            self._unknown_file(f".{tail}()", site.lineno, site.func.value)

    def _unknown_file(self, what: str, line: int, path: ast.AST | None = None) -> None:
        pattern = self.evaluator.pattern(path)
        if pattern is not None and self._settings(*pattern, line):
            return
        self.report("file", f"{what} reads a file whose path is not known from the code", line, followed=False)

    def _settings(self, folder: PurePath, pattern: str, line: int) -> bool:
        """Settings, queries and templates beside the code, one of which is chosen at run time: all that can be."""
        home = Path(self.scope.filename).parent
        if not pattern.endswith(_SETTINGS) or not Path(folder).is_relative_to(home):
            return False
        files = sorted(Path(folder).glob(pattern))
        if not 0 < len(files) <= _MOST_SETTINGS:
            return False
        for file in files:
            self._file(file, line)
        return True

    def _file(self, path: str | bytes | PurePath, line: int, *, listing: bool = False) -> None:
        file = Path(os.fsdecode(path))
        shown = portable(str(file))
        self.node.parts.append(b"file " + shown.encode("utf-8", "surrogatepass"))
        try:
            status = file.stat()
        except (OSError, ValueError):
            self.node.parts.append(b"absent")
            self.report("file", f"reads {shown}, which does not exist now", line, followed=False)
            return
        if listing or not file.is_file():
            self.report("file", f"reads the folder {shown}, whose content is not followed", line, followed=False)
            return
        if status.st_size > _WHOLE_FILE:
            self.node.parts.append(b"%d %d" % (status.st_size, status.st_mtime_ns))
            what = f"reads {shown}, too large to hash: its size and time are part of the fingerprint"
            self.report("file", what, line, followed=True)
            return
        try:
            with file.open("rb") as stream:
                self.node.parts.append(hashlib.file_digest(stream, "sha256").digest())
        except OSError:
            self.report("file", f"reads {shown}, which cannot be read now", line, followed=False)
            return
        self.report("file", f"reads {shown}; its content is part of the fingerprint", line, followed=True)


def _exists(path: str | PurePath) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _writes(site: ast.Call, *, method: bool = False) -> bool:
    """Whether a constant mode says that the file is only written."""
    position = 0 if method else 1
    mode = site.args[position] if len(site.args) > position else None
    for keyword in site.keywords:
        if keyword.arg == "mode":
            mode = keyword.value
    if not isinstance(mode, ast.Constant) or not isinstance(mode.value, str):
        return False
    return bool(set(mode.value) & set("wxa")) and "+" not in mode.value


def _dotted_of(value: Any) -> str:
    """The public name of a library's function that was imported by name."""
    if type(value) not in _CALLABLE and not issubclass(type(value), type):
        return ""  # an object may answer to any name
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return ""
    if value is open:
        return "builtins.open"
    top = module.partition(".")[0]
    for public in (top, f"{top}.parquet"):  # pandas.read_csv lives in pandas.io.parsers.readers
        if getattr(sys.modules.get(public), "__dict__", {}).get(name) is value:
            return f"{public}.{name}"
    return f"{module}.{name}"
