"""The JSON twins keep to their OpenAPI document."""

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from mlrepro.web.pages.table import PAGES
from tests.web.pages.shop import Shop
from tests.web.pages.test_runs_and_plan import runs_of

schemathesis = pytest.importorskip("schemathesis")

ASKED = {
    "overview": [""],
    "asset": ["?key=delay_model", "?key=delay_features"],
    "version": ["?of=delay_model@v2", "?of=delay_board@v1"],
    "compare": ["?of=delay_model@v1&of=delay_model@v2"],
    "channel": ["?key=delay_model/production"],
    "run": [],
    "runs": [""],
    "plan": ["", "?selection=*delay_board"],
}


def document(shop: Shop):
    return shop.json("/openapi.json")


def test_every_page_is_in_it(shared: Shop) -> None:
    paths = document(shared)["paths"]
    assert set(paths) == {f"/{page.twin}" for page in PAGES}
    assert all(list(path) == ["get"] for path in paths.values()), "what changes something is no twin of a page"


@pytest.mark.parametrize("name", ASKED)
def test_answers_are_as_it_says(shared: Shop, name: str) -> None:
    described = document(shared)
    schema = described["paths"][f"/api/{name}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": described["components"]}
    run = runs_of(shared, "delay")[-1]
    for query in [*ASKED[name], *([f"?id={run}"] if name == "run" else [])]:
        jsonschema.Draft202012Validator(whole).validate(shared.json(f"/{name}{query}"))


def test_whatever_is_asked_is_answered_as_it_says(shared: Shop) -> None:
    api = schemathesis.openapi.from_dict(document(shared))
    tried: set[int] = set()
    for result in api.get_all_operations():
        operation = result.ok()
        _try(shared, operation, tried)
    assert 200 in tried
    assert tried <= {200, 400, 404}


def _try(shop: Shop, operation, tried: set[int]) -> None:
    @given(case=operation.as_strategy())
    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def ask(case) -> None:
        answer = shop.user("eve").request("GET", f"/mlrepro{operation.path}", params=case.query or {})
        tried.add(answer.status_code)
        described = operation.schema.raw_schema
        schema = operation.definition.raw["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": described["components"]}).validate(answer.json())

    ask()
