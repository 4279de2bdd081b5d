"""The verb audit: reads the webserver's audit log."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mlrepro.cli.app import app
from mlrepro.errors import AuditError


def _time(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """A time as the log writes it, so that the two compare as text."""
    if value is None:
        return None
    try:
        time = dt.datetime.fromisoformat(value)
        time = time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        told = f"{value!r} is no time: write a day or a time in UTC, such as 2026-11-29 or 2026-11-29T08:00"
        raise click.BadParameter(told) from None
    return time.isoformat(timespec="milliseconds")


@app.command("audit")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--user", help="Only what this user asked for.")
@click.option("--tenant", help="Only what concerned this tenant.")
@click.option(
    "--since",
    metavar="TIME",
    callback=_time,
    help="Only from this time on, such as 2026-11-29 or 2026-11-29T08:00 (UTC).",
)
@click.option("--refused", is_flag=True, help="Only what was refused.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each, for machines.")
def audit_command(
    file: Path, user: str | None, tenant: str | None, since: str | None, refused: bool, as_json: bool
) -> None:
    """Say who asked to change what, when, and what came of it, from FILE, the audit log of `mlrepro webserver`.

    \b
      mlrepro audit audit.jsonl --refused                  what was tried in vain
      mlrepro audit audit.jsonl --tenant delay --since 2026-11-29
    """
    for entry in _together(file):
        if user is not None and entry.get("user") != user:
            continue
        if tenant is not None and tenant not in entry.get("tenants", ()):
            continue
        if since is not None and str(entry.get("time")) < since:
            continue
        if refused and entry.get("allowed"):
            continue
        click.echo(json.dumps(entry, ensure_ascii=True) if as_json else _told(entry))


def _together(file: Path) -> Iterator[dict[str, Any]]:
    """Each attempt with what came of it, in the order of the attempts."""
    attempts: dict[str, dict[str, Any]] = {}
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                entry = _entry(line)
                if entry is None:
                    click.echo(f"{file}:{number} is no entry, and is left out", err=True)
                elif entry.pop("entry", None) == "done":
                    more = {key: value for key, value in entry.items() if key not in {"id", "time"}}
                    attempts.setdefault(str(entry.get("id")), {}).update(more, done=entry.get("time"))
                else:
                    attempts[str(entry.get("id"))] = entry
    except OSError as error:
        told = f"{file} can't be read: {error.strerror}. `mlrepro webserver` says where its audit log is when it starts"
        raise AuditError(told) from error
    yield from attempts.values()


def _entry(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _told(entry: dict[str, Any]) -> str:
    target = ", ".join(f"{what} {_names(names)}" for what, names in dict(entry.get("target") or {}).items())
    if not entry.get("allowed"):
        outcome = f"refused: {entry.get('why')}"
    elif "outcome" in entry:
        made = entry.get("runs") or [entry["backfill"]] if entry.get("runs") or entry.get("backfill") else []
        outcome = " ".join(map(str, [entry["outcome"], *made]))
    else:
        outcome = "no outcome: the webserver ended before"
    # whatever users can name may hold marks that a terminal obeys
    return _plain(
        f"{entry.get('time')}  {entry.get('user') or '(nobody)'} from {entry.get('from')}  {entry.get('what')}"
        f"{' of ' + target if target else ''}  {outcome}"
    )


def _names(names: object) -> str:
    return " ".join(map(str, names)) if isinstance(names, list) else str(names)


def _plain(text: str) -> str:
    return "".join(mark if mark.isprintable() else "?" for mark in text)
