"""Dagster's own `S3Resource` (of dagster-aws) as settings of the store. dagster-aws itself is never imported here."""

from typing import Any, Final

from mlrepro.errors import StoreError
from mlrepro.resources.environment import value_of

_AS_OPTIONS: Final = {
    "endpoint_url": "endpoint",
    "region_name": "region",
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}


def s3_options(s3: Any, url: str) -> dict[str, str]:
    """Say in the store's options what an `S3Resource` says.

    Without keys of its own it asks boto3, which `S3Resource` does as well: a profile, the environment, web identity,
    the instance. ``max_attempts`` is left out: the store retries by a rule of its own.

    Args:
        s3: The resource; its fields may be environment variables that are not resolved yet.
        url: The store.

    Raises:
        StoreError: If the store is not on S3, the resource is none of S3, or an environment variable is not set.
    """
    if not url.startswith(("s3://", "s3a://")):
        raise StoreError(
            f"ReproStore(s3=...) is for a store on S3, and {url} is none: leave s3 out, or write s3://bucket/prefix"
        )
    if not hasattr(s3, "endpoint_url") or not hasattr(s3, "region_name"):
        raise StoreError(f"ReproStore(s3=...) takes dagster_aws.s3.S3Resource, not {type(s3).__name__}")
    given = {name: value_of(getattr(s3, name, None)) for name in (*_AS_OPTIONS, "profile_name")}
    options = {option: str(given[name]) for name, option in _AS_OPTIONS.items() if given[name]}
    if value_of(getattr(s3, "use_unsigned_session", False)):
        options["skip_signature"] = "true"
    elif "access_key_id" not in options:
        options |= {"profile": str(given["profile_name"])} if given["profile_name"] else {"credentials": "boto3"}
    if value_of(getattr(s3, "verify", None)) is False:
        options["allow_invalid_certificates"] = "true"
    if value_of(getattr(s3, "use_ssl", True)) is False and "endpoint" not in options:
        options["endpoint"] = f"http://s3.{options.get('region', 'us-east-1')}.amazonaws.com"
    return options
