"""A code location of plain Dagster assets, whose steps run as Jobs and hand values over through a shared place."""

import os
import pickle
import time

import dagster as dg
import obstore
from dagster_k8s import k8s_job_executor
from obstore.store import from_url


class SharedPickles(dg.IOManager):
    """Values as pickles in MLREPRO_TEST_STORE, a folder or a bucket: no two steps need share a disk."""

    def __init__(self) -> None:
        url = os.environ["MLREPRO_TEST_STORE"]
        self._store = from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        obstore.put(self._store, f"plain/{context.asset_key.path[-1]}", pickle.dumps(obj))

    def load_input(self, context: dg.InputContext) -> object:
        return pickle.loads(obstore.get(self._store, f"plain/{context.asset_key.path[-1]}").bytes().to_bytes())


@dg.asset
def numbers() -> list[int]:
    return [1, 2, 3]


@dg.asset
def doubled(numbers: list[int]) -> list[int]:
    return [2 * number for number in numbers]


@dg.asset
def total(doubled: list[int]) -> dg.MaterializeResult[int]:
    return dg.MaterializeResult(value=sum(doubled), metadata={"total": sum(doubled)})


@dg.asset
def broken() -> None:
    raise ValueError("broken on purpose")


@dg.asset(deps=[broken])
def after_broken() -> None:
    """Never runs."""


@dg.asset
def endless(context: dg.AssetExecutionContext) -> None:
    context.log.info("the endless step is at work")
    time.sleep(600)


@dg.io_manager
def shared_pickles() -> SharedPickles:
    return SharedPickles()


defs = dg.Definitions(
    assets=[numbers, doubled, total, broken, after_broken, endless],
    resources={"io_manager": shared_pickles},
    executor=k8s_job_executor,
)
