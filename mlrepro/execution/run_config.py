"""Run config as a user hands it over: a mapping, or a YAML file as the launchpad would take it."""

from pathlib import Path
from typing import Any

import yaml

from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.loading import one_line


def run_config_from(config: str | Path | dict[str, Any] | None) -> dict[str, Any] | None:
    """Take run config as it is, or read it from a YAML file.

    Args:
        config: Run config, or the path of a file that holds it.

    Raises:
        AssetDefinitionError: If the file can't be read, or holds no run config.

    Example:
        >>> run_config_from({"ops": {}})
        {'ops': {}}
    """
    if config is None or isinstance(config, dict):
        return config
    path = Path(config)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise AssetDefinitionError(f"{path} can't be read as YAML: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise AssetDefinitionError(f"{path} holds no run config: write ops: and the like, as in the launchpad")
    return found
