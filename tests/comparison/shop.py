"""A shop's model, trained several times, with evaluations near and far."""

import datetime as dt
import textwrap
from typing import Any, Literal

from mlrepro.catalog import version
from mlrepro.catalog.channels import ChannelEntry, ChannelName, Pointer, newest_entry
from tests.definitions.lab import Lab

SHOP = """
    import dagster as dg
    from mlrepro import ml_asset

    class TrainConfig(dg.Config):
        depth: int = 2
        note: str = ""

    def squash(x):
        return x / {factor}

    @ml_asset
    def customers() -> list[int]:
        return list(range({customers}))

    @ml_asset
    def churn_model(context: dg.AssetExecutionContext, customers: list[int], config: TrainConfig) -> dict:
        context.add_output_metadata({{"train_rows": len(customers), "note": config.note, "mlrepro/own": 1}})
        return {{"weights": [squash(config.depth)] * len(customers), "depth": config.depth}}

    @ml_asset
    def evaluation(churn_model: dict) -> dict[str, float]:
        return {{"auc": 1 - 1 / (1 + churn_model["depth"]), "f1": 0.5 + churn_model["depth"] / 100}}

    @ml_asset
    def predictions(churn_model: dict) -> list[float]:
        return [weight * 2 for weight in churn_model["weights"]]

    @ml_asset
    def live_quality(context: dg.AssetExecutionContext, predictions: list[float]) -> list[float]:
        context.add_output_metadata({{"mean": sum(predictions) / len(predictions), "served": len(predictions)}})
        return predictions

    @ml_asset
    def unrelated() -> dict[str, float]:
        return {{"auc": 0.1}}

    everything = [customers, churn_model, evaluation, predictions, live_quality, unrelated]
"""


def train(
    lab: Lab,
    depth: int,
    *,
    select: list[str] | None = None,
    customers: int = 3,
    factor: int = 4,
    note: str = "",
    **run: Any,
) -> list[Any]:
    """Materialize the shop, with one more version of the model where something about it changed; its assets."""
    module = lab.module(textwrap.dedent(SHOP).format(factor=factor, customers=customers), name="shop")
    trained = select is None or "churn_model" in select
    config = {"churn_model": {"depth": depth, "note": note}} if trained else None
    lab.run(*module.everything, select=select, config=config, **run)
    return list(module.everything)


def move(
    lab: Lab, channel: str, kind: Literal["promotion", "rollback"], to: int, *, reason: str = "", **entry: Any
) -> None:
    """Have a channel of the model serve a version, as a promotion or a rollback does."""
    store = lab.store()
    name = ChannelName(("churn_model",), channel)
    newest = newest_entry(store, name)
    after = Pointer.to(version(f"churn_model@v{to}", store=store))
    made = ChannelEntry(
        name=name,
        number=newest.number + 1 if newest else 1,
        kind=kind,
        before=newest.after if newest else None,
        after=after,
        when=dt.datetime.now(dt.UTC),
        who="ana",
        reason=reason,
        **entry,
    )
    store.append(name.history, lambda _: made.to_json())
