"""What a name in a body means at run time: closure cell, module global, builtin, or import inside the body."""

import ast
import builtins
import functools
import importlib
import sys
from dataclasses import dataclass, field
from types import CellType, ModuleType
from typing import Any, Final

from mlrepro.versioning.code.origin import Kind, Origin, Origins, module_file, relative_file
from mlrepro.versioning.code.report import Source
from mlrepro.versioning.code.source import Definition, SourceFile, source_file
from mlrepro.versioning.code.syntax import Reference


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(slots=True)
class Place:
    """A module-level name and the statement that gives it its value."""

    module: str
    name: str
    file: SourceFile | None
    statement: Definition | None
    scope: "Scope"

    @property
    def path(self) -> str:
        """Its file, relative to the import root."""
        return relative_file(self.module, self.file.filename) if self.file is not None else self.module

    @property
    def line(self) -> int:
        """The statement's line."""
        return self.statement.first if self.statement is not None else 0

    def source(self) -> Source | None:
        """The statement as part of a closure's sources."""
        if self.file is None or self.statement is None:
            return None
        return Source(f"{self.module}:{self.name}", self.path, self.line, self.statement.text)


@dataclass(slots=True)
class Found:
    """What a reference leads to.

    Attributes:
        value: The object, or ``MISSING``.
        attrs: Attributes not yet taken (of anything that is not a module).
        dotted: Its name when it lies outside the project.
        origin: Where it comes from when it was named through a module outside the project.
        home: Module globals and name that hold it.
    """

    value: Any
    attrs: tuple[str, ...] = ()
    dotted: str = ""
    origin: Origin | None = None
    home: tuple[dict[str, Any], str] | None = None


@dataclass(slots=True)
class Scope:
    """The namespace in which one function runs."""

    origins: Origins
    globals: dict[str, Any]
    cells: dict[str, CellType] = field(default_factory=dict)
    filename: str = ""

    @property
    def module(self) -> str:
        """Name of the module."""
        name = self.globals.get("__name__")
        return name if isinstance(name, str) else ""

    @property
    def loading(self) -> bool:
        """Whether the module is still being imported, so that its later names do not exist yet."""
        spec = getattr(sys.modules.get(self.module), "__spec__", None)
        return bool(getattr(spec, "_initializing", False))

    def find(self, reference: Reference) -> Found:
        """Resolve a reference as the interpreter would."""
        if reference.module or reference.level:
            return self._imported(reference)
        name = reference.name
        cell = self.cells.get(name)
        if cell is not None:
            try:
                return self._attributes(cell.cell_contents, reference.attrs, None)
            except ValueError:  # not filled yet
                return Found(MISSING, reference.attrs)
        if name in self.globals:
            return self._attributes(self.globals[name], reference.attrs, (self.globals, name))
        namespace = self.globals.get("__builtins__", builtins)
        if isinstance(namespace, ModuleType):
            namespace = vars(namespace)
        if name in namespace:
            return Found(namespace[name], reference.attrs, f"builtins.{name}")
        return Found(MISSING, reference.attrs)

    def _attributes(self, value: Any, attrs: tuple[str, ...], home: tuple[dict[str, Any], str] | None) -> Found:
        """Take attributes for as long as the object is a module of the project."""
        position = 0
        while position < len(attrs) and issubclass(type(value), ModuleType):
            name = getattr(value, "__name__", "")
            origin = self.origins.of(name)
            if origin.kind is not Kind.FIRST_PARTY:
                return self._outside(value, name, origin, attrs[position:])
            attr = attrs[position]
            namespace = vars(value)
            if attr in namespace:
                value, home = namespace[attr], (namespace, attr)
            else:
                value, home = self._lazy(value, name, attr), None
                if value is MISSING:
                    return Found(MISSING, attrs[position + 1 :])
            position += 1
        return Found(value, attrs[position:], home=home)

    def _lazy(self, module: ModuleType, name: str, attr: str) -> Any:
        """A submodule that nothing has imported yet, or what a module's ``__getattr__`` gives."""
        if "__path__" in vars(module):
            submodule = self.load(f"{name}.{attr}")
            if submodule is not MISSING:
                return submodule
        if "__getattr__" in vars(module):
            try:
                return getattr(module, attr)
            except Exception:  # noqa: BLE001 -- the project's own code may raise anything
                return MISSING
        return MISSING

    def _outside(self, module: ModuleType, name: str, origin: Origin, attrs: tuple[str, ...]) -> Found:
        """A name of a module outside the project, looked at without setting off a lazy import."""
        value: Any = module
        position = 0
        while position < len(attrs) and issubclass(type(value), ModuleType):
            value = vars(value).get(attrs[position], MISSING)
            position += 1
        return Found(value, attrs[position:], ".".join((name, *attrs)), origin)

    def _imported(self, reference: Reference) -> Found:
        name = reference.module
        if reference.level:
            package = self.globals.get("__package__") or self.module
            if not self.globals.get("__package__") and "__path__" not in self.globals:
                package = package.rpartition(".")[0]
            base = package.split(".")
            base = base[: len(base) - reference.level + 1]
            name = ".".join([*base, name] if name else base)
        origin = self.origins.of(name)
        if origin.kind is not Kind.FIRST_PARTY:
            module = sys.modules.get(name)
            if module is None:
                return Found(MISSING, (), ".".join((name, *reference.attrs)), origin)
            return self._outside(module, name, origin, reference.attrs)
        module = self.load(name)
        if module is MISSING:
            return Found(MISSING, reference.attrs)
        return self._attributes(module, reference.attrs, None)

    def load(self, name: str) -> Any:
        """A module of the project, imported if it can be done without disturbing an import under way."""
        module = sys.modules.get(name)
        if module is not None:
            return module
        if self.loading or not self.origins.first_party(name):
            return MISSING
        try:
            return importlib.import_module(name)
        except Exception:  # noqa: BLE001 -- importing runs the project's own code
            return MISSING

    def place(self, home: tuple[dict[str, Any], str] | None) -> Place | None:
        """Where a module-level name gets its value, followed through ``from m import name``."""
        if home is None:
            return None
        namespace, name = home
        for _ in range(8):
            module = namespace.get("__name__")
            if not isinstance(module, str) or not self.origins.first_party(module):
                return None
            filename = (
                namespace.get("__file__") if namespace is not self.globals or not self.filename else self.filename
            )
            file = source_file(filename, namespace) if isinstance(filename, str) else None
            statement = file.binding(name) if file is not None else None
            scope = Scope(self.origins, namespace, filename=filename if isinstance(filename, str) else "")
            if statement is None or not isinstance(statement.node, ast.ImportFrom):
                return Place(module, name, file, statement, scope)
            line = statement.node
            alias = next((alias for alias in line.names if (alias.asname or alias.name) == name), None)
            target = scope._imported(Reference("", (), 0, line.module or "", line.level)).value
            if alias is None or not isinstance(target, ModuleType):
                return Place(module, name, file, statement, scope)
            namespace, name = vars(target), alias.name
        return None


@functools.lru_cache(maxsize=4096)
def path_of(module: str, filename: str) -> str:
    """A code object's file as told to people: relative to the import root."""
    loaded = module_file(module) if module != "__main__" else filename
    return relative_file(module if loaded == filename else "__main__", filename)
