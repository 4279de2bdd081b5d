"""`file_source`: a file or folder as a source asset that is observed by its content."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from mlrepro.definitions.observed import consumer_computes, log_observation, store_of_consumer
from mlrepro.definitions.readers import library_of, read_file
from mlrepro.errors import AssetDefinitionError
from mlrepro.io_managers.declared_types import plain_type
from mlrepro.io_managers.deferred import Deferred, DeferringIOManagerDefinition, UpstreamVersion
from mlrepro.io_managers.inputs_then import versions_then
from mlrepro.io_managers.upstream import data_version_of, step_of
from mlrepro.store import StoredValue, open_store
from mlrepro.versioning import digest, distribution_of, fingerprint, reference


def file_source(
    name: str,
    path: str | Path,
    *,
    read: Callable[[Path], Any] | None = None,
    keep: bool = True,
    key_prefix: Sequence[str] | str | None = None,
    group_name: str | None = None,
    description: str | None = None,
    tags: dict[str, str] | None = None,
    automation_condition: dg.AutomationCondition[Any] | None = None,
) -> dg.SourceAsset:
    """Declare a file or folder that somebody else writes as an asset whose data version is its content.

    Each step that uses it looks at the file itself, so that new content at the same path is never missed, whether
    or not anybody pressed *Observe*; the same content at another path, or with another time stamp, is the same.

    Args:
        name: Name of the asset.
        path: The file or folder; a relative one counts from the working directory of the code location.
        read: Turns the path into the value. Default: by the declared type of the argument and the file's suffix:
            pandas and polars frames, numpy arrays, bytes, str, JSON, or Path as it is.
        keep: Whether a copy of each content is kept in the store, so that a result can be made again when the file
            is long gone. The same content is kept once.
        key_prefix: Prefix of the asset's key.
        group_name: Group in Dagster's UI.
        description: Text in Dagster's UI.
        tags: Tags in Dagster's UI.
        automation_condition: When Dagster should observe it by itself.

    Returns:
        An observable source asset.

    Example:
        >>> raw = file_source("raw_customers", "data/customers.csv")
        >>> raw.key.to_user_string()
        'raw_customers'
    """
    location = Path(path)

    def observe() -> dg.ObserveResult:
        stored = content_of(location, name)
        return dg.ObserveResult(
            data_version=dg.DataVersion(stored.content_hash),
            metadata={"path": dg.MetadataValue.path(location.absolute()), "size": stored.size},
        )

    with warnings.catch_warnings():
        # said once here that the seam is beta: whoever calls file_source can do nothing about it
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        return dg.observable_source_asset(
            name=name,
            key_prefix=key_prefix,
            group_name=group_name,
            description=description,
            tags=tags,
            automation_condition=automation_condition,
            metadata={"path": dg.MetadataValue.path(location.absolute())},
            io_manager_def=DeferringIOManagerDefinition(FileSourceIOManager(location, read, keep=keep)),
        )(observe)


def content_of(path: Path, asset: str) -> StoredValue:
    """Hash a file or folder by content.

    Raises:
        AssetDefinitionError: If there is nothing at the path.
    """
    _check(path, asset)
    return open_store("memory://mlrepro-hashing").hash_value(path)


class FileSourceIOManager(dg.IOManager):
    """Loads a file source, or hands over a stand-in that can.

    Args:
        path: The file or folder.
        read: Turns the path into the value, or None to go by type and suffix.
        keep: Whether the content is kept in the store.
    """

    def __init__(self, path: Path, read: Callable[[Path], Any] | None, *, keep: bool) -> None:
        self.path = path
        self.read = read
        self.keep = keep

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ARG002 -- Dagster's signature
        """Refuse: a source is written by somebody else."""
        raise AssetDefinitionError(f"{context.asset_key.to_user_string()} is a file source: it is only read")

    def load_input(self, context: dg.InputContext) -> Any:
        """Take the file's present content, and tell Dagster if it is not what was observed last.

        Raises:
            AssetDefinitionError: If there is nothing at the path.
        """
        store = store_of_consumer(context)
        now = not versions_then(context, store) and self.path.exists()
        deferred = self.deferred_input(context, store.write_value(self.path) if store and self.keep and now else None)
        deferred.confirm()
        return deferred if consumer_computes(context) else deferred.load()

    def deferred_input(self, context: dg.InputContext, kept: StoredValue | None = None) -> Deferred:
        """Find what the file holds now, without loading it; `kept` is its content where the store has it already.

        Raises:
            AssetDefinitionError: If there is nothing at the path.
        """
        asset = context.asset_key.to_user_string()
        store = store_of_consumer(context)
        if (then := versions_then(context, store)) is not None:
            kept = then[0].stored
        stored = kept or content_of(self.path, asset)
        as_type = plain_type(context.dagster_type.typing_type)

        def load() -> Any:
            path = _under_its_name(store.read_value(stored, as_type=Path), self.path) if store and kept else self.path
            return self.read(path) if self.read else read_file(path, self.path.name, as_type)

        return Deferred(
            versions=(UpstreamVersion(asset, None, None, stored),),
            as_mapping=False,
            load=load,
            loaded_as=None if self.read else f"{''.join(self.path.suffixes)} {as_type and as_type.__qualname__}",
            code=self._code(as_type),
            unchanged=lambda: kept is not None or content_of(self.path, asset).content_hash == stored.content_hash,
            confirm=lambda: self._observe(context, stored),
            source={
                "file": self.path.name,
                "reader": reference(self.read) if self.read else None,
                "kept": kept is not None,
            },
        )

    def _code(self, as_type: type | None) -> str | None:
        if self.read is not None:
            # a library's own reader counts by the library's version, like everything of a library
            known = distribution_of(getattr(self.read, "__module__", None) or "")
            return digest([*known, reference(self.read)]) if known else fingerprint(self.read).digest
        library = library_of(as_type)
        found = distribution_of(library) if library else None
        return digest(list(found)) if found else None

    def _observe(self, context: dg.InputContext, stored: StoredValue) -> None:
        """Log an observation where the content is new, so that lineage names what was really read."""
        step_context = step_of(context)
        if step_context is None or data_version_of(step_context, context.asset_key) == stored.content_hash:
            return
        metadata = {"path": dg.MetadataValue.path(self.path.absolute()), "size": stored.size}
        log_observation(step_context, context.asset_key, stored.content_hash, metadata)


def _check(path: Path, asset: str) -> None:
    if not path.exists():
        raise AssetDefinitionError(f"{asset}: there is no file or folder {path.absolute()}")


def _under_its_name(copy: Path, original: Path) -> Path:
    """Give a copy the file's own name: a reader tells the format by the suffix."""
    if copy.name == original.name:
        return copy
    named = Path(tempfile.mkdtemp(dir=copy.parent), original.name)
    named.symlink_to(copy.absolute())
    return named
