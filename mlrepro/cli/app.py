"""The command's frame: the group of verbs, and the options that each has."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from mlrepro.catalog import find_store
from mlrepro.store import Store
from mlrepro.version import __version__


@dataclass(frozen=True)
class Where:
    """Which store a command works on, and how it prints."""

    url: str | None
    scope: str | None
    as_json: bool

    def store(self) -> Store:
        """Open the store."""
        return find_store(self.url, scope=self.scope)


def verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --store, --scope and --json, and pass them as its first argument."""

    @click.option("--store", "url", metavar="URL", help="Folder or URL. Default: MLREPRO_STORE, then DAGSTER_HOME.")
    @click.option("--scope", metavar="NAME", help="Whose histories. Default: MLREPRO_SCOPE, then 'default'.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
    @functools.wraps(function)
    def command(url: str | None, scope: str | None, as_json: bool, **arguments: Any) -> None:
        function(Where(url, scope, as_json), **arguments)

    return command


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mlrepro")
def app() -> None:
    """Versions of machine learning assets on Dagster: list, compare, load, promote, roll back, plan, explain, verify.

    A version is named ASSET@v3, ASSET@production for what a channel serves, or ASSET for the newest. Keys with a
    prefix are written PREFIX/ASSET.

    \b
      mlrepro versions churn_model              every version, newest first
      mlrepro show churn_model@v3               what made it: code, config, inputs, environment
      mlrepro diff churn_model@v2 v3            what changed between two
      mlrepro compare churn_model v2 v3         metrics, config, inputs and code side by side
      mlrepro load churn_model@v3 -o model.pkl  its bytes as a file
      mlrepro rollback churn_model --channel production   back to the last good version
      mlrepro history churn_model --channel production    who moved what, when and why
      mlrepro share churn_model@v3 --to shared  give its result to all who read that scope
      mlrepro plan -m project                   what a run would do, and why
      mlrepro explain churn_model -m project    what makes it run, with the lines that changed
      mlrepro verify churn_model -m project     compute again and compare
      mlrepro reproduce churn_model@v3          compute that version again from its record alone
      mlrepro rerun RUN_ID                      launch a run again with what it had then
      mlrepro fingerprint project:clean         what code a key follows
      mlrepro gc                                what could be removed from the store; --delete removes it
      mlrepro fsck                              check every record and every byte
      mlrepro stats                             how large the store is, and what the cache saved
      mlrepro copy ./store s3://ml/store        take a store to another place
      mlrepro push pricing -m pricing.definitions   ship a change of code without an image
      mlrepro workflows pricing                 what a code location served: each version, who, when and why
      mlrepro workflow-diff pricing v3 v5       assets, jobs, schedules and code that differ
      mlrepro rollback --location pricing       back to the code before
      mlrepro code-server pricing -p 4000       serve what the history names
      mlrepro tenants check tenants.yaml        many teams on one Dagster: check, render, diff
      mlrepro webserver                         Dagster's UI where everybody is known, and touches only what is theirs
      mlrepro audit audit.jsonl --refused       who tried to change what, and what came of it
      mlrepro tokens create --user ci tokens.json   API tokens of the webserver: create, list, revoke
    """
