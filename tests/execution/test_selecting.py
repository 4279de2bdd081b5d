"""What a selection takes in, as the command's help says."""

import dagster as dg
import pytest

from mlrepro.execution.selecting import selected_keys


@dg.asset
def raw() -> None: ...


@dg.asset(deps=[raw])
def features() -> None: ...


@dg.asset(deps=[features])
def churn_model() -> None: ...


@dg.asset(deps=[churn_model], key=["team", "scores"])
def scores() -> None: ...


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        ("churn_model", {"churn_model"}),
        ("+churn_model", {"features", "churn_model"}),
        ("++churn_model", {"raw", "features", "churn_model"}),
        ("*churn_model", {"raw", "features", "churn_model"}),
        ('+key:"churn_model"', {"raw", "features", "churn_model"}),
        ('1+key:"churn_model"', {"features", "churn_model"}),
        ("features+", {"features", "churn_model"}),
        ("features*", {"features", "churn_model", "team/scores"}),
        ("team/scores", {"team/scores"}),
        ("*team/scores", {"raw", "features", "churn_model", "team/scores"}),
    ],
)
def test_plus_is_one_level_and_star_all_of_them(selection: str, taken: set[str]) -> None:
    graph = dg.Definitions(assets=[raw, features, churn_model, scores]).resolve_asset_graph()

    assert {key.to_user_string() for key in selected_keys(graph, selection)} == taken
