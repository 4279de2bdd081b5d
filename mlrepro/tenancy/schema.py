"""The JSON Schema of ``tenants.yaml``, so that editors complete and check it."""

import json

from mlrepro.tenancy.model import Tenants


def json_schema() -> str:
    """The schema, as it is checked in.

    Example:
        >>> json.loads(json_schema())["title"]
        'tenants.yaml'
    """
    made = Tenants.model_json_schema()
    made |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tenants.yaml",
        "description": "Tenants of a Dagster installation: what they run, where, with how much, and who may touch it.",
    }
    return json.dumps(made, indent=2, sort_keys=True) + "\n"
