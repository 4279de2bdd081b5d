"""A code location of one asset, computed in the run's own pod."""

import dagster as dg


@dg.asset
def number() -> int:
    return 1


defs = dg.Definitions(assets=[number], executor=dg.in_process_executor)
