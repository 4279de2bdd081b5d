"""Asset checks as conditions: `CheckPassed` for gates, `CheckFailed` for sensors."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import dagster as dg

from mlrepro.quality.condition import Condition
from mlrepro.quality.metric import asset_key
from mlrepro.quality.verdict import Verdict
from mlrepro.quality.view import View


@dataclass(frozen=True, init=False)
class CheckPassed(Condition):
    """An asset check passed, for the version that wants to be promoted. For gates.

    A check on the model, or on what descends from it, counts if it looked at a materialization of that very version.
    Dagster orders a step after a check of what it depends on only where that check is ``blocking=True``.

    Args:
        asset: The asset that is checked, or its key.
        name: Name of the check.

    Example:
        >>> str(CheckPassed("evaluation", "no_nulls"))
        'check no_nulls of evaluation passed'
    """

    states: ClassVar[Literal["good", "bad", "either"]] = "good"

    asset: dg.AssetKey
    name: str

    def __init__(self, asset: "str | dg.AssetKey | dg.AssetsDefinition", name: str) -> None:
        object.__setattr__(self, "asset", asset_key(asset))
        object.__setattr__(self, "name", name)

    def __str__(self) -> str:
        return f"check {self.name} of {self.asset.to_user_string()} passed"

    @property
    def assets(self) -> tuple[dg.AssetKey, ...]:
        """The asset that is checked."""
        return (self.asset,)

    def judge(self, view: View) -> Verdict:
        """Look at the check's newest evaluation."""
        found = _newest(view, dg.AssetCheckKey(self.asset, self.name))
        if isinstance(found, Verdict):
            return found
        evaluation, _ = found
        what = f"check {self.name} of {self.asset.to_user_string()}"
        if not _is_of_version(view, evaluation):
            return Verdict.unknown(
                f"{what} was last run for another version of {view.model.to_user_string()}: run the check"
                f" again{_before(view, evaluation.asset_check_key)}"
            )
        return Verdict(evaluation.passed, f"{what} {'passed' if evaluation.passed else 'failed'}{_why(evaluation)}")


@dataclass(frozen=True, init=False)
class CheckFailed(Condition):
    """An asset check failed since the channel moved last. For rollback sensors.

    Args:
        asset: The asset that is checked, or its key.
        name: Name of the check.
        severity: A failure of at least this severity.

    Example:
        >>> str(CheckFailed("predictions", "in_range"))
        'check in_range of predictions failed (ERROR)'
    """

    states: ClassVar[Literal["good", "bad", "either"]] = "bad"

    asset: dg.AssetKey
    name: str
    severity: dg.AssetCheckSeverity

    def __init__(
        self,
        asset: "str | dg.AssetKey | dg.AssetsDefinition",
        name: str,
        *,
        severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    ) -> None:
        object.__setattr__(self, "asset", asset_key(asset))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "severity", severity)

    def __str__(self) -> str:
        return f"check {self.name} of {self.asset.to_user_string()} failed ({self.severity.value})"

    @property
    def assets(self) -> tuple[dg.AssetKey, ...]:
        """The asset that is checked."""
        return (self.asset,)

    def judge(self, view: View) -> Verdict:
        """Look at the check's newest evaluation."""
        found = _newest(view, dg.AssetCheckKey(self.asset, self.name))
        if isinstance(found, Verdict):
            return found
        evaluation, timestamp = found
        what = f"check {self.name} of {self.asset.to_user_string()}"
        if view.since is not None and timestamp <= view.since.timestamp():
            return Verdict.unknown(f"{what} was not run yet since the channel moved last")
        if not _is_of_version(view, evaluation):
            return Verdict.unknown(f"{what} was last run for a version that is not served any more")
        grave = evaluation.severity == dg.AssetCheckSeverity.ERROR or self.severity == dg.AssetCheckSeverity.WARN
        how = "passed" if evaluation.passed else f"failed with severity {evaluation.severity.value}"
        return Verdict(not evaluation.passed and grave, f"{what} {how}{_why(evaluation)}")


def _newest(view: View, key: dg.AssetCheckKey) -> tuple[dg.AssetCheckEvaluation, float] | Verdict:
    key = dg.AssetCheckKey(view.log.actual(key.asset_key), key.name)
    found = view.log.check(key)
    if found is not None:
        return found
    asset = key.asset_key.to_user_string()
    if view.graph is not None and not view.graph.has(key):
        there = sorted(each.name for each in view.graph.asset_check_keys if each.asset_key == key.asset_key)
        return Verdict.unknown(f"{asset} has no check {key.name}: name one that it has ({', '.join(there) or 'none'})")
    return Verdict.unknown(f"check {key.name} of {asset} was never run: run it{_before(view, key)}")


def _before(view: View, key: dg.AssetCheckKey) -> str:
    """How a check is run before the gate of the same run that asks for it."""
    key = dg.AssetCheckKey(view.log.actual(key.asset_key), key.name)
    if view.candidate is None or view.graph is None or not view.graph.has(key) or view.graph.get(key).blocking:
        return ""
    if view.graph.has(key.asset_key) and key in view.graph.get(key.asset_key).execution_set_entity_keys:
        return ""  # the asset's own function yields it
    return ". Define it with blocking=True, so that a run has the channel wait for it"


def _is_of_version(view: View, evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether a check looked at the version at hand."""
    target = evaluation.target_materialization_data
    asset = evaluation.asset_key
    if target is None:  # it was run before there was anything to look at; no lineage to hold against it
        related = asset == view.model or view.log.descends(asset, view.model)
        return view.candidate is None or not related
    record = view.log.record(asset, target.storage_id)
    if record is None:  # wiped since
        return view.candidate is None
    return view.is_of_version(asset, record.event_log_entry) is True


def _why(evaluation: dg.AssetCheckEvaluation) -> str:
    return f": {evaluation.description}" if evaluation.description and not evaluation.passed else ""
