"""What the store knows of assets, by name: their versions, what made each, what differs between two."""

from mlrepro.catalog.history import Version
from mlrepro.catalog.names import VersionName, parse_version_name
from mlrepro.catalog.reading import assets, diff, evidence, export, find_store, load, version, versions
from mlrepro.catalog.sharing import Shared, share

__all__ = [
    "Shared",
    "Version",
    "VersionName",
    "assets",
    "diff",
    "evidence",
    "export",
    "find_store",
    "load",
    "parse_version_name",
    "share",
    "version",
    "versions",
]
