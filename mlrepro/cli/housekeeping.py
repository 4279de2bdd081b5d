"""Verbs that look after a store: gc, fsck, copy."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import click
from tabulate import tabulate

from mlrepro.catalog import find_store
from mlrepro.cli.app import Where, app, print_json, verb
from mlrepro.cli.progress import Progress
from mlrepro.cli.reading import human_size
from mlrepro.errors import RetentionError
from mlrepro.resources.user import launched_by
from mlrepro.store.housekeeping import copying, fsck, gc, retention
from mlrepro.store.housekeeping.gc import Amount
from mlrepro.store.housekeeping.retention import Policy, parse_duration

_SOME = click.IntRange(1, 1_000_000_000)


@app.command("gc")
@click.option("--delete", is_flag=True, help="Do it. Without this, nothing is changed and the report says what would.")
@click.option(
    "--keep-versions",
    type=_SOME,
    default=10,
    show_default=True,
    help="Newest versions of each asset and partition.",
)
@click.option(
    "--keep-promotions",
    type=_SOME,
    default=10,
    show_default=True,
    help="Newest entries of each channel.",
)
@click.option(
    "--younger-than",
    type=parse_duration,
    metavar="90d",
    default="90d",
    show_default=True,
    help="Keep all results younger than this.",
)
@click.option(
    "--grace",
    type=parse_duration,
    metavar="1d",
    default="1d",
    show_default=True,
    help="Never touch what is younger than this.",
)
@verb
def gc_command(
    where: Where,
    delete: bool,
    keep_versions: int,
    keep_promotions: int,
    younger_than: dt.timedelta,
    grace: dt.timedelta,
) -> None:
    """Remove results and bytes that nothing needs any more. Without --delete it only says what would go.

    Kept are the newest versions of each asset and partition, what channels serve, served lately or have waiting, what
    is pinned, and every result that is young. Histories stay whole: of an old version its entry remains, its bytes go.

    What goes is set aside in the store's trash first, and deleted by the next gc after the grace period. What somebody
    comes to need in between is taken back by itself. So run it once a day, beside whatever else runs.

    \b
      mlrepro gc                                     what would go, and whose it is
      mlrepro gc --delete                            set it aside, and delete what was set aside before
      mlrepro gc --keep-versions 3 --younger-than 14d --delete
      mlrepro gc --scope shared --delete             the scope of another team
    """
    if grace < retention.LEAST_GRACE:
        raise RetentionError(
            f"a grace period of {_span(grace)} is too short: runs that write now would lose what they count on. Give"
            f" --grace {_span(retention.LEAST_GRACE)} or more"
        )
    policy = Policy(keep_versions, keep_promotions, younger_than, grace)
    with Progress() as progress:
        found = gc.collect(where.store(), policy, delete=delete, who=launched_by(), progress=progress)
    if where.as_json:
        print_json(found.to_json())
        return
    rows = [
        {"": name, **_columns(amounts)}
        for name, amounts in (
            ("set aside", found.set_aside),
            ("put back", found.put_back),
            ("deleted", found.deleted),
            ("kept", found.kept),
        )
    ]
    click.echo(f"{found.url}, scope {found.scope}" + ("" if delete else ": this would be done with --delete"))
    click.echo(tabulate(rows, headers="keys"))
    if found.by_asset:
        click.echo("\nwhose bytes are set aside:")
        for asset, amount in found.by_asset:
            click.echo(f"  {human_size(amount.bytes):>9}  {asset}")
    click.echo(
        f"\nfreed {'now' if delete else 'by --delete'}: {human_size(found.bytes_freed)}; freed by the next gc after the"
        f" grace period of {_span(grace)}: {human_size(found.later.bytes)}"
    )
    if not (found.kept or found.set_aside or found.deleted or found.later.count):
        _say_empty(found.url, found.scope)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if found.more_notes:
        click.echo(f"note: and {found.more_notes} more", err=True)


@app.command("fsck")
@click.option("--quick", is_flag=True, help="Compare the sizes of blobs only; without this every byte is read.")
@click.option("--repair", is_flag=True, help="Put damaged blobs and results aside, put marks back, fill gaps.")
@verb
def fsck_command(where: Where, quick: bool, repair: bool) -> None:
    """Check a store: every record, every blob against its sha256, and that no history has gaps.

    The exit code is 1 if there are problems. Remains of killed writers, blobs that no record names, and bytes that gc
    removed are counted, and no problem.

    --repair moves what is damaged to the folder `damaged`, so that the next run computes it again, puts missing marks
    of replaced results back, and fills the place of a missing entry with one that says it is lost. It invents nothing:
    what cannot be computed again has to come from a backup.

    \b
      mlrepro fsck                    read everything
      mlrepro fsck --quick            records and sizes only, for a daily check
      mlrepro fsck --repair
    """
    with Progress() as progress:
        found = fsck.check(where.store(), repair=repair, quick=quick, progress=progress)
    if where.as_json:
        print_json(found.to_json())
    else:
        for problem in found.problems:
            outcome = problem.repaired or problem.advice
            click.echo(f"{problem.what}: {problem.key} ({problem.of}): {problem.said}; {outcome}")
        click.echo(
            f"{found.url}, scope {found.scope}: {_problems(len(found.problems))}; {found.records:,} records and"
            f" {_amount(found.blobs)} of blobs checked{' by size' if quick else ''}"
        )
        for name, amount in (
            ("named by no record", found.orphans),
            ("remains of killed writers", found.tmp),
            ("put aside as damaged", found.damaged),
            ("set aside by gc", found.trash),
            ("not written by mlrepro", found.foreign),
        ):
            if amount.count:
                click.echo(f"  {name}: {_amount(amount)}")
        if not (found.records or found.blobs.count or found.foreign.count):
            _say_empty(found.url, found.scope)
        if found.no_longer_kept:
            click.echo(f"  no longer kept, removed by gc: {found.no_longer_kept:,} blobs that old records name")
    if not found.clean:
        raise SystemExit(1)


@app.command("copy")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option(
    "--scope", "scopes", multiple=True, metavar="NAME", help="Only this scope; may be repeated. Default: all."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def copy_command(source: str, target: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Copy the store SRC to DST: two folders or URLs. Credentials of buckets come from the environment.

    Every blob is checked against its sha256 on the way. What DST has already is skipped, so that a copy which was cut
    off is run again, and a later one brings what is new. Leases, scratch files, what is damaged and the trash stay.

    What is damaged in SRC is not copied; a record or history entry that is another one in DST is left as it is. Both
    are listed, and the exit code is 1.

    \b
      mlrepro copy ./store s3://ml/store
      mlrepro copy s3://ml/store /backup/store --scope default
    """
    with Progress() as progress:
        found = copying.copy(find_store(source), find_store(target), scopes=scopes or None, progress=progress)
    if as_json:
        print_json(found.to_json())
    else:
        for each in found.left:
            click.echo(f"{'conflict' if each.conflict else 'not copied'}: {each.key}: {each.said}")
        rows = [{"": "copied", **_columns(found.copied)}, {"": "there already", **_columns(found.skipped)}]
        click.echo(f"{found.source} -> {found.target}, scopes {', '.join(found.scopes) or '(none)'}")
        click.echo(tabulate(rows, headers="keys"))
    if found.left:
        raise SystemExit(1)


def _say_empty(url: str, scope: str) -> None:
    click.echo(f"note: nothing is stored in scope {scope} of {url}: check --store and --scope", err=True)


def _columns(amounts: Mapping[str, Amount]) -> dict[str, Any]:
    others = [amount for kind, amount in amounts.items() if kind not in {"blob", "foreign"}]
    blobs, foreign = amounts.get("blob", Amount()), amounts.get("foreign", Amount())
    columns = {
        "blobs": f"{blobs.count:,}",
        "their size": human_size(blobs.bytes),
        "records and others": f"{sum(each.count for each in others):,}",
    }
    return columns | ({"foreign": f"{foreign.count:,}"} if foreign.count else {})


def _amount(amount: Amount) -> str:
    return f"{amount.count:,} ({human_size(amount.bytes)})"


def _problems(count: int) -> str:
    return "clean" if count == 0 else "1 problem" if count == 1 else f"{count:,} problems"


def _span(span: dt.timedelta) -> str:
    seconds = span.total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"
