"""Names of versions as people write them: ``team/churn_model@v3``."""

import re
from dataclasses import dataclass

from mlrepro.errors import VersionNameError

_VERSION = re.compile(r"v?([1-9][0-9]*)")
_CHANNEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LIKE_A_VERSION = re.compile(r"latest|v?[0-9]+")


@dataclass(frozen=True)
class VersionName:
    """An asset, and which of its versions is meant.

    Attributes:
        asset: Asset key, one part an element.
        number: Version number; None for the newest.
        channel: The channel whose version is meant, or None.
    """

    asset: tuple[str, ...]
    number: int | None
    channel: str | None = None

    def __str__(self) -> str:
        name = "/".join(part.replace("/", "\\/") for part in self.asset)
        if self.channel is not None:
            return f"{name}@{self.channel}"
        return name if self.number is None else f"{name}@v{self.number}"


def check_channel_name(channel: str) -> str:
    """Return a channel's name if it is a good one.

    Raises:
        VersionNameError: It has other characters than letters, digits and underscores, or reads like a version.

    Example:
        >>> check_channel_name("production")
        'production'
    """
    if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel) or _LIKE_A_VERSION.fullmatch(channel):
        raise VersionNameError(
            f"{channel!r} cannot be a channel's name: use letters, digits and underscores, beginning with a letter,"
            " and nothing that reads like a version (v3, latest)"
        )
    return channel


def parse_version_name(text: str) -> VersionName:
    r"""Read the name of a version.

    Args:
        text: ``asset``, ``prefix/asset``, ``asset@v3``, ``asset@3``, ``asset@latest``, or ``asset@production`` for
            what a channel serves. A slash inside a part of a key is written ``\/``, as Dagster writes it.

    Raises:
        VersionNameError: If it is none of them.

    Example:
        >>> parse_version_name("team/churn_model@v3")
        VersionName(asset=('team', 'churn_model'), number=3, channel=None)
    """
    name, at, version = text.strip().rpartition("@")
    if not at:
        name, version = version, "latest"
    asset = tuple(part.replace("\\/", "/") for part in re.split(r"(?<!\\)/", name))
    if not name or not all(asset):
        raise VersionNameError(f"{text!r} names no asset: write ASSET, ASSET@v3 or PREFIX/ASSET@v3")
    if version == "latest":
        return VersionName(asset, None)
    if (found := _VERSION.fullmatch(version)) is not None:
        return VersionName(asset, int(found[1]))
    if _CHANNEL.fullmatch(version) is None or _LIKE_A_VERSION.fullmatch(version):
        raise VersionNameError(f"{version!r} in {text!r} is no version: write v1, v2, ..., latest, or a channel's name")
    return VersionName(asset, None, version)
