"""A code location of assets that are computed in the run's own pod."""

import time

import dagster as dg


@dg.asset
def number() -> int:
    return 1


@dg.asset
def endless(context: dg.AssetExecutionContext) -> None:
    context.log.info("endless is at work")
    time.sleep(600)


defs = dg.Definitions(assets=[number, endless], executor=dg.in_process_executor)
