"""The environment a result was computed in."""

import functools
import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mlrepro.versioning.code.origin import normalise


@dataclass(frozen=True, slots=True)
class Environment:
    """Interpreter, platform and installed distributions.

    Attributes:
        python: ``"3.11.7"``.
        implementation: ``"cpython"``.
        platform: Operating system and machine, such as ``"linux-x86_64"``.
        distributions: Every installed distribution by its normalised name.
        freeze: The same as sorted ``name==version`` lines.
        local: Distributions that were installed from a folder, an archive or a repository rather than an index.
    """

    python: str
    implementation: str
    platform: str
    distributions: Mapping[str, str]
    freeze: str
    local: tuple[str, ...] = ()


@functools.cache
def environment() -> Environment:
    """The environment of this process, read once.

    Example:
        >>> environment().distributions["mlrepro"] != ""
        True
        >>> environment() is environment()
        True
    """
    installed: dict[str, str] = {}
    local: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        # the first of two on sys.path is the one that is imported
        if name and (known := normalise(name)) not in installed:
            installed[known] = distribution.version
            if distribution.read_text("direct_url.json"):
                local.add(known)
    found = dict(sorted(installed.items()))
    return Environment(
        python=platform.python_version(),
        implementation=sys.implementation.name,
        platform=f"{sys.platform}-{platform.machine()}",
        distributions=MappingProxyType(found),
        freeze="".join(sorted(f"{name}=={version}\n" for name, version in found.items())),
        local=tuple(sorted(local)),
    )
