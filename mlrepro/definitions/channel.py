"""`channel`: a named pointer to an asset's versions, as an asset of its own that stands between it and who uses it."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from mlrepro.catalog.names import check_channel_name
from mlrepro.definitions.versioned_assets import VersionedAssetsDefinition
from mlrepro.errors import AssetDefinitionError, ConditionError
from mlrepro.execution.promoting import promoting_function
from mlrepro.io_managers.promotion import APPROVERS, CHANNEL, OnFailure, Promotion
from mlrepro.quality import as_gate


class ChannelDefinition(VersionedAssetsDefinition):
    """The asset of a channel. What it is about stands in its key: ``churn_model/production``."""

    @property
    def model(self) -> dg.AssetKey:
        """Key of the asset whose versions are promoted."""
        return dg.AssetKey(self.key.path[:-1])

    @property
    def channel(self) -> str:
        """Name of the channel."""
        return self.key.path[-1]

    @staticmethod
    def dagster_internal_init(**kwargs: Any) -> "ChannelDefinition":
        """Copy the definition: Dagster calls this wherever it changes an attribute."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=dg.PreviewWarning)
            warnings.simplefilter("ignore", category=dg.BetaWarning)
            return ChannelDefinition(**kwargs)


def channel(
    name: str,
    model: dg.AssetsDefinition | dg.AssetSpec | dg.AssetKey | str,
    *,
    gates: Sequence[Any] = (),
    on_failure: OnFailure = "fail",
    approval: bool | Sequence[str] = False,
    export: str | Path | None = None,
    io_manager_key: str = "io_manager",
    **asset_arguments: Any,
) -> ChannelDefinition:
    """Define a channel: an asset downstream of a model whose materializations are promotions and rollbacks.

    Materializing it asks the gates about the model's newest version. Where all pass, the channel serves that version
    from then on; else it stays as it is, says why, and its step fails. What depends on the channel loads the version
    that it serves, in runs and outside (``mlrepro.load("churn_model@production")``).

    A version that the channel was rolled back from is not promoted again until someone releases it: the channel stays
    at what it serves, and its step says so.

    Args:
        name: Name of the channel, such as ``production``: letters, digits and underscores.
        model: The asset whose versions it points to. Of a partitioned one, each partition has a channel of its own.
        gates: What a version has to pass: ``Metric("evaluation", "auc") >= 0.80``,
            ``Metric(...).not_worse_than_promoted(by=0.01)``, ``CheckPassed("evaluation", "no_nulls")``, or any callable
            that takes a `View` and returns whether the version is good, or a text that says why it isn't.
        on_failure: Whether a gate that fails fails the channel's step (``fail``), or skips it and what depends on it
            (``skip``). The run's other assets are not touched either way.
        approval: Whether a person has to approve a version that passed, by ``mlrepro approve`` or the job ``promote``;
            names of those who may, or True for anybody. Until then the channel serves what it served. Where there are
            names, nobody else promotes by hand either.
        export: A path that what is served is written to whenever the channel moves, whole or not at all. A relative
            one counts from the working directory of the code location.
        io_manager_key: Key of the `InputHashIOManager` whose store the channel is in.
        **asset_arguments: As `dagster.asset` takes them: ``group_name``, ``description``, ``tags``, ``owners``,
            ``automation_condition``, ``partitions_def`` (where the model is given by name).

    Raises:
        VersionNameError: If the name is no good.
        AssetDefinitionError: If the model is not one asset.
        ConditionError: If a gate is none.

    Example:
        >>> from mlrepro import Metric, ml_asset
        >>> @ml_asset
        ... def churn_model() -> dict[str, float]:
        ...     return {"slope": 0.5}
        >>> production = channel("production", churn_model, gates=[Metric("evaluation", "auc") >= 0.80])
        >>> production.key.to_user_string()
        'churn_model/production'
    """
    check_channel_name(name)
    key, partitions = _model(model)
    if isinstance(gates, str) or not isinstance(gates, Iterable):
        raise ConditionError(f"channel {name!r}: gates takes a list, such as [Metric('evaluation', 'auc') >= 0.8]")
    asked = tuple(as_gate(gate) for gate in gates)
    if on_failure not in ("fail", "skip"):
        raise ConditionError(f"channel {name!r}: on_failure is 'fail' or 'skip', not {on_failure!r}")
    if isinstance(approval, str):
        raise ConditionError(f"channel {name!r}: approval takes True, or a list of names such as [{approval!r}]")
    if not isinstance(approval, bool) and not approval:
        raise ConditionError(f"channel {name!r}: approval has no name of who may approve: True lets anybody")
    arguments = dict(asset_arguments)
    partitions = arguments.pop("partitions_def", partitions)
    approvers = [str(each) for each in approval] if not isinstance(approval, bool) else []
    read = dict.fromkeys(each for gate in asked for each in gate.assets if each != key)
    promotion = Promotion(
        fn=_said_by(asked, on_failure),
        gates=asked,
        on_failure=on_failure,
        approval=bool(approval),
        approvers=tuple(approvers),
        # whoever moves the channel may stand in another folder
        export=None if export is None else str(Path(export).absolute()),
    )
    described = f"What {name} serves of {key.to_user_string()}." + (
        f" Promoted where: {'; '.join(map(str, asked))}." if asked else ""
    )
    arguments = {
        "description": described + (" Waits for a person's approval." if approval else ""),
        "kinds": {"channel"},
        **arguments,
        "metadata": {
            **(arguments.get("metadata") or {}),
            CHANNEL: name,
            **({APPROVERS: approvers} if approvers else {}),
        },
    }
    with warnings.catch_warnings():
        # said once here that backfill policies are beta: whoever defines a channel can do nothing about it
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        plain = dg.asset(
            key=dg.AssetKey([*key.path, name]),
            deps=[key, *read],
            partitions_def=partitions,
            # many partitions at once would be many decisions under one step
            backfill_policy=dg.BackfillPolicy.multi_run() if partitions is not None else None,
            output_required=False,
            io_manager_key=io_manager_key,
            **arguments,
        )(promoting_function(promotion))
    return ChannelDefinition.dagster_internal_init(**plain.get_attributes_dict())


def _model(
    model: dg.AssetsDefinition | dg.AssetSpec | dg.AssetKey | str,
) -> tuple[dg.AssetKey, dg.PartitionsDefinition[Any] | None]:
    if isinstance(model, dg.AssetsDefinition):
        if len(model.keys) != 1:
            names = ", ".join(sorted(key.to_user_string() for key in model.keys))
            raise AssetDefinitionError(
                f"a channel is about one asset, and this function computes {names}: give the key of one of them, and"
                " partitions_def where it is partitioned"
            )
        return model.key, model.partitions_def
    if isinstance(model, dg.AssetSpec):
        return model.key, model.partitions_def
    if isinstance(model, dg.AssetKey):
        return model, None
    if isinstance(model, str) and model:
        return dg.AssetKey.from_user_string(model), None
    raise AssetDefinitionError(f"a channel is about an asset or its key, not {model!r}")


def _said_by(gates: tuple[Any, ...], on_failure: OnFailure) -> Callable[[], Any]:
    """A function that stands for all that its author said, so that the channel's code version follows it."""

    def said() -> Any:
        return gates, on_failure

    return said
