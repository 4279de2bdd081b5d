"""The verb that shows what a key would follow: fingerprint."""

import sys
from pathlib import Path
from typing import Any

import click

from mlrepro.cli.app import app, print_json
from mlrepro.errors import MlreproError


@app.command("fingerprint")
@click.argument("target", metavar="MODULE:NAME")
@click.option("--code", is_flag=True, help="Print the sources that it reached.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def fingerprint_command(target: str, code: bool, as_json: bool) -> None:
    """Fingerprint a function or class: what it reaches, in which files, and what could not be followed."""
    from mlrepro.versioning import fingerprint, resolve_reference

    if not target.partition(":")[2]:
        raise MlreproError(f"{target!r} names no function: write MODULE:NAME, such as project.features:clean")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` finds a project
    try:
        found = resolve_reference(target)
    except MlreproError:
        raise
    except Exception as error:  # whatever the module does when it is imported
        raise MlreproError(f"importing {target} failed: {type(error).__name__}: {error}") from error
    result = fingerprint(_function_of(found))
    if as_json:
        print_json(
            {
                "target": target,
                "fingerprint": result.digest,
                "sources": [
                    {"name": source.name, "file": source.file, "line": source.line, "text": source.text}
                    for source in result.sources
                ],
                "distributions": dict(result.distributions),
                "reports": [{"message": report.message, "followed": report.followed} for report in result.reports],
            }
        )
        return
    click.echo(result.digest)
    for source in result.sources:
        click.echo(f"  {source.file}:{source.line}  {source.name}")
        if code:
            click.echo("\n".join(f"      {line}" for line in source.text.splitlines()))
    for name, version in sorted(result.distributions.items()):
        click.echo(f"  {name} {version}")
    for report in result.reports:
        click.echo(f"  {'followed' if report.followed else 'NOT FOLLOWED'}: {report.message}")


def _function_of(found: Any) -> Any:
    """Take the function of an `@ml_asset`; anything else as it is."""
    if "dagster" not in sys.modules:
        return found
    from mlrepro.io_managers.computation import computation_of

    computation = computation_of(getattr(found, "node_def", None))
    return found if computation is None else computation.fn
