"""Verbs about a code location's source: push, workflows, workflow-diff, code-server."""

from pathlib import Path

import click
from tabulate import tabulate

from mlrepro.catalog import find_store
from mlrepro.cli.app import Where, app, print_json, verb
from mlrepro.cli.progress import Progress


@app.command("push")
@click.argument("location", metavar="LOCATION")
@click.option("-m", "--module", required=True, metavar="MODULE", help="Python module that holds the Definitions.")
@click.option("-a", "--attribute", metavar="NAME", help="Their name in it, where it holds several.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The project's folder. Default: this one.",
)
@click.option("--reason", metavar="TEXT", default="", help="Why, for the history.")
@click.option("--who", metavar="NAME", help="Who does it. Default: MLREPRO_USER, then the operating system's user.")
@click.option(
    "--image", metavar="IMAGE", envvar="DAGSTER_CURRENT_IMAGE", help="The image that runs it, for the history."
)
@click.option("--no-bundle", is_flag=True, help="The image holds the code: note what it defines, and send no files.")
@click.option("--allow-lock-drift", is_flag=True, help="Go on though the libraries differ from those of the image.")
@click.option("--again", is_flag=True, help="Push code that was rolled back from.")
@verb
def push_command(
    where: Where,
    location: str,
    module: str,
    attribute: str | None,
    root: Path,
    reason: str,
    who: str | None,
    image: str | None,
    no_bundle: bool,
    allow_lock_drift: bool,
    again: bool,
) -> None:
    """Make the source in this folder the newest workflow version of LOCATION; no image is built.

    Packed is what git tracks, as it is in the working tree, and what [tool.mlrepro.bundle] in pyproject.toml adds.
    Only files that changed are sent. The bundle is taken from the store again and loaded in a fresh interpreter;
    if its definitions do not load, nothing is appended. `mlrepro code-server LOCATION` then serves it.

    \b
      mlrepro push pricing -m pricing.definitions
      mlrepro push pricing -m pricing.definitions --reason "holidays as a feature"
      mlrepro push pricing -m pricing.definitions --no-bundle --image registry/pricing:v7    as it is built
    """
    # these bring what the other verbs do without
    from mlrepro.bundles.pushing import push

    with Progress() as progress:
        pushed = push(
            location,
            module,
            root=root,
            attribute=attribute,
            store=where.store(),
            who=who,
            reason=reason,
            image=image,
            bundle=not no_bundle,
            allow_lock_drift=allow_lock_drift,
            again=again,
            progress=progress,
        )
    if where.as_json:
        print_json(pushed.to_json())
    else:
        click.echo(str(pushed))


@app.command("workflows")
@click.argument("location", metavar="LOCATION")
@verb
def workflows_command(where: Where, location: str) -> None:
    """List what LOCATION served: each version, who pushed it or rolled back to it, when and why; newest first."""
    from mlrepro.catalog.workflows import workflow_versions

    found = list(workflow_versions(where.store(), location))
    if where.as_json:
        print_json([each.to_json() for each in found])
        return
    rows = [
        {
            "version": f"v{each.number}",
            "when": f"{each.when:%Y-%m-%d %H:%M:%S} UTC",
            "what": each.kind if each.number == each.of else f"{each.kind} to v{each.of}",
            "by": each.who,
            "definitions": each.digest[:12],
            "bundle": each.bundle.content_hash[:12] if each.bundle else None,
            "image": each.image,
            "commit": _commit(each.body.get("git")),
            "why": each.reason,
        }
        for each in found
    ]
    shown = [{key: value for key, value in row.items() if any(other[key] for other in rows)} for row in rows]
    click.echo(tabulate(shown, headers="keys"))


