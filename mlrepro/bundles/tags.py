"""Tags that say which code a run executes."""

from typing import Final

WORKFLOW_VERSION_TAG: Final = "mlrepro/workflow_version"
"""Run tag with the workflow version that executes the run, such as ``pricing@v3``."""
