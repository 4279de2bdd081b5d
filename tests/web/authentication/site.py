"""A site behind the gate, asked in this process."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket

from mlrepro.tenancy import TenantsFile
from mlrepro.web.authentication import EXPIRES_KEY, IDENTITY_KEY, READ_ONLY_KEY, gate
from tests.tenancy.files import SMALL, small, team

URL = "https://dagster.example.com"
MEMBERS = "members: [{user: ana@example.com, role: editor}, {group: delay, role: viewer}]"


def seen(scope: Mapping[str, Any]) -> dict[str, Any]:
    """What an application behind the gate finds."""
    identity = scope[IDENTITY_KEY]
    return {
        "user": identity.user,
        "groups": sorted(identity.groups),
        "read_only": scope[READ_ONLY_KEY],
        "expires": scope.get(EXPIRES_KEY),
        "path": scope["path"],
    }


async def _page(request: Request) -> JSONResponse:
    return JSONResponse(seen(request.scope))


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(seen(websocket.scope))
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def _info(request: Request) -> JSONResponse:
    return JSONResponse({"identity": IDENTITY_KEY in request.scope})


def application() -> Starlette:
    """Says who asks, at every path."""
    every = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[
            Route("/server_info", _info, methods=every),
            WebSocketRoute("/graphql", _socket),
            Route("/{path:path}", _page, methods=every),
        ]
    )


def tenants_file(folder: Path, identity: Mapping[str, Any], *, members: str = MEMBERS) -> TenantsFile:
    """`tenants.yaml` with this `identity:` and one tenant, delay."""
    path = folder / "tenants.yaml"
    path.write_text(small(team("delay", members), begin=yaml.safe_dump({"identity": dict(identity)}) + SMALL))
    return TenantsFile(path)


def client(tenants: TenantsFile, **options: Any) -> TestClient:
    """A client that sends no credentials of its own, and follows no redirects."""
    return TestClient(gate(application(), tenants, **options), base_url=URL, follow_redirects=False)


async def status_of(app: ASGIApp, headers: Sequence[tuple[bytes, bytes]], **more: Any) -> int:
    """The status of the answer to a request as a server hands it on, byte by byte."""
    sent: list[Message] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": list(headers),
        "client": None,
        **more,
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])


def from_environment() -> ASGIApp:
    """The site of a process of its own, which logs all that there is to log."""
    logging.basicConfig(level=1)
    return gate(application(), TenantsFile())
