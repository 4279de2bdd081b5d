"""`verify`: compute an asset again on purpose, and compare with the result in the store."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from mlrepro.errors import AssetDefinitionError, MlreproError, NondeterminismError
from mlrepro.execution.loading import definitions_in, one_line
from mlrepro.execution.run_config import run_config_from
from mlrepro.io_managers.modes import VERIFY_TAG
from mlrepro.io_managers.promotion import CHANNEL


@dataclass(frozen=True)
class Verification:
    """What computing again showed.

    Attributes:
        deterministic: Whether the bytes came out the same.
        verdict: The same in words.
    """

    deterministic: bool
    verdict: str


def verify(
    asset: str,
    definitions: dg.Definitions | str,
    *,
    partition: str | None = None,
    config: str | Path | dict[str, Any] | None = None,
) -> Verification:
    """Compute an asset again, from the newest versions of its inputs, and compare.

    Nothing is stored and no version is made. Other bytes are noted beside the result as a deviation.

    Args:
        asset: Key of the asset.
        definitions: The Definitions, or the name of a module that holds them.
        partition: Partition to compute, for a partitioned asset.
        config: Run config, or a YAML file that holds it.

    Raises:
        NothingToVerifyError: If there is no result under the present code, config and inputs.
        AssetDefinitionError: If the module has no Definitions, they have no such asset or partition, the config can't
            be read, or computing fails.

    Example:
        >>> from mlrepro import ReproStore, ml_asset, ml_definitions
        >>> @ml_asset
        ... def three() -> int:
        ...     return 3
        >>> defs = ml_definitions(assets=[three], store=ReproStore(url="memory://verify-example"))
        >>> defs.resolve_implicit_global_asset_job_def().execute_in_process().success
        True
        >>> verify("three", defs).deterministic
        True
    """
    found = definitions_in(definitions)
    key = dg.AssetKey.from_user_string(asset)
    graph = found.resolve_asset_graph()
    if key not in graph.materializable_asset_keys:
        raise AssetDefinitionError(f"the definitions have no asset {asset} that can be computed")
    if CHANNEL in graph.get(key).metadata:
        raise AssetDefinitionError(f"{asset} is a channel, which computes nothing: verify the asset that it is about")
    _check_partition(asset, graph.get(key).partitions_def, partition)
    run_config = run_config_from(config)
    job = found.resolve_implicit_global_asset_job_def()
    with _quiet():
        try:
            job.execute_in_process(
                asset_selection=[key], partition_key=partition, run_config=run_config, tags={VERIFY_TAG: "true"}
            )
        except NondeterminismError as error:
            return Verification(deterministic=False, verdict=f"not deterministic: {error}")
        except MlreproError:
            raise
        except Exception as error:
            raise AssetDefinitionError(
                f"computing {asset} failed: {type(error).__name__}: {one_line(error)}"
            ) from error
    return Verification(deterministic=True, verdict="deterministic: computed again, the same bytes came out")


def _check_partition(asset: str, partitions: dg.PartitionsDefinition[Any] | None, partition: str | None) -> None:
    if partitions is None and partition is not None:
        raise AssetDefinitionError(f"{asset} has no partitions, so there is no {partition!r} to compute")
    if partitions is not None and partition is None:
        raise AssetDefinitionError(f"{asset} is partitioned: name the partition to compute")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dagster's log of the run to itself: the verdict is what was asked for."""
    logger = logging.getLogger("dagster")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled
