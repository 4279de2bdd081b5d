"""Code bundles and workflow versions: a code location's source as one name, and the history of what it defined."""

from mlrepro.bundles.extracting import bundle_cache, fetch, read_manifest
from mlrepro.bundles.manifest import File, Link, Manifest
from mlrepro.bundles.packing import Packed, Sent, pack, store_bundle
from mlrepro.bundles.settings import BundleSettings, read_settings

__all__ = [
    "BundleSettings",
    "File",
    "Link",
    "Manifest",
    "Packed",
    "Sent",
    "bundle_cache",
    "fetch",
    "pack",
    "read_manifest",
    "read_settings",
    "store_bundle",
]
