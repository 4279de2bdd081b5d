"""Whether a JSON Web Token is good, and who it says somebody is."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt

from mlrepro.errors import NotAuthenticatedError
from mlrepro.tenancy.identity import Identity
from mlrepro.tenancy.identity_settings import Claims
from mlrepro.web.authentication.headers import check_name
from mlrepro.web.authentication.issuer import Issuer

_LONGEST: Final = 65536
_TYPES: Final = frozenset({"jwt", "at+jwt"})
_WORD: Final = re.compile(r"[\w+.-]{1,40}", re.ASCII)
_REQUIRED: Final = ["exp", "iss", "aud"]
_REASONS: Final[dict[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidIssuedAtError: "the token's iat is no time",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is of another issuer",
    jwt.InvalidSignatureError: "the token's signature is wrong",
}

_jwt = jwt.PyJWT({"enforce_minimum_key_length": True})


class Verifier:
    """Checks the tokens of one issuer for one audience.

    Args:
        settings: What tokens must say.
        audiences: For whom they must be: one of these.
        issuer: Has the keys.
    """

    def __init__(self, settings: Claims, audiences: Sequence[str], issuer: Issuer) -> None:
        self._settings = settings
        self._audiences = list(audiences)
        self._issuer = issuer

    async def claims(self, token: str) -> dict[str, Any]:
        """What a good token says.

        Raises:
            NotAuthenticatedError: It is not good; the message says why, and holds nothing of it.
            IdentityUnavailableError: The issuer's keys can't be fetched.
        """
        if len(token) > _LONGEST:
            raise NotAuthenticatedError(f"the token is longer than {_LONGEST} bytes")
        try:
            header = _jwt_header(token)
            key = await self._issuer.key(_key_id(header), self._algorithm(header))
            return _jwt.decode(
                token,
                key,
                algorithms=list(self._settings.algorithms),
                audience=self._audiences,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway,
                options={"require": _REQUIRED},
            )
        except jwt.MissingRequiredClaimError as error:
            raise NotAuthenticatedError(f"the token has no {error.claim}") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # what the library says may quote the token, so it is neither told nor kept as a cause
            raise NotAuthenticatedError(_REASONS.get(type(error), "the token can't be read")) from None

    def _algorithm(self, header: Mapping[str, Any]) -> str:
        algorithm = header.get("alg")
        if algorithm not in self._settings.algorithms:
            shown = algorithm if isinstance(algorithm, str) and _WORD.fullmatch(algorithm) else "something else"
            raise NotAuthenticatedError(f"the token is signed by {shown}, not {', '.join(self._settings.algorithms)}")
        return str(algorithm)


def identity_of(claims: Mapping[str, Any], settings: Claims) -> Identity:
    """Who a good token says somebody is.

    Raises:
        NotAuthenticatedError: It does not say, or not in a way that can be believed.
    """
    user = claim(claims, settings.user_claim)
    if user is None:
        raise NotAuthenticatedError(f"the token has no {settings.user_claim}: identity.user_claim names the user")
    if settings.user_claim == "email" and claims.get("email_verified", True) not in (True, "true"):
        raise NotAuthenticatedError("the token's email is not verified by its issuer")
    groups = claim(claims, settings.groups_claim) if settings.groups_claim else None
    listed = [groups] if isinstance(groups, str) else groups or []
    if not isinstance(listed, list):
        raise NotAuthenticatedError(f"the token's {settings.groups_claim} is no list of groups")
    return Identity(
        check_name(user, f"the token's {settings.user_claim}"),
        frozenset(check_name(group, f"a group in the token's {settings.groups_claim}") for group in listed),
    )


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """What a claim holds, None where there is none.

    Args:
        claims: All claims.
        path: A claim's name, or names of which each is within the one before, with dots between.

    Example:
        >>> claim({"realm_access": {"roles": ["ml"]}}, "realm_access.roles")
        ['ml']
    """
    if path in claims:
        return claims[path]  # names of claims may be URLs, with dots of their own
    here: Any = claims
    for name in path.split("."):
        here = here.get(name) if isinstance(here, Mapping) else None
    return here


def _jwt_header(token: str) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    if "crit" in header or "b64" in header:
        raise NotAuthenticatedError("the token's header has crit, of which nothing is understood here")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise NotAuthenticatedError("the token's header says by typ that it is for something else")
    return header


def _key_id(header: Mapping[str, Any]) -> str | None:
    key_id = header.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise NotAuthenticatedError("the token's kid is no text")
    return key_id
