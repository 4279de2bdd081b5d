"""Login at an OpenID Connect provider: authorization code with PKCE, state and nonce."""

import logging
import re
import secrets
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from mlrepro.errors import IdentityUnavailableError, NotAuthenticatedError
from mlrepro.tenancy import durations
from mlrepro.tenancy.identity_settings import OidcSettings
from mlrepro.tenancy.model import Tenants
from mlrepro.web.authentication.issuer import Endpoints, Issuer
from mlrepro.web.authentication.returning import asked_for, page_of_this_site
from mlrepro.web.authentication.session import LOGIN_SECONDS, cookies_of, forget_logins, login_kind, same
from mlrepro.web.authentication.verifying import Verifier, claim, identity_of

_TIMEOUT: Final = 10.0
_CODE_OF_ERROR: Final = re.compile(r"[a-z_]{1,40}")

_logger = logging.getLogger("mlrepro")


class Login:
    """Sends browsers to the provider, and takes them in when they come back.

    Args:
        settings: The provider, and as what this site is known there.
        public_url: The site as browsers know it.
        folder: Where paths of secrets begin.
        path_prefix: What every path of the site begins with.

    Raises:
        TenantsError: A secret is not there, or is too short.
    """

    def __init__(self, settings: OidcSettings, *, public_url: str, folder: Path, path_prefix: str = "") -> None:
        given = settings.client_secret
        self._client_secret = given.read(folder=folder, field="identity.oidc.client_secret") if given else None
        self._settings = settings
        self._prefix = path_prefix
        self._callback = f"{public_url}{path_prefix}/auth/callback"
        self._issuer = Issuer(settings)
        self._verifier = Verifier(settings, [settings.client_id], self._issuer)
        self.cookies = cookies_of(settings, public_url=public_url, folder=folder)

    def invitation(self, connection: HTTPConnection) -> Response:
        """Where a browser goes that asked for a page without being logged in."""
        target = quote(page_of_this_site(asked_for(connection.scope), prefix=self._prefix), safe="")
        return RedirectResponse(f"{self._prefix}/auth/login?next={target}", 303, headers={"Cache-Control": "no-store"})

    async def begin(self, request: Request) -> Response:
        """Send a browser to the provider.

        Raises:
            IdentityUnavailableError: The provider does not answer.
        """
        endpoints = await self._endpoints()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        async with self._client(endpoints) as client:
            url, _ = client.create_authorization_url(
                endpoints.authorization, state=state, code_verifier=verifier, nonce=nonce
            )
        response = RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})
        target = page_of_this_site(request.query_params.get("next"), prefix=self._prefix)
        forget_logins(request, response, self.cookies)
        begun = {"state": state, "nonce": nonce, "verifier": verifier, "next": target}
        self.cookies.put(response, login_kind(state), begun, seconds=LOGIN_SECONDS)
        return response

    async def finish(self, request: Request, tenants: Tenants) -> Response:
        """Take in a browser that comes back from the provider.

        Args:
            request: Has the provider's code.
            tenants: Groups that they do not name are not kept.

        Raises:
            NotAuthenticatedError: The login was not begun by this browser, or the provider did not vouch.
            IdentityUnavailableError: The provider does not answer.
        """
        begun = self._begun(request)
        endpoints = await self._endpoints()
        self._check_sender(request, endpoints)
        claims = await self._claims(endpoints, request.query_params.get("code", ""), begun)
        identity = identity_of(claims, self._settings)
        groups = sorted(identity.groups & tenants.groups)
        response = RedirectResponse(begun["next"], 303, headers={"Cache-Control": "no-store"})
        held = {"user": identity.user, "groups": groups}
        self.cookies.put(response, "session", held, seconds=durations.seconds(self._settings.session))
        self.cookies.remove(response, login_kind(begun["state"]))
        _logger.info(f"{identity.user!r} logged in by {self._settings.issuer}")
        return response

    def _begun(self, request: Request) -> dict[str, Any]:
        states = request.query_params.getlist("state")
        begun = self.cookies.get(request, login_kind(states[0])) if len(states) == 1 else None
        if begun is None or not same(begun["state"], states[0]):
            raise NotAuthenticatedError("this login was not begun in this browser, or longer than ten minutes ago")
        return begun

    def _check_sender(self, request: Request, endpoints: Endpoints) -> None:
        issuer = request.query_params.get("iss")
        if (issuer is None and endpoints.names_itself) or (issuer is not None and issuer != self._settings.issuer):
            raise NotAuthenticatedError("the answer is of another issuer than the login was begun at")
        if "error" in request.query_params:
            code = request.query_params["error"]
            told = code if _CODE_OF_ERROR.fullmatch(code) else "an error"
            raise NotAuthenticatedError(f"the provider did not log anybody in: {told}")

    async def _claims(self, endpoints: Endpoints, code: str, begun: dict[str, Any]) -> dict[str, Any]:
        try:
            async with self._client(endpoints) as client:
                token = await client.fetch_token(endpoints.token, code=code, code_verifier=begun["verifier"])
                given = token.get("id_token")
                if not isinstance(given, str):
                    raise NotAuthenticatedError("the provider gave no ID token: does it know the scope openid?")
                claims = await self._verifier.claims(given)
                if not same(begun["nonce"], claims.get("nonce")):
                    raise NotAuthenticatedError("the ID token is not of this login: its nonce is another")
                if claims.get("azp", self._settings.client_id) != self._settings.client_id:
                    raise NotAuthenticatedError("the ID token was made for another client")
                return await self._with_userinfo(client, endpoints, claims)
        except OAuthError as error:
            told = error.error if _CODE_OF_ERROR.fullmatch(str(error.error)) else "an error"
            raise NotAuthenticatedError(f"the provider did not take the code: {told}") from None
        except (httpx2.HTTPError, ValueError, TypeError, RecursionError) as error:
            told = f"{self._settings.issuer} does not answer: {type(error).__name__}"
            raise IdentityUnavailableError(told) from None

    async def _with_userinfo(
        self, client: AsyncOAuth2Client, endpoints: Endpoints, claims: dict[str, Any]
    ) -> dict[str, Any]:
        """The claims with what the provider tells of a user only when asked, as some leave it out of ID tokens."""
        wanted = [name for name in (self._settings.user_claim, self._settings.groups_claim) if name]
        if endpoints.userinfo is None or all(claim(claims, name) is not None for name in wanted):
            return claims
        answer = await client.get(endpoints.userinfo)
        said = answer.json() if answer.status_code == 200 else None
        if not isinstance(said, dict):
            raise IdentityUnavailableError(f"{endpoints.userinfo} answers {answer.status_code}")
        if not same(str(claims.get("sub")), said.get("sub")):
            raise NotAuthenticatedError("the provider tells of another user than the one that logged in")
        return {**said, **claims}

    async def _endpoints(self) -> Endpoints:
        endpoints = await self._issuer.endpoints()
        if endpoints.authorization is None or endpoints.token is None:
            raise IdentityUnavailableError(f"{self._settings.issuer} has no authorization_endpoint or token_endpoint")
        return endpoints

    def _client(self, endpoints: Endpoints) -> AsyncOAuth2Client:
        method = "client_secret_post" if endpoints.secret_in_body else "client_secret_basic"
        return AsyncOAuth2Client(
            self._settings.client_id,
            self._client_secret,
            token_endpoint_auth_method=method if self._client_secret else "none",
            scope=" ".join(self._settings.scopes),
            redirect_uri=self._callback,
            code_challenge_method="S256",
            timeout=_TIMEOUT,
        )
