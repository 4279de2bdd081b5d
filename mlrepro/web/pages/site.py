"""The pages as routes of a webserver, each with its twin in JSON."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

from pydantic import ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from mlrepro.errors import (
    ChannelError,
    MlreproError,
    NotHereError,
    StoreError,
    UnknownVersionError,
    VersionNameError,
)
from mlrepro.tenancy.permissions import IdentifiedRequestContext
from mlrepro.web.pages import asset, overview
from mlrepro.web.pages.asked import HERE, Asked
from mlrepro.web.pages.download import DownloadQuery, download
from mlrepro.web.pages.known import Workspace
from mlrepro.web.pages.page import Page
from mlrepro.web.pages.rendering import STATIC, as_json, html, static
from mlrepro.web.pages.sight import Sight, Stores
from mlrepro.web.pages.tally import Tally
from mlrepro.web.people import People

PAGES: Final[Sequence[Page]] = (
    Page(
        "",
        "All assets: newest versions, what channels serve, what the cache saved.",
        "overview.html",
        overview.OverviewQuery,
        overview.Overview,
        overview.overview,
    ),
    Page(
        "asset",
        "An asset: metrics over versions, promotions and rollbacks, versions, a look at its data.",
        "asset.html",
        asset.AssetQuery,
        asset.Asset,
        asset.asset,
    ),
)
"""All pages."""


class Server(Protocol):
    """What the pages need of the webserver: whose request it is, and what they see of Dagster."""

    def request_context(self, conn: HTTPConnection) -> contextlib.AbstractContextManager[IdentifiedRequestContext]:
        """The context of a request."""


class Site:
    """The pages of one Dagster.

    Args:
        people: Who may do what.
        store: URL of the store.
        tenant: Whose Dagster it is; None where all share it.
        prefix: What all paths begin with.
    """

    def __init__(self, *, people: People, store: str, tenant: str | None = None, prefix: str = "") -> None:
        self._people = people
        self._stores = Stores(store)
        self._tenant = tenant
        self._prefix = prefix
        self._workspace = Workspace()
        self._tally: Tally | None = None

    def routes(self, server: Server) -> list[BaseRoute]:
        """The routes, for a server that they are put before the others of."""
        routes: list[BaseRoute] = []
        for page in PAGES:
            routes.append(Route(f"/{page.name}", self._answering(server, page, _as_html), methods=["GET"]))
            routes.append(Route(f"/{page.twin}", self._answering(server, page, _as_json), methods=["GET"]))
        routes.append(Route("/download", self._download(server), methods=["GET"]))
        routes += [Route(f"/static/{name}", _static(name), methods=["GET"]) for name in STATIC]
        routes.append(Route("/{path:path}", self._nothing(server), methods=["GET"]))
        first = Route(f"{self._prefix}{HERE}", lambda _: RedirectResponse(f"{self._prefix}{HERE}/"), methods=["GET"])
        return [first, Mount(f"{self._prefix}{HERE}", routes=routes)]

    def _asked(self, context: IdentifiedRequestContext) -> Asked:
        if self._tally is None:
            self._tally = Tally(context.instance)
        return Asked(
            context=context,
            sight=Sight.of(self._stores, self._people.tenants, context.access, self._tenant),
            assets=self._workspace.assets(context),
            tally=self._tally,
            prefix=self._prefix,
        )

    def _answering(
        self, server: Server, page: Page, respond: Callable[[Asked, Page, Any, Any], Response]
    ) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            with server.request_context(request) as context:
                asked = self._asked(context)
                try:
                    query = page.query.read(request.query_params)
                    return respond(asked, page, query, page.build(asked, query))
                except (MlreproError, ValidationError) as error:
                    return problem(asked, error, program=respond is _as_json)

        return endpoint

    def _download(self, server: Server) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            with server.request_context(request) as context:
                asked = self._asked(context)
                try:
                    return download(asked, cast("DownloadQuery", DownloadQuery.read(request.query_params)))
                except (MlreproError, ValidationError) as error:
                    return problem(asked, error)

        return endpoint

    def _nothing(self, server: Server) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            with server.request_context(request) as context:
                program = request.path_params["path"].startswith("api/")
                return problem(self._asked(context), NotHereError("there is no such page"), program=program)

        return endpoint


def problem(asked: Asked, error: Exception, *, program: bool = False) -> Response:
    """Say what is wrong, to a person or a program."""
    status, title = _told(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    else:
        text = str(error)
    if program:
        return as_json({"error": text}, status)
    return html("problem.html", {**shell(asked), "title": title, "text": text}, status)


def shell(asked: Asked) -> dict[str, Any]:
    """What every template needs."""
    return {"asked": asked, "here": f"{asked.prefix}{HERE}", "user": asked.user}


def _told(error: Exception) -> tuple[int, str]:
    if isinstance(error, NotHereError | UnknownVersionError | ChannelError):
        return 404, "Not here"
    if isinstance(error, ValidationError | VersionNameError):
        return 400, "Not understood"
    return (503, "The store can't be read") if isinstance(error, StoreError) else (500, "Not possible")


def _as_html(asked: Asked, page: Page, query: Any, built: Any) -> Response:
    values = {**shell(asked), "page": page, "query": query, "answer": built.answer, **built.more}
    return html(page.template, values)


def _as_json(asked: Asked, page: Page, query: Any, built: Any) -> Response:  # noqa: ARG001 -- as the other one
    return as_json(built.answer.model_dump(mode="json"))


def _static(name: str) -> Callable[[Request], Response]:
    return lambda _request: static(name)
