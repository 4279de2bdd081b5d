"""Where a browser goes after it logged in: to a page of this site, and nowhere else."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.types import Scope

_LONGEST: Final = 1500
# what browsers take for a path of this host: one slash, then neither a second one nor what they turn into one
_PATH: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def asked_for(scope: Scope) -> str:
    """The path and query that a request asked for."""
    query = scope["query_string"].decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")


def page_of_this_site(target: str | None, *, prefix: str = "") -> str:
    r"""The target if it is a page of this site that is not about logging in, else the first page.

    Args:
        target: As it came with a request.
        prefix: What every path of the site begins with.

    Example:
        >>> page_of_this_site("/runs?status=failed"), page_of_this_site("//evil.example"), page_of_this_site("/\\evil")
        ('/runs?status=failed', '/', '/')
    """
    first = f"{prefix}/"
    if target is None or len(target) > _LONGEST or not _PATH.fullmatch(target):
        return first
    parts = urlsplit(target)
    away = parts.scheme or parts.netloc
    path = parts.path.removeprefix(prefix)
    return first if away or path == "/auth" or path.startswith("/auth/") else target
