"""Names as Kubernetes, Dagster and git allow them."""

import re
from typing import Final

from mlrepro.tenancy.plain_text import reads_as_text

CODE_RELEASE: Final = "code"
"""Helm's release of a tenant's code servers, in its namespace."""

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MODULE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*", re.ASCII)
_REFERENCE: Final = re.compile(r"(?!-)(?!.*(\.\.|//|@\{))[^\s~^:?*\[\\\x00-\x20\x7f]+(?<![./])")


def check_label(name: str) -> str:
    """A name of 1 to 63 small letters, digits and hyphens (RFC 1123): a namespace, a tenant.

    Raises:
        ValueError: It is none.

    Example:
        >>> check_label("team-a")
        'team-a'
    """
    told = "is no RFC 1123 name: use 1 to 63 of a-z, 0-9 and '-', beginning and ending in a letter or digit"
    return check_plain(_checked(_LABEL, name, told))


def check_service(name: str) -> str:
    """A name that a Kubernetes Service may have too (RFC 1035): a code location.

    Raises:
        ValueError: It is none.
    """
    told = "can't name a Service: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter, not ending in '-'"
    return check_plain(_checked(_SERVICE, name, told))


def check_release(name: str) -> str:
    """A name that Helm gives to what it makes of Dagster's chart.

    Raises:
        ValueError: It is none.
    """
    if len(name) > 53:
        raise ValueError(f"{name!r} can't name a release of Helm: use up to 53 characters")
    if name == CODE_RELEASE:
        raise ValueError(f"{name!r} is the release of the tenants' code servers: use another name, such as dagster")
    return check_label(name)


def check_subdomain(name: str) -> str:
    """A name of up to 253 characters, with dots between its parts: a service account, a secret.

    Raises:
        ValueError: It is none.
    """
    told = "is no RFC 1123 name: use up to 253 of a-z, 0-9, '-' and '.', each part as in team-a"
    if len(name) > 253:
        raise ValueError(f"{name[:40]}... {told}")
    return check_plain(_checked(_SUBDOMAIN, name, told))


def check_plain(name: str) -> str:
    """A name that Dagster's charts may write into YAML as they do: without quotes.

    Raises:
        ValueError: It would be read as something else.
    """
    if not reads_as_text(name):
        raise ValueError(f"{name!r} is a number or yes or no in YAML, where Dagster's charts have no quotes: rename it")
    return name


def check_module(name: str) -> str:
    """A Python module's dotted name.

    Raises:
        ValueError: It is none.
    """
    return _checked(_MODULE, name, "is no Python module: write it like team.definitions")


def check_git_ref(name: str) -> str:
    """A branch, a tag or a commit.

    Raises:
        ValueError: It is none.
    """
    return _checked(_REFERENCE, name, "is no git ref: name a branch, a tag or a commit")


def _checked(pattern: re.Pattern[str], name: str, told: str) -> str:
    if not pattern.fullmatch(name):
        raise ValueError(f"{name!r} {told}")
    return name