@app.command("workflow-diff")
@click.argument("location", metavar="LOCATION")
@click.argument("before", metavar="v3")
@click.argument("after", metavar="v5")
@verb
def workflow_diff_command(where: Where, location: str, before: str, after: str) -> None:
    """Show what differs between two versions of LOCATION: assets, jobs, schedules, sensors, code, files, libraries."""
    from mlrepro.bundles.comparing import workflow_diff
    from mlrepro.catalog.workflows import parse_number, workflow_version

    store = where.store()
    old, new = (workflow_version(store, location, parse_number(each)) for each in (before, after))
    diff = workflow_diff(store, old, new)
    if where.as_json:
        print_json(diff.to_json())
    else:
        click.echo(str(diff))


def _commit(git: dict[str, object] | None) -> str | None:
    if not git or not git.get("commit"):
        return None
    return str(git["commit"])[:10] + (" dirty" if git.get("dirty") else "")


@app.command("code-server")
@click.argument("location", metavar="LOCATION", envvar="MLREPRO_CODE_LOCATION")
@click.option(
    "-p", "--port", type=click.IntRange(1, 65535), envvar="DAGSTER_CODE_SERVER_PORT", help="Port to serve on."
)
@click.option("-s", "--socket", type=click.Path(), envvar="DAGSTER_CODE_SERVER_SOCKET", help="Or a socket.")
@click.option(
    "--host", default="localhost", show_default=True, envvar="DAGSTER_CODE_SERVER_HOST", help="Address to serve on."
)
@click.option("--interval", default=2.0, show_default=True, help="Seconds between two looks at the history.")
@click.option("--max-workers", type=int, envvar="DAGSTER_CODE_SERVER_MAX_WORKERS", help="Threads that serve.")
@click.option(
    "--container-image", envvar=["DAGSTER_CONTAINER_IMAGE", "DAGSTER_CURRENT_IMAGE"], help="Image of what is launched."
)
@click.option("--container-context", envvar="DAGSTER_CONTAINER_CONTEXT", help="Configuration of containers, as JSON.")
@click.option(
    "--inject-env-vars-from-instance",
    is_flag=True,
    envvar="DAGSTER_INJECT_ENV_VARS_FROM_INSTANCE",
    help="Load the instance's environment variables.",
)
@click.option(
    "--startup-timeout",
    default=0,
    envvar="DAGSTER_CODE_SERVER_STARTUP_TIMEOUT",
    help="Seconds that a version may take to load. Default: no limit.",
)
@click.option("--log-level", default="info", show_default=True, help="Of this server and those of the versions.")
@click.option("--store", "url", metavar="URL", help="Folder or URL. Default: MLREPRO_STORE, then DAGSTER_HOME.")
@click.option("--scope", metavar="NAME", help="Whose histories. Default: MLREPRO_SCOPE, then 'default'.")
def code_server_command(
    location: str,
    port: int | None,
    socket: str | None,
    host: str,
    interval: float,
    max_workers: int | None,
    container_image: str | None,
    container_context: str | None,
    inject_env_vars_from_instance: bool,
    startup_timeout: int,
    log_level: str,
    url: str | None,
    scope: str | None,
) -> None:
    """Serve the current workflow version of LOCATION to webserver and daemon, and follow its history.

    A push or a rollback takes effect within seconds: the version is started beside the one that serves, and takes over
    when it answers. Runs in flight end on their version; those in the queue start with the one they were submitted
    with. A version that can't be served leaves the one before in service, and the log says why.

    \b
      mlrepro code-server pricing -p 4000
      workspace.yaml:  load_from: [{grpc_server: {host: localhost, port: 4000, location_name: pricing}}]
    """
    from mlrepro.bundles.serving import serve

    serve(
        location,
        find_store(url, scope=scope),
        port=port,
        socket=socket,
        host=host,
        interval=interval,
        max_workers=max_workers,
        image=container_image,
        container_context=container_context,
        inject_env_vars=inject_env_vars_from_instance,
        startup_timeout=startup_timeout,
        log_level=log_level,
    )


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def exec_command(command: tuple[str, ...]) -> None:
    """Run COMMAND with the code bundle that MLREPRO_BUNDLE names: what an image's entry script does in pods of bundles.

    \b
      mlrepro exec dagster api execute_run ...
    """
    from mlrepro.bundles.entering import enter

    enter(command)
