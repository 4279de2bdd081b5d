"""The pages below ``/auth/``: log in, come back, log out."""

import logging

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mlrepro.errors import ForeignRequestError, IdentityUnavailableError, NotAuthenticatedError
from mlrepro.tenancy.tenants_file import TenantsFile
from mlrepro.web.authentication.answers import UNAVAILABLE, page
from mlrepro.web.authentication.login import Login
from mlrepro.web.authentication.origins import check_origin

_BUTTON = '<form action="{}/auth/logout" method="post"><button>Log out</button></form>'

_logger = logging.getLogger("mlrepro")


class LoginPages:
    """Answers what is asked below ``/auth/``.

    Args:
        login: The provider.
        tenants: Which groups count.
        public_url: The site as browsers know it.
        path_prefix: What every path of the site begins with.
    """

    def __init__(self, login: Login, tenants: TenantsFile, *, public_url: str, path_prefix: str = "") -> None:
        self._login = login
        self._tenants = tenants
        self._public_url = public_url
        self._prefix = path_prefix

    async def answer(self, request: Request, path: str) -> Response:
        """Answer a request.

        Args:
            request: The request.
            path: Its path within the site.
        """
        try:
            if (request.method, path) == ("GET", "/auth/login"):
                return await self._login.begin(request)
            if (request.method, path) == ("GET", "/auth/callback"):
                return await self._login.finish(request, self._tenants.tenants)
            if (request.method, path) == ("GET", "/auth/logout"):
                return page("Log out", "", more=_BUTTON.format(self._prefix))
            if (request.method, path) == ("POST", "/auth/logout"):
                return self._logout(request)
        except NotAuthenticatedError as error:
            return self._refused(request, path, 401, str(error))
        except ForeignRequestError as error:
            return self._refused(request, path, 403, str(error))
        except IdentityUnavailableError as error:
            return self._refused(request, path, 503, str(error), shown=UNAVAILABLE)
        known = path in {"/auth/login", "/auth/callback", "/auth/logout"}
        return PlainTextResponse("no such page\n", 405 if known else 404)

    @property
    def log_out(self) -> str:
        """A link for those who are logged in as somebody else than they meant."""
        return f'<p><a href="{self._prefix}/auth/logout">Log out</a></p>'

    def _logout(self, request: Request) -> Response:
        check_origin(request, self._public_url)
        response = page("Logged out", "The provider may still know you.", more=self._again())
        self._login.cookies.remove(response, "session")
        return response

    def _refused(self, request: Request, path: str, status: int, reason: str, *, shown: str = "") -> Response:
        client = request.client.host if request.client else "an unknown address"
        _logger.warning(f"refused {request.method} {path} from {client}: {status}, {reason}")
        return page("Not logged in", shown or reason, status=status, more=self._again())

    def _again(self) -> str:
        # a link, as browsers do not follow a form of this page to the provider's site
        return f'<p><a href="{self._prefix}/auth/login">Log in</a></p>'
