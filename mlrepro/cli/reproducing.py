"""The verbs that go by records: reproduce a version, rerun a run."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mlrepro.cli.app import Where, app, print_json, verb
from mlrepro.errors import MlreproError

_COULD_NOT = 2


@app.command("reproduce")
@click.argument("name", metavar="ASSET@v3")
@click.option(
    "--env",
    type=click.Choice(["recorded", "current"]),
    default="current",
    show_default=True,
    help="The libraries that are installed here, or those that were then, in a fresh environment built by uv.",
)
@click.option("--deep", is_flag=True, help="Also the versions that its inputs were, up to the sources.")
@click.option("-p", "--partition", metavar="KEY", help="Partition key, for a partitioned asset.")
@click.option("-m", "--module", metavar="MODULE", help="Module with the Definitions, for an asset that uses resources.")
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder in the git repository of the code. Default: the working directory.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-6,
    show_default=True,
    help="Relative difference up to which numbers count as the same.",
)
@verb
def reproduce_command(where: Where, name: str, partition: str | None, **how: Any) -> None:
    """Compute a version again from its record alone, and say how alike it comes out.

    The code is what was stored with the result, or its git commit; the inputs are those that it had, by content;
    config, seed and partition are as recorded. It runs in a clean process, no version is made, and the store is only
    read.

    Exit code 0: bit for bit the same, or the same within the tolerance. 1: it differs. 2: it could not be tried.
    """
    # these bring Dagster, which the verbs that only read the store do without
    from mlrepro.reproducing import reproduce

    with _tidy_when_terminated():
        try:
            found = reproduce(name, partition=partition, store=where.store(), progress=_say, **how)
        except MlreproError as error:
            click.echo(f"mlrepro: {error}", err=True)
            raise SystemExit(_COULD_NOT) from error
    if where.as_json:
        print_json({**found.to_json(), "exit_code": found.exit_code})
    else:
        for each in found.everything():
            _print(each)
    raise SystemExit(found.exit_code)


@app.command("rerun")
@click.argument("run_id", metavar="RUN_ID")
@click.option("-m", "--module", metavar="MODULE", help="Module with the Definitions, for assets that use resources.")
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder in the git repository of the code. Default: the working directory.",
)
@click.option(
    "-w",
    "--workspace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Workspace file with the code servers. Default: workspace.yaml here, then in DAGSTER_HOME.",
)
@verb
def rerun_command(where: Where, run_id: str, **how: Any) -> None:
    """Launch a run again with the code, config and input versions that it had then.

    It is a run of DAGSTER_HOME's instance: launched like any other where `mlrepro code-server` serves the version that
    it had, else executed by a process on this machine. What is known comes from the cache, and the versions of then are
    the newest again. What the records do not tell is said.

    Exit code 0: everything is what it was. 1: something came out otherwise, or the run failed. 2: it could not be
    tried.
    """
    from mlrepro.reproducing import rerun

    with _tidy_when_terminated():
        try:
            done = rerun(run_id, store=where.store(), progress=_say, **how)
        except MlreproError as error:
            click.echo(f"mlrepro: {error}", err=True)
            raise SystemExit(_COULD_NOT) from error
    if where.as_json:
        print_json(done.to_json())
    else:
        click.echo(f"run {done.run_id} repeats run {done.of}, from {done.code}")
        for each in done.assets:
            name = each.asset if each.partition is None else f"{each.asset} ({each.partition})"
            alike = "what it was" if each.same else "something else than then"
            click.echo(f"  {name} v{each.version}: {each.cache}, {alike}")
        for note in done.notes:
            click.echo(f"  note: {note}")
    raise SystemExit(0 if done.success and all(each.same for each in done.assets) else 1)


def _print(found: Any) -> None:
    partition = f" ({found.partition})" if found.partition else ""
    click.echo(f"{found.name}{partition}: {found.sentence}")
    sections = [
        ("missing", found.missing),
        ("what differs", found.differs),
        ("likely cause", found.causes),
        # a note that is taken for a cause has been said
        ("note", [note for note in found.notes if note not in found.causes]),
    ]
    for title, lines in sections:
        for line in lines:
            click.echo(f"  {title}: {line}")
    if found.seconds is not None:
        click.echo(
            f"  computed from {found.code} in {found.environment}, in {found.seconds:.2f} s;"
            f" it took {found.recorded_seconds or 0:.2f} s then"
        )


def _say(line: str) -> None:
    click.echo(f"{line} ...", err=True)


@contextmanager
def _tidy_when_terminated() -> Iterator[None]:
    """End by an exception when somebody ends the process, so that what is temporary goes with it."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
