"""The verb that tells what a store holds and what its cache saved: stats."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

from mlrepro.cli.app import Where, app, print_json, verb
from mlrepro.cli.progress import Progress
from mlrepro.cli.reading import human_size
from mlrepro.store.housekeeping import usage
from mlrepro.store.housekeeping.gc import Amount
from mlrepro.store.housekeeping.retention import parse_duration

if TYPE_CHECKING:
    from mlrepro.execution.savings import Saved, Savings

_NO_INSTANCE = "hits and seconds saved: unknown, as DAGSTER_HOME is not set"


@app.command("stats")
@click.option("--since", type=parse_duration, metavar="30d", help="Hits of this long only. Default: of all time.")
@verb
def stats_command(where: Where, since: dt.timedelta | None) -> None:
    """Tell how large a store is, by scope and asset, and what its cache saved.

    Without --scope all scopes are measured. A blob that several assets name counts for each of them, and once in the
    total. Hits and the seconds that they saved come from the event log of the Dagster instance in DAGSTER_HOME.

    \b
      mlrepro stats
      mlrepro stats --since 30d
      mlrepro stats --scope shared --json
    """
    # this brings Dagster, which the verbs that only read the store do without
    from mlrepro.execution.savings import savings_at_home

    with Progress() as progress:
        found = usage.measure(where.store(), scopes=[where.scope] if where.scope else None, progress=progress)
        saved = savings_at_home(since, progress)
    if where.as_json:
        print_json({**found.to_json(), "savings": saved.to_json() if saved else None})
        return
    click.echo(f"{found.url}: {human_size(found.bytes)}")
    if not found.scopes:
        click.echo("note: no scope of a store is there: check --store", err=True)
    for scope in found.scopes:
        _print_scope(scope)
    click.echo()
    if saved is None:
        click.echo(_NO_INSTANCE)
    else:
        _print_savings(saved)


def _print_scope(scope: usage.ScopeUsage) -> None:
    click.echo(f"\nscope {scope.scope}: {_amount(scope.blobs)} in blobs, {_amount(scope.records)} in records")
    for name, amount in (
        ("named by several assets, and counted for each", scope.shared),
        ("named by no record", scope.orphans),
        ("set aside by gc", scope.trash),
        ("remains of killed writers", scope.tmp),
        ("put aside as damaged", scope.damaged),
        ("not written by mlrepro", scope.foreign),
    ):
        if amount.count:
            click.echo(f"  {name}: {_amount(amount)}")
    if scope.unreadable:
        click.echo(f"  damaged records: {scope.unreadable:,} (mlrepro fsck --scope {scope.scope} lists them)")
    if scope.assets:
        rows = [
            {
                "asset": each.asset,
                "size": human_size(each.bytes),
                "blobs": each.blobs,
                "results": each.results,
                "versions": each.versions,
            }
            for each in scope.assets
        ]
        click.echo(tabulate(rows, headers="keys", colalign=("left", "right")))


def _print_savings(saved: "Savings") -> None:
    since = f" since {saved.since:%Y-%m-%d %H:%M} UTC" if saved.since else ""
    if not saved.overall.steps:
        click.echo(f"hits and seconds saved: no asset of mlrepro was materialized{since}")
        return
    click.echo(f"hits{since}: {_rate(saved.overall)}; saved {_seconds(saved.overall.seconds_saved)}")
    rows: list[dict[str, Any]] = [
        {"most saved for": asset, "saved": _seconds(each.seconds_saved), "hits": _rate(each)}
        for asset, each in saved.top().items()
    ]
    if rows:
        click.echo(tabulate(rows, headers="keys", colalign=("left", "right")))


def _rate(saved: "Saved") -> str:
    return f"{saved.hits:,} of {saved.steps:,} steps ({saved.hit_rate or 0:.0%})"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.1f} min" if hours < 1 else f"{hours:.1f} h"


def _amount(amount: Amount) -> str:
    return f"{amount.count:,} ({human_size(amount.bytes)})"
