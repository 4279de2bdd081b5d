"""Sharing: a version's value and the record of its result, copied to a scope that others read."""

from dataclasses import dataclass
from typing import Any

from mlrepro.catalog.history import Version
from mlrepro.catalog.keeping import keep
from mlrepro.catalog.names import VersionName
from mlrepro.catalog.reading import find_store, version
from mlrepro.errors import NoRightError, StoreError, UnknownVersionError
from mlrepro.store import Store
from mlrepro.store.keys import check_scope


@dataclass(frozen=True)
class Shared:
    """A result that was copied to another scope.

    Attributes:
        version: What was shared.
        scope: Where to.
        run_id: The run that the record tells of which stands there now: another one's, if somebody shared a result of
            the same inputs before.
        is_new: Whether that is this version's own record.
    """

    version: Version
    scope: str
    run_id: str
    is_new: bool

    def to_json(self) -> dict[str, Any]:
        """The facts as a JSON object."""
        name = VersionName(self.version.asset, self.version.number)
        return {
            "version": str(name),
            "partition": self.version.partition,
            "input_hash": self.version.input_hash,
            "scope": self.scope,
            "run_id": self.run_id,
            "is_new": self.is_new,
        }


def share(
    name: str,
    *,
    to: str = "shared",
    partition: str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
) -> Shared:
    """Copy a version's value and the record of its result to a scope that others read.

    From then on whoever reads that scope, and would compute the same from the same, has it from the cache. The value is
    copied where it lies. With a signing key the record is signed.

    Args:
        name: ``asset@v3``, ``asset`` for the newest version, or ``asset@production`` for what a channel serves.
        to: The scope.
        partition: Partition key, for a partitioned asset.
        store: A store or its URL. Default: as the resource finds it.
        scope: Whose version. Default: ``MLREPRO_SCOPE``, then ``default``.

    Returns:
        What stands there now.

    Raises:
        UnknownVersionError: There is no such version, or no result that could be shared belongs to it.
        NoRightError: These credentials may not write to that scope.
        BlobMissingError: The version's bytes are gone.
        StoreError: The store failed.

    Example:
        ``mlrepro.share("churn_model@v3")``
    """
    opened = find_store(store, scope=scope)
    target = check_scope(to)
    found = version(name, partition=partition, store=opened)
    of = VersionName(found.asset, found.number)
    if target == opened.scope:
        raise StoreError(f"{of} is in scope {target!r} already: name another one to share it with")
    if found.input_hash is None:
        raise UnknownVersionError(
            f"{of} belongs to no result: it was stored by a plain asset, whose inputs are not known. Make it an"
            " @ml_asset, or give it a code_version"
        )
    own = opened.get_result(found.input_hash, only=opened.scope) or opened.get_result(found.input_hash)
    if own is None:
        raise UnknownVersionError(f"the result that {of} belongs to is not in the store any more: materialize it again")
    try:
        standing = keep(opened, found, target)
    except NoRightError as error:
        raise NoRightError(f"{of} could not be shared with scope {target!r}: {error}") from error
    ran = str((standing or own.record).get("run_id"))
    return Shared(found, target, ran, is_new=ran == str(own.record.get("run_id")))
