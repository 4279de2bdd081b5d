"""Names of versions as people write them: ``team/churn_model@v3``."""

import re
from dataclasses import dataclass

from mlrepro.errors import VersionNameError

_VERSION = re.compile(r"v?([1-9][0-9]*)")


@dataclass(frozen=True)
class VersionName:
    """An asset, and which of its versions is meant.

    Attributes:
        asset: Asset key, one part an element.
        number: Version number; None for the newest.
    """

    asset: tuple[str, ...]
    number: int | None

    def __str__(self) -> str:
        name = "/".join(part.replace("/", "\\/") for part in self.asset)
        return name if self.number is None else f"{name}@v{self.number}"


def parse_version_name(text: str) -> VersionName:
    r"""Read the name of a version.

    Args:
        text: ``asset``, ``prefix/asset``, ``asset@v3``, ``asset@3`` or ``asset@latest``. A slash inside a part of
            a key is written ``\/``, as Dagster writes it.

    Raises:
        VersionNameError: If it is none of them.

    Example:
        >>> parse_version_name("team/churn_model@v3")
        VersionName(asset=('team', 'churn_model'), number=3)
    """
    name, at, version = text.strip().rpartition("@")
    if not at:
        name, version = version, "latest"
    asset = tuple(part.replace("\\/", "/") for part in re.split(r"(?<!\\)/", name))
    if not name or not all(asset):
        raise VersionNameError(f"{text!r} names no asset: write ASSET, ASSET@v3 or PREFIX/ASSET@v3")
    if version == "latest":
        return VersionName(asset, None)
    if (found := _VERSION.fullmatch(version)) is None:
        raise VersionNameError(f"{version!r} in {text!r} is no version: write v1, v2, ... or latest")
    return VersionName(asset, int(found[1]))
