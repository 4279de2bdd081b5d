"""Verbs that read the store: versions, show, diff, load."""

import datetime as dt
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from mlrepro.catalog import (
    Version,
    VersionName,
    assets,
    diff,
    evidence,
    export,
    parse_version_name,
    version,
    versions,
)
from mlrepro.catalog.channels import channels_of, newest_entry
from mlrepro.catalog.pins import pins
from mlrepro.cli.app import Where, app, print_json, verb
from mlrepro.store import Store

_PARTITION = click.option("-p", "--partition", metavar="KEY", help="Partition key, for a partitioned asset.")


@app.command("versions")
@click.argument("asset", required=False)
@_PARTITION
@verb
def versions_command(where: Where, asset: str | None, partition: str | None) -> None:
    """List the versions of ASSET, newest first; without ASSET, the assets that have versions."""
    store = where.store()
    if asset is None:
        names = list(assets(store=store))
        if where.as_json:
            print_json(names)
        else:
            click.echo("\n".join(names) if names else f"no asset has a version in {store.url} yet")
        return
    found = versions(asset, partition=partition, store=store)
    marks = _marks(store, found[0])
    if where.as_json:
        print_json([{**version_json(item), "marks": marks.get(item.number, [])} for item in found])
        return
    rows = [
        {
            "version": f"v{item.number}",
            "made": _local(item.body["created"]),
            "by": item.body.get("who"),
            "content": item.stored.content_hash[:12],
            "code": (item.body.get("code") or "")[:12],
            "size": _size(item),
            "metrics": ", ".join(f"{key} {value:.6g}" for key, value in (item.body.get("metrics") or {}).items()),
            "note": ", ".join([*marks.get(item.number, ()), *_flaws(item)]),
        }
        for item in found
    ]
    click.echo(tabulate(rows, headers="keys"))


@app.command("show")
@click.argument("name", metavar="ASSET[@v3]")
@_PARTITION
@click.option("--code", is_flag=True, help="Print the sources of everything that its code reached.")
@verb
def show_command(where: Where, name: str, partition: str | None, code: bool) -> None:
    """Show what made a version: code, config, inputs, environment, who and when."""
    store = where.store()
    found = version(name, partition=partition, store=store)
    known = evidence(found, store)
    if where.as_json:
        print_json({**version_json(found), "result": known.record or None, "sources": list(known.sources)})
        return
    record = known.record
    facts: dict[str, Any] = {
        "version": f"{VersionName(found.asset, found.number)}" + (f" ({partition})" if partition else ""),
        "made": f"{_local(found.body['created'])} by {found.body.get('who')} in run {found.body.get('run_id')}",
        "content": found.stored.content_hash,
        "stored as": f"{found.stored.format}, {_size(found)}, {found.stored.python_type}",
    }
    if record:
        facts |= {
            "input hash": record["input_hash"],
            "computed": f"{_local(record['started'])} by {record['who']} in run {record['run_id']},"
            f" {record['seconds']:.2f} s",
            "code": f"{record['code']['fingerprint']} ({len(known.sources)} definitions)",
            "workflow": record.get("workflow_version"),
            "git commit": record.get("git_commit"),
            "libraries": ", ".join(f"{k} {v}" for k, v in sorted(record["code"]["distributions"].items())),
            "python": f"{record['environment']['python']} on {record['environment']['platform']}",
            "seed": record.get("seed"),
            "config": record.get("config"),
            "inputs": "\n".join(f"{key}: {_origin(value)}" for key, value in record["inputs"].items()) or None,
            "not followed": "\n".join(record["code"]["not_followed"]) or None,
        }
    facts["metrics"] = "\n".join(f"{k} = {v:.6g}" for k, v in (found.body.get("metrics") or {}).items()) or None
    click.echo(tabulate([(key, value) for key, value in facts.items() if value], tablefmt="plain"))
    if code:
        for source in known.sources:
            click.echo(f"\n# {source['file']}:{source['line']}  {source['name']}\n{source['text']}")


@app.command("diff")
@click.argument("before", metavar="ASSET@v2")
@click.argument("after", metavar="v3|ASSET@v3")
@_PARTITION
@verb
def diff_command(where: Where, before: str, after: str, partition: str | None) -> None:
    """Show what differs between two versions: code line by line, config, inputs, environment, metrics."""
    second = after if "@" in after else f"{VersionName(parse_version_name(before).asset, None)}@{after}"
    changes = diff(before, second, partition=partition, store=where.store())
    if where.as_json:
        print_json([change.to_json() for change in changes])
        return
    if not changes:
        click.echo("nothing differs that is recorded")
    for change in changes:
        if change.diff is not None:
            click.echo(f"\ncode  {change.name}\n{change.diff}")
        else:
            click.echo(f"{change.kind:<12} {change.name}: {_shown(change.before)} -> {_shown(change.after)}")


@app.command("load")
@click.argument("name", metavar="ASSET[@v3]")
@_PARTITION
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File or folder to write.")
@verb
def load_command(where: Where, name: str, partition: str | None, output: Path) -> None:
    """Write a version's bytes to a file, checked against their hash, in the format they are stored in."""
    store = where.store()
    found = version(name, partition=partition, store=store)
    written = export(name, output, partition=partition, store=store)
    if where.as_json:
        print_json({**version_json(found), "path": str(written)})
    else:
        click.echo(f"{VersionName(found.asset, found.number)} ({found.stored.format}, {_size(found)}) -> {written}")


def _marks(store: Store, of: Version) -> dict[int, list[str]]:
    """What is said of an asset's versions, by number: the channels that serve them, and the pin."""
    marks: dict[int, list[str]] = {}
    for name in channels_of(store, of.asset):
        entry = newest_entry(store, name) if name.partition == of.partition else None
        if entry is not None and entry.after is not None:
            marks.setdefault(entry.after.number, []).append(name.channel)
    if (pin := pins(store).get((of.asset, of.partition))) is not None:
        marks.setdefault(pin.pointer.number, []).append("pinned")
    return marks


def _flaws(version: Version) -> list[str]:
    return ["nondeterministic"] if version.body.get("nondeterministic") else []


def version_json(found: Version) -> dict[str, Any]:
    """Write a version as a JSON object."""
    return {
        "asset": str(VersionName(found.asset, None)),
        "partition": found.partition,
        "version": found.number,
        **found.body,
    }


def human_size(size: int) -> str:
    """Write a number of bytes for people.

    Example:
        >>> human_size(1536)
        '1.5 kB'
    """
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1024 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("the last unit takes every amount")


def _size(found: Version) -> str:
    return human_size(found.stored.size + found.stored.parts_size)


def _local(timestamp: str) -> str:
    return f"{dt.datetime.fromisoformat(timestamp):%Y-%m-%d %H:%M:%S} UTC"


def _origin(origin: dict[str, Any]) -> str:
    content = origin.get("content_hash") or origin.get("data_version")
    number = f" v{origin['version']}" if isinstance(origin.get("version"), int) else ""
    return f"{origin.get('asset')}{number} ({content[:12] if isinstance(content, str) else content})"


def _shown(value: Any) -> str:
    return "(none)" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
