"""The verb webserver: Dagster's webserver for users who are known."""

from pathlib import Path

import click

from mlrepro.cli.app import app
from mlrepro.errors import MissingExtraError

_LEVELS = click.Choice(["critical", "error", "warning", "info", "debug", "trace"], case_sensitive=False)


@app.command("webserver", context_settings={"help_option_names": ["--help"]})
@click.option(
    "--tenants",
    "tenants_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="tenants.yaml. Default: MLREPRO_TENANTS, then ./tenants.yaml.",
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with dagster.yaml; with visibility: isolated a folder with a folder for each tenant, as `mlrepro "
    "tenants render` makes machine/. Default: DAGSTER_HOME.",
)
@click.option(
    "--workspace",
    "-w",
    "workspaces",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="workspace.yaml. Default: the one in --home. Not with visibility: isolated.",
)
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="Host to run the server on.")
@click.option("--port", "-p", type=click.IntRange(0, 65535), default=3000, show_default=True, help="Port.")
@click.option(
    "--path-prefix",
    "-l",
    help="What all paths begin with, such as /ml. Default: instance.path_prefix of tenants.yaml, else nothing.",
)
@click.option(
    "--auth",
    type=click.Choice(["identity", "none"]),
    default="identity",
    show_default=True,
    help="identity: as the section identity of tenants.yaml says. none: everybody on this machine is --user; refused "
    "on any address but the machine's own.",
)
@click.option("--user", help="Who everybody is with --auth none: their roles are those of tenants.yaml.")
@click.option(
    "--audit",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The audit log. Default: audit.jsonl in --home.",
)
@click.option("--log-level", type=_LEVELS, default="warning", show_default=True, help="Of the web server.")
@click.option("--code-server-log-level", type=_LEVELS, default="info", show_default=True, help="Of code servers.")
@click.option(
    "--live-data-poll-rate", type=int, default=2000, show_default=True, help="How often the UI asks for news, in ms."
)
def webserver_command(
    tenants_file: Path | None,
    home: Path | None,
    workspaces: tuple[Path, ...],
    host: str,
    port: int,
    path_prefix: str | None,
    auth: str,
    user: str | None,
    audit: Path | None,
    log_level: str,
    code_server_log_level: str,
    live_data_poll_rate: int,
) -> None:
    """Run Dagster's webserver so that everybody is known, and touches only what is theirs.

    It takes the place of dagster-webserver. Who asks is verified as the section identity of tenants.yaml says, and
    what they may do is their role in the tenant that a code location belongs to: a change of the file counts at the
    next request. Every attempt to change something is written to an audit log, and without the log nothing is changed.

    \b
      mlrepro webserver --tenants tenants.yaml --home rendered/machine    as rendered by `mlrepro tenants render`
      mlrepro webserver -w workspace.yaml -h 0.0.0.0 -p 3000              with DAGSTER_HOME and MLREPRO_TENANTS
      mlrepro webserver --auth none --user ana@example.com                look at it as ana does, on your own machine
      mlrepro audit rendered/machine/audit.jsonl --refused                what was tried in vain

    \b
    With visibility: shared     everybody with a role sees everything at /
    With visibility: isolated   each tenant's Dagster is at /tenants/<tenant>/, and for others it is not there
    """
    try:
        from mlrepro.web.starting import Start, start
    except ImportError as error:
        raise MissingExtraError("mlrepro webserver", "web") from error

    start(
        Start(
            tenants_file=tenants_file,
            home=home,
            workspaces=workspaces,
            host=host,
            port=port,
            path_prefix=path_prefix,
            user=_user(auth, user),
            audit=audit,
            log_level=log_level,
            code_server_log_level=code_server_log_level,
            live_data_poll_rate=live_data_poll_rate,
        )
    )


def _user(auth: str, user: str | None) -> str | None:
    if auth == "none":
        if not user:
            raise click.UsageError("--auth none needs --user: who everybody is")
        return user
    if user is not None:
        raise click.UsageError("--user is for --auth none: who is known by `identity` says so themselves")
    return None
