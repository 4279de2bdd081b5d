"""Versions, or what channels serve, side by side: metrics with deltas, config, inputs, environment, code."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from dagster import AssetKey
from pydantic import BaseModel, Field

from mlrepro.catalog import Version, VersionName, parse_version_name
from mlrepro.catalog import version as find
from mlrepro.comparison import Comparison
from mlrepro.comparison.changing import SECTIONS, in_words, rows, sections
from mlrepro.comparison.comparing import compare_versions
from mlrepro.comparison.plot import Plot, plots
from mlrepro.comparison.records import at_once
from mlrepro.comparison.table import fact_rows
from mlrepro.errors import NotHereError, VersionNameError
from mlrepro.store import Store
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.asset import evaluations_of, page_of_point
from mlrepro.web.pages.page import Built, Query
from mlrepro.web.pages.version_name import named

MOST: Final = 8
_SIDE_BY_SIDE: Final = ("config", "inputs", "environment")
_IN_WORDS: Final = ("code", "settings")
_HUNK: Final = re.compile(r"@@ -(\d+)")
_MOST_PLOTS: Final = 24


class CompareQuery(Query):
    """What is compared."""

    of: list[str] = Field(
        default=[],
        description="Two or more versions: team/churn_model@v3, or @production for what a channel serves.",
        max_length=MOST,
    )
    scope: str | None = Field(default=None, description="Whose histories. Default: each asset's own.", max_length=100)
    partition: str | None = Field(default=None, description="Partition key.", max_length=1000)


class Compare(BaseModel):
    """A comparison, as `mlrepro compare --json` writes it."""

    title: str
    versions: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    notes: list[str]
    link: str = Field(description="Path of this page, for others who may see it.")


@dataclass(frozen=True)
class Line:
    """A line of a code difference, old and new beside each other."""

    kind: Literal["where", "same", "changed"]
    old: str | None
    new: str | None


def compare(asked: Asked, query: CompareQuery) -> Built:
    """Put versions side by side.

    Raises:
        VersionNameError: Fewer than two are named.
        NotHereError: The user does not see one of them.
        UnknownVersionError: One is not there.
        StoreError: The store can't be read.
    """
    if len(query.of) < 2:
        raise VersionNameError("name two versions or more to compare: tick them on an asset's page")
    found = [_Named.of(asked, text, query) for text in query.of]
    stores = {each.store.scope: each.store for each in found}
    if len(stores) > 1:
        raise NotHereError("versions of different scopes are not compared: they are of different teams")
    store = found[0].store
    evaluations = {name for each in found for name in each.evaluations}
    made = compare_versions(
        at_once(lambda each: each.version, found),
        store,
        channels=[each.channel for each in found],
        # naming one keeps the whole store from being searched for what evaluates them
        evaluations=sorted(evaluations) or [str(VersionName(found[0].version.asset, None))],
    )
    link = asked.page("compare", of=list(query.of), scope=query.scope, partition=query.partition)
    told = made.to_json()
    answer = Compare(
        title=made.title, link=link, **{key: told[key] for key in ("versions", "metrics", "changes", "notes")}
    )
    return Built(answer, _shown(asked, made, store, found))


@dataclass(frozen=True)
class _Named:
    store: Store
    version: Version
    channel: str | None
    evaluations: tuple[str, ...]

    @classmethod
    def of(cls, asked: Asked, text: str, query: CompareQuery) -> "_Named":
        store, known, name = named(asked, text, query.scope)
        found = find(str(name), partition=query.partition, store=store)
        known = known if known is not None and not known.is_channel else asked.assets.get(AssetKey(list(found.asset)))
        return cls(store, found, parse_version_name(text).channel, tuple(evaluations_of(asked, known)))


def _shown(asked: Asked, made: Comparison, store: Store, found: Sequence[_Named]) -> dict[str, Any]:
    drawn: list[tuple[str, list[Plot], Any]] = []
    for past in made.past():
        partition = past.versions[-1].partition
        drawn.append((past.asset, plots(past)[:_MOST_PLOTS], page_of_point(asked, past.asset, store.scope, partition)))
    side_by_side = {title: rows(made.changes, SECTIONS[title]) for title in _SIDE_BY_SIDE}
    return {
        "made": made,
        "labels": [each.label for each in made.versions],
        "links": [
            asked.version_page(
                str(VersionName(each.version.asset, None)), each.version.number, store.scope, each.version.partition
            )
            for each in found
        ],
        "drawn": drawn,
        "facts": fact_rows(made),
        "side_by_side_tables": {title: table for title, table in side_by_side.items() if table},
        "in_words": [
            (title, made.versions[0].label, each.label, [(in_words(change), _lines(change.diff)) for change in told])
            for title in _IN_WORDS
            for each, changes in zip(made.versions[1:], made.changes, strict=True)
            if (told := sections(changes).get(title))
        ],
    }


def _lines(diff: str | None) -> list[Line]:
    return list(side_by_side(diff)) if diff else []


def side_by_side(diff: str) -> Iterator[Line]:
    r"""Put a unified diff's old and new lines beside each other.

    Example:
        >>> [(line.old, line.new) for line in side_by_side("@@ -1 +1 @@\n a\n-b\n+c\n+d")]
        [('line 1', None), ('a', 'a'), ('b', 'c'), (None, 'd')]
    """
    old: list[str] = []
    new: list[str] = []

    def changed() -> Iterator[Line]:
        for place in range(max(len(old), len(new))):
            yield Line("changed", old[place] if place < len(old) else None, new[place] if place < len(new) else None)
        old.clear()
        new.clear()

    for line in diff.splitlines():
        if line.startswith(("+++", "---")):
            continue
        if line.startswith("-"):
            old.append(line[1:])
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            yield from changed()
            if line.startswith("@@"):
                hunk = _HUNK.match(line)
                yield Line("where", f"line {hunk[1]}" if hunk else line, None)
            else:
                yield Line("same", line[1:], line[1:])
    yield from changed()
