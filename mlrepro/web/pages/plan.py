"""What materializing a selection would do: what records tell, and, where its code runs here, what a run would find.

Code locations are other processes, often in other containers, and what a run would look up depends on their code. So
records are asked first: Dagster's own knowledge of what has changed since each asset was materialized. The look-up
itself (`mlrepro plan`) is made by a process of the code location's own Python environment, which there is on the
webserver's machine only for locations that the webserver starts itself.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from dagster import AssetKey
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import StaleStatus
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin
from dagster._core.workspace.permissions import Permissions
from pydantic import BaseModel, Field

from mlrepro.errors import FormError, NotAllowedError, NotHereError
from mlrepro.execution.selecting import selected_keys
from mlrepro.tenancy.members import Role
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.known import Known
from mlrepro.web.pages.page import Built, Query

MOST: Final = 200
_PATIENCE: Final = 120


class PlanQuery(Query):
    """What would be materialized."""

    selection: str | None = Field(
        default=None, description="In Dagster's asset selection syntax: *churn_model, group:training.", max_length=2000
    )
    location: str | None = Field(default=None, description="Only assets of this code location.", max_length=200)


class Planned(BaseModel):
    """What is known of one asset."""

    name: str
    location: str
    status: Literal["fresh", "stale", "missing", "source"] = Field(
        description="fresh: nothing changed since its newest materialization, so a run finds it in the cache."
    )
    causes: list[str] = Field(description="What changed since.")
    page: str


class Exact(BaseModel):
    """What a run would find for one asset."""

    asset: str
    verdict: str
    reason: str
    version: int | None
    seconds: float | None


class Plan(BaseModel):
    """A plan."""

    selection: str | None
    location: str | None
    locations: list[str]
    assets: list[Planned]
    left_out: int = Field(description="Assets beyond the first 200.")
    may: bool = Field(description="Whether the user may launch it.")
    why_not: str | None
    can_look_up: bool = Field(description="Whether the code location's own code can be asked here.")
    exact: list[Exact] | None = Field(default=None, description="What the code location's own code found.")


def plan(asked: Asked, query: PlanQuery) -> Built:
    """Tell what records know of a selection.

    Raises:
        AssetDefinitionError: The selection can't be read, or selects nothing.
    """
    locations = sorted({known.location for known in asked.assets if asked.scope_of(known) is not None})
    chosen = selected(asked, query) if query.selection else []
    shown = chosen[:MOST]
    of = {known.location for known in chosen}
    why_not = None if query.selection is None else _why_not(asked, of)
    answer = Plan(
        selection=query.selection,
        location=query.location,
        locations=locations,
        assets=[_planned(asked, known) for known in shown],
        left_out=len(chosen) - len(shown),
        may=bool(chosen) and why_not is None,
        why_not=why_not,
        can_look_up=len(of) == 1 and _python_of(asked, next(iter(of))) is not None,
    )
    return Built(answer, {"tab": "plan"})


def selected(asked: Asked, query: PlanQuery) -> list[Known]:
    """The assets of a selection, what is upstream first.

    Raises:
        AssetDefinitionError: It can't be read, or selects nothing.
        NotHereError: It selects nothing in that code location.
    """
    graph = asked.context.asset_graph
    keys = selected_keys(cast("AssetGraph", graph), query.selection or "*")
    found = [known for known in (asked.assets.get(key) for key in graph.toposorted_asset_keys if key in keys) if known]
    seen = [known for known in found if asked.scope_of(known) is not None and query.location in (None, known.location)]
    if not seen:
        raise NotHereError(f"{query.selection} selects nothing here")
    return seen


def look_up(asked: Asked, query: PlanQuery) -> list[Exact]:
    """Ask the code location's own code what a run would find. This runs that code, so it takes the right to launch.

    Raises:
        NotAllowedError: The user may not launch runs there.
        FormError: Its code runs elsewhere, or failed.
    """
    chosen = selected(asked, query)
    (location, *others) = sorted({known.location for known in chosen})
    if others:
        raise FormError("choose a code location: each is asked by itself")
    if not asked.context.has_permission_for_location(Permissions.LAUNCH_PIPELINE_EXECUTION, location):
        raise NotAllowedError(_why_not(asked, {location}) or f"this runs code of {location}")
    python = _python_of(asked, location)
    if python is None:
        raise FormError(f"the code of {location} runs elsewhere: ask there, by `mlrepro plan`")
    keys = [f'key:"{known.name}"' for known in chosen]
    done = _run(python, keys, asked.instance.root_directory)
    try:
        told: Mapping[str, Any] = json.loads(done)
        return [
            Exact(
                asset=str(row["asset"]),
                verdict=str(row["verdict"]),
                reason=str(row.get("reason") or _whose(row)),
                version=row.get("version"),
                seconds=row.get("seconds"),
            )
            for row in told["assets"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise FormError(f"the code of {location} answered something else than a plan") from error


def _whose(row: Mapping[str, Any]) -> str:
    return f"computed by {row['computed_by']}" if row.get("computed_by") else ""


def _run(python: "_Python", selection: list[str], home: str) -> str:
    command = [
        python.executable,
        "-c",
        "from mlrepro.cli import main; main()",
        "plan",
        "-m",
        python.module,
        "--json",
        "--",
        *selection,
    ]
    try:
        done = subprocess.run(
            command,
            cwd=python.folder,
            env={**os.environ, "DAGSTER_HOME": home},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FormError(f"the code could not be asked: {error.__class__.__name__}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise FormError(f"the code could not be asked: {lines[-1][:500] if lines else 'it failed'}")
    return done.stdout


class _Python(BaseModel):
    executable: str
    module: str
    folder: Path | None


def _python_of(asked: Asked, location: str) -> _Python | None:
    """How the code of a location is started here; None where it runs elsewhere."""
    entry = asked.context.get_location_entry(location)
    origin = entry.origin if entry else None
    if not isinstance(origin, ManagedGrpcPythonEnvCodeLocationOrigin):
        return None
    target = origin.loadable_target_origin
    module = target.module_name or target.package_name
    if module is None or target.attribute not in (None, "defs"):
        return None
    folder = Path(target.working_directory) if target.working_directory else None
    return _Python(executable=target.executable_path or sys.executable, module=module, folder=folder)


def _why_not(asked: Asked, locations: set[str]) -> str | None:
    if len(locations) > 1:
        return f"it is of {len(locations)} code locations: choose one, a run has one"
    access = replace(asked.context.access, read_only=False)  # it was asked for by GET, and is sent by POST
    for location in locations:
        if not access.reaches(Role.LAUNCHER, location):
            held = access.role(location)
            return f"it takes the role launcher in {location}, and {f'yours is {held}' if held else 'you have none'}"
    return None


def _planned(asked: Asked, known: Known) -> Planned:
    status, causes = "source", []
    node = asked.context.asset_graph.get(AssetKey(known.key.path))
    if node.is_materializable:
        loader = asked.context.stale_status_loader
        if known.partitioned:
            status, causes = "stale", ["it has partitions: each is looked up by itself"]
        else:
            found = loader.get_status(known.key)
            status = {StaleStatus.FRESH: "fresh", StaleStatus.MISSING: "missing"}.get(found, "stale")
            causes = [_cause(cause) for cause in loader.get_stale_causes(known.key)[:5]] if status == "stale" else []
    page = asked.channel_page if known.is_channel else asked.asset_page
    return Planned(
        name=known.name,
        location=known.location,
        status=cast('Literal["fresh", "stale", "missing", "source"]', status),
        causes=list(dict.fromkeys(causes)),
        page=page(known.name, asked.scope_of(known)),
    )


def _cause(cause: Any) -> str:
    of = f" ({cause.dependency.asset_key.to_user_string()})" if cause.dependency else ""
    return f"{cause.reason}{of}"
