"""The command as the shell calls it."""

import sys

import click

from mlrepro.cli import (  # noqa: F401 -- each adds its verbs to the app
    audit,
    bundles,
    channels,
    comparing,
    fingerprinting,
    housekeeping,
    planning,
    reading,
    reproducing,
    sharing,
    stats,
    tenants,
    tokens,
    verifying,
    webserver,
)
from mlrepro.cli.app import app
from mlrepro.errors import MlreproError


def main() -> None:
    """Run the command; a user's mistake ends in one line and exit code 1."""
    try:
        app(prog_name="mlrepro")
    except MlreproError as error:
        click.echo(f"mlrepro: {error}", err=True)
        sys.exit(1)
