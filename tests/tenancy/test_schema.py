"""The JSON Schema that editors use."""

import json

import jsonschema
import pytest
import yaml

from mlrepro.tenancy.schema import json_schema
from tests.tenancy.files import EXAMPLE, small, team

SCHEMA = json.loads(json_schema())


def test_the_checked_in_one_is_current() -> None:
    assert EXAMPLE.with_name("tenants.schema.json").read_text() == json_schema(), (
        "run: mlrepro tenants schema > deployment/tenants.schema.json"
    )


def test_it_takes_the_example() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(yaml.safe_load(EXAMPLE.read_text()), SCHEMA)


@pytest.mark.parametrize("more", ["nonsense: 1", "members: [{user: a, role: boss}]", "step: {cpu: 2x}", "limits: 3"])
def test_it_refuses_what_the_check_refuses(more: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(small(team("a", more))), SCHEMA)


def test_every_field_is_described() -> None:
    parts = [SCHEMA, *(part for name, part in SCHEMA["$defs"].items() if name != "Toleration")]
    bare = [name for part in parts for name, field in part.get("properties", {}).items() if "description" not in field]
    assert bare == []
