"""``identity:`` of ``tenants.yaml``: whom the webserver believes to be whom."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from mlrepro.errors import TenantsError
from mlrepro.tenancy import durations
from mlrepro.tenancy.fields import Part

_HEADER: Final = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_ORIGIN: Final = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_CLAIM: Final = re.compile(r"[^\s.]+(\.[^\s.]+)*|https?://\S+")
_LONGEST_SESSION: Final = 7 * 86400


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header: use letters, digits and hyphens, as in X-Forwarded-Email")
    return name


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        # it may be the secret, so it is not shown
        raise ValueError(
            "is no name of an environment variable, such as OIDC_SECRET: the secret itself never stands here"
        )
    return name


def _no_secret(value: object) -> object:
    if isinstance(value, str | int | float | list):
        told = "the secret itself never stands here: write {env: NAME} or {file: PATH}"
        raise ValueError(told)  # noqa: TRY004 -- pydantic takes no other
    return value


def _claim(name: str) -> str:
    if not _CLAIM.fullmatch(name):
        raise ValueError(f"{name!r} is no claim: write its name, or a path such as realm_access.roles")
    return name


def _origin(url: str) -> str:
    if not _ORIGIN.fullmatch(url):
        raise ValueError(f"{url!r} is no address of a site: write it like https://dagster.example.com, without a path")
    return url


def _trusted(url: str) -> str:
    """What is fetched from here is believed: only over TLS, or from this very machine."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL: {error}") from error
    if parts.username or parts.password:
        raise ValueError("holds a user or a password: leave them out")
    if parts.fragment or parts.query or not parts.hostname or url != url.strip():
        raise ValueError(f"{url!r} is no such URL: write it like https://login.example.com/realms/ml")
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname)):
        raise ValueError(f"{url!r} must begin with https://: whoever is on the way could sign in as anybody")
    return url


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Header = Annotated[str, AfterValidator(_header)]
Variable = Annotated[str, AfterValidator(_variable)]
Claim = Annotated[str, AfterValidator(_claim)]
Origin = Annotated[str, AfterValidator(_origin)]
TrustedUrl = Annotated[str, AfterValidator(_trusted)]
Duration = Annotated[str, BeforeValidator(durations.check_duration), WithJsonSchema(durations.SCHEMA)]
Audiences = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Secret(Part):
    """Where a secret is; never the secret itself.

    Attributes:
        env: The environment variable that holds it.
        file: The file that holds it; a path that is not absolute begins at the folder of ``tenants.yaml``.
    """

    env: Variable | None = Field(default=None, description="Environment variable that holds it.")
    file: str | None = Field(default=None, min_length=1, description="File that holds it.")

    _given = model_validator(mode="before")(_no_secret)

    @model_validator(mode="after")
    def _one(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret is in one place: write exactly one of env and file")
        return self

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env is not None else f"the file {self.file}"

    def read(self, *, folder: Path, field: str, shortest: int = 1) -> str:
        """The secret.

        Args:
            folder: Where paths begin.
            field: For what it is, as the error names it.
            shortest: How many characters it must have.

        Raises:
            TenantsError: It is not there, or too short.
        """
        if self.env is not None:
            found = os.environ.get(self.env, "")
        else:
            assert self.file is not None
            try:
                found = (folder / self.file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                raise TenantsError(f"{field}: {self} can't be read: {reason}") from error
        if not found:
            raise TenantsError(f"{field}: {self} is not set or empty: put the secret there")
        if len(found) < shortest:
            told = f"{len(found)} characters, at least {shortest} are needed: make one by `openssl rand -hex 32`"
            raise TenantsError(f"{field}: {self} holds {told}")
        return found


class Claims(Part):
    """What is read out of a token, and what it must say.

    Attributes:
        issuer: Whose tokens count.
        jwks: URL of the issuer's keys. Default: as the issuer's ``/.well-known/openid-configuration`` says.
        algorithms: Signatures that count; only such where the issuer alone can sign.
        user_claim: Claim that names the user.
        groups_claim: Claim with the groups, as a list; a path of several names with dots between.
        leeway: By how much clocks may differ.
    """

    issuer: TrustedUrl = Field(description="Whose tokens count, such as https://login.example.com/realms/ml.")
    jwks: TrustedUrl | None = Field(default=None, description="URL of its keys, where it does not say so itself.")
    algorithms: list[Algorithm] = Field(default=["RS256", "ES256"], min_length=1, description="Signatures that count.")
    user_claim: Claim = Field(default="email", description="Claim that names the user.")
    groups_claim: Claim | None = Field(default=None, description="Claim with the groups, such as realm_access.roles.")
    leeway: Annotated[int, Field(ge=0, le=300)] = Field(default=30, description="Seconds that clocks may differ by.")


class JwtSettings(Claims):
    """A token that a proxy has checked the user for, and that is checked again here.

    Attributes:
        audience: For whom the token must be: one of these.
        header: Header that it comes in; in ``Authorization`` after ``Bearer``.
    """

    audience: Audiences = Field(description="For whom the token must be: one, or a list of which it names one.")
    header: Header = Field(default="Authorization", description="Header that it comes in.")


class ProxySettings(Part):
    """Headers of a proxy that proves by a shared secret that they are its own.

    Attributes:
        secret: What the proxy sends in ``secret_header``; at least 16 characters.
        secret_header: Header with the secret.
        user_header: Header with the user.
        groups_header: Header with the groups.
        groups_separator: What stands between two groups.
    """

    secret: Secret = Field(description="What the proxy sends in secret_header.")
    secret_header: Header = Field(default="X-Mlrepro-Proxy-Secret", description="Header with the secret.")
    user_header: Header = Field(default="X-Forwarded-Email", description="Header with the user.")
    groups_header: Header | None = Field(default="X-Forwarded-Groups", description="Header with the groups.")
    groups_separator: str = Field(default=",", min_length=1, max_length=3, description="Stands between two groups.")

    @model_validator(mode="after")
    def _different(self) -> "ProxySettings":
        names = [name.lower() for name in (self.secret_header, self.user_header, self.groups_header) if name]
        if len(set(names)) < len(names):
            raise ValueError("two of secret_header, user_header and groups_header are one: name each otherwise")
        if {"authorization", "cookie", "host", "origin"} & set(names):
            raise ValueError("Authorization, Cookie, Host and Origin mean something else: name another header")
        return self


class TokensSettings(Part):
    """Tokens of machines.

    Attributes:
        file: What `mlrepro tokens` writes; a path that is not absolute begins at the folder of ``tenants.yaml``.
    """

    file: str = Field(min_length=1, description="What `mlrepro tokens create` writes.")


class OidcSettings(Claims):
    """Login at an OpenID Connect provider, by the webserver itself.

    Attributes:
        client_id: As what the webserver is known there.
        client_secret: What it proves that with; a public client has none.
        scopes: What it asks for.
        session_secret: What cookies are signed with; at least 32 characters.
        session: How long a login lasts.
    """

    client_id: str = Field(min_length=1, description="As what the webserver is known to the provider.")
    client_secret: Secret | None = Field(default=None, description="What it proves that with.")
    scopes: list[Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]] = Field(
        default=["openid", "email", "profile"], description="What it asks for."
    )
    session_secret: Secret = Field(description="What cookies are signed with.")
    session: Duration = Field(default="8h", description="How long a login lasts.")

    @model_validator(mode="after")
    def _sound(self) -> "OidcSettings":
        if "openid" not in self.scopes:
            raise ValueError("scopes must name openid: without it the provider says not who it is")
        if durations.seconds(self.session) > _LONGEST_SESSION:
            raise ValueError(f"session: {self.session} is longer than 7d: nobody could be shut out in time")
        return self


class NoneSettings(Part):
    """Nobody is asked: everybody is one user, on this machine only.

    Attributes:
        user: Who everybody is, with all rights.
    """

    user: str = Field(min_length=1, description="Who everybody is, with all rights.")


class IdentitySettings(Part):
    """Whom the webserver believes to be whom. Several ways may be open at once.

    Attributes:
        public_url: The site as browsers know it.
        jwt: Tokens of an OpenID Connect proxy.
        proxy: Headers of a proxy that shares a secret.
        tokens: Tokens of machines.
        oidc: Login by the webserver itself.
        none: Nobody is asked; on a loopback address only.
    """

    public_url: Origin | None = Field(default=None, description="The site, such as https://dagster.example.com.")
    jwt: JwtSettings | None = Field(default=None, description="Tokens of an OpenID Connect proxy.")
    proxy: ProxySettings | None = Field(default=None, description="Headers of a proxy that shares a secret.")
    tokens: TokensSettings | None = Field(default=None, description="Tokens of machines.")
    oidc: OidcSettings | None = Field(default=None, description="Login by the webserver itself.")
    none: NoneSettings | None = Field(default=None, description="Nobody is asked; on a loopback address only.")

    @model_validator(mode="after")
    def _together(self) -> "IdentitySettings":
        others = [name for name in ("jwt", "proxy", "tokens", "oidc") if getattr(self, name) is not None]
        if self.none is None and not others:
            raise ValueError("says no way to know who asks: write at least one of jwt, proxy, tokens, oidc and none")
        if self.none is not None and others:
            raise ValueError(
                f"none lets everybody in, so {', '.join(others)} would mean nothing: keep one or the other"
            )
        if self.oidc is not None:
            if self.public_url is None:
                raise ValueError("oidc needs public_url, where the provider sends browsers back to")
            parts = urlsplit(self.public_url)
            if parts.scheme != "https" and not _loopback(parts.hostname or ""):
                raise ValueError("with oidc public_url must begin with https://: cookies would be read on the way")
        return self
