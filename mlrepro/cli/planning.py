"""Verbs that tell what a run would do, and why: plan, explain."""

from collections.abc import Callable
from typing import Any

import click

from mlrepro.cli.app import app, print_json
from mlrepro.errors import MlreproError

_MODULE_HELP = "Python module that holds the Definitions."
_CONFIG = click.option(
    "-c",
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="YAML file with run config, as in the launchpad.",
)
_PARTITION = click.option("-p", "--partition", metavar="KEY", help="Partition, where an asset is partitioned.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def _run_tags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --tag and --refresh."""
    refresh = click.option("--refresh", metavar="A,B", help="Assets that the run would compute again, commas between.")
    return click.option("--tag", "tag", multiple=True, metavar="KEY=VALUE", help="Tag of the run; may be repeated.")(
        refresh(function)
    )


@app.command("plan")
@click.argument("selection", nargs=-1)
@click.option("-m", "--module", required=True, metavar="MODULE", help=_MODULE_HELP)
@_PARTITION
@_CONFIG
@_run_tags
@_JSON
def plan_command(
    selection: tuple[str, ...],
    module: str,
    partition: str | None,
    config: str | None,
    tag: tuple[str, ...],
    refresh: str | None,
    as_json: bool,
) -> None:
    """Show what materializing SELECTION would do, before it does it. Nothing is written.

    SELECTION is Dagster's asset selection syntax; several are taken together; without one, all assets. In it
    +churn_model is the asset and what it depends on directly, '*churn_model' all that is upstream, which
    '+key:"churn_model"' is as well.

    \b
      hit      its result is in the cache: whose, from when, and how many seconds that saves
      run      it is computed: what changed since the nearest earlier result
      depends  on what comes out of assets before it; the same bytes as last time make it a hit
      unknown  only its step can tell: an @asset without a code_version, hooks, another IO manager

    It is the look-up that a run makes before its first step, but for one thing: a run also checks that the bytes of
    each hit are still in the store. Seconds with ~ are those that the newest version took. Versions of inputs that
    are not selected come from the Dagster instance of DAGSTER_HOME; where that is not set, the newest ones in the
    store count. The exit code is 0 whatever would run.

    \b
      mlrepro plan -m project                            all assets
      mlrepro plan -m project '*churn_model'             an asset with all that is upstream
      mlrepro plan -m project 'group:training'           a group
      mlrepro plan -m project daily -p 2026-11-02        one partition
      mlrepro plan -m project -c big.yaml                under another run config
      mlrepro plan -m project --refresh features         what computing features again would bring
    """
    # these bring Dagster, which the verbs that only read the store do without
    from mlrepro.execution.plan import plan

    made = plan(module, list(selection) or "*", partition=partition, config=config, tags=_tags(tag, refresh))
    if as_json:
        print_json(made.to_json())
    else:
        click.echo(str(made))


@app.command("explain")
@click.argument("asset", metavar="ASSET[@v3]")
@click.option("-m", "--module", metavar="MODULE", help=_MODULE_HELP)
@_PARTITION
@_CONFIG
@_run_tags
@click.option(
    "--store", "url", metavar="URL", help="For ASSET@v3: folder or URL. Default: MLREPRO_STORE, then DAGSTER_HOME."
)
@click.option("--scope", metavar="NAME", help="For ASSET@v3: whose history. Default: MLREPRO_SCOPE, then 'default'.")
@_JSON
def explain_command(
    asset: str,
    module: str | None,
    partition: str | None,
    config: str | None,
    tag: tuple[str, ...],
    refresh: str | None,
    url: str | None,
    scope: str | None,
    as_json: bool,
) -> None:
    """Tell why ASSET would run if it and all upstream of it were materialized. Nothing is written.

    Shown is what differs from the nearest earlier result: functions with the lines that changed, config fields, input
    versions, libraries. Of a hit it says whose result it is; of an asset that depends on upstream, why that runs.

    With ASSET@v3 and without a module: why that version was computed, compared with those before it.

    \b
      mlrepro explain churn_model -m project
      mlrepro explain churn_model -m project -c big.yaml
      mlrepro explain churn_model@v3
    """
    from mlrepro.catalog import parse_version_name
    from mlrepro.execution.explain import explain

    if module is None and parse_version_name(asset).number is None:
        raise MlreproError(
            f"name the module with the Definitions of {asset} (-m), or a version that is there: {asset}@v1"
        )
    made = explain(asset, module, partition=partition, config=config, tags=_tags(tag, refresh), store=url, scope=scope)
    if as_json:
        print_json(made.to_json())
    else:
        click.echo(str(made))


def _tags(given: tuple[str, ...], refresh: str | None) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise MlreproError(f"{text!r} is no tag: write KEY=VALUE")
        tags[key] = value
    if refresh:
        from mlrepro.io_managers.modes import REFRESH_TAG

        tags[REFRESH_TAG] = refresh
    return tags
