"""The verb that puts versions side by side: compare."""

from pathlib import Path

import click

from mlrepro.cli.app import Where, app, print_json, verb
from mlrepro.comparison import compare


@app.command("compare")
@click.argument("names", nargs=-1, required=True, metavar="ASSET@v3 ASSET@v7 ...")
@click.option("-p", "--partition", metavar="KEY", help="Partition key, for partitioned assets.")
@click.option(
    "--with",
    "evaluations",
    multiple=True,
    metavar="ASSET",
    help="Take metrics from this asset only, besides the versions' own; may be repeated.",
)
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with plots, to look at in a browser."
)
@verb
def compare_command(
    where: Where, names: tuple[str, ...], partition: str | None, evaluations: tuple[str, ...], html: Path | None
) -> None:
    """Put versions side by side: metrics with deltas against the first, config, inputs, code, environment.

    Metrics are those of the versions, and those of assets that were made from exactly these versions, directly or
    over other assets. To find those takes a few requests for each asset in the store; --with names them instead.

    \b
      mlrepro compare churn_model v3 v7                           two versions of an asset, or more
      mlrepro compare churn_model production v9                   what a channel serves, and a candidate
      mlrepro compare churn_model@v3 other_model@v2               two assets
      mlrepro compare churn_model v3 v7 --with evaluation         with metrics from this asset
      mlrepro compare churn_model v3 v7 --html churn.html         as a page, with every version in its plots
    """
    found = compare(*names, partition=partition, store=where.store(), evaluations=evaluations)
    written = found.write_html(html) if html else None
    if where.as_json:
        print_json({**found.to_json(), **({"html": str(written)} if written else {})})
    elif written:
        click.echo(f"{found.title} -> {written}")
    else:
        click.echo(str(found))
