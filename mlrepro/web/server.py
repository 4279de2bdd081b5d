"""Dagster's webserver where each request is somebody's."""

import contextlib
from collections.abc import Callable
from typing import Any

from dagster import AssetKey
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.permissions import Permissions
from dagster_webserver.webserver import DagsterWebserver
from graphene import Schema
from graphql import FieldNode, GraphQLError, OperationType, get_operation_ast
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.websockets import WebSocket

from mlrepro.errors import AuditError
from mlrepro.tenancy.access import Access
from mlrepro.tenancy.permissions import IdentifiedRequestContext
from mlrepro.web.audit import AuditLog
from mlrepro.web.limits import AnswerTooLargeError, BodyLimit, TooMuchError, count_resolved, read_document
from mlrepro.web.live import LiveAccess
from mlrepro.web.log_keys import check_log_key
from mlrepro.web.pages import Site
from mlrepro.web.people import People
from mlrepro.web.scope import identity_of, is_read_only, mark_refused


class IdentifiedWebserver(DagsterWebserver[WorkspaceProcessContext, IdentifiedRequestContext]):
    """The webserver of one Dagster instance.

    Args:
        process_context: The instance and its code locations.
        people: Who may do what.
        schema: The GraphQL schema with its guards.
        audit: Where what is asked for is written down.
        tenant: Whose instance it is; None where all share it.
        path_prefix: What its paths begin with.
        live_data_poll_rate: How often the UI looks for news, in milliseconds.
        pages: mlrepro's own pages; None for none.
    """

    def __init__(
        self,
        process_context: WorkspaceProcessContext,
        *,
        people: People,
        schema: Schema,
        audit: AuditLog,
        tenant: str | None = None,
        path_prefix: str = "",
        live_data_poll_rate: int = 2000,
        pages: Site | None = None,
    ) -> None:
        self._people = people
        self._pages = pages
        self._schema = schema
        self._audit = audit
        self._tenant = tenant
        super().__init__(process_context, path_prefix, live_data_poll_rate)

    def build_graphql_schema(self) -> Schema:
        """The guarded one, which servers of several tenants have in common."""
        return self._schema

    def build_graphql_middleware(self) -> list[Callable[..., Any]]:
        """What breaks off an answer that gets too large."""
        return [count_resolved]

    def build_routes(self) -> list[BaseRoute]:
        """The pages of mlrepro before Dagster's, whose last routes take every path."""
        pages = self._pages.routes(self) if self._pages is not None else []
        return [*pages, *super().build_routes()]  # type: ignore[no-untyped-call]

    def build_middleware(self) -> list[Middleware]:
        """Dagster's, what ends a websocket whose user has lost their rights, and what takes no endless bodies."""
        live = Middleware(LiveAccess, people=self._people, tenant=self._tenant)
        return [*super().build_middleware(), live, Middleware(BodyLimit)]

    def _make_request_context(self, conn: HTTPConnection) -> IdentifiedRequestContext:
        access = self._access(conn)
        process = self._process_context
        return IdentifiedRequestContext(
            identity=access.identity,
            access=access,
            instance=process.instance,
            current_workspace=process.get_current_workspace(),
            process_context=process,
            version=process.version,
            source=conn,
        )

    def _access(self, connection: HTTPConnection) -> Access:
        identity = identity_of(connection)
        if identity is None:
            raise HTTPException(401, "nobody vouches for who asks")
        access = self._people.access(identity, read_only=is_read_only(connection))
        if not self._people.may_see(access, self._tenant):
            raise HTTPException(404 if self._tenant else 403, "there is nothing here for you")
        return access

    async def execute_graphql_subscription(self, websocket: WebSocket, **parts: Any) -> Any:  # type: ignore[override]
        """As Dagster's, for subscriptions; whoever may not see them gets an answer, not a broken connection."""
        try:
            operation = get_operation_ast(read_document(parts["query"]), parts.get("operation_name"))
            if operation is not None and operation.operation is OperationType.MUTATION:
                fields = [each.name.value for each in operation.selection_set.selections if isinstance(each, FieldNode)]
                why = "nothing can be changed over the websocket: send it by POST"
                self._refused(websocket, ", ".join(fields)[:300] or "mutation", why)
                return None, {"message": why}
        except (TooMuchError, GraphQLError) as error:
            return None, {"message": str(error)}
        try:
            return await super().execute_graphql_subscription(websocket=websocket, **parts)
        except HTTPException as error:
            return None, {"message": error.detail}

    async def graphql_http_endpoint(self, request: Request) -> Response:
        """As Dagster's, which takes one operation a request and falls over anything else."""
        if request.method == "POST" and "application/json" in request.headers.get("Content-Type", ""):
            try:
                sent = await request.json()
            except ValueError:
                sent = {}  # Dagster says what is wrong with it
            if not isinstance(sent, dict):
                self._refused(request, "graphql", "a batch or no object: send one operation a request")
                return JSONResponse({"errors": [{"message": "send one operation a request"}]}, 400)
        response: Response = await super().graphql_http_endpoint(request)
        return response

    async def gen_graphql_response(
        self, request_context: IdentifiedRequestContext, query: str, *more: Any, **parts: Any
    ) -> JSONResponse:
        """As Dagster's, for documents that ask for no more than one may."""
        try:
            read_document(query)
        except TooMuchError as error:
            if error.mutations and isinstance(request_context.source, HTTPConnection):
                self._refused(request_context.source, "graphql", str(error))
            return JSONResponse({"data": None, "errors": [{"message": str(error)}]}, 400)
        except GraphQLError as error:
            return JSONResponse({"data": None, "errors": [error.formatted]}, 400)
        try:
            return await super().gen_graphql_response(request_context, query, *more, **parts)
        except AnswerTooLargeError as error:
            return JSONResponse({"data": None, "errors": [{"message": str(error)}]}, 400)

    async def download_captured_logs_endpoint(self, request: Request) -> Response:
        """As Dagster's, for keys that are names of logs."""
        *key, kind = request.path_params["path"].split("/")
        problem = check_log_key(key)
        if problem is None and kind not in {"out", "err"}:
            # Dagster keeps copies of what is in a bucket in the folder of everybody's temporary files
            problem = f"captured output is called out or err, not {kind[:50]!r}"
        if problem is not None:
            mark_refused(request, problem)
            raise HTTPException(404, problem)
        response: Response = await super().download_captured_logs_endpoint(request)
        return response

    async def download_debug_file_endpoint(self, request: Request) -> Response:
        """As Dagster's, which falls over a run that is not there."""
        with self.request_context(request) as context:
            if not context.instance.has_run(request.path_params["run_id"]):
                raise HTTPException(404, "there is no such run here")
        response: Response = await super().download_debug_file_endpoint(request)
        return response

    async def download_notebook(self, request: Request) -> Response:
        """As Dagster's, which reads any notebook where a team's code runs: for the team's members alone."""
        location = request.query_params.get("repoLocName", "")
        with self.request_context(request) as context:
            known = context.has_code_location_name(location)
            if not known or context.access.role(location) is None:
                mark_refused(request, f"the notebooks of {location[:100]} are for its team")
                raise HTTPException(404, "there is no such notebook here")
        response: Response = await super().download_notebook(request)
        # its HTML may hold scripts of whoever wrote it, which must not act as whoever looks at it
        response.headers["Content-Security-Policy"] = "sandbox"
        return response

    async def report_asset_materialization_endpoint(self, request: Request) -> JSONResponse:
        """As Dagster's, written down."""
        return await self._report(request, super().report_asset_materialization_endpoint)

    async def report_asset_check_endpoint(self, request: Request) -> JSONResponse:
        """As Dagster's, written down."""
        return await self._report(request, super().report_asset_check_endpoint)

    async def report_asset_observation_endpoint(self, request: Request) -> JSONResponse:
        """As Dagster's, written down."""
        return await self._report(request, super().report_asset_observation_endpoint)

    async def _report(self, request: Request, endpoint: Callable[[Request], Any]) -> JSONResponse:
        what = request.url.path.removeprefix(self._app_path_prefix).split("/")[1]
        key = await _reported_key(request)
        if key is None:
            self._refused(request, what, "no asset is named")
            return JSONResponse({"error": "no asset is named: put its key into the path"}, 400)
        with self.request_context(request) as context:
            allowed = context.has_permission_for_selector(Permissions.REPORT_RUNLESS_ASSET_EVENTS, key)
            owners = context.access.owners
            tenants = sorted({owners[each] for each in context.locations_of(key) if each in owners})
        why = None if allowed else "reporting takes the role editor wherever the asset is defined"
        target = {"assets": [key.to_user_string()[:300]]}
        try:
            entry = self._audit.asked(
                what,
                connection=request,
                identity=identity_of(request),
                target=target,
                tenants=tenants,
                refused=why,
            )
        except AuditError as error:
            return JSONResponse({"error": str(error)}, 503)
        if why is not None:
            return JSONResponse({"error": why}, 403)
        response: JSONResponse = await endpoint(request)
        self._audit.done(entry, {"outcome": response.status_code, "error": response.status_code >= 400})
        return response

    def _refused(self, connection: HTTPConnection, what: str, why: str) -> None:
        tenants = [self._tenant] if self._tenant else []
        identity = identity_of(connection)
        with contextlib.suppress(AuditError):  # nothing is done that would have to be known
            self._audit.asked(what, connection=connection, identity=identity, target={}, tenants=tenants, refused=why)


async def _reported_key(request: Request) -> AssetKey | None:
    # in the order in which Dagster looks for it; what it does not read as JSON it refuses
    try:
        if named := request.path_params.get("asset_key"):
            return AssetKey.from_user_string(named)
        if request.headers.get("content-type") == "application/json":
            body = await request.json()
            if isinstance(body, dict) and "asset_key" in body:
                return AssetKey(body["asset_key"])
        if named := request.query_params.get("asset_key"):
            return AssetKey.from_db_string(named)
    except Exception:  # noqa: BLE001 -- whatever can't be read names no asset
        return None
    return None
