"""The verb that computes again on purpose: verify."""

import click

from mlrepro.cli.app import app, print_json


@app.command("verify")
@click.argument("asset")
@click.option("-m", "--module", required=True, metavar="MODULE", help="Python module that holds the Definitions.")
@click.option("-p", "--partition", metavar="KEY", help="Partition to compute, for a partitioned asset.")
@click.option("-c", "--config", type=click.Path(exists=True, dir_okay=False), help="YAML file with run config.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def verify_command(asset: str, module: str, partition: str | None, config: str | None, as_json: bool) -> None:
    """Compute ASSET again, from the newest versions of its inputs, and compare with the result in the store.

    Nothing is stored and no version is made. A result that differs is noted as nondeterministic, and the exit
    code is 1.
    """
    # these bring Dagster, which the verbs that only read the store do without
    from mlrepro.execution.verifying import verify

    outcome = verify(asset, module, partition=partition, config=config)
    if as_json:
        print_json({"asset": asset, "deterministic": outcome.deterministic, "verdict": outcome.verdict})
    else:
        click.echo(f"{asset}: {outcome.verdict}")
    if not outcome.deterministic:
        raise SystemExit(1)
