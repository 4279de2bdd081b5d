"""The JSON twins of the pages as an OpenAPI document, from the same table that they are served from."""

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from mlrepro.version import __version__
from mlrepro.web.pages.page import Page
from mlrepro.web.pages.table import PAGES

_REFERENCE: Final = "#/components/schemas/{model}"
_ERROR: Final = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "store": {"type": "string", "description": "With 503: the store that does not answer."},
    },
    "required": ["error"],
}
_SAID: Final = {
    "400": "A parameter is not as it should be.",
    "404": "It is not there, for who asks.",
    "503": "The store can't be read.",
}


def document(root: str) -> dict[str, Any]:
    """Describe the twins.

    Args:
        root: Path that all pages begin with.

    Example:
        >>> sorted(document("/mlrepro")["paths"])[:2]
        ['/api/asset', '/api/channel']
    """
    models = [(page.answer, "serialization") for page in PAGES]
    named, schemas = models_json_schema(models, ref_template=_REFERENCE)  # type: ignore[arg-type]
    return {
        "openapi": "3.1.0",
        "info": {"title": "mlrepro", "version": __version__, "description": "What the pages of mlrepro show, as JSON."},
        "servers": [{"url": root}],
        "paths": {f"/{page.twin}": {"get": _operation(page, named[(page.answer, "serialization")])} for page in PAGES},
        "components": {"schemas": {**schemas.get("$defs", {}), "Error": _ERROR}},
    }


def _operation(page: Page, schema: Any) -> dict[str, Any]:
    answers = {
        status: {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model="Error")}}},
        }
        for status, text in _SAID.items()
    }
    return {
        "operationId": page.name or "overview",
        "summary": page.summary,
        "parameters": list(_parameters(page)),
        "responses": {
            "200": {"description": page.summary, "content": {"application/json": {"schema": schema}}},
            **answers,
        },
    }


def _parameters(page: Page) -> list[dict[str, Any]]:
    schema = page.query.model_json_schema()
    required = set(schema.get("required", ()))
    found = []
    for name, each in schema.get("properties", {}).items():
        # what may be left out is left out: there is no null in an address
        kinds = [kind for kind in each.get("anyOf", [each]) if kind.get("type") != "null"]
        told = {key: value for key, value in kinds[0].items() if key not in {"description", "title", "default"}}
        found.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": each.get("description", ""),
                "schema": told,
            }
        )
    return found
