"""The pages as routes of a webserver, each with its twin in JSON, and the forms that change something."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from mlrepro.errors import FormError, MlreproError, NotHereError
from mlrepro.tenancy.permissions import IdentifiedRequestContext
from mlrepro.web.pages import plan
from mlrepro.web.pages.asked import HERE, Asked
from mlrepro.web.pages.download import DownloadQuery, download
from mlrepro.web.pages.known import Workspace
from mlrepro.web.pages.launching import materialize
from mlrepro.web.pages.moves import VERBS, Move, Verb, move, release_asset
from mlrepro.web.pages.openapi import document
from mlrepro.web.pages.page import Page
from mlrepro.web.pages.posting import read_form
from mlrepro.web.pages.problems import problem, shell
from mlrepro.web.pages.rendering import STATIC, as_json, html, static
from mlrepro.web.pages.sight import Sight, Stores
from mlrepro.web.pages.table import PAGES
from mlrepro.web.pages.tally import Tally
from mlrepro.web.pages.token import FIELD, Tokens
from mlrepro.web.people import People


class Server(Protocol):
    """What the pages need of the webserver: whose request it is, what they see of Dagster, and to launch as them."""

    def request_context(self, conn: HTTPConnection) -> contextlib.AbstractContextManager[IdentifiedRequestContext]:
        """The context of a request."""

    def graphql_execution_thread(
        self, request: Request, query: str, variables: dict[str, Any] | None, operation_name: str | None
    ) -> JSONResponse:
        """Execute an operation as whoever sent the request."""


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
        self._tokens = Tokens()
        self._tally: Tally | None = None

    def routes(self, server: Server) -> list[BaseRoute]:
        """The routes, for a server that they are put before the others of."""
        routes: list[BaseRoute] = []
        for page in PAGES:
            routes.append(Route(f"/{page.name}", self._getting(server, self._page(page)), methods=["GET"]))
            twin = self._getting(server, _twin(page), program=True)
            routes.append(Route(f"/{page.twin}", twin, methods=["GET"]))
        routes.append(Route("/api/openapi.json", self._getting(server, _openapi, program=True), methods=["GET"]))
        routes.append(Route("/download", self._getting(server, _download), methods=["GET"]))
        moving = {verb: self._posting(server, _moving(server, verb)) for verb in VERBS}
        routes += [Route(f"/channel/{verb}", endpoint, methods=["POST"]) for verb, endpoint in moving.items()]
        routes.append(Route("/asset/release", self._posting(server, _releasing(server)), methods=["POST"]))
        routes.append(Route("/plan", self._posting(server, _looking_up(server)), methods=["POST"]))
        routes.append(Route("/plan/materialize", self._posting(server, _materializing(server)), methods=["POST"]))
        routes += [Route(f"/static/{name}", _static(name), methods=["GET"]) for name in STATIC]
        routes.append(Route("/{path:path}", self._getting(server, _nothing), methods=["GET"]))
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

    def _getting(
        self, server: Server, answer: Callable[[Asked, Request], Response], *, program: bool = False
    ) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            with server.request_context(request) as context:
                asked = self._asked(context)
                try:
                    return answer(asked, request)
                except (MlreproError, ValidationError) as error:
                    return problem(asked, error, program=program)

        return endpoint

    def _posting(
        self, server: Server, answer: Callable[[Asked, Request, dict[str, Any]], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Endpoint of a form: nothing is done without a token that a page of this site gave to this very user."""

        def handle(request: Request, sent: dict[str, Any] | FormError) -> Response:
            with server.request_context(request) as context:
                asked = self._asked(context)
                try:
                    if isinstance(sent, FormError):
                        raise sent
                    self._tokens.check(sent.get(FIELD), asked.user, self._tenant)
                    return answer(asked, request, sent)
                except (MlreproError, ValidationError) as error:
                    return problem(asked, error)

        async def endpoint(request: Request) -> Response:
            sent: dict[str, Any] | FormError
            try:
                sent = dict(await read_form(request))
            except FormError as error:
                sent = error
            return await run_in_threadpool(handle, request, sent)

        return endpoint

    def _page(self, page: Page) -> Callable[[Asked, Request], Response]:
        def answer(asked: Asked, request: Request) -> Response:
            query = page.query.read(request.query_params)
            built = page.build(asked, query)
            token = self._tokens.make(asked.user, self._tenant)
            shown = {**shell(asked), "query": query, "answer": built.answer, "token": token, **built.more}
            return html(page.template, shown)

        return answer


def _twin(page: Page) -> Callable[[Asked, Request], Response]:
    def answer(asked: Asked, request: Request) -> Response:
        query = page.query.read(request.query_params)
        return as_json(page.build(asked, query).answer.model_dump(mode="json"))

    return answer


def _moving(server: Server, verb: Verb) -> Callable[[Asked, Request, dict[str, Any]], Response]:
    def answer(asked: Asked, request: Request, sent: dict[str, Any]) -> Response:
        follow = move(asked, server, request, verb, Move.model_validate(sent))
        return RedirectResponse(follow, 303)

    return answer


def _releasing(server: Server) -> Callable[[Asked, Request, dict[str, Any]], Response]:
    def answer(asked: Asked, request: Request, sent: dict[str, Any]) -> Response:
        return RedirectResponse(release_asset(asked, server, request, Move.model_validate(sent)), 303)

    return answer


def _looking_up(server: Server) -> Callable[[Asked, Request, dict[str, Any]], Response]:
    def answer(asked: Asked, request: Request, sent: dict[str, Any]) -> Response:
        return RedirectResponse(plan.look_up(asked, server, request, plan.PlanQuery.model_validate(sent)), 303)

    return answer


def _materializing(server: Server) -> Callable[[Asked, Request, dict[str, Any]], Response]:
    def answer(asked: Asked, request: Request, sent: dict[str, Any]) -> Response:
        query = plan.PlanQuery.model_validate(sent)
        chosen = plan.selected(asked, query)
        if len({known.location for known in chosen}) > 1:
            raise FormError("choose a code location: a run has one")
        partition = plan.partition_of(asked, chosen, query)
        run_id = materialize(server, request, chosen[0], [known.key for known in chosen], partition)
        return RedirectResponse(asked.page("run", id=run_id), 303)

    return answer


def _openapi(asked: Asked, request: Request) -> Response:  # noqa: ARG001 -- as the others
    return as_json(document(f"{asked.prefix}{HERE}"))


def _download(asked: Asked, request: Request) -> Response:
    return download(asked, cast("DownloadQuery", DownloadQuery.read(request.query_params)))


def _nothing(asked: Asked, request: Request) -> Response:
    program = request.path_params["path"].startswith("api/")
    return problem(asked, NotHereError("there is no such page"), program=program)


def _static(name: str) -> Callable[[Request], Response]:
    return lambda _request: static(name)
