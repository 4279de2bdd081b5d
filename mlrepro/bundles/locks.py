"""Whether the libraries that code was written against are those of the image that will run it."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlrepro.errors import BundleError
from mlrepro.store import Store

IMAGE_LOCK: Final = "MLREPRO_IMAGE_LOCK"
"""Environment variable: the lock file, or the output of ``pip freeze``, that the image was built with."""

_LOCKS: Final = ("uv.lock", "poetry.lock", "pdm.lock", "requirements.lock", "requirements.txt", "constraints.txt")
_PIN: Final = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([^\s;#\\]+)")
_SHOWN: Final = 5


@dataclass(frozen=True)
class Pins:
    """Versions that a lock file, or an environment, has.

    Attributes:
        name: Where they are from.
        versions: By normalised name of the distribution.
    """

    name: str
    versions: Mapping[str, str]


def project_lock(root: Path) -> Pins | None:
    """The pins of a project's lock file; None where it has none that pins anything."""
    for name in _LOCKS:
        path = root / name
        if path.is_file() and (versions := _pins(path)):
            return Pins(name, versions)
    return None


def image_lock() -> Pins | None:
    """The pins of the image, as ``MLREPRO_IMAGE_LOCK`` names them; None where it is not set."""
    given = os.environ.get(IMAGE_LOCK)
    return Pins(f"{IMAGE_LOCK} ({given})", _pins(Path(given))) if given else None


def recorded(store: Store, body: Mapping[str, Any]) -> Pins | None:
    """What an earlier workflow version was pushed against: the pins of its lock, else the libraries that it used."""
    number = body.get("of")
    lock = body.get("lock")
    if isinstance(lock, dict) and isinstance(lock.get("pins"), str):
        return Pins(f"{lock.get('file')} of v{number}", pins_in(store.read_bytes(lock["pins"]).decode()))
    libraries = body.get("libraries")
    return Pins(f"the libraries of v{number}", dict(libraries)) if isinstance(libraries, dict) else None


def drift(mine: Pins, theirs: Pins, *, whole: bool) -> list[str]:
    """List the distributions that differ, as sentences of a message.

    Args:
        mine: What the code is pushed with.
        theirs: What runs it.
        whole: Whether what only one of them has counts too.

    Example:
        >>> drift(Pins("uv.lock", {"pandas": "2.2"}), Pins("image", {"pandas": "2.1"}), whole=True)
        ['pandas 2.1 -> 2.2']
    """
    names = mine.versions.keys() | theirs.versions.keys() if whole else mine.versions.keys() & theirs.versions.keys()
    return [
        f"{name} {theirs.versions.get(name, '(none)')} -> {mine.versions.get(name, '(none)')}"
        for name in sorted(names)
        if mine.versions.get(name) != theirs.versions.get(name)
    ]


def check_drift(root: Path, libraries: Mapping[str, str], before: Pins | None) -> None:
    """Stop where the libraries differ from those of the image, or, where that is not known, of the version before.

    Args:
        root: The project, which may have a lock file.
        libraries: Distributions that the code uses, as installed here.
        before: What the version before was pushed against.

    Raises:
        BundleError: They differ.
    """
    lock, image = project_lock(root), image_lock()
    theirs = image or before
    if theirs is None:
        return
    mine = lock or Pins("the environment here", libraries)
    differing = drift(mine, theirs, whole=lock is not None and not theirs.name.startswith("the libraries"))
    if differing:
        more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise BundleError(
            f"{mine.name} differs from {theirs.name}, which the image was built with:"
            f" {', '.join(differing[:_SHOWN])}{more}. Build an image with the new libraries, or push with"
            " --allow-lock-drift if the code runs with the old ones"
        )


def pins_in(text: str) -> dict[str, str]:
    r"""The ``name==version`` lines of a text.

    Example:
        >>> pins_in("Pandas==2.2.1  # why\n-e .\nscikit_learn[x] == 1.5 ; python_version > '3'")
        {'pandas': '2.2.1', 'scikit-learn': '1.5'}
    """
    found = (_PIN.match(line) for line in text.splitlines())
    return {_normalised(each[1]): each[2] for each in found if each}


def as_text(pins: Mapping[str, str]) -> str:
    """Pins as `pins_in` reads them."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def _pins(path: Path) -> dict[str, str]:
    try:
        text = path.read_text("utf-8")
        if path.name.endswith((".txt", ".in")):
            return pins_in(text)
        try:
            packages = tomllib.loads(text).get("package", [])
        except tomllib.TOMLDecodeError:
            return pins_in(text)
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"the lock file {path} can't be read: {error}") from error
    return {
        _normalised(each["name"]): str(each["version"])
        for each in packages
        # the project itself is in its own lock, and changes with every release
        if "version" in each and not {"editable", "virtual", "directory"} & set(each.get("source") or {})
    }


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
