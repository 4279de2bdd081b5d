"""Verbs about a code location's source: push, workflows, workflow-diff, code-server."""

from pathlib import Path

import click
from tabulate import tabulate

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
    """
    # these bring Dagster, which the verbs that only read the store do without
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
    from mlrepro.bundles.versions import workflow_versions

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
    from mlrepro.bundles.versions import parse_number, workflow_version

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
