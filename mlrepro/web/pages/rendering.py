"""From a page's data to HTML: templates that escape everything, and headers that let nothing from elsewhere in."""

import datetime as dt
import functools
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse, JSONResponse, Response

from mlrepro.comparison import shown
from mlrepro.comparison.page import templates_of
from mlrepro.web.pages import texts

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Of every page: nothing is loaded from anywhere else, and nobody puts it into a frame."""

STATIC: Final = {"pages.css": "text/css", "pages.js": "text/javascript"}


def html(template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """Render a page."""
    return HTMLResponse(environment().get_template(template).render(**values), status, headers=dict(HEADERS))


def as_json(value: Any, status: int = 200) -> Response:
    """Answer a program."""
    return JSONResponse(value, status, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


def static(name: str) -> Response:
    """A style sheet or a script; its address changes with its content, so browsers may keep it."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(_static(name), media_type=STATIC[name], headers=headers)


@functools.cache
def _static(name: str) -> bytes:
    return resources.files("mlrepro.web.pages").joinpath("static", name).read_bytes()


@functools.cache
def static_version(name: str) -> str:
    """A part of an address that changes with the file's content."""
    return hashlib.sha256(_static(name)).hexdigest()[:12]


@functools.cache
def environment() -> jinja2.Environment:
    """The templates."""
    made = templates_of("mlrepro.web.pages")
    made.filters |= {
        "ago": texts.ago,
        "bytes": shown.size,
        "code": texts.highlighted,
        "compact": lambda value: texts.cut(_compact(value), 2000),
        "cut": texts.cut,
        "duration": shown.duration,
        "long_duration": texts.long_duration,
        "markdown": texts.markdown,
        "percent": lambda part: "-" if part is None else f"{part:.0%}",
        "time": _time,
        "when": _when,
    }
    made.globals["static_version"] = static_version
    return made


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _time(when: str | dt.datetime | None) -> str:
    found = texts.moment(when)
    return "-" if found is None else f"{found:%Y-%m-%d %H:%M} UTC"


def _when(when: str | dt.datetime | None) -> Markup:
    """How long ago it was, and when exactly for who points at it."""
    found = texts.moment(when)
    if found is None:
        return Markup("-")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(found.isoformat(), _time(found), texts.ago(found))
