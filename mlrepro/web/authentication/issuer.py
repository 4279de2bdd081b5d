"""An OpenID Connect issuer: what it says of itself, and the keys that it signs with."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from mlrepro.errors import IdentityUnavailableError, NotAuthenticatedError
from mlrepro.tenancy.identity_settings import Claims
from mlrepro.web.authentication.remembering import Remembered, fetch_json


@dataclass(frozen=True)
class Endpoints:
    """Where an issuer answers.

    Attributes:
        jwks: Its keys.
        authorization: Where browsers log in.
        token: Where a code becomes a token.
        userinfo: What else it says of a user.
        secret_in_body: Whether it takes a client's secret in the body of a request only.
        names_itself: Whether it names itself when it sends a browser back (RFC 9207).
    """

    jwks: str
    authorization: str | None
    token: str | None
    userinfo: str | None
    secret_in_body: bool
    names_itself: bool


class Issuer:
    """An issuer, asked when something of it is needed.

    Args:
        settings: Its URL, and that of its keys where it does not say so itself.
    """

    def __init__(self, settings: Claims) -> None:
        self.url = settings.issuer
        self._jwks = settings.jwks
        self._endpoints = Remembered(f"the settings of {self.url}", self._discover)
        self._keys = Remembered(f"the keys of {self.url}", self._fetch_keys)

    async def endpoints(self) -> Endpoints:
        """Where it answers.

        Raises:
            IdentityUnavailableError: It does not say.
        """
        return await self._endpoints.get()

    async def key(self, key_id: str | None, algorithm: str) -> PyJWK:
        """The key that a token names, for the signature that it has.

        Args:
            key_id: As the token names it; None where it names none, which is right if there is but one.
            algorithm: The token's, one that is allowed.

        Raises:
            NotAuthenticatedError: The issuer has no such key.
            IdentityUnavailableError: Its keys can't be fetched.
        """
        found = _fitting(await self._keys.get(), key_id, algorithm)
        if found is None:
            found = _fitting(await self._keys.get(again=True), key_id, algorithm)
        if found is None and self._keys.failing:
            raise IdentityUnavailableError(f"the keys of {self.url} can't be fetched, and the token's is unknown")
        if found is None:
            named = f"no key {key_id[:80]!r}" if key_id is not None else "not one key only, and the token names none"
            raise NotAuthenticatedError(f"{self.url} has {named} for {algorithm}")
        return found

    async def _discover(self) -> Endpoints:
        url = f"{self.url.rstrip('/')}/.well-known/openid-configuration"
        said = await fetch_json(url)
        if said.get("issuer") != self.url:
            told = f"says that the issuer is {str(said.get('issuer'))[:200]!r}: write that, or its own address"
            raise IdentityUnavailableError(f"{url} {told}")
        jwks = self._jwks or self._place(said, "jwks_uri")
        if jwks is None:
            raise IdentityUnavailableError(f"{url} names no jwks_uri: write it into identity as jwks")
        methods = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return Endpoints(
            jwks=jwks,
            authorization=self._place(said, "authorization_endpoint"),
            token=self._place(said, "token_endpoint"),
            userinfo=self._place(said, "userinfo_endpoint"),
            secret_in_body="client_secret_post" in methods and "client_secret_basic" not in methods,
            names_itself=said.get("authorization_response_iss_parameter_supported") is True,
        )

    def _place(self, said: dict[str, Any], name: str) -> str | None:
        place = said.get(name)
        if place is None:
            return None
        # as safe as the issuer's own address: never plain http where that is https
        if not isinstance(place, str) or urlsplit(place).scheme not in {"https", urlsplit(self.url).scheme}:
            raise IdentityUnavailableError(f"{self.url} names a {name} that does not begin with https://")
        return place

    async def _fetch_keys(self) -> list[dict[str, Any]]:
        url = self._jwks or (await self._endpoints.get()).jwks
        keys = (await fetch_json(url)).get("keys")
        found = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
        if not found:
            raise IdentityUnavailableError(f"{url} holds no keys")
        return found


def _fitting(keys: list[dict[str, Any]], key_id: str | None, algorithm: str) -> PyJWK | None:
    named = [key for key in keys if key_id is None or key.get("kid") == key_id]
    fitting = [made for key in named if (made := _made(key, algorithm)) is not None]
    return fitting[0] if len(fitting) == 1 or (fitting and key_id is not None) else None


def _made(key: dict[str, Any], algorithm: str) -> PyJWK | None:
    """The key for one kind of signature; None where it is meant for another, or for something else."""
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm or key.get("kty") == "oct":
        return None
    try:
        return PyJWK(key, algorithm)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
