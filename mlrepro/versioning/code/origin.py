"""Where a module comes from: the project, a distribution, the standard library, or the platform."""

import enum
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import sysconfig
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

PLATFORM = frozenset(("dagster", "mlrepro"))
"""What runs the assets. Its names are recorded, its versions are not part of a fingerprint."""

_STDLIB = tuple(
    os.path.realpath(path) + os.sep
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    if path is not None
)
_SITE = re.compile(r"[/\\](site|dist)-packages([/\\]|$)")
_MAX_TREE = 5000


class Kind(enum.Enum):
    """The four kinds of origin."""

    FIRST_PARTY = "first-party"
    THIRD_PARTY = "third-party"
    STDLIB = "standard library"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a module comes from, and for a distribution which one in which version.

    Attributes:
        kind: One of the four.
        distribution: Normalised name; empty for the project's own code.
        version: Its version; for a package without metadata a hash of its files.
    """

    kind: Kind
    distribution: str = ""
    version: str = ""

    @property
    def token(self) -> str:
        """What of it is part of a fingerprint."""
        if self.kind is Kind.STDLIB:
            return python_token()
        if self.kind is Kind.PLATFORM:
            return "platform"
        return f"{self.distribution}=={self.version}"


def python_token() -> str:
    """The interpreter as a fingerprint sees it: ``"cpython 3.11"``."""
    return f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"


def normalise(name: str) -> str:
    """A distribution's name in the normal form of packaging."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class _Distribution:
    name: str
    version: str
    path: Path
    own_checkout: bool  # installed from a local directory: somebody's own source


_BASE: dict[tuple[str, str], Origin] = {}
_DISTRIBUTIONS: dict[tuple[str, str], _Distribution | None] = {}
_LISTINGS: dict[str, tuple[Path, ...]] = {}


def module_file(name: str) -> str:
    """The file of a module, or of its package where it is not loaded; empty for a built-in one."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return file
    path = getattr(module, "__path__", None)
    if path is not None:
        return os.path.join(next(iter(path), ""), "__init__.py")  # noqa: PTH118 -- a namespace package
    if module is not None and file is None and name != "__main__":
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None)
        return origin if isinstance(origin, str) and origin not in ("built-in", "frozen") else ""
    try:
        spec = importlib.util.find_spec(name.partition(".")[0])
    except (ImportError, ValueError, AttributeError):
        return ""
    if spec is None:
        return ""
    if spec.origin and spec.origin not in ("built-in", "frozen"):
        return spec.origin
    for location in spec.submodule_search_locations or ():
        return str(Path(location) / "__init__.py")
    return ""


def import_root(name: str, file: str) -> str:
    """The entry of ``sys.path`` that a module was found under."""
    parts = name.split(".")
    folder = str(Path(file).parent)
    depth = len(parts) if Path(file).name.startswith("__init__.") else len(parts) - 1
    for _ in range(depth):
        folder = str(Path(folder).parent)
    return folder


def relative_file(name: str, file: str) -> str:
    """A module's file relative to the import root: the same on every machine."""
    parts = name.split(".")
    path = Path(file)
    depth = len(parts) if not path.name.startswith("__init__.") else len(parts) + 1
    tail = path.parts[-depth:] if name != "__main__" else path.parts[-1:]
    if name != "__main__" and list(tail[: depth - 1]) != parts[: depth - 1]:
        tail = path.parts[-1:]
    return "/".join(tail)


def _listing(root: str) -> tuple[Path, ...]:
    found = _LISTINGS.get(root)
    if found is None:
        try:
            entries = [
                Path(entry.path)
                for entry in os.scandir(root)
                if entry.name.endswith((".dist-info", ".egg-info"))
                # an egg-info beside the sources is a development install: the project's own code
                and (entry.name.endswith(".dist-info") or _SITE.search(root))
            ]
        except OSError:
            entries = []
        found = _LISTINGS[root] = tuple(sorted(entries))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _claims(info: Path, top: str, *, thorough: bool) -> bool:
    if top in _read(info / "top_level.txt").split():
        return True
    if not thorough:
        return False
    record = "\n" + _read(info / "RECORD")
    return any(mark in record for mark in (f"\n{top}/", f"\n{top}.py,", f"\n{top}.cpython-", f"\n{top}.abi3"))


def _find_distribution(root: str, top: str, relative: str) -> _Distribution | None:
    infos = _listing(root)
    wanted = normalise(top)
    named = [info for info in infos if normalise(info.name.split("-")[0].removesuffix(".egg")) == wanted]
    found = [info for info in named if _claims(info, top, thorough=True)]
    if not found:
        found = [info for info in infos if _claims(info, top, thorough=False)]
    if not found:
        found = [info for info in infos if _claims(info, top, thorough=True)]
    if len(found) > 1:  # a namespace shared by several distributions
        exact = [info for info in found if relative + "," in _read(info / "RECORD")]
        found = exact or found
    return _describe(found[0]) if found else None


def _describe(info: Path) -> _Distribution:
    metadata = _read(info / "METADATA") or _read(info / "PKG-INFO") or (_read(info) if info.is_file() else "")
    name, version = info.name.split("-")[0], ""
    for line in metadata.splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        if key.lower() == "name":
            name = value.strip()
        elif key.lower() == "version":
            version = value.strip()
    own = False
    direct = _read(info / "direct_url.json")
    if direct and _read(info / "INSTALLER").strip() != "conda":
        try:
            parsed = json.loads(direct)
        except ValueError:
            parsed = {}
        url = str(parsed.get("url", ""))
        # builds for conda leave the folder of the build farm behind
        own = "dir_info" in parsed and not re.search(r"feedstock_root|/croot/|/conda-bld/", url)
    return _Distribution(normalise(name), version, info, own)


