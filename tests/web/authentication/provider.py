"""An OpenID Connect provider of our own, on a port of this machine. It stands for Keycloak, Okta, Entra and the like.

Discovery, keys that rotate, the authorization endpoint and the token endpoint, each as the specifications have it:
codes are good once, for one client and one redirect, and only with the PKCE verifier. What it does not have is a page
to type a password into: whoever comes is `user`.
"""

import base64
import contextlib
import hashlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jwt
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.deployment.programs import free_port

AUDIENCE = "dagster"
CLIENT = "dagster-web"
CLIENT_SECRET = "client-secret-of-the-tests"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass
class Key:
    """A key of the provider's."""

    id: str
    private: PrivateKey

    @property
    def algorithm(self) -> str:
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    @property
    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def jwk(self) -> dict[str, Any]:
        public = self.private.public_key()
        made = (
            RSAAlgorithm.to_jwk(public, as_dict=True)
            if isinstance(public, rsa.RSAPublicKey)
            else ECAlgorithm.to_jwk(public, as_dict=True)
        )
        return {**made, "kid": self.id, "use": "sig", "alg": self.algorithm}


def rsa_key(name: str) -> Key:
    return Key(name, rsa.generate_private_key(65537, 2048))


def ec_key(name: str) -> Key:
    return Key(name, ec.generate_private_key(ec.SECP256R1()))


FIRST, SECOND, CURVE = rsa_key("first"), rsa_key("second"), ec_key("curve")


@dataclass
class Provider:
    """The provider, and what a test changes of it."""

    url: str
    keys: list[Key] = field(default_factory=lambda: [FIRST, CURVE])
    user: dict[str, Any] = field(
        default_factory=lambda: {"sub": "1", "email": "ana@example.com", "email_verified": True, "groups": ["delay"]}
    )
    redirects: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    down: bool = False
    discovery: dict[str, Any] = field(default_factory=dict)
    id_token: dict[str, Any] = field(default_factory=dict)
    thin: bool = False
    sends_issuer: str | None = None
    answers_instead: dict[str, Response] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)

    def claims(self, **more: Any) -> dict[str, Any]:
        """Claims of a good token."""
        now = int(time.time())
        return {**self.user, "iss": self.url, "aud": AUDIENCE, "iat": now, "exp": now + 300, **more}

    def token(self, claims: dict[str, Any] | None = None, *, key: Key = FIRST, **header: Any) -> str:
        """A token, signed by the provider."""
        said = {"kid": key.id, **header}
        named = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(claims or self.claims(), key.private, algorithm=key.algorithm, headers=named)

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo),
            ]
        )

    async def _discovery(self, request: Request) -> Response:
        self.asked["discovery"] += 1
        if self.down:
            return PlainTextResponse("down", 503)
        said = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
            **self.discovery,
        }
        return JSONResponse({name: value for name, value in said.items() if value is not None})

    async def _jwks(self, request: Request) -> Response:
        self.asked["jwks"] += 1
        return PlainTextResponse("down", 503) if self.down else JSONResponse({"keys": [key.jwk() for key in self.keys]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        wanted = {"client_id": CLIENT, "response_type": "code", "code_challenge_method": "S256"}
        wrong = [name for name, value in wanted.items() if asked.get(name) != value]
        missing = [name for name in ("state", "nonce", "code_challenge") if len(asked.get(name, "")) < 32]
        if (
            wrong
            or missing
            or asked.get("redirect_uri") not in self.redirects
            or "openid" not in asked["scope"].split()
        ):
            return PlainTextResponse(f"wrong: {wrong}, {missing}, {asked.get('redirect_uri')}", 400)
        code = secrets.token_urlsafe(32)
        self.codes[code] = asked
        self.secrets += [code, asked["state"]]
        back = {"code": code, "state": asked["state"], "iss": self.sends_issuer or self.url}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, request: Request) -> Response:
        if "token" in self.answers_instead:
            return self.answers_instead["token"]
        form = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        if "client_secret_basic" in self.discovery.get(
            "token_endpoint_auth_methods_supported", ["client_secret_basic"]
        ):
            proven = request.headers.get("authorization") == f"Basic {basic}"
        else:
            proven = (form.get("client_id"), form.get("client_secret")) == (CLIENT, CLIENT_SECRET)
        if not proven:
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge.decode().rstrip("=") != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant", "error_description": f"bad code {form.get('code')}"}, 400)
        said = self.claims(**{"aud": CLIENT, "nonce": asked["nonce"], **self.id_token})
        if self.thin:
            said = {name: value for name, value in said.items() if name not in {"email", "groups", "email_verified"}}
        tokens = {"id_token": self.token(said), "access_token": secrets.token_urlsafe(32)}
        self.secrets += [*tokens.values(), form["code_verifier"]]
        return JSONResponse({**tokens, "token_type": "Bearer", "expires_in": 300})

    async def _userinfo(self, request: Request) -> Response:
        if "userinfo" in self.answers_instead:
            return self.answers_instead["userinfo"]
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return JSONResponse(self.user) if given in self.secrets else PlainTextResponse("who?", 401)


@contextlib.contextmanager
def serving(application: Any, port: int, **options: Any) -> Iterator[None]:
    """Serve an application on a port of this machine."""
    server = uvicorn.Server(uvicorn.Config(application, port=port, **{"log_level": "warning", **options}))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def running() -> Iterator[Provider]:
    """A provider that answers."""
    port = free_port()
    provider = Provider(f"http://127.0.0.1:{port}")
    with serving(provider.application(), port):
        yield provider
