"""Starting the webserver: what is given is checked before anything slow is done."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from starlette.types import ASGIApp

from mlrepro.errors import WebserverError
from mlrepro.io_managers.pages import VARIABLE as PAGES_VARIABLE
from mlrepro.tenancy import TenantsFile
from mlrepro.tenancy.identity_settings import IdentitySettings, NoneSettings
from mlrepro.tenancy.tenants_file import VARIABLE
from mlrepro.web.assembly import Settings, application
from mlrepro.web.authentication import check_address, gate
from mlrepro.web.authentication.gate import Gate
from mlrepro.web.authentication.loopback import LocalAuthenticator
from mlrepro.web.pages import HERE
from mlrepro.web.serving import listen, serve
from mlrepro.web.witness import Witness


@dataclass(frozen=True)
class Start:
    """What `mlrepro webserver` was given.

    Attributes:
        tenants_file: ``tenants.yaml``. Default: the one that ``MLREPRO_TENANTS`` names, then the one in this folder.
        home: Folder with ``dagster.yaml``, or with a folder for each tenant. Default: ``DAGSTER_HOME``.
        workspaces: ``workspace.yaml``.
        host: Where to listen.
        port: Where to listen.
        path_prefix: What all paths begin with. Default: ``instance.path_prefix`` of ``tenants.yaml``.
        user: Who everybody is; None where ``identity:`` says how users are known.
        audit: The audit log.
        log_level: Of the web server.
        code_server_log_level: Of code servers that are started.
        live_data_poll_rate: How often the UI looks for news, in milliseconds.
    """

    tenants_file: Path | None
    home: Path | None
    workspaces: Sequence[Path]
    host: str
    port: int
    path_prefix: str | None
    user: str | None
    audit: Path | None
    log_level: str
    code_server_log_level: str
    live_data_poll_rate: int


def start(given: Start) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        given: What to serve, and where.

    Raises:
        MlreproError: Something is missing or does not fit together; the message names it.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    tenants = TenantsFile(given.tenants_file or _tenants_file())
    told = tenants.tenants
    prefix = told.instance.path_prefix if given.path_prefix is None else given.path_prefix
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise WebserverError(f"the path prefix {prefix!r} must begin with a slash, and not end with one")
    if given.user is None and told.identity is None:
        raise WebserverError(
            f"{tenants.path} has no section identity, so nobody could be known: write one, or use --auth none --user"
            " NAME on this machine"
        )
    settled = _none(given.user) if given.user is not None else told.identity
    assert settled is not None
    check_address(given.host, settled)
    # the code servers that are started here, and the runs that those start, link to the pages
    os.environ.setdefault(PAGES_VARIABLE, f"{prefix}{HERE}")
    home = given.home or _home()
    settings = Settings(
        tenants=tenants,
        home=home,
        workspaces=given.workspaces,
        audit=given.audit,
        path_prefix=prefix,
        code_server_log_level=given.code_server_log_level,
        live_data_poll_rate=given.live_data_poll_rate,
    )
    with listen(given.host, given.port) as listening, application(settings) as (app, audit):
        address, port = listening.getsockname()[:2]
        whole = Witness(_gated(app, tenants, given.user, prefix), audit=audit)
        shown = f"[{address}]" if ":" in address else address
        click.echo(f"Serving at http://{shown}:{port}{prefix}/ (audit log: {audit.path})", err=True)
        serve(whole, listening, log_level=given.log_level)


def _gated(app: ASGIApp, tenants: TenantsFile, user: str | None, prefix: str) -> ASGIApp:
    if user is None:
        return gate(app, tenants, path_prefix=prefix)
    everybody = LocalAuthenticator(NoneSettings(user=user))
    return Gate(app, tenants=tenants, authenticators=[everybody], path_prefix=prefix)


def _none(user: str) -> IdentitySettings:
    return IdentitySettings(none=NoneSettings(user=user))


def _tenants_file() -> Path | None:
    here = Path("tenants.yaml")
    return here if VARIABLE not in os.environ and here.is_file() else None


def _home() -> Path:
    named = os.environ.get("DAGSTER_HOME")
    if not named:
        raise WebserverError("no folder with dagster.yaml is named: give --home, or set DAGSTER_HOME")
    return Path(named)