def _content(file: str) -> str:
    """The hash of a package that has no metadata."""
    path = Path(file)
    digest = hashlib.sha256()
    files = [path]
    if path.name.startswith("__init__."):
        files = sorted(
            entry
            for entry in path.parent.rglob("*")
            if entry.suffix in (".py", ".so", ".pyd", ".json", ".yaml", ".toml") and entry.is_file()
        )[:_MAX_TREE]
    for entry in files:
        digest.update(str(entry.relative_to(path.parent)).encode())
        try:
            digest.update(hashlib.sha256(entry.read_bytes()).digest())
        except OSError:
            digest.update(b"unreadable")
    return "sha256:" + digest.hexdigest()


def _base_origin(name: str) -> tuple[Origin, bool]:
    """Where a module comes from before anything was declared, and whether it is somebody's own checkout."""
    top = name.partition(".")[0]
    if top in PLATFORM:
        return Origin(Kind.PLATFORM, top), False
    if name == "builtins" or top in sys.builtin_module_names:
        return Origin(Kind.STDLIB), False
    if top == "__main__" or top == "__mp_main__":
        return Origin(Kind.FIRST_PARTY), False
    if name not in sys.modules:
        name = top  # found without importing it
    file = module_file(name)
    if not file:
        return Origin(Kind.STDLIB if top in sys.stdlib_module_names else Kind.FIRST_PARTY), False
    cached = _BASE.get((name, file))
    if cached is not None:
        return cached, cached.distribution != "" and cached.kind is Kind.FIRST_PARTY
    origin = _classify(name, top, file)
    _BASE[name, file] = origin
    return origin, origin.kind is Kind.FIRST_PARTY and origin.distribution != ""


def _classify(name: str, top: str, file: str) -> Origin:
    real = os.path.realpath(file)
    in_site = bool(_SITE.search(file) or _SITE.search(real))
    if not in_site and real.startswith(_STDLIB):
        return Origin(Kind.STDLIB)
    root = import_root(name, file)
    relative = Path(file).relative_to(root).as_posix() if file.startswith(root) else Path(file).name
    key = (root, top)
    if key not in _DISTRIBUTIONS or not relative.startswith(top + "/__init__"):
        found = _find_distribution(root, top, relative)
        _DISTRIBUTIONS.setdefault(key, found)
    else:
        found = _DISTRIBUTIONS[key]
    if found is not None:
        if found.name.startswith("dagster-") and not found.own_checkout:
            return Origin(Kind.PLATFORM, found.name, found.version)
        kind = Kind.FIRST_PARTY if found.own_checkout else Kind.THIRD_PARTY
        return Origin(kind, found.name, found.version)
    if in_site:
        return Origin(Kind.THIRD_PARTY, top, _content(_package_file(top, root, file)))
    return Origin(Kind.FIRST_PARTY)


def _package_file(top: str, root: str, file: str) -> str:
    package = Path(root) / top / "__init__.py"
    return str(package) if package.is_file() else file


class Origins:
    """Origins under one declaration of what is first-party.

    Args:
        first_party: Names of distributions or of top-level modules.
    """

    def __init__(self, first_party: Collection[str] = ()) -> None:
        self.declared = frozenset(first_party) | {normalise(name) for name in first_party}
        self._known: dict[str, Origin] = {}

    def of(self, module_name: str) -> Origin:
        """The origin of a module, loaded or not."""
        known = self._known.get(module_name)
        if known is None:
            known, _ = _base_origin(module_name)
            if known.kind is not Kind.FIRST_PARTY and known.kind is not Kind.STDLIB:
                top = module_name.partition(".")[0]
                if known.distribution in self.declared or top in self.declared:
                    known = Origin(Kind.FIRST_PARTY, known.distribution, known.version)
            self._known[module_name] = known
        return known

    def first_party(self, module_name: str) -> bool:
        """Whether a module is the project's own."""
        return self.of(module_name).kind is Kind.FIRST_PARTY


def is_first_party(module_name: str, first_party: Collection[str] = ()) -> bool:
    """Whether a module is the project's own code: neither installed, nor standard library, nor the platform.

    Args:
        module_name: Its dotted name.
        first_party: Distributions or top-level modules that count as the project's own although installed.

    Example:
        >>> is_first_party("json")
        False
        >>> is_first_party("__main__")
        True
    """
    return Origins(first_party).first_party(module_name)


def distribution_of(module_name: str) -> tuple[str, str] | None:
    """The distribution that a module belongs to, as (name, version).

    Args:
        module_name: Its dotted name.

    Returns:
        ``None`` for the project's own code, the standard library, and packages without metadata.

    Example:
        >>> distribution_of("json") is None
        True
        >>> distribution_of("obstore")[0]
        'obstore'
    """
    origin, _ = _base_origin(module_name)
    if origin.kind is Kind.PLATFORM and not origin.version:
        try:
            return origin.distribution, importlib.metadata.version(origin.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None
    if not origin.distribution or origin.version.startswith("sha256:"):
        return None
    return origin.distribution, origin.version
