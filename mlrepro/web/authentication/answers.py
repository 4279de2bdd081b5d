"""What those are told whom the gate does not let through: a page for browsers, a line for programs."""

from html import escape
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, Response

UNAVAILABLE: Final = "who asks can't be checked at the moment; the log of the webserver says why"
"""What strangers are told of a file or a provider that is away."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 38rem; margin: 15vh auto; padding: 0 1rem; color: #231f1b }}
</style></head><body><h1>{title}</h1><p>{text}</p>{more}</body></html>
"""


def wants_page(connection: HTTPConnection) -> bool:
    """Whether a person looks at it: a browser opens an address."""
    return (
        connection.scope["type"] == "http"
        and connection.scope["method"] == "GET"
        and "text/html" in connection.headers.get("accept", "")
        and connection.headers.get("sec-fetch-dest", "document") == "document"
    )


def page(title: str, text: str, *, status: int = 200, more: str = "") -> Response:
    """A page.

    Args:
        title: Its title.
        text: What it says; anything in it is shown as it is.
        status: Of the response.
        more: HTML that follows.
    """
    made = _PAGE.format(title=escape(title), text=escape(text), more=more)
    return HTMLResponse(made, status, headers=dict(_HEADERS))


def answer(connection: HTTPConnection, status: int, title: str, text: str, *, more: str = "") -> Response:
    """A page for a browser, with HTML that follows; a line for anything else."""
    if wants_page(connection):
        return page(title, text, status=status, more=more)
    return PlainTextResponse(f"{title}: {text}\n", status, headers={"Cache-Control": "no-store"})
