"""Names of versions as they are written side by side: ``churn_model v3 v7``."""

import re
from collections.abc import Sequence

from mlrepro.catalog import parse_version_name
from mlrepro.catalog.channels import channels_of
from mlrepro.catalog.history import newest_version
from mlrepro.errors import VersionNameError
from mlrepro.store import Store

_BARE = re.compile(r"v?[0-9]+|latest")


def full_names(names: Sequence[str], store: Store, partition: str | None = None) -> list[str]:
    """Write out names that lean on the one before them.

    Args:
        names: ``asset@v3`` and ``asset@production`` stand alone; a version (``v3``) or a channel (``production``)
            belongs to the asset before it; an asset that is followed by neither means its newest version.
        store: Tells channels from assets.
        partition: Partition key, or None.

    Returns:
        Names that stand alone.

    Raises:
        VersionNameError: If fewer than two versions are named, or the first names no asset.

    Example:
        >>> from mlrepro.store import open_store
        >>> full_names(["model", "v3", "v7", "other@v1"], open_store("memory://names-example"))
        ['model@v3', 'model@v7', 'other@v1']
    """
    full: list[str] = []
    asset: str | None = None
    waiting = False  # whether nothing has said yet which version of the asset is meant
    for name in (name.strip() for name in names):
        if "@" in name:
            full += [f"{asset}@latest"] if waiting else []
            full.append(name)
            asset, waiting = name.rpartition("@")[0], False
        elif asset is not None and _is_of(asset, name, store, partition):
            full.append(f"{asset}@{name}")
            waiting = False
        elif _BARE.fullmatch(name):
            raise VersionNameError(f"{name!r} follows no asset: write ASSET {name}, or ASSET@{name}")
        else:
            full += [f"{asset}@latest"] if waiting else []
            asset, waiting = name, True
    full += [f"{asset}@latest"] if waiting else []
    if len(full) < 2:
        raise VersionNameError(
            f"{', '.join(full) or 'nothing'}: that is nothing to compare, name two versions or more"
            " (churn_model v3 v7, or churn_model@v3 other_model@v2)"
        )
    return full


def _is_of(asset: str, name: str, store: Store, partition: str | None) -> bool:
    """Whether a bare name is a version or a channel of an asset, rather than another asset."""
    if _BARE.fullmatch(name):
        return True
    if "/" in name:
        return False
    key = parse_version_name(f"{asset}@latest").asset
    if any(known.channel == name for known in channels_of(store, key)):
        return True
    # of what is neither, the asset's channel is what was meant: then the error tells which channels there are
    other = parse_version_name(f"{name}@latest").asset
    has_versions = newest_version(store, other, partition) or any(store.histories(("versions", *other)))
    return not has_versions
