"""The verbs of tenants.yaml: tenants check, render, diff, schema."""

from pathlib import Path

import click

from mlrepro.cli.app import app, print_json
from mlrepro.tenancy import Tenants, load_tenants, read_tenants
from mlrepro.tenancy.reading import text_of

_file = click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("tenants.yaml"))
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
_folder = click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the rendered files. Commit it, so that reviews see what a change does.",
)


@app.group("tenants")
def tenants_group() -> None:
    """Many teams on one Dagster, from one file: what each runs, where, with how much, and who may touch it.

    \b
      instance:
        image: registry.example.com/ml/all:1.0
        postgres: {host: db.internal, cidrs: [10.20.0.0/24]}
        bucket: {store: s3://ml/mlrepro, logs: s3://ml/dagster-logs}
      tenants:
        pricing:
          code_locations: [{name: pricing, module: pricing.definitions}]
          quota: {cpu: 16, memory: 64Gi}
          members: [{group: pricing, role: editor}]

    \b
      mlrepro tenants check tenants.yaml                 all that is wrong, with the lines
      mlrepro tenants diff tenants.yaml --to rendered    what a change would do
      mlrepro tenants render tenants.yaml --to rendered  the files for a machine, Helm, Kubernetes and the bucket
      mlrepro tenants schema > tenants.schema.json       for editors: they complete and check the file
    """


@tenants_group.command("check")
@_file
@_json
def check_command(file: Path, as_json: bool) -> None:
    """Say all that is wrong with FILE, a line for each thing. Exit code 1 if something is.

    Namespaces and scopes that two tenants own, reading and publishing where it may not be, roles and fields that do
    not exist, a quota that not even one step fits in, names and quantities that Kubernetes would refuse.
    """
    tenants, problems = read_tenants(text_of(file))
    if as_json:
        print_json({"file": str(file), "ok": not problems, "problems": [problem.to_json() for problem in problems]})
    elif problems or tenants is None:
        click.echo("\n".join(problem.told(str(file)) for problem in problems))
    else:
        click.echo(f"{file}: {_told(tenants)}, nothing wrong")
    if problems:
        raise click.exceptions.Exit(1)


@tenants_group.command("render")
@_file
@_folder
@click.option("--force", is_flag=True, help="Also replace files that somebody else wrote or changed.")
@_json
def render_command(file: Path, folder: Path, force: bool, as_json: bool) -> None:
    """Write what follows from FILE to a folder. No cluster is asked, and the same file gives the same bytes.

    \b
      machine/     workspace.yaml and dagster.yaml for a single machine
      helm/        values for Dagster's charts: the instance, and each tenant's code
      kubernetes/  each tenant's namespace, rights, quota, defaults and network policies
      s3/          policies for Amazon S3 and MinIO: what each tenant reads and writes of the bucket
      seaweedfs/   the same as identities of SeaweedFS

    Files that are no longer rendered are removed if nobody changed them. What others put there is never touched.
    """
    from mlrepro.tenancy.rendering import render, write

    tenants = load_tenants(file)
    files = render(tenants)
    done = write(files, folder, force=force)
    if as_json:
        print_json({"to": str(folder), "files": sorted(files), **done.to_json()})
        return
    told = {"added": done.added, "changed": done.changed, "removed": done.removed}
    counts = ", ".join(f"{len(paths)} {word}" for word, paths in told.items() if paths) or "nothing to change"
    click.echo(f"{_told(tenants)}: {len(files)} files in {folder}, {counts}")
    _mention(done.kept, tenants)


@tenants_group.command("diff")
@_file
@_folder
@_json
def diff_command(file: Path, folder: Path, as_json: bool) -> None:
    """Show what rendering FILE would change in a folder. Exit code 1 if anything, as diff has it."""
    from mlrepro.tenancy.rendering import changes, render

    tenants = load_tenants(file)
    files = render(tenants)
    found = changes(files, folder)
    if as_json:
        print_json({"to": str(folder), "same": not found, **found.to_json(), "diff": found.unified(files)})
    else:
        click.echo(found.unified(files), nl=False)
        for path in found.foreign:
            click.echo(f"{path} was not written by `mlrepro tenants render`, or was changed since", err=True)
        _mention(found.kept, tenants)
    if found:
        raise click.exceptions.Exit(1)


@tenants_group.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of tenants.yaml.

    Editors with a YAML language server complete and check the file when its first line says where the schema is:

    \b
      # yaml-language-server: $schema=tenants.schema.json
    """
    from mlrepro.tenancy.schema import json_schema

    click.echo(json_schema(), nl=False)


def _told(tenants: Tenants) -> str:
    count = len(tenants.tenants)
    return f"{count} tenant{'s' if count > 1 else ''}"


def _mention(kept: tuple[str, ...], tenants: Tenants) -> None:
    for path in kept:
        click.echo(f"{path} is not rendered any more, but somebody changed it: it stays", err=True)
    if not tenants.on_kubernetes:
        click.echo("Nothing for Helm and Kubernetes: instance.image must say what webserver and daemon run", err=True)
