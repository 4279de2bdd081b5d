"""A version: its record, its lineage by version, its code, and how to make it again."""

import importlib.util
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dagster import AssetKey
from pydantic import BaseModel, Field

from mlrepro.catalog import version as find
from mlrepro.catalog.channels import newest_entry
from mlrepro.catalog.history import newest_version
from mlrepro.comparison.facts import read_facts
from mlrepro.comparison.metrics import Number, own_metrics
from mlrepro.comparison.records import Records
from mlrepro.web.pages.asked import Asked, Found
from mlrepro.web.pages.graph import picture
from mlrepro.web.pages.history import channels_of_asset
from mlrepro.web.pages.lineage import Lineage, Walk
from mlrepro.web.pages.page import Built, Query, Told
from mlrepro.web.pages.preview import Preview, preview_of
from mlrepro.web.pages.version_name import named

_MOST_SOURCES: Final = 200


class VersionQuery(Query):
    """Which version."""

    of: str = Field(description="The version: team/churn_model@v3, or team/churn_model@production.", max_length=2000)
    scope: str | None = Field(default=None, description="Whose history. Default: its own.", max_length=100)
    partition: str | None = Field(default=None, description="Partition key.", max_length=1000)


class Source(BaseModel):
    """A definition that the code reaches."""

    name: str
    file: str
    line: int
    text: str


class VersionPage(BaseModel):
    """A version."""

    asset: Found
    number: int
    newest: int | None
    created: Told
    who: Told
    run_id: Told
    run_page: str | None
    code_location: Told
    seconds: float | None
    size: int
    format: str
    python_type: str
    content_hash: str
    data_version: str
    input_hash: Told
    nondeterministic: bool
    metrics: dict[str, Number]
    served_by: list[str] = Field(description="Channels that serve it now.")
    computed_by: Told = Field(description="Who computed it first, where that was somebody else's run.")
    computed_in: Told
    git_commit: Told
    seed: int | None
    config: Any
    environment: dict[str, Any]
    distributions: dict[str, str]
    fingerprint: Told
    not_followed: list[str]
    sources: list[Source]
    lineage: Lineage
    preview: Preview
    reproduce: list[str] = Field(description="Commands that show, load and make it again.")
    download: str
    notes: list[str]


def version(asked: Asked, query: VersionQuery) -> Built:
    """Show a version.

    Raises:
        NotHereError: The user sees no such asset.
        UnknownVersionError: There is no such version.
        StoreError: The store can't be read.
    """
    store, _, name = named(asked, query.of, query.scope)
    made = find(str(name), partition=query.partition, store=store)
    known = asked.assets.get(AssetKey(list(made.asset)))  # of a channel's key, the asset that it is about
    records = Records(store)
    compared = read_facts(made, f"v{made.number}", records)
    record = compared.evidence.record
    code = _mapping(record.get("code"))
    environment = _mapping(record.get("environment"))
    found = asked.found(made.asset, known, store, made.partition)
    newest = newest_version(store, made.asset, made.partition)
    lineage = Walk(asked, store, made).lineage()
    run_id = made.body.get("run_id")
    answer = VersionPage(
        asset=found,
        number=made.number,
        newest=newest.number if newest else None,
        created=compared.created,
        who=made.body.get("who"),
        run_id=run_id,
        run_page=asked.run_page(run_id) if isinstance(run_id, str) else None,
        code_location=made.body.get("code_location") or record.get("code_location"),
        seconds=compared.seconds,
        size=compared.size,
        format=made.stored.format,
        python_type=made.stored.python_type,
        content_hash=made.stored.content_hash,
        data_version=made.data_version,
        input_hash=made.input_hash,
        nondeterministic=bool(made.body.get("nondeterministic")),
        metrics=own_metrics(made, record or None),
        served_by=[
            each.channel
            for each in channels_of_asset(store, made.asset, made.partition)
            if (entry := newest_entry(store, each)) and entry.after and entry.after.number == made.number
        ],
        computed_by=record.get("who") if record.get("run_id") != run_id else None,
        computed_in=record.get("run_id") if record.get("run_id") != run_id else None,
        git_commit=record.get("git_commit"),
        seed=record.get("seed") if isinstance(record.get("seed"), int) else None,
        config=record.get("config"),
        environment={key: value for key, value in environment.items() if key != "freeze"},
        distributions={str(key): str(value) for key, value in _mapping(code.get("distributions")).items()},
        fingerprint=code.get("fingerprint"),
        not_followed=[str(each) for each in code.get("not_followed") or ()],
        sources=[
            Source(name=str(each["name"]), file=str(each["file"]), line=_int(each["line"]), text=each["text"])
            for each in _own_first(compared.evidence.sources, made.asset[-1])[:_MOST_SOURCES]
        ],
        lineage=lineage,
        preview=preview_of(made, records),
        reproduce=_reproduce(found, made.number),
        download=asked.page("download", of=f"{found.name}@v{made.number}", scope=store.scope, partition=made.partition),
        notes=_notes(made.input_hash, compared.readable),
    )
    return Built(answer, {"picture": picture(lineage), "sections": _sections(answer)})


def _own_first(sources: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """What is called like the asset is its function, mostly, and what one looks for."""
    return sorted(sources, key=lambda each: not str(each["name"]).endswith((f":{name}", f".{name}")))


def _sections(answer: VersionPage) -> dict[str, list[tuple[str, Any]]]:
    return {
        "Config": list(answer.config.items()) if isinstance(answer.config, Mapping) else [],
        "Environment": [
            *answer.environment.items(),
            *((name, version) for name, version in sorted(answer.distributions.items())),
        ],
    }


def _reproduce(found: Found, number: int) -> list[str]:
    name = shlex.quote(f"{found.name}@v{number}")
    where = f"--scope {shlex.quote(found.scope)}"
    if found.partition is not None:
        where = f"-p {shlex.quote(found.partition)} {where}"
    # of an installation whose command can compute a version again from its record alone
    first = [f"mlrepro reproduce {name} {where}"] if importlib.util.find_spec("mlrepro.reproducing") else []
    file = shlex.quote(f"{found.name.rpartition('/')[2]}-v{number}")
    return [*first, f"mlrepro show {name} {where} --code", f"mlrepro load {name} {where} -o {file}"]


def _notes(input_hash: str | None, readable: frozenset[str]) -> list[str]:
    if input_hash is None:
        return ["It was not computed by an @ml_asset, so nothing tells its config, inputs and code."]
    if "record" not in readable:
        return ["Its record is lost or damaged, so nothing tells its config, inputs and code."]
    lost = {"sources": "source code", "freeze": "list of libraries"}
    return [f"Its {told} is lost or damaged." for part, told in lost.items() if part not in readable]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
