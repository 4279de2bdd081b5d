"""An `AssetsDefinition` whose code version is the fingerprint of the code as it is."""

import sys
import threading
import time
import warnings
from collections.abc import Iterable
from typing import Any

import dagster as dg

from mlrepro.dagster_internals import copy_spec_as
from mlrepro.errors import FollowWarning
from mlrepro.io_managers.computation import Computation, computation_of
from mlrepro.versioning import FingerprintSession, Report


class _Loads(threading.local):
    """Sessions by which the assets of one load share what they have in common.

    Dagster takes the code versions of a whole code location in a row and tells nobody when it begins or ends, so
    calls that follow one another closely count as one load. Nothing but the label in the UI depends on it: a step
    looks at its code anew.
    """

    PAUSE = 0.1
    """Seconds without a call that end a load."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, ...], FingerprintSession] = {}
        self._last = 0.0

    def session(self, first_party: tuple[str, ...]) -> FingerprintSession:
        """The session of the load that is going on, or of a new one."""
        now = time.monotonic()
        if now - self._last > self.PAUSE:
            self._sessions.clear()
        self._last = now
        if first_party not in self._sessions:
            self._sessions[first_party] = FingerprintSession(first_party=first_party)
        return self._sessions[first_party]


_loads = _Loads()


class FollowedSpec(dg.AssetSpec):
    """A spec whose code version is computed when somebody asks for it.

    A decorator runs while its module is half imported: a helper that is defined further down is not there yet,
    and a registry that other modules fill is empty. Dagster asks for code versions once everything is imported.
    """

    computation: Computation | None = None

    @property
    def code_version(self) -> str | None:  # type: ignore[override]  # a field of the record that it overrides
        """The code fingerprint, or what the record holds where there is no function to follow."""
        if self.computation is None:
            return super().code_version
        code = self.computation.fingerprint(_loads.session(self.computation.first_party))
        if not _is_loading(self.computation):
            _warn_once(self.key.to_user_string(), self.computation, code.reports)
        return self.computation.code_version(code)


class VersionedAssetsDefinition(dg.AssetsDefinition):
    """An ordinary `AssetsDefinition` with a `FollowedSpec` for each asset."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        computation = computation_of(self.node_def)
        self._plain_specs_by_key = dict(self._specs_by_key)
        self._specs_by_key = {key: _followed(spec, computation) for key, spec in self._plain_specs_by_key.items()}

    def get_attributes_dict(self) -> dict[str, Any]:
        """What Dagster copies a definition from: specs without a code version, so that copying computes none."""
        return {**super().get_attributes_dict(), "specs": list(self._plain_specs_by_key.values())}

    @staticmethod
    def dagster_internal_init(**kwargs: Any) -> "VersionedAssetsDefinition":
        """Copy the definition: Dagster calls this wherever it changes an attribute."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=dg.PreviewWarning)
            warnings.simplefilter("ignore", category=dg.BetaWarning)
            return VersionedAssetsDefinition(**kwargs)


def versioned(assets: dg.AssetsDefinition) -> VersionedAssetsDefinition:
    """Make a definition's code versions follow its code."""
    return VersionedAssetsDefinition.dagster_internal_init(**assets.get_attributes_dict())


def _followed(spec: dg.AssetSpec, computation: Computation | None) -> FollowedSpec:
    copy = copy_spec_as(FollowedSpec, spec)
    copy.__dict__["computation"] = computation
    return copy


_warned: set[tuple[str, str, str]] = set()


def _warn_once(asset: str, computation: Computation, reports: Iterable[Report]) -> None:
    """Tell what the fingerprint could not follow, once for each asset and place."""
    for report in reports:
        mark = (asset, computation.fn.__module__, report.message)
        if mark not in _warned:
            _warned.add(mark)
            warnings.warn(f"{asset}: {report.message}", FollowWarning, stacklevel=2)


def _is_loading(computation: Computation) -> bool:
    module = sys.modules.get(computation.fn.__module__)
    spec = getattr(module, "__spec__", None)
    return bool(getattr(spec, "_initializing", False))
