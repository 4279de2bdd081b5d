"""`verify`: compute an asset again on purpose, and compare with the result in the store."""

import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import yaml

from mlrepro.errors import AssetDefinitionError, NondeterminismError
from mlrepro.io_managers.modes import VERIFY_TAG


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
        AssetDefinitionError: If the module has no Definitions, or they have no such asset.

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
    found = definitions if isinstance(definitions, dg.Definitions) else _definitions_in(definitions)
    key = dg.AssetKey.from_user_string(asset)
    if key not in found.resolve_asset_graph().materializable_asset_keys:
        raise AssetDefinitionError(f"the definitions have no asset {asset} that can be computed")
    run_config = config if isinstance(config, dict) or config is None else yaml.safe_load(Path(config).read_text())
    job = found.resolve_implicit_global_asset_job_def()
    logging.getLogger("dagster").setLevel(logging.WARNING)
    try:
        job.execute_in_process(
            asset_selection=[key],
            partition_key=partition,
            run_config=run_config,
            tags={VERIFY_TAG: "true"},
        )
    except NondeterminismError as error:
        return Verification(deterministic=False, verdict=f"not deterministic: {error}")
    return Verification(deterministic=True, verdict="deterministic: computed again, the same bytes came out")


def _definitions_in(module: str) -> dg.Definitions:
    try:
        loaded: ModuleType = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise AssetDefinitionError(f"there is no module {module!r} to import: {error}") from error
    found = [value for value in vars(loaded).values() if isinstance(value, dg.Definitions)]
    if len(found) != 1:
        raise AssetDefinitionError(f"module {module} holds {len(found)} Definitions objects, not one")
    return found[0]
