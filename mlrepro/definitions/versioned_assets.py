"""An `AssetsDefinition` whose code version is the fingerprint of the code as it is."""

import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from mlrepro.errors import FollowWarning
from mlrepro.io_managers.computation import Computation, computation_of


class VersionedAssetsDefinition(dg.AssetsDefinition):
    """An ordinary `AssetsDefinition`, except that code versions are computed when they are asked for.

    A decorator runs while its module is half imported: a helper that is defined further down is not there yet,
    and a registry that other modules fill is empty. So the code is fingerprinted when Dagster takes the specs,
    which it does once everything is imported, and not before.
    """

    @property
    def specs_by_key(self) -> Mapping[dg.AssetKey, dg.AssetSpec]:
        """Specs of the assets by key, each with the code fingerprint as its code version."""
        specs = super().specs_by_key
        computation = computation_of(self.node_def)
        if computation is None:
            return specs
        version = self._code_version(computation)
        return {key: spec.replace_attributes(code_version=version) for key, spec in specs.items()}

    @property
    def specs(self) -> Iterable[dg.AssetSpec]:
        """Specs of the assets, each with the code fingerprint as its code version."""
        return self.specs_by_key.values()

    @property
    def code_versions_by_key(self) -> Mapping[dg.AssetKey, str | None]:
        """Code fingerprint of each asset."""
        return {key: spec.code_version for key, spec in self.specs_by_key.items()}

    def get_asset_spec(self, key: dg.AssetKey | None = None) -> dg.AssetSpec:
        """Spec of one asset, with the code fingerprint as its code version."""
        return self.specs_by_key[key or self.key]

    @staticmethod
    def dagster_internal_init(**kwargs: Any) -> "VersionedAssetsDefinition":
        """Copy the definition: Dagster calls this wherever it changes an attribute."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=dg.PreviewWarning)
            warnings.simplefilter("ignore", category=dg.BetaWarning)
            return VersionedAssetsDefinition(**kwargs)

    def _code_version(self, computation: Computation) -> str:
        code = computation.fingerprint()
        if not _is_loading(computation):
            _warn_once(self, computation, code.reports)
        return computation.code_version(code)


def versioned(assets: dg.AssetsDefinition) -> VersionedAssetsDefinition:
    """Make a definition's code versions follow its code."""
    return VersionedAssetsDefinition.dagster_internal_init(**assets.get_attributes_dict())


_warned: set[tuple[str, str, str]] = set()


def _warn_once(assets: dg.AssetsDefinition, computation: Computation, reports: Iterable[Any]) -> None:
    """Tell what the fingerprint could not follow, once for each asset and place."""
    asset = next(iter(sorted(key.to_user_string() for key in assets.keys)), "")
    for report in reports:
        mark = (asset, computation.fn.__module__, report.message)
        if mark not in _warned:
            _warned.add(mark)
            warnings.warn(f"{asset}: {report.message}", FollowWarning, stacklevel=2)


def _is_loading(computation: Computation) -> bool:
    module = sys.modules.get(computation.fn.__module__)
    spec = getattr(module, "__spec__", None)
    return bool(getattr(spec, "_initializing", False))
