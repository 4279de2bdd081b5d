"""What stands downstream of a channel, and which version of each was made from the version that it would serve."""

from collections.abc import Iterable, Mapping
from typing import Final

from dagster import AssetKey
from pydantic import BaseModel, Field

from mlrepro.catalog import Version, VersionName
from mlrepro.comparison.lineage import Lineage, identity
from mlrepro.comparison.records import Records, at_once
from mlrepro.errors import StoreError
from mlrepro.store import Store
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.known import Known

MOST: Final = 40


class Downstream(BaseModel):
    """An asset downstream."""

    name: str
    now: int | None = Field(description="Its newest version.")
    then: int | None = Field(description="Its version that was made from what the channel would serve; None: none was.")
    page: str


def downstream_of(asked: Asked, channel: Known, store: Store, target: Version) -> list[Downstream]:
    """Say for each asset downstream of a channel what it would come back to, as far as records tell.

    A version that was made from the target comes from the cache, unless the asset's code or config has changed since.

    Args:
        asked: Who asks.
        channel: The channel.
        store: As the channel's scope sees it.
        target: The version that the channel would serve.
    """
    below = [each for each in asked.assets.downstream([AssetKey(channel.key.path)], MOST) if not each.is_channel]
    seen = [each for each in below if asked.scope_of(each) == store.scope]
    records = Records(store)
    lineage = Lineage(records, [target])

    def found(each: Known) -> Downstream:
        key = tuple(each.key.path)
        made: Mapping[int, Version] = {}
        newest = None
        for partition in dict.fromkeys([target.partition, None]):
            newest = records.newest(key, partition)
            if newest is not None:
                made = _made_from(lineage, records.ways(key, partition), identity(target))
                break
        then = max(made, default=None)
        page = (
            asked.version_page(each.name, then, store.scope, newest.partition)
            if then is not None and newest is not None
            else asked.asset_page(each.name, store.scope)
        )
        return Downstream(name=str(VersionName(key, None)), now=newest.number if newest else None, then=then, page=page)

    return at_once(found, seen)


def _made_from(lineage: Lineage, ways: Iterable[Version], wanted: str) -> Mapping[int, Version]:
    try:
        return {way.number: way for way in ways if wanted in (lineage.contents(way) or ())}
    except StoreError:
        return {}
