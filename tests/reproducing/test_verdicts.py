"""What `reproduce` says of a version: the same, alike, other, and why."""

import pytest

from tests.reproducing.conftest import Reproduce
from tests.reproducing.project import Project

pytestmark = pytest.mark.slow  # each call starts a process that imports Dagster

SHOP = """
    from pathlib import Path

    import dagster as dg
    import pandas as pd

    from lib import prices
    from mlrepro import file_source, ml_asset, ml_definitions


    def read(path):
        return pd.read_csv(path) * prices.FACTOR


    raw = file_source("raw", Path(__file__).parent / "sales.csv", read=read)


    class TrainConfig(dg.Config):
        depth: int = 3


    @ml_asset
    def sales(raw: pd.DataFrame) -> pd.DataFrame:
        return raw.assign(total=prices.total(raw))


    @ml_asset(seed=7)
    def model(sales: pd.DataFrame, config: TrainConfig) -> dict[str, float]:
        import random

        return {"slope": float(sales["total"].sum()) * config.depth + random.random()}


    defs = ml_definitions(assets=[raw, sales, model])
"""
PRICES = "FACTOR = 1\n\n\ndef total(sales):\n    return sales['price'] * sales['count']\n"


def test_each_version_comes_out_bit_for_bit_when_code_files_and_config_have_changed_since(
    project: Project, reproduced: Reproduce
) -> None:
    project.write(shop=SHOP, lib____init__="", lib__prices=PRICES)
    sales = project.code / "sales.csv"
    sales.write_text("price,count\n2,3\n4,5\n")
    project.materialize(config={"ops": {"model": {"config": {"depth": 5}}}})
    project.write(lib__prices=PRICES.replace("FACTOR = 1", "FACTOR = 3").replace("*", "+"))
    sales.write_text("price,count\n1,1\n")
    project.materialize()
    sales.unlink()

    for version in ("sales@v1", "sales@v2", "model@v1", "model@v2"):
        found = reproduced(version)
        assert (found.verdict, found.exit_code) == ("same", 0), found
        assert found.content_hash == found.recorded_hash
        assert found.code == "the files stored with the result"


def test_deep_goes_up_to_the_sources(project: Project, reproduced: Reproduce) -> None:
    project.write(shop=SHOP, lib____init__="", lib__prices=PRICES)
    (project.code / "sales.csv").write_text("price,count\n2,3\n")
    project.materialize()

    found = reproduced("model", deep=True)

    assert [(each.name, each.verdict) for each in found.everything()] == [("sales@v1", "same"), ("model@v1", "same")]
    assert found.upstream[0].notes == ["raw is a source: the copy that is kept of the file sales.csv was read"]


def test_what_draws_random_numbers_without_a_seed_is_told_apart(project: Project, reproduced: Reproduce) -> None:
    project.write(
        shop="""
        import random
        from mlrepro import ml_asset, ml_definitions

        @ml_asset
        def unseeded() -> float:
            return random.random()

        @ml_asset(seed=3)
        def seeded_in_vain() -> float:
            return random.Random().random()

        defs = ml_definitions(assets=[unseeded, seeded_in_vain])
        """
    )
    project.materialize()

    unseeded, in_vain = reproduced("unseeded"), reproduced("seeded_in_vain")

    assert (unseeded.verdict, in_vain.verdict, unseeded.exit_code) == ("differs", "differs", 1)
    assert "unseeded randomness: computed twice, it differs from itself; no seed is set" in unseeded.causes[0]
    assert "the seed 3 does not reach everything" in in_vain.causes[0]
    assert unseeded.differs[0].startswith("value: 0.")


def test_numbers_that_are_alike_are_said_to_be(project: Project, reproduced: Reproduce) -> None:
    project.write(
        shop="""
        import time
        import numpy as np
        from mlrepro import ml_asset, ml_definitions

        @ml_asset
        def scores() -> dict[str, float]:
            return {"auc": 0.75 + (time.time_ns() % 1000) * 1e-13}

        @ml_asset
        def weights() -> np.ndarray:
            return np.ones(4) + (time.time_ns() % 1000) * 1e-13

        defs = ml_definitions(assets=[scores, weights])
        """
    )
    project.materialize()

    scores, weights = reproduced("scores"), reproduced("weights")

    assert (scores.verdict, weights.verdict, scores.exit_code) == ("close", "close", 0)
    assert scores.differs[0].startswith("auc: 0.75")
    assert "4 of 4 values differ, by at most" in weights.differs[0]
    assert reproduced("scores", tolerance=1e-16).verdict == "differs"


def test_a_model_is_judged_by_what_evaluated_it_then(project: Project, reproduced: Reproduce) -> None:
    project.write(
        shop="""
        import os
        from dataclasses import dataclass
        from mlrepro import ml_asset, ml_definitions

        @dataclass
        class Model:
            slope: float
            trained_by: int

        @ml_asset
        def model() -> Model:
            return Model(0.5, os.getpid())

        @ml_asset
        def worse() -> Model:
            return Model(os.getpid() / 7, 0)

        @ml_asset
        def evaluation(model: Model) -> dict[str, float]:
            return {"auc": model.slope}

        @ml_asset
        def judgement(worse: Model) -> dict[str, float]:
            return {"auc": worse.slope}

        defs = ml_definitions(assets=[model, worse, evaluation, judgement])
        """
    )
    project.materialize()

    model, worse = reproduced("model"), reproduced("worse")

    assert model.verdict == "close"
    assert "evaluation@v1: auc 0.5 -> 0.5" in model.differs
    assert worse.verdict == "differs"
    assert any(line.startswith("judgement@v1: auc") for line in worse.differs)
