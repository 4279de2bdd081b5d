"""The verbs of API tokens: tokens create, list, revoke."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from mlrepro.cli.app import app, print_json
from mlrepro.tenancy import durations
from mlrepro.tenancy.token_file import Token, create_token, read_tokens, revoke_token

_file = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


@app.group("tokens")
def tokens_group() -> None:
    """API tokens, by which machines ask `mlrepro webserver`.

    `identity.tokens.file` of tenants.yaml names the file. It holds hashes only, and is read again when it changes.

    \b
      mlrepro tokens create --user ci@example.com --group pricing --expires 90d tokens.json
      curl -H "Authorization: Bearer mlr_..." https://dagster.example.com/graphql ...
      mlrepro tokens list tokens.json
      mlrepro tokens revoke 3f2a9c01b7de tokens.json
    """


@tokens_group.command("create")
@_file
@click.option("--user", required=True, metavar="NAME", help="Whose requests those with the token are.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group of theirs; may be given again.")
@click.option("--expires", metavar="TIME", help="For how long it is good, such as 90d. Default: until it is revoked.")
@_json
def create_command(file: Path, user: str, groups: tuple[str, ...], expires: str | None, as_json: bool) -> None:
    """Add a token to FILE, and print it. This is the only time that it can be seen."""
    now = datetime.now(UTC).replace(microsecond=0)
    token = create_token(file, user, groups, now=now, expires=_end(expires, now))
    if as_json:
        print_json({"token": token, "user": user, "groups": sorted(set(groups)), "file": str(file)})
    else:
        click.echo(token)


@tokens_group.command("list")
@_file
@_json
def list_command(file: Path, as_json: bool) -> None:
    """Show whose tokens FILE holds, and until when they are good."""
    from tabulate import tabulate

    tokens = read_tokens(file)
    if as_json:
        print_json([_told(token) for token in tokens])
        return
    rows = [
        (told["id"], token.user, ", ".join(token.groups), told["created"], told["expires"] or "never")
        for token in tokens
        for told in [_told(token)]
    ]
    click.echo(tabulate(rows, headers=["id", "user", "groups", "created", "expires"], disable_numparse=True))


@tokens_group.command("revoke")
@click.argument("token")
@_file
@_json
def revoke_command(token: str, file: Path, as_json: bool) -> None:
    """Remove TOKEN, named by its id, from FILE. A webserver that runs refuses it from then on."""
    gone = revoke_token(file, token)
    if as_json:
        print_json(_told(gone))
    else:
        click.echo(f"{gone.id} of {gone.user} is revoked")


def _end(expires: str | None, now: datetime) -> datetime | None:
    if expires is None:
        return None
    try:
        return now + timedelta(seconds=durations.seconds(expires))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error


def _told(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "user": token.user,
        "groups": list(token.groups),
        "created": token.created.isoformat(),
        "expires": token.expires.isoformat() if token.expires else None,
        "expired": token.expires is not None and token.expires <= datetime.now(UTC),
    }
