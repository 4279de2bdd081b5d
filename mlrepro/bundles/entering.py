"""The entry script of a container: have the bundle there that a process is to run, then become that process."""

import os
from collections.abc import Sequence
from typing import Final

from mlrepro.bundles.extracting import NO_BYTECODE, fetch
from mlrepro.catalog import find_store
from mlrepro.errors import BundleError
from mlrepro.workflow_names import BUNDLE, WORKFLOW_VERSION, WORKFLOW_VERSION_TAG

_RUN: Final = ("api", "execute_run")


def enter(command: Sequence[str]) -> None:
    """Extract the bundle that ``MLREPRO_BUNDLE`` names, and run a command in its folder in this process's place.

    Dagster looks for the code where the code server had it, so ``MLREPRO_BUNDLE_CACHE`` has to be what it was there;
    `mlrepro code-server` passes both on. Without ``MLREPRO_BUNDLE`` the command is run as it is.

    Args:
        command: Program and arguments.

    Raises:
        BundleError: The bundle can't be had, or there is no such program.
    """
    if not command:
        raise BundleError("name the command to run: mlrepro exec dagster api execute_run ...")
    if digest := os.environ.get(BUNDLE):
        os.chdir(fetch(find_store(), digest))
        os.environ.update(NO_BYTECODE)
        _stamp(command)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 -- this is what it is for
    except OSError as error:
        raise BundleError(f"{command[0]} can't be run: {error.strerror}") from error


def _stamp(command: Sequence[str]) -> None:
    """Note on the run which version executes it, where the command is to execute a run."""
    version = os.environ.get(WORKFLOW_VERSION)
    for place in range(len(command) - 2):
        if version and tuple(command[place : place + 2]) == _RUN:
            _note(command[-1], version)
            return


def _note(serialized: str, version: str) -> None:
    from dagster._core.instance import DagsterInstance
    from dagster._grpc.types import ExecuteRunArgs
    from dagster._serdes import deserialize_value

    arguments = deserialize_value(serialized, ExecuteRunArgs)
    reference = arguments.instance_ref
    with DagsterInstance.from_ref(reference) if reference else DagsterInstance.get() as instance:
        instance.add_run_tags(arguments.run_id, {WORKFLOW_VERSION_TAG: version})
