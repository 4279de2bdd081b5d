"""One address for the instances of several tenants: ``/tenants/<tenant>/`` is a tenant's, ``/`` leads to one's own."""

import html
from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mlrepro.web.people import People
from mlrepro.web.scope import identity_of, mark_refused

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tenants</title><meta name="viewport" content="width=device-width">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 38rem; margin: 15vh auto; padding: 0 1rem; color: #231f1b }
li { margin: .5rem 0 } small { color: #666 }
</style></head><body><h1>%s</h1><ul>%s</ul></body></html>
"""
_NOWHERE = "?"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Sites:
    """ASGI application that hands each request to the instance that its path names.

    The path says whose instance it is, so that two tabs may show two tenants, and a link is the same for everybody.
    Whoever does not belong to a tenant is told the same as where there is no such tenant.

    Args:
        sites: The application of each tenant, by its name. Each knows the whole path.
        people: Who belongs where.
        path_prefix: What all paths begin with.
        info: What ``/server_info`` tells.
    """

    def __init__(
        self, sites: Mapping[str, ASGIApp], *, people: People, path_prefix: str = "", info: Mapping[str, str]
    ) -> None:
        self._sites = sites
        self._people = people
        self._prefix = path_prefix
        self._info = info

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand it on, or answer."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        first, second = self._parts(scope["path"])
        if first == "tenants" and second and second in self._mine(scope):
            await self._sites[second](scope, receive, send)
            return
        if first == "tenants" and second:
            mark_refused(HTTPConnection(scope), f"{second[:100]} is no tenant of theirs")
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403, "reason": "No role"})
            return
        await self._answer(scope, first, second)(scope, receive, send)

    def _parts(self, path: str) -> tuple[str, str]:
        inside = path.removeprefix(self._prefix) if path.startswith(self._prefix) else path
        parts = inside.split("/")[1:]
        # what a proxy could read as another path is no path here
        if ".." in parts or "." in parts or "" in parts[:-1]:
            return _NOWHERE, ""
        return parts[0] if parts else "", parts[1] if len(parts) > 1 else ""

    def _mine(self, scope: Scope) -> list[str]:
        identity = identity_of(HTTPConnection(scope))
        if identity is None:
            return []
        access = self._people.access(identity, read_only=True)
        return [name for name in sorted(self._sites) if self._people.may_see(access, name)]

    def _answer(self, scope: Scope, first: str, second: str) -> Response:
        if first in {"server_info", "dagit_info"}:
            return JSONResponse(dict(self._info))
        mine = self._mine(scope)
        if first == "mlrepro" and (to := self._whose(scope, mine)) is not None:
            query = scope["query_string"].decode("latin-1")
            inside = scope["path"].removeprefix(self._prefix) if self._prefix else scope["path"]
            path = f"{self._prefix}/tenants/{to}{quote(inside)}"
            return RedirectResponse(f"{path}?{query}" if query else path)
        if first == "" and len(mine) == 1:
            return RedirectResponse(f"{self._prefix}/tenants/{mine[0]}/")
        if first == "" or (first == "tenants" and not second):
            return self._choice(scope, mine)
        return PlainTextResponse("There is nothing here for you.\n", 404, headers={"Cache-Control": "no-store"})

    def _whose(self, scope: Scope, mine: list[str]) -> str | None:
        """Whose page a link means that names no tenant, as those in Dagster's metadata do: it names the scope."""
        wanted = HTTPConnection(scope).query_params.get("scope")
        tenants = self._people.tenants
        scopes = {each.scope: each.name for each in tenants}
        if wanted in scopes:
            return scopes[wanted] if scopes[wanted] in mine else None
        return mine[0] if len(mine) == 1 else None

    def _choice(self, scope: Scope, mine: list[str]) -> Response:
        connection = HTTPConnection(scope)
        paths = {name: f"{self._prefix}/tenants/{name}/" for name in mine}
        if "text/html" not in connection.headers.get("accept", ""):
            return JSONResponse({"tenants": paths}, headers={"Cache-Control": "no-store"})
        known = self._people.tenants.tenants
        items = "".join(_item(path, name, known[name].description) for name, path in paths.items() if name in known)
        title = "Which team's Dagster?" if mine else "There is no Dagster for you here yet"
        return HTMLResponse(_PAGE % (title, items), headers=_HEADERS)


def _item(path: str, name: str, description: str | None) -> str:
    more = f"<br><small>{html.escape(description)}</small>" if description else ""
    return f'<li><a href="{html.escape(path, quote=True)}">{html.escape(name)}</a>{more}</li>'


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
