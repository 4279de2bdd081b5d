"""Links from Dagster's pages to those of mlrepro, where a webserver has them."""

import os
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import dagster as dg

VARIABLE: Final = "MLREPRO_PAGES"
"""Environment variable with the path or URL that the pages begin with."""


def pages_root() -> str | None:
    """Where the pages are: ``MLREPRO_PAGES``, else ``/mlrepro`` for a tenant's code; None where nobody serves them.

    Example:
        With ``MLREPRO_PAGES=https://ml.example.com/mlrepro/`` it is ``https://ml.example.com/mlrepro``.
    """
    if (said := os.environ.get(VARIABLE)) is not None:
        return said.rstrip("/") or None
    return "/mlrepro" if os.environ.get("MLREPRO_TENANT") else None


def link(page: str, parameters: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """Metadata with a link to a page; nothing where there are no pages.

    Args:
        page: Name of the page.
        parameters: Its parameters; those that are None are left out.
    """
    root = pages_root()
    if root is None:
        return {}
    query = urlencode([(name, value) for name, value in parameters if value is not None])
    return {"mlrepro/page": dg.MetadataValue.url(f"{root}/{page}?{query}")}
