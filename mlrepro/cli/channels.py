"""Verbs that move channels and pins: rollback, promote, approve, release; and the one that tells who did: history."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from mlrepro.catalog import find_store
from mlrepro.catalog.channels import ChannelEntry, ChannelName, channels_of, entries_of, no_such_channel
from mlrepro.catalog.names import VersionName, parse_version_name
from mlrepro.catalog.pins import PinEntry, pin_entries, pins
from mlrepro.cli.app import Where, app, print_json, verb
from mlrepro.errors import MlreproError, UnknownVersionError
from mlrepro.store import Store

_PARTITION = click.option("-p", "--partition", metavar="KEY", help="Partition key, for a partitioned asset.")
_REASON = click.option("--reason", metavar="TEXT", default="", help="Why, for the history.")
_WHO = click.option(
    "--who", metavar="NAME", help="Who does it. Default: MLREPRO_USER, then the operating system's user."
)


def _cascade(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option(
        "-m", "--module", metavar="MODULE", help="Python module that holds the Definitions, for --cascade."
    )(function)
    return click.option(
        "--cascade", is_flag=True, help="Materialize what stands downstream too; what is known comes from the cache."
    )(function)


@app.command("rollback")
@click.argument("asset", metavar="[ASSET]", required=False)
@click.option("--channel", metavar="NAME", help="The channel to take back. Without one, the asset is pinned.")
@click.option(
    "--location", metavar="LOCATION", help="Without ASSET: the code location to take back, with all its code."
)
@click.option("--to", metavar="v3", help="The version. Default: the newest earlier one that is not quarantined.")
@click.option(
    "--helm-values",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --location: write the version's image into this values file too.",
)
@click.option(
    "--deployment",
    metavar="NAMESPACE/NAME",
    help="With --location: have this Deployment run the version's image too.",
)
@_REASON
@_cascade
@_PARTITION
@_WHO
@verb
def rollback_command(
    where: Where,
    asset: str | None,
    channel: str | None,
    location: str | None,
    to: str | None,
    helm_values: Path | None,
    deployment: str | None,
    reason: str,
    cascade: bool,
    module: str | None,
    partition: str | None,
    who: str | None,
) -> None:
    """Take a channel of ASSET back to an earlier version, pin ASSET at one, or take a whole code location back.

    The version that a channel served is quarantined: nothing promotes it again until `mlrepro release`. Without
    --channel ASSET is pinned: whatever its code and inputs are, its materializations replay that version until it is
    released. With --location an earlier workflow version of that code location is served again: `mlrepro workflows`
    lists them.

    \b
      mlrepro rollback churn_model --channel production --reason "AUC fell to 0.71"
      mlrepro rollback churn_model --channel production --to v3 --cascade -m project
      mlrepro rollback features --to v2
      mlrepro rollback --location pricing --to v12 --reason "prices of zero"
      mlrepro rollback --location pricing --helm-values values.yaml    for an image that is deployed from git
      mlrepro rollback --location pricing --deployment pricing/code-server    for one that is not
    """
    if location is not None or asset is None or helm_values is not None or deployment is not None:
        _rollback_location(
            where,
            location,
            to,
            helm_values,
            deployment,
            reason,
            who,
            given=[asset, channel, partition, module, cascade],
        )
        return
    # these bring Dagster, which the verbs that only read the store do without
    from mlrepro.execution.moves import rollback

    _print(
        where,
        rollback(
            asset,
            channel=channel,
            to=to,
            reason=reason,
            partition=partition,
            cascade=cascade,
            definitions=module,
            store=where.store(),
            who=who,
        ),
    )


def _rollback_location(
    where: Where,
    location: str | None,
    to: str | None,
    helm_values: Path | None,
    deployment: str | None,
    reason: str,
    who: str | None,
    given: list[Any],
) -> None:
    from mlrepro.bundles.deployment_image import patch_image
    from mlrepro.bundles.helm_values import set_image
    from mlrepro.catalog.workflows import append_rollback, parse_number, rollback_target
    from mlrepro.resources.user import launched_by

    if location is None or any(given):
        raise MlreproError(
            "name the asset to take back, or with --location alone the code location: no channel, partition, module or"
            " cascade goes with it"
        )
    store, number = where.store(), None if to is None else parse_number(to)
    if helm_values is not None or deployment is not None:
        target = rollback_target(store, location, number)
        if target.image is None:
            there = helm_values or deployment
            raise MlreproError(f"{target.name} was pushed without an image: there is nothing to write to {there}")
        # before the history moves, which would not know of what can't be changed
        if helm_values is not None:
            set_image(helm_values, location, target.image)
        if deployment is not None:
            patch_image(deployment, target.image)
        number = target.of
    moved = append_rollback(store, location, number, who=who or launched_by(), reason=reason)
    if where.as_json:
        print_json(moved.to_json())
        return
    click.echo(f"{location}: v{moved.body['from']} -> v{moved.of} by {moved.who}, as v{moved.number} of its history")
    if helm_values is not None:
        click.echo(f"{helm_values} has the image {moved.image}: commit it")
    if deployment is not None:
        click.echo(f"{deployment} has the image {moved.image}: Kubernetes rolls it out")


@app.command("promote")
@click.argument("version", metavar="ASSET@v4")
@click.option("--channel", metavar="NAME", required=True, help="The channel that shall serve it.")
@_REASON
@_cascade
@_PARTITION
@_WHO
@verb
def promote_command(
    where: Where,
    version: str,
    channel: str,
    reason: str,
    cascade: bool,
    module: str | None,
    partition: str | None,
    who: str | None,
) -> None:
    """Point a channel to a version by hand. No gate is asked; where it names who approves, it takes one of them.

    \b
      mlrepro promote churn_model@v4 --channel production
      mlrepro promote churn_model@staging --channel production    what staging serves
    """
    from mlrepro.execution.moves import promote

    _print(
        where,
        promote(
            version,
            channel=channel,
            reason=reason,
            partition=partition,
            cascade=cascade,
            definitions=module,
            store=where.store(),
            who=who,
        ),
    )


@app.command("approve")
@click.argument("asset", metavar="ASSET[@v4]")
@click.option("--channel", metavar="NAME", required=True, help="The channel that it waits for.")
@_REASON
@_cascade
@_PARTITION
@_WHO
@verb
def approve_command(
    where: Where,
    asset: str,
    channel: str,
    reason: str,
    cascade: bool,
    module: str | None,
    partition: str | None,
    who: str | None,
) -> None:
    """Promote the version of ASSET that passed all gates and waits for a person.

    With ASSET@v4 that version and no other: for a newer one that took its place meanwhile it fails.
    """
    from mlrepro.execution.moves import approve

    _print(
        where,
        approve(
            asset,
            channel=channel,
            reason=reason,
            partition=partition,
            cascade=cascade,
            definitions=module,
            store=where.store(),
            who=who,
        ),
    )


@app.command("release")
@click.argument("asset", metavar="ASSET|ASSET@v4")
@click.option("--channel", metavar="NAME", help="With ASSET@v4: the channel in whose quarantine it is.")
@_REASON
@_PARTITION
@_WHO
@verb
def release_command(
    where: Where, asset: str, channel: str | None, reason: str, partition: str | None, who: str | None
) -> None:
    """Release ASSET from its pin, or with --channel a version from quarantine.

    \b
      mlrepro release features
      mlrepro release churn_model@v4 --channel production
    """
    from mlrepro.execution.moves import release

    _print(where, release(asset, channel=channel, reason=reason, partition=partition, store=where.store(), who=who))


@app.command("history")
@click.argument("asset", metavar="ASSET")
@click.option("--channel", metavar="NAME", help="The channel. Without one: what the asset's pins were.")
@_PARTITION
@verb
def history_command(where: Where, asset: str, channel: str | None, partition: str | None) -> None:
    """Tell who moved a channel of ASSET, from where to where, when, why, and by which run or sensor; newest first.

    Nothing in a history is ever changed. Without --channel it is the history of ASSET's pins.
    """
    store = where.store()
    parsed = parse_version_name(asset)
    channel = channel or parsed.channel
    if channel is None:
        _pin_history(where, store, parsed.asset, partition)
        return
    name = ChannelName(parsed.asset, channel, partition)
    entries = list(entries_of(store, name))
    if not entries:
        raise no_such_channel(store, name)
    if where.as_json:
        print_json([{"entry": each.number, **each.to_json()} for each in entries])
        return
    click.echo(tabulate([_row(each) for each in entries], headers="keys"))
    newest = entries[0]
    key = VersionName(parsed.asset, None)
    options = f"--channel {channel}" + (f" -p {partition}" if partition is not None else "")
    if newest.proposed is not None:
        click.echo(f"\nv{newest.proposed.number} waits for approval: mlrepro approve {key} {options}")
    for why in newest.quarantined.values():
        number = why.get("version")
        click.echo(f"\nv{number} is quarantined: mlrepro release {key}@v{number} {options}")


@app.command("pins")
@verb
def pins_command(where: Where) -> None:
    """List the assets that are pinned: at which version, by whom, since when and why."""
    store = find_store(where.store())
    held = sorted(pins(store).values(), key=lambda each: each.name)
    if where.as_json:
        print_json([each.to_json() for each in held])
        return
    rows = [
        {
            "asset": each.name,
            "pinned at": f"v{each.pointer.number}",
            "by": each.who,
            "since": f"{each.when:%Y-%m-%d %H:%M} UTC",
            "why": each.reason,
        }
        for each in held
    ]
    click.echo(tabulate(rows, headers="keys") if rows else f"nothing is pinned in {store.url} (scope {store.scope})")


def _pin_history(where: Where, store: Store, asset: tuple[str, ...], partition: str | None) -> None:
    entries = [
        each
        for each in pin_entries(store)
        if each.pin.asset == asset and (partition is None or each.pin.partition == partition)
    ]
    if where.as_json:
        print_json([_pin_json(each) for each in entries])
        return
    if not entries:
        known = ", ".join(sorted({each.channel for each in channels_of(store, asset)}))
        there = f"it has the channels {known}: name one with --channel" if known else "nor has it a channel"
        raise UnknownVersionError(f"{VersionName(asset, None)} was never pinned in {store.url}; {there}")
    rows = [
        {
            "entry": each.number,
            "when": f"{each.when:%Y-%m-%d %H:%M:%S} UTC",
            "what": each.kind,
            "asset": each.pin.name,
            "version": f"v{each.pin.pointer.number}",
            "who": each.who,
            "by": _by(each.run_id, None),
            "why": each.reason,
        }
        for each in entries
    ]
    click.echo(tabulate(rows, headers="keys"))


def _pin_json(entry: PinEntry) -> dict[str, Any]:
    return {
        "entry": entry.number,
        "kind": entry.kind,
        "pin": entry.pin.to_json(),
        "who": entry.who,
        "when": entry.when.isoformat(),
        "reason": entry.reason,
        "run_id": entry.run_id,
    }


def _row(entry: ChannelEntry) -> dict[str, Any]:
    proposed = f"v{entry.proposed.number}" if entry.kind == "proposal" and entry.proposed else None
    return {
        "entry": entry.number,
        "when": f"{entry.when:%Y-%m-%d %H:%M:%S} UTC",
        "what": entry.kind,
        "from": f"v{entry.before.number}" if entry.before else "-",
        "to": f"v{entry.after.number}" if entry.after else "-",
        "who": entry.who,
        "by": _by(entry.run_id, entry.sensor),
        "why": f"{proposed}: {entry.reason}" if proposed else entry.reason,
    }


def _by(run_id: str | None, sensor: str | None) -> str:
    run = f"run {run_id[:8]}" if run_id else "by hand"
    return f"sensor {sensor}, {run}" if sensor else run


def _print(where: Where, moved: Any) -> None:
    if where.as_json:
        print_json(moved.to_json())
    else:
        click.echo(str(moved))
    if moved.cascade is not None and not moved.cascade.success:
        raise SystemExit(1)
