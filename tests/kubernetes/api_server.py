"""The http face of the Kubernetes double: paths, selectors, answers and errors in Kubernetes' own form."""

import http.server
import json
import re
import threading
import traceback
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Object = dict[str, Any]

# resource: the path of its API, its kind
RESOURCES = {
    "deployments": ("apis/apps/v1", "Deployment"),
    "configmaps": ("api/v1", "ConfigMap"),
    "events": ("api/v1", "Event"),
    "jobs": ("apis/batch/v1", "Job"),
    "limitranges": ("api/v1", "LimitRange"),
    "namespaces": ("api/v1", "Namespace"),
    "pods": ("api/v1", "Pod"),
    "resourcequotas": ("api/v1", "ResourceQuota"),
    "secrets": ("api/v1", "Secret"),
}
_PATH = re.compile(
    r"/(?P<api>api/v1|apis/batch/v1|apis/apps/v1)(/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[a-z]+)(/(?P<name>[^/]+))?(/(?P<part>status|log|eviction))?"
)
_TERM = re.compile(r"(?P<absent>!)?(?P<name>[\w./-]+)(\s*(?P<sign>==?|!=)\s*(?P<value>[\w./-]*))?")


class ApiError(Exception):
    """What the API answers in place of an object."""

    def __init__(self, code: int, reason: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": details, "code": code,
        }  # fmt: skip


def qualified(resource: str) -> str:
    """The resource as error messages name it."""
    return {"jobs": "jobs.batch", "deployments": "deployments.apps"}.get(resource, resource)


def not_found(resource: str, name: str) -> ApiError:
    """The error for an object that is not there."""
    return ApiError(404, "NotFound", f'{qualified(resource)} "{name}" not found', name=name, kind=resource)


def api_version(resource: str) -> str:
    """What an object of this resource has as ``apiVersion``."""
    return RESOURCES[resource][0].removeprefix("apis/").removeprefix("api/")


def field(item: Object, path: str) -> str:
    """The value at a dotted path, as field selectors and ``fieldRef`` see it: empty where there is none."""
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def matches(selector: str, get: Callable[[str], str | None]) -> bool:
    """Whether all terms hold: ``a=b``, ``a==b``, ``a!=b``, ``a``, ``!a``. Sets such as ``a in (b, c)`` are refused."""
    for term in filter(None, (part.strip() for part in selector.split(","))):
        found = _TERM.fullmatch(term)
        if found is None or (found["absent"] and found["sign"]):
            raise ApiError(400, "BadRequest", f"the double does not know the selector {term!r}")
        actual = get(found["name"])
        if found["sign"]:
            holds = (actual == found["value"]) == (found["sign"] != "!=")
        else:
            holds = (actual is None) == bool(found["absent"])
        if not holds:
            return False
    return True


@dataclass(frozen=True)
class Request:
    """One call of the API.

    Attributes:
        method: ``GET``, ``POST``, ``DELETE`` or ``PATCH``.
        resource: The plural, such as ``jobs``.
        namespace: The namespace; None for all of them, and for namespaces themselves.
        name: The object's name; None for the whole list.
        part: ``status``, ``log``, ``eviction`` or None.
        query: The address's parameters.
        body: What was sent.
    """

    method: str
    resource: str
    namespace: str | None
    name: str | None
    part: str | None
    query: Mapping[str, str]
    body: Object


class Backend(Protocol):
    """Who answers. Its objects change under its lock, so they are written out under it."""

    lock: threading.RLock

    def respond(self, request: Request) -> tuple[int, Object | str]:
        """An http status, and an object or a log's text."""
        ...


class ApiServer(http.server.ThreadingHTTPServer):
    """Serves a backend on a free port of 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, backend: Backend) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend = backend
        self.stopped = False
        self.silent = False

    @property
    def url(self) -> str:
        """The API's address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Take no more calls, also on connections that are open."""
        if not self.stopped:
            self.stopped = True
            self.shutdown()
            self.server_close()

    def answer(self, method: str, target: str, sent: bytes) -> tuple[int, str, bytes]:
        """The http status, content type and content for one call."""
        path, _, query = target.partition("?")
        try:
            names = _parse(path)
            body, parameters = json.loads(sent or "{}") or {}, dict(urllib.parse.parse_qsl(query))
            with self.backend.lock:
                code, answer = self.backend.respond(Request(method, *names, parameters, body))
                if isinstance(answer, str):
                    return code, "text/plain", answer.encode()
                return code, "application/json", json.dumps(answer).encode()
        except ApiError as error:
            return error.code, "application/json", json.dumps(error.status).encode()
        except Exception as error:
            traceback.print_exc()
            return 500, "application/json", json.dumps(ApiError(500, "InternalError", repr(error)).status).encode()


def _parse(path: str) -> tuple[str, str | None, str | None, str | None]:
    found = _PATH.fullmatch(path)
    if found is None or RESOURCES.get(found["resource"], ("",))[0] != found["api"]:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    return found["resource"], found["namespace"], found["name"], found["part"]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: ApiServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out in one piece
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        if self.server.stopped or self.server.silent:
            self.close_connection = True
            return
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        code, kind, content = self.server.answer(self.command, self.path, sent)
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _answer

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing for a call."""
