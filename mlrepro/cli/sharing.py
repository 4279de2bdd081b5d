"""The verbs by which scopes share: share, signing-key."""

from pathlib import Path

import click

from mlrepro.catalog.sharing import share
from mlrepro.cli.app import Where, app, print_json, verb
from mlrepro.store.signing import new_key, public_key


@app.command("share")
@click.argument("version")
@click.option("--to", default="shared", show_default=True, metavar="SCOPE", help="Scope that others read.")
@click.option("-p", "--partition", metavar="KEY", help="Partition, for a partitioned asset.")
@verb
def share_command(where: Where, version: str, to: str, partition: str | None) -> None:
    """Copy VERSION's result to a scope that others read.

    From then on whoever reads that scope, and would compute the same from the same, has it from the cache. The
    record is signed where MLREPRO_SIGNING_KEY names a key.

    \b
      mlrepro share churn_model@v3 --to shared
    """
    shared = share(version, to=to, partition=partition, store=where.store())
    if where.as_json:
        print_json(shared.to_json())
        return
    name = f"{'/'.join(shared.version.asset)}@v{shared.version.number}"
    if shared.is_new:
        click.echo(f"{name} is in scope {to} now (result {shared.version.input_hash})")
    else:
        click.echo(
            f"Scope {to} has a result of the same code, config and inputs already, of run {shared.run_id}: it stands"
        )


@app.command("signing-key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--show", is_flag=True, help="Print the public key of an existing FILE instead of making one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def signing_key_command(file: Path, show: bool, as_json: bool) -> None:
    """Make a key that signs result records, in FILE, and print its public half.

    Set MLREPRO_SIGNING_KEY to the file where results are computed. Whoever is to trust them adds the public key:
    ReproStore(trusted_keys={"shared": ["ed25519:..."]}) or MLREPRO_TRUSTED_KEYS=shared=ed25519:...
    """
    public = public_key(str(file)) if show else new_key(file)
    if as_json:
        print_json({"file": str(file), "public_key": public})
    else:
        click.echo(public)
