"""What all tenants share: Dagster itself, its database, its bucket."""

import ipaddress
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from mlrepro.tenancy.fields import Count, Image, Label, Part, Plain, Port, Release, Scope, Subdomain

_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{0,61}[a-z0-9](/[A-Za-z0-9_.=-]+)*")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _url(url: str) -> str:
    if not _BUCKET.fullmatch(url) or any(part in {".", ".."} for part in url.split("/")):
        raise ValueError(f"{url!r} is no place in a bucket: write it like s3://bucket/prefix")
    return url


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is no network: write it like 10.0.0.0/16") from error


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError(f"{text!r} is no host: write a name or an address, without scheme and port")
    return text


def _prefix(text: str) -> str:
    if text and (not _PREFIX.fullmatch(text) or any(part in {".", ".."} for part in text.split("/"))):
        raise ValueError(f"{text!r} is no path: write it like /ml, with a slash before it and none after it")
    return text


BucketUrl = Annotated[str, AfterValidator(_url)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Region = Annotated[str, Field(pattern=r"^[a-z0-9-]+$"), Plain]
DatabaseName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,30}$"), Plain]


class Postgres(Part):
    """Dagster's database.

    Attributes:
        host: Its host.
        port: Its port.
        database: The database; with ``visibility: isolated`` one each, named ``<database>_<tenant>``.
        user: Who logs in; with ``visibility: isolated`` one each, named like the database.
        secret: Secret with the password, under the key ``postgresql-password``, in each namespace.
        cidrs: Networks that it answers from, for the pods' network policy.
    """

    host: Annotated[str, AfterValidator(_host)] = Field(description="Its host.")
    port: Port = Field(default=5432, description="Its port.")
    database: DatabaseName = Field(default="dagster", description="Name.")
    user: DatabaseName = Field(default="dagster", description="Who logs in.")
    secret: Subdomain = Field(default="dagster-postgresql-secret", description="Secret with the password.")
    cidrs: list[Cidr] = Field(min_length=1, description="Networks that it answers from.")


class Bucket(Part):
    """How the bucket of the store and of the logs is reached.

    Attributes:
        store: Where the store is.
        logs: Where captured output goes: not below the store.
        region: The bucket's region.
        endpoint: URL of a server that is not Amazon's.
        port: Port that it answers on.
        cidrs: Networks that it answers from. Default: everywhere but the nodes' own metadata.
    """

    store: BucketUrl = Field(description="Where the store is, such as s3://ml/mlrepro.")
    logs: BucketUrl = Field(description="Where captured output goes, such as s3://ml/dagster-logs.")
    region: Region = Field(default="us-east-1", description="The bucket's region.")
    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s/]+$", description="URL, where not Amazon's.")
    port: Port = Field(default=443, description="Port that it answers on.")
    cidrs: list[Cidr] = Field(default=["0.0.0.0/0"], min_length=1, description="Networks that it answers from.")


class Cluster(Part):
    """The Kubernetes API, which run workers start steps by.

    Attributes:
        cidrs: Networks that it answers from. Default: everywhere but the nodes' own metadata.
        ports: Ports that it answers on.
    """

    cidrs: list[Cidr] = Field(default=["0.0.0.0/0"], min_length=1, description="Networks that it answers from.")
    ports: list[Port] = Field(default=[443, 6443], min_length=1, description="Ports that it answers on.")


class Instance(Part):
    """What all tenants share.

    Attributes:
        namespace: Of webserver and daemon; nobody else's.
        release: Name of the Helm release, which begins the names of what the chart makes.
        service_account: As whom webserver and daemon run.
        image: What the code servers of modules, webserver and daemon run. Images of locations come before it.
        max_concurrent_runs: Of all tenants together.
        shared_scopes: Scopes that belong to no tenant.
        path_prefix: What all paths of the webserver begin with, where it has not an address of its own.
        postgres: Dagster's database.
        bucket: Where results and logs are.
        cluster: The Kubernetes API.
    """

    namespace: Label = Field(default="dagster", description="Namespace of webserver and daemon.")
    release: Release = Field(default="dagster", description="Name of the Helm release.")
    service_account: Subdomain = Field(default="dagster", description="As whom webserver and daemon run.")
    image: Image | None = Field(default=None, description="What code servers of modules, webserver and daemon run.")
    max_concurrent_runs: Count = Field(default=25, description="Runs at once, of all tenants together.")
    shared_scopes: list[Scope] = Field(default=["shared"], description="Scopes that belong to no tenant.")
    path_prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        default="", description="What all paths of the webserver begin with, such as /ml."
    )
    postgres: Postgres = Field(description="Dagster's database.")
    bucket: Bucket = Field(description="Where results and logs are.")
    cluster: Cluster = Field(default=Cluster(), description="The Kubernetes API.")
